"""Select the videos of a source that become rows, by filters in columns of Sources or, for all sources, in settings. Pure.

A list contains little about each video (`Candidate`). If a list lacks a value, such as the duration of a short or a date, the
filter keeps the video. Only the kind is always known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from youtube_download_coordinator.errors import BadFilter
from youtube_download_coordinator.models import Source
from youtube_download_coordinator.queue.priority import PRIORITY, parse_priority
from youtube_download_coordinator.queue.refresh import REFRESH_HOURS, refresh_hours
from youtube_download_coordinator.sources.title_pattern import TitlePattern
from youtube_download_coordinator.text import truncate


class VideoKind(StrEnum):
    """A word of the column `Kinds`."""

    VIDEOS = "videos"
    SHORTS = "shorts"
    STREAMS = "streams"
    """Running, finished and upcoming live streams."""
    MEMBERS = "members"
    """Videos of any kind for paying members of a channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A video as a list describes it."""

    kind: VideoKind = VideoKind.VIDEOS
    title: str = ""
    duration_seconds: int | None = None
    published: datetime | None = None
    """Approximate: YouTube gives "3 weeks ago"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """All filters of one source."""

    kinds: frozenset[VideoKind] = frozenset(VideoKind) - {VideoKind.MEMBERS}
    min_duration_seconds: float | None = None
    max_duration_seconds: float | None = None
    title_match: TitlePattern | None = None
    first_videos: int | None = None
    """The maximum number of videos when a list is first read; for a channel, the newest of each tab."""
    newer_than: datetime | timedelta | None = None

    @classmethod
    def of(cls, source: Source, defaults: Mapping[str, str]) -> Filters:
        """Return the filters of a source. Raises BadFilter, also for an invalid RefreshHours or Priority."""
        for column in (REFRESH_HOURS, PRIORITY):
            if text := source.custom_column(column):
                read_column(column, text)
        return cls.read(column_texts(source, defaults))

    @classmethod
    def read(cls, texts: Mapping[str, str]) -> Filters:
        """Parse filters from texts by column name. An empty or missing text does not filter. Raises BadFilter."""
        filters = cls(**{_FIELDS[column]: read_column(column, text) for column, text in texts.items() if text})
        least, most = filters.min_duration_seconds, filters.max_duration_seconds
        if least is not None and most is not None and least > most:
            raise BadFilter(f"MinDuration ({least:g} s) is more than MaxDuration ({most:g} s): no video would be left")
        return filters

    @property
    def text(self) -> str:
        """Return the filters as one line, for the column ListedWith. Equal filters have equal lines."""
        texts = {
            "Kinds": ",".join(kind for kind in VideoKind if kind in self.kinds),
            "MinDuration": _number_text(self.min_duration_seconds),
            "MaxDuration": _number_text(self.max_duration_seconds),
            "TitleMatch": self.title_match.pattern if self.title_match else "",
            "FirstVideos": _number_text(self.first_videos),
            "NewerThan": _time_text(self.newer_than),
        }
        return " ".join(f"{column}={text}" for column, text in texts.items() if text)

    def since(self, now: datetime) -> datetime | None:
        """Return the oldest time that NewerThan accepts."""
        return now - self.newer_than if isinstance(self.newer_than, timedelta) else self.newer_than

    def excludes(self, video: Candidate, *, kinds: frozenset[VideoKind], since: datetime | None) -> bool:
        """Return whether to skip a video. `kinds` are the kinds of this list, such as a channel's tab of shorts."""
        return (
            video.kind not in kinds
            or self._duration_is_wrong(video.duration_seconds)
            or (self.title_match is not None and not self.title_match.is_found_in(video.title))
            or is_too_old(video, since)
        )

    def _duration_is_wrong(self, seconds: int | None) -> bool:
        if seconds is None:
            return False
        least, most = self.min_duration_seconds, self.max_duration_seconds
        return (least is not None and seconds < least) or (most is not None and seconds > most)


def is_too_old(video: Candidate, since: datetime | None) -> bool:
    return since is not None and video.published is not None and video.published < since


# -- parsing columns

OFF = frozenset(("off", "any"))
"""Words that remove the setting's filter for one source."""
MESSAGE_MAX_CHARACTERS = 1000
"""The maximum length of a message, which repeats a text that may be as long as a cell."""
_MAX_SECONDS = 366 * 86400
_UNIT_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)? ?(?:d|h|m|s|hours?|min|minutes?|sec|seconds?) ?)+")
_UNIT_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}
_AGE = re.compile(r"(\d{1,5}) ?(d|days?|w|weeks?|months?|y|years?)")


