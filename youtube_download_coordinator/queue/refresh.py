"""When a source is looked at again for new videos. Pure: the clock is given.

A source that is done has the time of its next look in its lease. When that has come, the setting and the column as they are
*then* decide: the source becomes pending, or is told when to ask again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from youtube_download_coordinator.models import IS_SOURCE, NEVER, SKIPPED, Source, is_mix

REFRESH_HOURS = "RefreshHours"
"""The column of Sources in which a person says for one source what `refresh_after_hours` says for all."""
OFF = frozenset(("off", "never", "no", "none"))
MAX_HOURS = 366 * 24
ASKED_AGAIN = timedelta(days=1)
"""A source that is not looked at again is asked so often whether that still holds: setting and column may have changed."""


def refresh_hours(text: str) -> float:
    """Hours from one look to the next; 0 for never. Raises ValueError with what is wrong."""
    try:
        hours = 0.0 if text.strip().lower() in OFF else float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours <= MAX_HOURS:
        raise ValueError(f"{text!r} is no number of hours up to {MAX_HOURS}; write 24, 0.5 or off")
    return hours


def next_look(source: Source, now: datetime, default: timedelta | None) -> datetime:
    """When a source that is done is to be looked at again, or to be asked again; NEVER for what does not grow.

    `default`: so long after the last look, unless the column says otherwise; None: never. A column that cannot be read makes it
    due, so that expanding it says so.
    """
    if _does_not_grow(source):
        return NEVER
    try:
        said = source.custom_column(REFRESH_HOURS)
        interval = timedelta(hours=refresh_hours(said)) if said else default
    except ValueError:
        return now
    if not interval:
        return now + ASKED_AGAIN
    return source.checked_at + interval if source.checked_at else now


def _does_not_grow(source: Source) -> bool:
    """Whether it is a single video, a mix, another's alias, or done because a person says so.

    A mix is made up anew for everybody who opens it: it would grow without end, and into something else.
    """
    lease = source.lease
    nobody_listed_it = lease.not_before is None and source.checked_at is None
    by_word = lease.detail == SKIPPED or lease.detail.startswith(IS_SOURCE)
    return source.key.startswith("yt:v:") or is_mix(source.key) or by_word or nobody_listed_it
