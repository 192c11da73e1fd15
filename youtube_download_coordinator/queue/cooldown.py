"""What the lines of control mean, and how they change: pure functions from a line and an event to the line as it becomes.

    clear ──throttled──▶ cooling ──until has passed──▶ probing ──YouTube answers──▶ clear
                           ▲                             │
                           ╰──throttled again, longer────╯

A person may write anything into a line at any time; what is not understood is read as the safer of what it could mean. Each
function returns None where the event changes nothing. Whether a change really happens is decided by the store's `set_control`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from youtube_download_coordinator.models import Control
from youtube_download_coordinator.text import format_utc, truncate

FLEET = "fleet"
"""The name of the line that pauses everybody."""


class ControlValue(StrEnum):
    """What stands in Value, as we write it."""

    RUNNING = "running"
    PAUSED = "paused"
    CLEAR = "clear"
    COOLING = "cooling"
    PROBING = "probing"


_RUNNING = frozenset(
    {"", "running", "run", "go", "go on", "on", "ok", "resume", "resumed", "start", "started", "open", "clear"}
)
_PAUSED = frozenset({"paused", "pause", "stop", "stopped", "halt", "hold", "off", "closed"})
_CLEAR = frozenset(
    {"", "clear", "cleared", "lifted", "lift", "running", "run", "go", "on", "ok", "open", "none", "resume"}
)
_COOLING = frozenset({"cooling", "cooldown", "cool", "cool down", "paused", "pause", "stop", "closed", "wait"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long a cooldown lasts: the first, then twice as long each time that it did not help, up to the longest."""

    first_seconds: int
    longest_seconds: int

    def bounded(self, seconds: float) -> int:
        return min(max(round(seconds), self.first_seconds), self.longest_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One worker's right to try one row while everybody else waits; known by the `until` of its line."""

    line: Control
    before: Control
    """The line as it was."""


def cooldown_name(scope: str, host: str) -> str:
    """The name of the cooldown's line: the machine's, or the fleet's."""
    return f"cooldown {FLEET if scope == FLEET else host.casefold()}"


# --- reading ---------------------------------------------------------------------------------------------------------


def is_paused(line: Control | None, now: datetime) -> bool:
    """Whether the fleet's line says that nobody may work. What is not understood pauses."""
    if line is None or _folded(line) in _RUNNING:
        return False
    return line.until is None or line.until > now


def value_of(line: Control | None) -> ControlValue:
    """What a cooldown's line says. What is not understood cools."""
    text = _folded(line) if line else ""
    if text in _CLEAR:
        return ControlValue.CLEAR
    return ControlValue.PROBING if text in {ControlValue.PROBING, "probe"} else ControlValue.COOLING


def is_understood(line: Control) -> bool:
    """Whether the line's Value is one of the words that people use for it."""
    known = _RUNNING | _PAUSED if line.name == FLEET else _CLEAR | _COOLING | {ControlValue.PROBING, "probe"}
    return _folded(line) in known


def lacks_until(line: Control | None) -> bool:
    """Whether a person has begun a cooldown and did not say until when."""
    return line is not None and value_of(line) is not ControlValue.CLEAR and line.until is None


def may_be_probed(line: Control | None, now: datetime) -> bool:
    """Whether the pause has passed, or whoever probed has not said in time what came of it."""
    return (
        value_of(line) is not ControlValue.CLEAR and line is not None and line.until is not None and line.until <= now
    )


def is_overdue(line: Control | None, now: datetime) -> bool:
    """Whether nobody has probed for as long again as the pause was."""
    if line is None or line.until is None or value_of(line) is ControlValue.CLEAR:
        return False
    return line.until + timedelta(seconds=line.pause_seconds) <= now


def is_probe(line: Control | None, probe: Probe) -> bool:
    """Whether the line still says what the probe made of it."""
    return value_of(line) is ControlValue.PROBING and line is not None and line.until == probe.line.until


# --- a cooldown's life -----------------------------------------------------------------------------------------------


def throttled(line: Control | None, name: str, now: datetime, why: str, pauses: Pauses) -> Control | None:
    """An attempt was throttled: the cooldown begins. Others that fail in the same episode change nothing."""
    if value_of(line) is not ControlValue.CLEAR:
        return None
    seconds = pauses.bounded(line.pause_seconds if line else 0)
    return _cooling(line or Control(name=name), now, seconds, why)


def dated(line: Control | None, now: datetime, pauses: Pauses) -> Control | None:
    """A person has begun a cooldown without an end: it ends as any other."""
    if line is None or not lacks_until(line):
        return None
    return _cooling(line, now, pauses.bounded(line.pause_seconds), line.reason or "by hand")


def probing(line: Control | None, now: datetime, who: str, lease: timedelta) -> Control | None:
    """The pause has passed: one worker tries one row, for one lease."""
    if line is None or not may_be_probed(line, now):
        return None
    reason = truncate(f"{who} tries one; before: {line.reason.rpartition('; before: ')[2]}")
    return replace(line, value=ControlValue.PROBING, until=_whole(now + lease), reason=reason)


def probing_on(line: Control | None, probe: Probe, now: datetime, lease: timedelta) -> Control | None:
    """The attempt at the row goes on: for one lease from now."""
    return replace(line, until=_whole(now + lease)) if line and is_probe(line, probe) else None


def answered(line: Control | None, probe: Probe, who: str, pauses: Pauses) -> Control | None:
    """YouTube answered the probe: everybody may go on, and the next pause is shorter."""
    if line is None or not is_probe(line, probe):
        return None
    seconds = pauses.bounded(line.pause_seconds / 2)
    return replace(
        line, value=ControlValue.CLEAR, until=None, reason=f"{who}: YouTube answers again", pause_seconds=seconds
    )


def throttled_again(line: Control | None, probe: Probe, now: datetime, why: str, pauses: Pauses) -> Control | None:
    """YouTube did not answer the probe: a longer pause."""
    if line is None or not is_probe(line, probe):
        return None
    return _cooling(line, now, pauses.bounded(2 * max(line.pause_seconds, pauses.first_seconds)), why)


def given_back(line: Control | None, probe: Probe) -> Control | None:
    """Nobody was asked: the door is as it was, for another to probe."""
    return probe.before if is_probe(line, probe) else None


# --- people ----------------------------------------------------------------------------------------------------------


def paused(line: Control | None, until: datetime | None, reason: str) -> Control:
    """The fleet stops, until then or until somebody lets it go on."""
    end = _whole(until) if until else None
    return replace(line or Control(name=FLEET), value=ControlValue.PAUSED, until=end, reason=truncate(reason))


def resumed(line: Control | None, reason: str) -> Control | None:
    """The fleet goes on."""
    if line is None or _folded(line) in _RUNNING:
        return None
    return replace(line, value=ControlValue.RUNNING, until=None, reason=truncate(reason))


def lifted(line: Control | None, reason: str) -> Control | None:
    """A person ends a cooldown; how long the next one is stays known."""
    if line is None or value_of(line) is ControlValue.CLEAR:
        return None
    return replace(line, value=ControlValue.CLEAR, until=None, reason=truncate(reason))


def describe(line: Control) -> str:
    """A line for a terminal: what it says, until when, why."""
    until = f" until {format_utc(line.until)}" if line.until else ""
    reason = f" ({truncate(line.reason)})" if line.reason else ""
    return f"{line.name}: {line.value or ControlValue.CLEAR}{until}{reason}"


def shown(lines: Sequence[Control]) -> list[Control]:
    """The lines that steer a fleet, its own first, whether or not it stands there."""
    fleet = [line for line in lines if line.name == FLEET] or [Control(name=FLEET, value=ControlValue.RUNNING)]
    cooldowns = (line for line in lines if line.name.startswith("cooldown "))
    return [*fleet[:1], *sorted(cooldowns, key=lambda line: line.name)]


def _cooling(line: Control, now: datetime, seconds: int, why: str) -> Control:
    until = _whole(now + timedelta(seconds=seconds))
    return replace(line, value=ControlValue.COOLING, until=until, reason=truncate(why), pause_seconds=seconds)


def _whole(moment: datetime) -> datetime:
    """As exact as people see it, and not earlier."""
    return moment.replace(microsecond=0) + timedelta(seconds=math.ceil(moment.microsecond / 10**6))


def _folded(line: Control) -> str:
    return " ".join(line.value.split()).casefold().strip(" .!")
