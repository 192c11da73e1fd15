"""Choose the audio track with the speaker's own voice. Pure functions over yt-dlp's formats.

YouTube offers dubs, most of them synthetic, and audio descriptions beside the track that was recorded. The track takes
precedence over container, codec and quality: yt-dlp may choose only among formats of the best available track.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from youtube_download_coordinator.errors import PermanentError, TransientError
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.youtube.error_rules import skipped_formats

Format = Mapping[str, Any]
"""One of yt-dlp's formats."""
Selector = Callable[[Mapping[str, Any]], Iterator[Any]]
"""yt-dlp's type: a function that chooses formats from a context with `formats`, the worst first."""

ANY = "any"
"""The value of `audio_track` that also accepts dubs and audio descriptions if there is no other track."""


class Track(StrEnum):
    """A kind of audio track. The order is the order of preference."""

    ORIGINAL = "original"
    """The track that was recorded."""
    DEFAULT = "default"
    """The track that YouTube plays first. It may be a dub that YouTube does not mark as one."""
    UNKNOWN = "unknown"
    """The kind is not stated, as for most videos with one track."""
    DUB = "dub"
    """Another language, spoken by a person or a machine."""
    DESCRIPTION = "description"
    """With a voice that describes the picture."""


_ORDER = list(Track)
_REFUSED = frozenset({Track.DUB, Track.DESCRIPTION})

AUDIO_FORMAT = "bestaudio/best"
VIDEO_FORMAT = "bestvideo*+bestaudio/best"
VIDEO_SORT = ("quality", "res", "fps", "hdr:12", "vcodec")
"""yt-dlp's own order without the language. With it, a small picture with sound would precede a large one without."""
_CODEC_SORT = {"m4a": "aext:m4a", "opus": "acodec:opus"}
"""Codecs that YouTube offers itself, so that audio can be copied without the loss of a conversion."""


def audio_sort(codec: str) -> list[str]:
    """Return yt-dlp's `format_sort` for audio: first the quality class, which is lower with DRC, then the wanted codec."""
    return ["quality", *([_CODEC_SORT[codec]] if codec in _CODEC_SORT else [])]


def has_sound(format: Format) -> bool:
    return format.get("acodec") != "none"


# yt-dlp has these numbers for `language_preference`.
_ORIGINAL_PREFERENCE, _DEFAULT_PREFERENCE, _OTHER_PREFERENCE, _DESCRIPTION_PREFERENCE = 10, 5, -1, -10
_CONTENT = re.compile(r"\bacont=([a-z]+)")
_BY_CONTENT = {"original": Track.ORIGINAL, "descriptive": Track.DESCRIPTION}
_QUALITY = re.compile(
    r"(?:ultralow|low|medium|high|tiny|small|large|highres|hd\d+|\d+p\d*\b.*|default|drc|damaged|missing pot|premium)",
    re.I,
)
"""The beginnings of YouTube's `format_note` if no track is named. Otherwise it begins with the name of the track."""


def track_of(format: Format, formats: Sequence[Format] = ()) -> Track:
    """Return the kind of a format's track, given all `formats` of the video."""
    url = str(format.get("url") or "")
    if content := _CONTENT.search(unquote(unquote(url))):  # YouTube's own mark: dubbed, dubbed-auto, secondary, ...
        return _BY_CONTENT.get(content[1], Track.DUB)
    preference = format.get("language_preference")
    if preference is not None and preference >= _DEFAULT_PREFERENCE:
        return Track.ORIGINAL if preference >= _ORIGINAL_PREFERENCE else Track.DEFAULT
    if preference is not None and preference <= _DESCRIPTION_PREFERENCE:
        return Track.DESCRIPTION
    return Track.DUB if _is_named(format) or _is_other_language(format, formats) else Track.UNKNOWN


def _is_named(format: Format) -> bool:
    """Return whether YouTube names the track, but not as original or default.

    A language alone does not count, because yt-dlp reads it from the captions if YouTube names no track.
    """
    if not _is_youtube(format) or not format.get("language") or format.get("language_preference") != _OTHER_PREFERENCE:
        return False
    return not _QUALITY.fullmatch(str(format.get("format_note") or "").split(",")[0].strip())


