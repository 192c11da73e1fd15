"""Check that yt-dlp has extracted a single video, and that it can be downloaded now."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from youtube_download_coordinator.errors import AttemptError, LaterError, PermanentError
from youtube_download_coordinator.text import format_utc
from youtube_download_coordinator.youtube.error_rules import classify, skipped_formats


def one_video(info: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the one video at an address, which may be a page with one video. Raises PermanentError."""
    entries = [info] if info and "entries" not in info else list((info or {}).get("entries") or [])
    if len(entries) > 1:
        raise _is_a_list()
    if not entries:
        raise PermanentError("there is no video", reason="empty")
    return dict(entries[0])


def _is_a_list() -> PermanentError:
    return PermanentError("this is a list of videos: add it as a source", reason="list")


def check_whole(info: Mapping[str, Any], messages: Sequence[str]) -> None:
    """Raise an AttemptError unless the complete video can be downloaded now. A live stream would never end."""
    status, begins = info.get("live_status"), info.get("release_timestamp")
    if status == "is_upcoming" and begins:
        not_before = datetime.fromtimestamp(begins, UTC)
        raise LaterError(f"begins at {format_utc(not_before)}", reason="upcoming", not_before=not_before)
    if status in _LATER:
        failure = _why_no_formats(messages)  # its message may contain the start time
        raise failure if isinstance(failure, LaterError) else LaterError(_LATER[status][1], reason=_LATER[status][0])
    if (info.get("n_entries") or 1) > 1:
        raise _is_a_list()
    if not info.get("url") and not info.get("requested_formats"):
        if info.get("_has_drm") and skipped_formats(messages) <= {"drm"}:
            raise PermanentError("every format is encrypted (DRM)", reason="drm", systemic=True)
        raise _why_no_formats(messages)


_LATER = {
    "is_upcoming": ("upcoming", "has not begun"),
    "is_live": ("live", "is live now"),
    "post_live": ("processing", "was live and is not processed yet"),
}
_SAYS_NOTHING = re.compile("No video formats found|Requested format is not available")


def _why_no_formats(messages: Sequence[str]) -> AttemptError:
    """Return the error for missing formats. With ignore_no_formats_error it is a warning, usually the last one."""
    from yt_dlp.utils import ExtractorError

    warnings = [message for message in messages if not _SAYS_NOTHING.search(message)]
    failures = (classify(ExtractorError(message, expected=True), messages) for message in reversed(warnings))
    known = next((failure for failure in failures if failure.reason not in ("error", "no-formats")), None)
    return known or classify(ExtractorError(" / ".join(warnings) or "No video formats found!", expected=True), messages)
