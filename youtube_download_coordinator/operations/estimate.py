"""Estimate the remaining videos of a queue, and the time for them at the pace of the last hour.

Pure: it uses only the counts of an overview. docs/dashboard.md documents the rules.
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
from youtube_download_coordinator.text import fold

HOUR = timedelta(hours=1)
RECENT = HOUR
"""The period whose claims determine the pace."""
LEAST_SPAN = timedelta(minutes=5)
LEAST_VIDEOS = 3
"""Less time, or fewer videos, say nothing about the pace."""
UNFINISHED = frozenset({State.PENDING, State.HELD})
_MANY_HOURS = 10**9


class Amount(NamedTuple):
    """A number of videos, with their known playing time."""

    videos: int = 0
    with_length: int = 0
    """The number of videos with a known length."""
    seconds: int = 0
    """The total of these lengths."""

    @property
    def mean_seconds(self) -> float | None:
        """Return the mean length, or None if no length is known."""
        return self.seconds / self.with_length if self.with_length else None

    def length_seconds(self, mean_seconds: float | None) -> float | None:
        """Return the total playing time, with `mean_seconds` for each unknown length, or None if that is missing."""
        unknown = self.videos - self.with_length
        if not unknown:
            return float(self.seconds)
        return None if mean_seconds is None else self.seconds + mean_seconds * unknown


class Pace(NamedTuple):
    """The pace of the queue: the finished videos among the claims of the last hour."""

    done: Amount
    span: timedelta
    """The time from the first of these claims until now."""
    machines: int
    """The number of machines that hold a row now."""

    @property
    def is_known(self) -> bool:
        """Return whether there are enough claims to determine the pace."""
        return self.span >= LEAST_SPAN and self.done.videos >= LEAST_VIDEOS

    @property
    def videos_per_hour(self) -> float:
        return self.done.videos / (self.span / HOUR)

    @property
    def media_hours_per_hour(self) -> float | None:
        """Return the playing time that is finished in an hour, or None if no length is known."""
        seconds = self.done.length_seconds(self.done.mean_seconds)
        return seconds / 3600 / (self.span / HOUR) if seconds else None


class TargetLeft(NamedTuple):
    """An accent with a target, and the hours that the listed videos lack for it."""

    progress: TargetProgress
    missing_hours: float
    """The hours that the remaining videos lack for the target, or 0 if their length is not known."""


class _Part(NamedTuple):
    """The part of some videos that is processed until a target is reached, as a fraction of all of them."""

    videos: float
    media_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimate of the remaining videos and of the time for them."""

    videos: int
    """The videos that are pending or held, except those that wait for a machine that nobody offers."""
    media_seconds: float | None
    """Their playing time, or None if it is not known."""
    time: timedelta | None
    """The time until they are done, or None if the pace is not known."""
    pace: Pace
    is_partial: bool
    """Whether sources are still to be listed."""
    targets: Sequence[TargetLeft] = ()
    """The accents with targets, in the order of the setting. The other numbers count their videos only up to the targets."""


def amount_of(tallies: Iterable[Tally]) -> Amount:
    """Return the sum of tallies."""
    columns = [(tally.rows, tally.with_length, tally.seconds) for tally in tallies]
    return Amount(*map(sum, zip(*columns, strict=True))) if columns else Amount()


def pace_of(videos: Sequence[Tally], holders: Iterable[str], now: datetime) -> Pace:
    """Return the pace. `holders` are all workers that hold rows now."""
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
    # Assume for a video of unknown length the mean of the other remaining videos, or otherwise of the finished ones.
    mean_seconds = amount_of(left).mean_seconds or amount_of(tally for tally in videos if tally.day).mean_seconds
    names = {fold(target.accent) for target in targets}
    others = amount_of(tally for tally in left if fold(tally.accent) not in names)
    parts, target_lines = [], []
    for target in targets:
        amount = amount_of(tally for tally in left if fold(tally.accent) == fold(target.accent))
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
    """Return the part of an accent's videos that its target needs, and the hours that the videos lack for it."""
    wanted_seconds = max(target.target_hours - target.hours, 0.0) * 3600
    seconds = amount.length_seconds(amount.mean_seconds or mean_seconds)
    if not seconds:
        is_lacking = not amount.videos
        return _Part(amount.videos * bool(wanted_seconds), seconds), wanted_seconds / 3600 * is_lacking
    part = min(wanted_seconds / seconds, 1.0)
    return _Part(amount.videos * part, seconds * part), max(wanted_seconds - seconds, 0.0) / 3600


def _time(others: Amount, parts: Iterable[_Part], pace: Pace) -> timedelta:
    """Return the time for all videos: by their number, or for accents with a target by their length, if it is known."""
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