def _is_other_language(format: Format, formats: Sequence[Format]) -> bool:
    """Return whether a format of a manifest, which names no tracks, differs in language from the original or default track."""
    languages = {
        other.get("language") for other in formats if (other.get("language_preference") or 0) >= _DEFAULT_PREFERENCE
    }
    language = format.get("language")
    return bool(language and languages) and _is_youtube(format) and language not in languages


def _is_youtube(format: Format) -> bool:
    return "googlevideo.com/" in str(format.get("url") or "")


def of_best_track(formats: Sequence[Format], audio_track: str) -> list[Format]:
    """Return the formats of the best track and those without sound, in the same order."""
    tracks = [track_of(format, formats) for format in formats]
    allowed = [
        track
        for format, track in zip(formats, tracks, strict=True)
        if has_sound(format) and (audio_track == ANY or track not in _REFUSED)
    ]
    best = min(allowed, key=_ORDER.index, default=None)
    pairs = zip(formats, tracks, strict=True)
    return [format for format, track in pairs if not has_sound(format) or track is best]


def choose_track(select: Selector, audio_track: str) -> Selector:
    """Return a selector for yt-dlp that is restricted to the best track.

    The operator's `format` is applied within that track as well.
    """
    return lambda context: select({**context, "formats": of_best_track(context["formats"], audio_track)})


def check_offer(
    info: Mapping[str, Any], messages: Sequence[str], audio_track: str, *, needs_sound: bool = True
) -> None:
    """Raise an AttemptError if there are formats, but none has the speaker's own voice.

    If YouTube has withheld formats, the failure is not permanent, because they may be available at the next attempt.
    """
    formats = [format for format in info.get("formats") or () if not _is_picture(format)]
    if not formats or not needs_sound:
        return
    sounds = [format for format in formats if has_sound(format)]
    skipped = skipped_formats(messages)
    missing = TransientError if skipped else PermanentError
    others = f"; others were skipped: {', '.join(sorted(skipped))}" if skipped else ""
    if not sounds:
        raise missing(f"no format has sound{others}", reason="no-audio")
    if audio_track != ANY and all(track_of(format, formats) in _REFUSED for format in sounds):
        languages = sorted({str(format.get("language") or "?") for format in sounds})
        offered = f"YouTube offers only dubs or audio descriptions ({truncate(', '.join(languages), 60)})"
        raise missing(offered + others, reason="dubbed")


def _is_picture(format: Format) -> bool:
    """Return whether a format is a storyboard, which consists of pictures only."""
    return format.get("acodec") == "none" and format.get("vcodec") == "none"


def sound_of(info: Mapping[str, Any]) -> Format:
    """Return the chosen format with the sound: the video's own information, or one of the merged formats."""
    parts = info.get("requested_formats") or [info]
    return next((part for part in parts if has_sound(part)), info)


def is_drc(format: Format) -> bool:
    """Return whether YouTube has compressed the loudness ("stable volume")."""
    notes = str(format.get("format_note") or "").split(", ")
    return (
        str(format.get("format_id") or "").endswith("-drc")
        or "DRC" in notes
        or "drc=1" in unquote(unquote(str(format.get("url") or "")))
    )


_FULL_QUALITY = 2.5
"""yt-dlp's `quality` for YouTube's class "medium" with DRC. Lower values are "low"."""


def is_format_18(format: Format) -> bool:
    """Return whether it is YouTube's small file with picture and sound, which is sometimes the only format."""
    return _is_youtube(format) and re.fullmatch(r"18(?:-.*)?", str(format.get("format_id") or "")) is not None


def is_fallback(format: Format, *, for_audio: bool) -> bool:
    """Return whether YouTube usually offers better sound than this format: a merged file, a stream, or low quality."""
    if not _is_youtube(format):
        return False
    quality = format.get("quality")
    is_merged = format.get("vcodec") not in (None, "none")
    is_low = for_audio and not is_merged and quality is not None and quality < _FULL_QUALITY
    return is_merged or is_low or str(format.get("protocol") or "").startswith("m3u8")
