"""The names of the built-in processors, and lists of processors: `audio,subtitles,my_module:transcribe`.

This module is imported in every child process: no pydantic, subprocess or yt_dlp at its top.
"""

from __future__ import annotations

from youtube_download_coordinator.errors import ProcessorError

BUILT_INS = ("download", "audio", "metadata", "subtitles")
MEDIA = frozenset({"download", "audio"})
"""The built-ins that download media and need ffmpeg. A list of processors may contain one of them."""


def processor_names(spec: str) -> tuple[str, ...]:
    """Return the names in a list of processors, usually one. Raises ProcessorError, with one line that says what is wrong."""
    names = tuple(name.strip() for name in spec.split(","))
    if len(names) > 1 and not all(names):
        raise ProcessorError(f"the processors “{spec}” contain an empty name: write them like audio,subtitles,metadata")
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ProcessorError(f"the processors “{spec}” contain {twice} twice")
    if set(names) >= MEDIA:
        raise ProcessorError(
            "the processors download and audio cannot be combined, because both download the sound: choose one"
        )
    return names
