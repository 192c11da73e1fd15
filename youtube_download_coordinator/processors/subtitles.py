"""Which subtitles of a video are wanted. Pure: from what yt-dlp tells to a choice.

What a person wrote goes before what YouTube's speech recognition made, language by language. Machine translations are never
taken: they are neither what was said nor what anybody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

ORIGINAL = "original"
"""The language that is spoken."""
ALL = "all"
NO_LANGUAGES = frozenset({"live_chat"})
"""What yt-dlp lists among the subtitles and is none."""

Tracks = Mapping[str, Sequence[Mapping[str, Any]]]
"""By language, the same subtitles in several formats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One file of subtitles."""

    language: str
    automatic: bool
    track: Mapping[str, Any]
    """What yt-dlp downloads: an `ext`, and a `url` or the `data` itself."""


def choose(info: Mapping[str, Any], languages: Sequence[str], kinds: str, wanted_format: str) -> list[Choice]:
    """The subtitles in these languages (`en` also stands for `en-GB`; `original`; `all`), one for each language.

    `kinds` is manual, automatic or both. Where the format is not to be had (on another site), the last is taken that is.
    """
    manual = _listed(info.get("subtitles")) if kinds != "automatic" else {}
    automatic = _recognised(_listed(info.get("automatic_captions"))) if kinds != "manual" else {}
    wanted = _languages(languages, info, manual)
    chosen: dict[str, Choice] = {}
    for tracks, is_automatic in ((manual, False), (automatic, True)):
        for language in _matching(wanted, tracks):
            plain = language.removesuffix("-orig")
            if plain not in chosen and not (is_automatic and _has_manual(plain, chosen)):
                chosen[plain] = Choice(
                    language=plain, automatic=is_automatic, track=_in_format(tracks[language], wanted_format)
                )
    return list(chosen.values())


def _listed(tracks: Tracks | None) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {
        language: formats for language, formats in (tracks or {}).items() if formats and language not in NO_LANGUAGES
    }


def _recognised(tracks: Tracks) -> Tracks:
    """Without translations, whose addresses say into which language (tlang)."""
    return {
        language: formats
        for language, formats in tracks.items()
        if not any("tlang" in parse_qs(urlsplit(str(each.get("url") or "")).query) for each in formats)
    }


def _languages(languages: Sequence[str], info: Mapping[str, Any], manual: Tracks) -> list[str]:
    """What `original` stands for: what YouTube says is spoken, or what it recognised; if neither is known, everything."""
    if ORIGINAL not in languages:
        return list(languages)
    recognised = _recognised(_listed(info.get("automatic_captions")))
    spoken = [str(info["language"])] if info.get("language") else [each.removesuffix("-orig") for each in recognised]
    return [*(each for each in languages if each != ORIGINAL), *(each.partition("-")[0] for each in spoken or [ALL])]


def _matching(wanted: Iterable[str], tracks: Tracks) -> list[str]:
    """Languages in the order they were asked for; all of them in YouTube's."""
    found = (
        each
        for language in wanted
        for each in tracks
        if language == ALL or re.match(rf"{re.escape(language)}(?:-|$)", each, re.I)
    )
    return list(dict.fromkeys(found))


def _has_manual(language: str, chosen: Mapping[str, Choice]) -> bool:
    """Whether somebody wrote down that language in any of its variants: recognised `en` adds nothing to written `en-GB`."""
    base = language.partition("-")[0]
    return any(each.partition("-")[0] == base and not choice.automatic for each, choice in chosen.items())


def _in_format(formats: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any]:
    return next((each for each in formats if each.get("ext") == wanted), formats[-1])
