"""Lines of manifests, the fields that all formats share, and the names of custom columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from youtube_download_coordinator.corpus.recordings import Recording, Segment
from youtube_download_coordinator.text import sanitize

OWN_PREFIX = "column_"
"""The prefix of a custom column whose name is that of a field."""
Value = str | int | float | None


class Entry(NamedTuple):
    """A recording, or a segment of one, for a line of a manifest."""

    recording: Recording
    path: str
    """The path of the file in the manifest."""
    split: str = ""
    segment: Segment | None = None
    number: int = 0
    """The number of the segment, from 0."""

    @property
    def seconds(self) -> float | None:
        if self.segment is None:
            return self.recording.seconds
        return round(self.segment.end_seconds - self.segment.start_seconds, 6)

    @property
    def text(self) -> str:
        """Return the spoken text in one line."""
        text = self.recording.text if self.segment is None else self.segment.text
        return " ".join(clean(text).split())


def clean(text: str) -> str:
    """Return text without characters that break lines, tables or databases: NUL, controls, lone surrogates.

    Every line ending becomes "\\n", including U+2028 and a carriage return, which the module csv does not quote.
    """
    return text if text.isprintable() else _LINE_END.sub("\n", sanitize(text))


_LINE_END = re.compile("\r\n?|\u2028|\u2029")


class Field(NamedTuple):
    """A field of a manifest."""

    name: str
    type: type[str] | type[int] | type[float]
    value: Callable[[Entry], Value]
    """Returns the value. Text may contain anything, because `values_of` cleans it."""
    is_path: bool = False
    """Whether it is the name of a file, which is not cleaned."""


def _of_recording(name: str, type_: type[str] | type[int], attribute: str = "") -> Field:
    return Field(name, type_, attrgetter(f"recording.{attribute or name}"))


DURATION = Field("duration", float, attrgetter("seconds"))
TEXT = Field("text", str, attrgetter("text"))
OFFSET = Field("offset", float, lambda entry: entry.segment.start_seconds if entry.segment else 0.0)
SPLIT = Field("split", str, attrgetter("split"))
LANGUAGE = Field("lang", str, lambda entry: entry.recording.language or entry.recording.caption_language)
COLLECTED_AT = _of_recording("collected_at", str)
DESCRIPTION = (
    _of_recording("accent", str),
    _of_recording("type", str),
    _of_recording("source_id", int),
    _of_recording("channel_id", str),
    _of_recording("channel", str),
    _of_recording("title", str),
    _of_recording("video_id", str),
    _of_recording("url", str),
    _of_recording("upload_date", str),
    _of_recording("license", str),
    _of_recording("trainable", str),
    _of_recording("track", str),
    _of_recording("degraded", str),
    _of_recording("product", str),
    _of_recording("codec", str),
    _of_recording("sample_rate", int, "sample_rate_hz"),
    _of_recording("num_channels", int, "channels"),
    _of_recording("bytes", int),
    _of_recording("sha256", str),
    _of_recording("caption_lang", str, "caption_language"),
    _of_recording("row_id", int, "id"),
)
"""The fields of every format, after path, length and text."""


def fields_of(path_name: str, *, segments: bool, split: bool) -> list[Field]:
    """Return the fields of a format whose field for the path is `path_name`, without `collected_at`."""
    path = Field(path_name, str, attrgetter("path"), is_path=True)
    offset, last = [OFFSET] if segments else [], [SPLIT] if split else []
    return [path, *offset, DURATION, TEXT, LANGUAGE, *DESCRIPTION, *last]


def own_fields(columns: Iterable[str], taken: Iterable[str]) -> list[Field]:
    """Return the fields of the custom columns, by name. Rename a column whose name is `taken`.

    Letter case is ignored, as in databases.
    """
    names = {name.casefold() for name in taken}
    fields = []
    for column in sorted(columns):
        name = " ".join(clean(column).split()) or "column"
        while name.casefold() in names:
            name = f"{OWN_PREFIX}{name}"
        names.add(name.casefold())
        fields.append(Field(name, str, _own_value(column)))
    return fields


def _own_value(column: str) -> Callable[[Entry], str]:
    return lambda entry: entry.recording.columns.get(column, "")


def values_of(fields: Sequence[Field], entry: Entry) -> dict[str, Value]:
    """Return the values of a line by the names of its fields."""
    values = {name: value(entry) for name, _, value, _ in fields}
    text = "".join([value for value in values.values() if type(value) is str])
    return values if text.isprintable() else _cleaned(fields, values)


def _cleaned(fields: Sequence[Field], values: Mapping[str, Value]) -> dict[str, Value]:
    is_path = {field.name: field.is_path for field in fields}
    return {
        name: clean(value) if isinstance(value, str) and not is_path[name] else value for name, value in values.items()
    }


def without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are known."""
    return {name: value for name, value in values.items() if value not in ("", None)}
