"""Write manifests in JSON Lines: for NVIDIA NeMo, and the `metadata.jsonl` of a Hugging Face AudioFolder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import IO

import msgspec

from youtube_download_coordinator.corpus.formats.entry import (
    COLLECTED_AT,
    Entry,
    Field,
    Value,
    fields_of,
    own_fields,
    values_of,
)

_encode = msgspec.json.Encoder().encode


def json_line(values: object) -> bytes:
    """Return values as one line, even for programs that treat U+2028 as a line ending."""
    try:
        line = _encode(values)
    except UnicodeEncodeError:  # a lone surrogate in a file's name becomes a question mark
        line = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return line.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029") + b"\n"


class NemoWriter:
    """A writer of `manifest.jsonl`. Unknown text is empty, and an unknown number is null."""

    def __init__(self, files: Sequence[IO[bytes]], columns: Iterable[str], *, segments: bool, split: bool) -> None:
        (self._file,) = files
        fields = [*fields_of("audio_filepath", segments=segments, split=split), COLLECTED_AT]
        self._fields = fields + own_fields(columns, [field.name for field in fields] + ["offset", "split"])

    def write(self, entry: Entry) -> None:
        self._file.write(json_line(values_of(self._fields, entry)))

    def close(self) -> None:
        pass


class AudioFolderWriter:
    """A writer of `metadata.jsonl`.

    `datasets` infers the type of each column from the beginning of the file. So every line has every column, unknown numbers are
    0, and no column has times in only some lines.
    """

    def __init__(self, files: Sequence[IO[bytes]], columns: Iterable[str], *, segments: bool, split: bool) -> None:
        (self._file,) = files
        fields = fields_of("file_name", segments=segments, split=split)
        own = own_fields(columns, [*(field.name for field in fields), "audio", "label", "split"])
        self._fields = [*fields, *map(_no_file_name, own)]

    def write(self, entry: Entry) -> None:
        values = values_of(self._fields, entry)
        self._file.write(json_line({field.name: _known(field, values[field.name]) for field in self._fields}))

    def close(self) -> None:
        pass


def _known(field: Field, value: Value) -> Value:
    return field.type() if value is None else value


def _no_file_name(field: Field) -> Field:
    """Return the field with a name that `datasets` does not treat as another audio file."""
    is_file = field.name.endswith(("_file_name", "_file_names")) or field.name == "file_names"
    return field._replace(name=f"{field.name}_") if is_file else field
