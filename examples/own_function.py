"""A processor of your own, the first way: a function, by its import path. It runs in a child process, within a deadline.

ydc run --processor examples.own_function:formats
"""

from __future__ import annotations

from youtube_download_coordinator import PermanentError, VideoTask

TOO_LONG_SECONDS = 4 * 3600


def formats(task: VideoTask) -> dict[str, object]:
    """What there is of a video; the errors that yt-dlp raises here are understood."""
    from yt_dlp import YoutubeDL  # not at the top: this module is imported for every video

    if task.duration_seconds and task.duration_seconds > TOO_LONG_SECONDS:
        raise PermanentError(f"{task.duration_seconds} s", reason="too-long")  # the dead letters at once
    with YoutubeDL({"quiet": True}) as youtube:
        info = youtube.extract_info(task.url, download=False)
    # Kept in the row: text, a path, or what JSON has.
    return {"accent": task.accent, "formats": sorted({each["ext"] for each in info["formats"]})}
