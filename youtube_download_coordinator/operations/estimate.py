"""How much is left of a queue: the videos, and the time for them at the pace of the last hour.

Pure: from the counts of an overview. docs/dashboard.md documents the rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from youtube_download_coordinator.models import Lease, State
from youtube_download_coordinator.queue.offers import Offer, need_of
from youtube_download_coordinator.queue.store import Tally
from youtube_download_coordinator.queue.targets import TargetProgress

HOUR = timedelta(hours=1)
RECENT = HOUR
"""The claims of this time give the pace."""
LEAST_SPAN = timedelta(minutes=5)
LEAST_VIDEOS = 3
"""Less time, or fewer videos, say nothing about the pace."""
UNFINISHED = frozenset({State.PENDING, State.HELD})
_MANY_HOURS = 10**9


class Amount(NamedTuple):
    """A number of videos, with their known playing time."""

    videos: int = 0
    with_length: int = 0
    """The number of those whose length is known."""
    seconds: int = 0
    """The total of these lengths."""

    @property
    def mean_seconds(self) -> float | None:
        """Return the mean length; None if no length is known."""
        return self.seconds / self.with_length if self.with_length else None

    def length_seconds(self, mean_seconds: float | None) -> float | None:
        """Return the playing time of all, with `mean_seconds` for each unknown length. None if that is needed and not known."""
        unknown = self.videos - self.with_length
        if not unknown:
            return float(self.seconds)
        return None if mean_seconds is None else self.seconds + mean_seconds * unknown


class Pace(NamedTuple):
    """What is done of the claims of the last hour."""

    done: Amount
    span: timedelta
    """From the first of these claims until now."""
    machines: int
    """The number of machines that hold a row now."""

    @property
    def is_known(self) -> bool:
        """Whether there is enough of it."""
        return self.span >= LEAST_SPAN and self.done.videos >= LEAST_VIDEOS

    @property
    def videos_per_hour(self) -> float:
        return self.done.videos / (self.span / HOUR)

    @property
    def media_hours_per_hour(self) -> float | None:
        """Return the playing time that is done in an hour; None if no length is known."""
        seconds = self.done.length_seconds(self.done.mean_seconds)
        return seconds / 3600 / (self.span / HOUR) if seconds else None


class TargetLeft(NamedTuple):
    """An accent with a target, and whether the videos that are listed reach it."""

    progress: TargetProgress
    missing_hours: float
    """What the videos that are left lack for the target; 0 also if their length is not known."""


class _Part(NamedTuple):
    """Those of some videos that are processed until a target is reached, as a fraction of them all."""

    videos: float
    media_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is left."""

    videos: int
    """The videos that are pending or held, except those that wait for a machine that nobody offers."""
    media_seconds: float | None
    """Their playing time; None: not known."""
    time: timedelta | None
    """The time until they are done; None: there is no pace."""
    pace: Pace
    is_partial: bool
    """Whether sources are still to be listed."""
    targets: Sequence[TargetLeft] = ()
    """In the order of the setting. The other numbers count the videos of these accents only up to their targets."""


def amount_of(tallies: Iterable[Tally]) -> Amount:
    """Return the sum of tallies."""
    columns = [(tally.rows, tally.with_length, tally.seconds) for tally in tallies]
    return Amount(*map(sum, zip(*columns, strict=True))) if columns else Amount()


def pace_of(videos: Sequence[Tally], holders: Iterable[str], now: datetime) -> Pace:
    """Return the pace; `holders` are all workers that hold rows now."""
    first = min((tally.first_claim for tally in videos if tally.first_claim), default=now)
    done = amount_of(tally for tally in videos if tally.first_claim)
    return Pace(done, max(now - first, timedelta(0)), len({holder.partition("/")[0] for holder in holders}))


def estimate(
    videos: Sequence[Tally],
    pace: Pace,
    offers: Collection[Offer],
    targets: Sequence[TargetProgress] = (),
    *,
    is_partial: bool,
) -> Estimate:
    """Return the remaining part of these videos. `offers` are the offers of all machines."""
    left = [tally for tally in videos if tally.state in UNFINISHED and _is_awaited(tally, offers)]
    # A video of unknown length is as long as the others that are left, or else as those that are done.
    mean_seconds = amount_of(left).mean_seconds or amount_of(tally for tally in videos if tally.day).mean_seconds
    names = {target.accent.casefold() for target in targets}
    others = amount_of(tally for tally in left if tally.accent.casefold() not in names)
    parts, target_lines = [], []
    for target in targets:
        amount = amount_of(tally for tally in left if tally.accent.casefold() == target.accent.casefold())
        part, missing_hours = _up_to(target, amount, mean_seconds)
        parts.append(part)
        target_lines.append(TargetLeft(target, missing_hours))
    lengths = [others.length_seconds(mean_seconds), *(part.media_seconds for part in parts)]
    known = [seconds for seconds in lengths if seconds is not None]
    return Estimate(
        videos=others.videos + round(sum(part.videos for part in parts)),
        media_seconds=sum(known) if len(known) == len(lengths) else None,
        time=_time(others, parts, pace) if pace.is_known else None,
        pace=pace,
        is_partial=is_partial,
        targets=target_lines,
    )


def _up_to(target: TargetProgress, amount: Amount, mean_seconds: float | None) -> tuple[_Part, float]:
    """Return the part of an accent's videos that its target needs, and the hours that they lack for it."""
    wanted_seconds = max(target.target_hours - target.hours, 0.0) * 3600
    seconds = amount.length_seconds(amount.mean_seconds or mean_seconds)
    if not seconds:
        is_lacking = not amount.videos
        return _Part(amount.videos * bool(wanted_seconds), seconds), wanted_seconds / 3600 * is_lacking
    part = min(wanted_seconds / seconds, 1.0)
    return _Part(amount.videos * part, seconds * part), max(wanted_seconds - seconds, 0.0) / 3600


def _time(others: Amount, parts: Iterable[_Part], pace: Pace) -> timedelta:
    """Return the time for videos without a target, by their number, and for those with one, by their length if it is known."""
    hours = others.videos / pace.videos_per_hour
    for part in parts:
        if pace.media_hours_per_hour and part.media_seconds is not None:
            hours += part.media_seconds / 3600 / pace.media_hours_per_hour
        else:
            hours += part.videos / pace.videos_per_hour
    return timedelta(hours=min(hours, _MANY_HOURS))


def _is_awaited(tally: Tally, offers: Collection[Offer]) -> bool:
    """Return whether rows do not wait for a machine, or wait for an offered one."""
    need = need_of(Lease(detail=f" (waits for {tally.waits_for})", nonce=""))
    return not tally.waits_for or any(need.is_met_by(offer) for offer in offers)
