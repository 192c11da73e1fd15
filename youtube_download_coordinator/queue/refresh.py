"""Schedule the next listing of a source, which finds new videos. Pure functions.

The lease of a source that is done has the time of its next listing. At that time, the current setting and column decide whether
the source becomes pending or gets a later time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from youtube_download_coordinator.models import IS_SOURCE, NEVER, SKIPPED, Source, is_mix
from youtube_download_coordinator.queue.tombstones import PURGED_KEY

REFRESH_HOURS = "RefreshHours"
"""The column of Sources that overrides `refresh_after_hours` for one source."""
OFF = frozenset(("off", "never", "no", "none"))
MAX_HOURS = 366 * 24
CHECK_INTERVAL = timedelta(days=1)
"""The interval at which a source that is not listed again is checked, because setting and column may have changed."""


def refresh_hours(text: str) -> float:
    """Return the hours from one listing to the next, or 0 for never. Raises ValueError with a message."""
    try:
        hours = 0.0 if text.strip().lower() in OFF else float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours <= MAX_HOURS:
        raise ValueError(f"{text!r} is not a number of hours up to {MAX_HOURS}; write 24, 0.5 or off")
    return hours


def next_look(source: Source, now: datetime, default: timedelta | None) -> datetime:
    """Return when to list or check a finished source again, or NEVER for a source that does not grow.

    `default`: the time from one listing to the next, unless the column overrides it; None: never. A column that cannot be parsed
    makes the source due, so that its expansion reports the mistake.
    """
    if _does_not_grow(source):
        return NEVER
    try:
        text = source.custom_column(REFRESH_HOURS)
        interval = timedelta(hours=refresh_hours(text)) if text else default
    except ValueError:
        return now
    if not interval:
        return now + CHECK_INTERVAL
    return min(source.checked_at, now) + interval if source.checked_at else now


def _does_not_grow(source: Source) -> bool:
    """Return whether a source is a single video, a mix, an alias, purged, or was marked as done by a person.

    YouTube generates a different mix for every visitor, so a mix would grow without end.
    """
    lease = source.lease
    was_never_listed = lease.not_before is None and source.checked_at is None
    was_not_expanded = lease.detail == SKIPPED or lease.detail.startswith(IS_SOURCE)
    is_single = source.key.startswith(("yt:v:", PURGED_KEY))
    return is_single or is_mix(source.key) or was_not_expanded or was_never_listed
