"""The cooldown of a machine: the circuit-breaker pattern, kept in a line of Control.

Each function is pure. It takes a line and an event, and returns the new line. `clear` is the closed circuit, `cooling` the open
circuit, `probing` the half-open circuit:

    clear ──throttled──▶ cooling ──until has passed──▶ probing ──YouTube answers──▶ clear
                           ▲                             │
                           ╰──throttled again, longer────╯

People may write anything into a line at any time. An unknown word is read as the safer state. A function returns None where the
event changes nothing. Only the store's `set_control` decides whether a change really happens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from youtube_download_coordinator.models import NEVER, Control
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS, format_utc, truncate

FLEET = "fleet"
"""The name of the line that pauses all workers."""
MINIMUM_VERSION = "minimum version"
"""The name of the line with the oldest version of this library that may work on the queue."""
COOLDOWN = "cooldown "
"""The prefix of the lines of cooldowns."""
OFFERS = "offers "
"""The prefix of the names of lines that publish machines' offers (offers.py)."""
OFFERED = "offered"
"""The Value of a line of OFFERS, unless a person has withdrawn the offer."""
FORGOTTEN_AFTER = timedelta(days=7)
"""A machine's line is removed when nobody has used it for this long."""
SUBTITLES = " subtitles"
"""The suffix of the name of a cooldown that applies to subtitles only."""
SUSPICION = "suspect "
"""The prefix of the lines of machines that suspect an outage (suspicion.py): cooldowns with a value of their own."""


class ControlValue(StrEnum):
    """The words of the column Value, as workers write them."""

    RUNNING = "running"
    PAUSED = "paused"
    CLEAR = "clear"
    COOLING = "cooling"
    PROBING = "probing"
    SUSPECT = "suspect"
    """The counterpart of `cooling` in a line of SUSPICION."""
    WATCHING = "watching"
    """In a line of SUSPICION: other machines may read its Reason, and no worker has to wait."""


_RUNNING = frozenset(
    {"", "running", "run", "go", "go on", "on", "ok", "resume", "resumed", "start", "started", "open", "clear"}
)
_PAUSED = frozenset({"paused", "pause", "stop", "stopped", "halt", "hold", "off", "closed"})
_CLEAR = frozenset(
    {"", "clear", "cleared", "lifted", "lift", "running", "run", "go", "on", "ok", "open", "none", "resume"}
)
_COOLING = frozenset({"cooling", "cooldown", "cool", "cool down", "paused", "pause", "stop", "closed", "wait"})


_BEFORE = "; before: "
"""The text before the cooldown's reason in the Reason of a probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """The lengths of cooldowns: the first is `first`, each throttled probe doubles it, up to `longest`."""

    first_seconds: int
    longest_seconds: int

    def bounded(self, seconds: float) -> int:
        return min(max(round(seconds), self.first_seconds), self.longest_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A worker's right to try one row while all others wait, identified by the `until` of its line."""

    line: Control
    before: Control
    """The line as it was."""


def cooldown_name(scope: str, host: str) -> str:
    """Return the name of the cooldown's line, for this machine or for the fleet."""
    return f"{COOLDOWN}{FLEET if scope == FLEET else host.casefold()}"


def is_too_old(version: str, line: Control | None) -> bool:
    """Return whether a worker of this version must stop. A Value that is not a version stops all workers."""
    if line is None or not line.value.strip():
        return False
    return version_of(line) is None or _numbers(version) < (version_of(line) or ())


def version_of(line: Control) -> tuple[int, ...] | None:
    """Return the version in the Value of MINIMUM_VERSION, or None if it is not one."""
    return _numbers(line.value) or None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the start of a version, without zeros at their end: `v0.2.0` and `0.2` are equal."""
    match = re.match(r"v?(\d{1,9}(?:\.\d{1,9})*)", version.strip().lower())
    numbers = [int(part) for part in match[1].split(".")] if match else []
    while numbers[1:] and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


# --- reading ---------------------------------------------------------------------------------------------------------


def is_paused(line: Control | None, now: datetime) -> bool:
    """Return whether the fleet is paused. An unknown word pauses it."""
    if line is None or _folded(line) in _RUNNING:
        return False
    return line.until is None or line.until > now


def value_of(line: Control | None) -> ControlValue:
    """Return the state of a cooldown. An unknown word counts as cooling."""
    text = _folded(line) if line else ""
    if text in _CLEAR or (line and is_suspicion(line) and text == ControlValue.WATCHING):
        return ControlValue.CLEAR
    return ControlValue.PROBING if text in {ControlValue.PROBING, "probe"} else ControlValue.COOLING


def is_understood(line: Control) -> bool:
    """Return whether the line's Value is a known word."""
    if line.name == MINIMUM_VERSION:
        return version_of(line) is not None
    if line.name == FLEET:
        return _folded(line) in _RUNNING | _PAUSED
    suspicions = {ControlValue.SUSPECT, ControlValue.WATCHING} if is_suspicion(line) else set()
    return _folded(line) in _CLEAR | _COOLING | suspicions | {ControlValue.PROBING, "probe"}


