"""Classify the licence of a video as one of three words. Sidecars also contain YouTube's own text (`youtube.license`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from youtube_download_coordinator.models import CREATIVE_COMMONS, STANDARD_LICENSE, UNKNOWN_LICENSE

_CREATIVE_COMMONS = re.compile(r"creative[\s_-]*commons|creativecommons\.org|^\s*cc[\s_-]?(?:by|0|zero)\b", re.I)
_STANDARD = re.compile(r"^\s*standard youtube licen[cs]e\s*$", re.I)
_YOUTUBE = "Youtube"
_FROM_THE_SAME_PART = "channel_follower_count"
"""A field that yt-dlp reads from the same part of YouTube's answer as the licence. Its value may be None."""


def license_of(info: Mapping[str, Any], extractor_args: Mapping[str, Any]) -> str:
    """Return the licence of a video: `creative-commons`, `youtube` (the standard licence) or `unknown`.

    YouTube names only Creative Commons. So a YouTube video without a text has the standard licence, unless yt-dlp did not get
    the part with the text, or got it in another language, in which yt-dlp cannot find it.
    """
    text = str(info.get("license") or "")
    if _CREATIVE_COMMONS.search(text):
        return CREATIVE_COMMONS
    if info.get("extractor_key") != _YOUTUBE:
        return UNKNOWN_LICENSE
    is_read = _FROM_THE_SAME_PART in info and _language(extractor_args) in ("", "en")
    return STANDARD_LICENSE if _STANDARD.search(text) or (not text.strip() and is_read) else UNKNOWN_LICENSE


def _language(extractor_args: Mapping[str, Any]) -> str:
    """Return the language of yt-dlp's requests to YouTube, if the operator has set one."""
    arguments = extractor_args.get("youtube")
    texts = arguments.get("lang") if isinstance(arguments, Mapping) else None
    return str(texts[0]) if isinstance(texts, list | tuple) and texts else ""
