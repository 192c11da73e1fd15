"""Whether there is one whole video to be had now, in what yt-dlp tells of an address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from youtube_download_coordinator.errors import AttemptError, LaterError, PermanentError
from youtube_download_coordinator.text import format_utc
from youtube_download_coordinator.youtube.error_rules import classify


def one_video(info: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The video that an address led to; a page with one video in it is that video."""
    entries = [info] if info and "entries" not in info else list((info or {}).get("entries") or [])
    if len(entries) > 1:
        raise _is_a_list()
    if not entries:
        raise PermanentError("there is no video", reason="empty")
    return dict(entries[0])


def _is_a_list() -> PermanentError:
    return PermanentError("this is a list of videos: add it as a source", reason="list")


def check_whole(info: Mapping[str, Any], messages: Sequence[str]) -> None:
    """Raise unless there is a whole video to be had now: downloading a stream that is live would never end."""
    status, begins = info.get("live_status"), info.get("release_timestamp")
    if status == "is_upcoming" and begins:
        not_before = datetime.fromtimestamp(begins, UTC)
        raise LaterError(f"begins at {format_utc(not_before)}", reason="upcoming", not_before=not_before)
    if status in _LATER:
        said = _why_no_formats(messages)  # it may say when
        raise said if isinstance(said, LaterError) else LaterError(_LATER[status][1], reason=_LATER[status][0])
    if (info.get("n_entries") or 1) > 1:
        raise _is_a_list()
    if not info.get("url") and not info.get("requested_formats"):
        raise _why_no_formats(messages)


_LATER = {
    "is_upcoming": ("upcoming", "has not begun"),
    "is_live": ("live", "is live now"),
    "post_live": ("processing", "was live and is not processed yet"),
}
_SAYS_NOTHING = re.compile("No video formats found|Requested format is not available")


def _why_no_formats(messages: Sequence[str]) -> AttemptError:
    """With ignore_no_formats_error what YouTube says is a warning, mostly the last one that says anything."""
    from yt_dlp.utils import ExtractorError

    said = [message for message in messages if not _SAYS_NOTHING.search(message)]
    verdicts = (classify(ExtractorError(message, expected=True), messages) for message in reversed(said))
    known = next((verdict for verdict in verdicts if verdict.reason not in ("error", "no-formats")), None)
    return known or classify(ExtractorError(" / ".join(said) or "No video formats found!", expected=True), messages)