def is_suspicion(line: Control) -> bool:
    """Return whether the line is a machine's suspicion of an outage, not a cooldown."""
    return line.name.startswith(SUSPICION)


def lacks_until(line: Control | None) -> bool:
    """Return whether a person began a cooldown without an end."""
    return line is not None and value_of(line) is not ControlValue.CLEAR and line.until is None


def may_be_probed(line: Control | None, now: datetime) -> bool:
    """Return whether the pause is over, or the last prober did not report in time."""
    return (
        value_of(line) is not ControlValue.CLEAR and line is not None and line.until is not None and line.until <= now
    )


def is_overdue(line: Control | None, now: datetime) -> bool:
    """Return whether nobody has probed since the pause ended, for as long as the pause was."""
    if line is None or line.until is None or value_of(line) is ControlValue.CLEAR:
        return False
    return line.until + timedelta(seconds=line.pause_seconds) <= now


def reason_of(line: Control | None) -> str:
    """Return the reason of the failure that began or prolonged a cooldown: `bot-check`."""
    why = line.reason.rpartition(_BEFORE)[2] if line else ""  # `host/run: bot-check: Sign in to ...`
    return [*why.split(": "), ""][1]


def is_probe(line: Control | None, probe: Probe) -> bool:
    """Return whether the line has not changed since the probe began."""
    if line is None or value_of(line) is not ControlValue.PROBING or line.until != probe.line.until:
        return False
    return _prober_of(line) in {"", _prober_of(probe.line)}  # two probes may have begun in the same second


def _prober_of(line: Control) -> str:
    """Return the worker named in the Reason of a probe, or an empty text if a person has rewritten it."""
    who, mark, _ = line.reason.partition(_BEFORE)
    return who.partition(" ")[0] if mark else ""


# --- a cooldown's life -----------------------------------------------------------------------------------------------


def throttled(line: Control | None, name: str, now: datetime, why: str, pauses: Pauses) -> Control | None:
    """Begin a cooldown after a throttled attempt. Return None if one has already begun."""
    if value_of(line) is not ControlValue.CLEAR:
        return None
    seconds = pauses.bounded(line.pause_seconds if line else 0)
    return cooling(line or Control(name=name), now, seconds, why)


def dated(line: Control | None, now: datetime, pauses: Pauses) -> Control | None:
    """Set the end of a cooldown that a person began without one."""
    if line is None or not lacks_until(line):
        return None
    return cooling(line, now, pauses.bounded(line.pause_seconds), line.reason or "by hand")


def probing(line: Control | None, now: datetime, who: str, lease: timedelta) -> Control | None:
    """Let one worker try one row, for one lease, once the pause is over."""
    if line is None or not may_be_probed(line, now):
        return None
    reason = truncate(f"{who} tries one{_BEFORE}{line.reason.rpartition(_BEFORE)[2]}")
    return replace(line, value=ControlValue.PROBING, until=_whole(now + lease), reason=reason)


def checking(line: Control | None, begun: Control, now: datetime, who: str, lease: timedelta) -> Control | None:
    """Let the worker that began a cooldown request the canary at once, unless the line has changed since."""
    if line != begun:
        return None
    reason = truncate(f"{who} asks the canary{_BEFORE}{begun.reason}")
    return replace(begun, value=ControlValue.PROBING, until=_whole(now + lease), reason=reason)


def probing_on(line: Control | None, probe: Probe, now: datetime, lease: timedelta) -> Control | None:
    """Extend the probe to one lease from now."""
    return replace(line, until=_whole(now + lease)) if line and is_probe(line, probe) else None


def answered(line: Control | None, probe: Probe, who: str, pauses: Pauses) -> Control | None:
    """End the cooldown after an answered probe, and shorten the next pause."""
    if line is None or not is_probe(line, probe):
        return None
    seconds = pauses.bounded(line.pause_seconds / 2)
    return replace(
        line, value=ControlValue.CLEAR, until=None, reason=f"{who}: YouTube answers again", pause_seconds=seconds
    )


def throttled_again(line: Control | None, probe: Probe, now: datetime, why: str, pauses: Pauses) -> Control | None:
    """Begin a longer pause after a throttled probe."""
    if line is None or not is_probe(line, probe):
        return None
    return cooling(line, now, pauses.bounded(2 * max(line.pause_seconds, pauses.first_seconds)), why)


def undecided(line: Control | None, probe: Probe, now: datetime, why: str, pauses: Pauses) -> Control | None:
    """Begin another pause of the same length after a probe that proved nothing."""
    if line is None or not is_probe(line, probe):
        return None
    return cooling(line, now, pauses.bounded(line.pause_seconds), why)