def read_column(column: str, text: str) -> Any:
    """Parse the text of a filter column. Raises BadFilter with a message that names the column and the valid texts."""
    try:
        return COLUMNS[column](text.strip())
    except (ValueError, ArithmeticError) as error:  # OverflowError: a number with hundreds of digits
        raise BadFilter(truncate(f"{column}: {error}", MESSAGE_MAX_CHARACTERS)) from None


def validated(column: str, value: object) -> str:
    """Return the value as text if it can be parsed. Raises BadFilter."""
    text = str(value).strip()
    if text:
        read_column(column, text)
    return text


def column_texts(source: Source, defaults: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of the filter columns for a source, from its cell or otherwise from the setting."""
    return {column: source.custom_column(column) or defaults.get(column, "") for column in _FIELDS}


def filter_column(name: str) -> str | None:
    """Return the filter column with this name, in any letter case, or None."""
    return next((column for column in COLUMNS if column.casefold() == name.strip().casefold()), None)


def _seconds(text: str) -> float | None:
    """Parse `90`, `90s`, `5m`, `1h30m` or `1:02:03`; None for off."""
    plain = text.lower()
    if plain in OFF:
        return None
    seconds = -1.0
    if re.fullmatch(r"\d+(?:\.\d+)?", plain):
        seconds = float(plain)
    elif re.fullmatch(r"(?:\d+:)?\d{1,2}:\d{2}", plain):
        seconds = float(sum(int(part) * 60**power for power, part in enumerate(reversed(plain.split(":")))))
    elif _DURATION.fullmatch(plain):
        seconds = sum(float(n) * _UNIT_SECONDS[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?) ?([a-z])", plain))
    if not 0 <= seconds <= _MAX_SECONDS:
        raise ValueError(f"{text!r} is not a duration; write seconds, 90s, 5m, 1:02:03, or off")
    return seconds or None


def _pattern(text: str) -> TitlePattern | None:
    """Compile a regular expression to search in titles, in any letter case; None for off."""
    if text.lower() in OFF:
        return None
    try:
        return TitlePattern.compile(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None


def _kinds(text: str) -> frozenset[VideoKind]:
    """Parse `videos, shorts`. The singular is accepted, and `live` for streams."""
    words = [word for word in re.split(r"[\s,;+]+", text.lower()) if word]
    if words in (["all"], ["any"]):
        return frozenset(VideoKind)
    names = {name: kind for kind in VideoKind for name in (kind.value, kind.value.removesuffix("s"))} | {
        "live": VideoKind.STREAMS
    }
    unknown = [word for word in words if word not in names]
    if unknown or not words:
        raise ValueError(f"{text!r} contains an unknown kind; write one or more of {', '.join(VideoKind)}, or all")
    return frozenset(names[word] for word in words)


def _first(text: str) -> int | None:
    """Parse a number of videos; None for off."""
    if text.lower() in OFF:
        return None
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise ValueError(f"{text!r} is not a valid number of videos; write 100, or off")
    return int(text)


def _age(text: str) -> datetime | timedelta | None:
    """Parse `2026-01-31` or `30 days`; None for off."""
    if text.lower() in OFF:
        return None
    if age := _AGE.fullmatch(text.lower()):
        return timedelta(days=min(int(age[1]) * _UNIT_DAYS[age[2][0]], 36500))
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a date nor an age; write 2026-01-31, 30 days, 6 months, or off"
        ) from None
    return day.astimezone(UTC) if day.tzinfo else day.replace(tzinfo=UTC)


_FIELDS = {
    "Kinds": "kinds",
    "MinDuration": "min_duration_seconds",
    "MaxDuration": "max_duration_seconds",
    "TitleMatch": "title_match",
    "FirstVideos": "first_videos",
    "NewerThan": "newer_than",
}
COLUMNS: Mapping[str, Callable[[str], Any]] = {
    "Kinds": _kinds,
    "MinDuration": _seconds,
    "MaxDuration": _seconds,
    "TitleMatch": _pattern,
    "FirstVideos": _first,
    "NewerThan": _age,
    REFRESH_HOURS: refresh_hours,
    PRIORITY: parse_priority,
}
"""Every optional column of Sources that a person may add, and its parser."""


def _number_text(number: float | None) -> str:
    return "" if number is None else f"{number:.15g}"


def _time_text(moment: datetime | timedelta | None) -> str:
    if isinstance(moment, timedelta):
        return f"{moment.days} days"
    return moment.isoformat() if moment else ""
