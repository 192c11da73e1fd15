"""Mutations of admission: the pause, the cooldown, the probe, and what a person writes into Control."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from youtube_download_coordinator.models import Control, Row
from youtube_download_coordinator.queue import cooldown
from youtube_download_coordinator.queue.admission import Admission, Blocked
from youtube_download_coordinator.queue.cooldown import FLEET, ControlValue
from youtube_download_coordinator.queue.lifecycle import NO_THROTTLE
from youtube_download_coordinator.queue.store import Table
from youtube_download_coordinator.stores.sheets.control_tab import Controls
from youtube_download_coordinator.stores.sheets.snapshot import ControlLine, ControlSnapshot
from youtube_download_coordinator.workers.attempts import Attempts


@contextmanager
def everybody_probes() -> Iterator[None]:
    """Probe with every worker that reads that the pause is over, also if another one already does."""

    def probing(line: Control | None, now: datetime, who: str, lease: timedelta) -> Control | None:
        until = cooldown._whole(now + lease)
        return replace(line, value=ControlValue.PROBING, until=until, reason=f"{who} tries one") if line else None

    with mock.patch.object(cooldown, "probing", probing):
        yield


@contextmanager
def probe_is_not_renewed() -> Iterator[None]:
    """Give a probe whose attempt takes longer than a lease to another worker while it runs."""
    with mock.patch.object(Admission, "renew_probe"):
        yield


@contextmanager
def checked_only_before_a_claim() -> Iterator[None]:
    """Begin a claimed row also if people or YouTube have stopped the fleet since."""
    with mock.patch.object(Attempts, "_may_begin", return_value=True):
        yield


@contextmanager
def claimed_before_a_cooldown_begun_after_it() -> Iterator[None]:
    """Begin rows claimed before a cooldown when its pause is over, by every worker at the same time."""

    def blocked_for(self: Admission, table: Table[Any], row: Row) -> Blocked | None:
        blocked = self.blocked()
        return None if blocked and blocked.by_own_probe else blocked

    with (
        mock.patch.object(Admission, "needs_probe", new=False),
        mock.patch.object(Admission, "blocked_for", blocked_for),
    ):
        yield


@contextmanager
def throttled_worker_stops_alone() -> Iterator[None]:
    """Stop only the worker of a throttled attempt: no other worker learns of it."""
    with mock.patch.object(Admission, "_throttled", return_value=NO_THROTTLE):
        yield


@contextmanager
def nonsense_goes_on() -> Iterator[None]:
    """Ignore an unknown word in Control, instead of reading it as the safer value."""

    def is_paused(line: Control | None, now: datetime) -> bool:
        known = line is not None and cooldown._folded(line) in cooldown._PAUSED
        return known and line is not None and (line.until is None or line.until > now)

    original = cooldown.value_of

    def value_of(line: Control | None) -> ControlValue:
        return ControlValue.CLEAR if line and not cooldown.is_understood(line) else original(line)

    with mock.patch.object(cooldown, "is_paused", is_paused), mock.patch.object(cooldown, "value_of", value_of):
        yield


@contextmanager
def pause_ends_at_once() -> Iterator[None]:
    """Treat a pause without an Until as over."""
    is_paused = cooldown.is_paused

    def paused(line: Control | None, now: datetime) -> bool:
        return line is not None and line.until is not None and is_paused(line, now)

    with mock.patch.object(cooldown, "is_paused", paused):
        yield


@contextmanager
def names_in_control_taken_literally() -> Iterator[None]:
    """Compare names in Control literally: `Fleet` is not `fleet`."""
    lines = ControlSnapshot.lines

    def literally(self: ControlSnapshot) -> list[ControlLine]:
        names = self.column("Name")
        return [line._replace(name=name) for line, name in zip(lines(self), names, strict=True)]

    with mock.patch.object(ControlSnapshot, "lines", literally):
        yield


@contextmanager
def pause_of_the_fleet_overlooked() -> Iterator[None]:
    """Stop a machine only for its own cooldown, not for the line of the fleet."""
    controls = Controls.controls

    def others(self: Controls, *, fresh: bool) -> list[Control]:
        return [line for line in controls(self, fresh=fresh) if line.name != FLEET]

    with mock.patch.object(Controls, "controls", others):
        yield


@contextmanager
def undecided_refusals_stop_nothing() -> Iterator[None]:
    """Begin more attempts after a refusal, before the attempts that run have shown whose fault it is."""
    with mock.patch.object(Admission, "awaits_answers", property(lambda self: False)):
        yield