def restored(line: Control | None, probe: Probe) -> Control | None:
    """Restore the line as it was before a probe that did not contact YouTube, so that another worker can probe."""
    return probe.before if is_probe(line, probe) else None


# --- people ----------------------------------------------------------------------------------------------------------


def paused(line: Control | None, until: datetime | None, reason: str) -> Control:
    """Pause the fleet, until that time or until somebody resumes it."""
    end = _whole(until) if until else None
    return replace(line or Control(name=FLEET), value=ControlValue.PAUSED, until=end, reason=truncate(reason))


def resumed(line: Control | None, reason: str) -> Control | None:
    """Resume the fleet."""
    if line is None or _folded(line) in _RUNNING:
        return None
    return replace(line, value=ControlValue.RUNNING, until=None, reason=truncate(reason))


def lifted(line: Control | None, reason: str) -> Control | None:
    """End a cooldown at a person's request, and keep the length of the next one."""
    if line is None or value_of(line) is ControlValue.CLEAR:
        return None
    return replace(line, value=ControlValue.CLEAR, until=None, reason=truncate(reason))


# --- unused lines --------------------------------------------------------------------------------------------


def is_forgotten(line: Control | None, now: datetime) -> bool:
    """Return whether a machine has not used its line for a week. False for a line that only a person may end."""
    if line is None or not _is_of_a_machine(line):
        return False
    if _is_clear(line):
        since = _clear_since(line)
        return since is not None and since + FORGOTTEN_AFTER < now.date()
    if line.until is None or line.until + FORGOTTEN_AFTER > now:
        return False
    # An offer that a person has withdrawn must stay withdrawn.
    return _folded(line) in {"", OFFERED} if line.name.startswith(OFFERS) else is_understood(line)


def dated_clear(line: Control | None, now: datetime) -> Control | None:
    """Add to a clear line's Reason since when it has been clear.

    Not in Until: if a person types `cooling` over the Value, Until would be the end of that cooldown.
    """
    if line is None or not _is_of_a_machine(line) or not _is_clear(line) or _clear_since(line):
        return None
    mark = f"(clear since {now:%Y-%m-%d})"
    reason = truncate(line.reason, DETAIL_MAX_CHARACTERS - len(mark) - 1)
    return replace(line, reason=f"{reason} {mark}".strip())


def _is_clear(line: Control) -> bool:
    return _folded(line) in _CLEAR and not line.name.startswith(OFFERS)


def _clear_since(line: Control) -> date | None:
    found = re.search(r"\(clear since (\d{4}-\d\d-\d\d)\)$", line.reason)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:  # a person typed it
        return None


def _is_of_a_machine(line: Control) -> bool:
    return line.name.startswith((COOLDOWN, SUSPICION, OFFERS)) and line.name != cooldown_name(FLEET, "")


def describe(line: Control) -> str:
    """Return a line of Control as one line of text: name, state, until when, why."""
    until = f" until {format_utc(line.until)}" if line.until else ""
    reason = f" ({truncate(line.reason)})" if line.reason else ""
    return f"{line.name}: {line.value or ControlValue.CLEAR}{until}{reason}"


def shown(lines: Sequence[Control]) -> list[Control]:
    """Return the lines that control a fleet: its own (even if there is none), the version, cooldowns, suspicions and offers."""
    fleet = [line for line in lines if line.name == FLEET] or [Control(name=FLEET, value=ControlValue.RUNNING)]
    version = [line for line in lines if line.name == MINIMUM_VERSION and line.value.strip()]
    cooldowns = (line for line in lines if line.name.startswith(COOLDOWN))
    suspicions = (line for line in lines if is_suspicion(line) and _folded(line) not in _CLEAR)
    offers = (line for line in lines if line.name.startswith(OFFERS))
    groups = (cooldowns, suspicions, offers)
    return [*fleet[:1], *version[:1], *(line for group in groups for line in sorted(group, key=_name))]


def _name(line: Control) -> str:
    return line.name


def cooling(line: Control, now: datetime, seconds: int, why: str) -> Control:
    """Return the line with a pause that begins now."""
    value = ControlValue.SUSPECT if is_suspicion(line) else ControlValue.COOLING
    until = _whole(now + timedelta(seconds=seconds))
    return replace(line, value=value, until=until, reason=truncate(why), pause_seconds=seconds)


def _whole(moment: datetime) -> datetime:
    """Round up to whole seconds, the precision of Control."""
    if moment >= NEVER:
        return NEVER
    return moment.replace(microsecond=0) + timedelta(seconds=math.ceil(moment.microsecond / 10**6))


def _folded(line: Control) -> str:
    return " ".join(line.value.split()).casefold().strip(" .!")
