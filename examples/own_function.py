"""Your own processor, the first way: a function, named by its import path. It runs in a child process with a deadline.

ydc run --processor examples.own_function:formats
"""

from __future__ import annotations

from youtube_download_coordinator import PermanentError, VideoTask

TOO_LONG_SECONDS = 4 * 3600


def formats(task: VideoTask) -> dict[str, object]:
    """Return the formats of a video. Errors that yt-dlp raises here are recognized."""
    from yt_dlp import YoutubeDL  # imported here, because this module is imported for every video

    if task.duration_seconds and task.duration_seconds > TOO_LONG_SECONDS:
        raise PermanentError(f"{task.duration_seconds} s", reason="too-long")  # to the dead letters at once
    with YoutubeDL({"quiet": True}) as youtube:
        info = youtube.extract_info(task.url, download=False)
    # The result, stored in the row: text, a path, or JSON values.
    return {"accent": task.accent, "formats": sorted({item["ext"] for item in info["formats"]})}
