"""Choose the subtitles of a video from yt-dlp's information. Pure functions.

In each language, subtitles that a person wrote take precedence over those of YouTube's speech recognition. Machine
translations are never chosen, because nobody spoke or wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

ORIGINAL = "original"
"""The spoken language."""
ALL = "all"
NO_LANGUAGES = frozenset({"live_chat"})
"""yt-dlp lists it among the subtitles, but it is not a language."""

Tracks = Mapping[str, Sequence[Mapping[str, Any]]]
"""Subtitles by language, each in several formats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A file of subtitles."""

    language: str
    automatic: bool
    track: Mapping[str, Any]
    """yt-dlp's entry: an `ext`, and a `url` or the `data` itself."""


def choose(info: Mapping[str, Any], languages: Sequence[str], kinds: str, wanted_format: str) -> list[Choice]:
    """Return the subtitles in these languages (`en` includes `en-GB`; `original`; `all`), one for each language.

    `kinds` is manual, automatic or both. Where the format does not exist (on another site), the last one is chosen.
    """
    manual = _listed(info.get("subtitles")) if kinds != "automatic" else {}
    automatic = _recognised(_listed(info.get("automatic_captions"))) if kinds != "manual" else {}
    wanted = _languages(languages, info, manual)
    chosen: dict[str, Choice] = {}
    for tracks, is_automatic in ((manual, False), (automatic, True)):
        for language in _matching(wanted, tracks):
            plain = language.removesuffix("-orig")
            if plain not in chosen and not (is_automatic and _has_manual(plain, chosen)):
                formats = tracks[language]
                track = next((track for track in formats if track.get("ext") == wanted_format), formats[-1])
                chosen[plain] = Choice(language=plain, automatic=is_automatic, track=track)
    return list(chosen.values())


def _listed(tracks: Tracks | None) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {
        language: formats for language, formats in (tracks or {}).items() if formats and language not in NO_LANGUAGES
    }


def _recognised(tracks: Tracks) -> Tracks:
    """Leave out translations, whose addresses contain the target language (tlang)."""
    return {
        language: formats
        for language, formats in tracks.items()
        if not any("tlang" in parse_qs(urlsplit(str(track.get("url") or "")).query) for track in formats)
    }


def _languages(languages: Sequence[str], info: Mapping[str, Any], manual: Tracks) -> list[str]:
    """Replace `original` by the language that YouTube states or has recognised, or by all if it is not known."""
    if ORIGINAL not in languages:
        return list(languages)
    recognised = _recognised(_listed(info.get("automatic_captions")))
    spoken = [str(info["language"])] if info.get("language") else [name.removesuffix("-orig") for name in recognised]
    others = [language for language in languages if language != ORIGINAL]
    return [*others, *(language.partition("-")[0] for language in spoken or [ALL])]


def _matching(wanted: Iterable[str], tracks: Tracks) -> list[str]:
    """Return the languages of the tracks in the order of `wanted`; `all` in YouTube's order."""
    matching = (
        language
        for name in wanted
        for language in tracks
        if name == ALL or re.match(rf"{re.escape(name)}(?:-|$)", language, re.I)
    )
    return list(dict.fromkeys(matching))


def _has_manual(language: str, chosen: Mapping[str, Choice]) -> bool:
    """Return whether a person wrote subtitles in a variant of the language: `en` is not needed beside a written `en-GB`."""
    base = language.partition("-")[0]
    return any(name.partition("-")[0] == base and not choice.automatic for name, choice in chosen.items())
