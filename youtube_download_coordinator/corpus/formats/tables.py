"""Write manifests as tables: CSV and Parquet, with the same columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

from youtube_download_coordinator.corpus.formats.entry import (
    COLLECTED_AT,
    Entry,
    Field,
    fields_of,
    own_fields,
    values_of,
)
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.text import no_formula

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_OF_GROUP = 10_000
CHARACTERS_OF_GROUP = 16_000_000
"""The most text in a row group of Parquet, which is in memory until it is written."""


def _table_fields(columns: Iterable[str], *, segments: bool, split: bool) -> list[Field]:
    fields = [*fields_of("path", segments=segments, split=split), COLLECTED_AT]
    return fields + own_fields(columns, [field.name for field in fields] + ["offset", "split"])


class CsvWriter:
    """A writer of `manifest.csv`. No cell is a formula for a spreadsheet program."""

    def __init__(self, files: Sequence[IO[bytes]], columns: Iterable[str], *, segments: bool, split: bool) -> None:
        (file,) = files
        self._fields = _table_fields(columns, segments=segments, split=split)
        self._writer = csv.writer(_Encoded(file), lineterminator="\n")
        self._writer.writerow([no_formula(field.name) for field in self._fields])

    def write(self, entry: Entry) -> None:
        path, *values = values_of(self._fields, entry).values()
        cells = (no_formula(value) if isinstance(value, str) else value for value in values)
        path = str(path)
        self._writer.writerow([path if no_formula(path) == path else f"./{path}", *cells])

    def close(self) -> None:
        pass


class _Encoded:
    """A text file for `csv`, on top of an open file, which stays open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        self._file.write(text.encode("utf-8", "replace"))


class ParquetWriter:
    """A writer of `manifest.parquet`, one row group at a time."""

    def __init__(self, files: Sequence[IO[bytes]], columns: Iterable[str], *, segments: bool, split: bool) -> None:
        pyarrow = _pyarrow()
        from pyarrow import parquet

        (file,) = files
        self._fields = _table_fields(columns, segments=segments, split=split)
        types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
        self._schema: pa.Schema = pyarrow.schema([(field.name, types[field.type]) for field in self._fields])
        self._table = pyarrow.Table
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._characters = 0

    def write(self, entry: Entry) -> None:
        row = values_of(self._fields, entry)
        self._rows.append(row)
        self._characters += len(str(row["text"]))
        if len(self._rows) >= ROWS_OF_GROUP or self._characters >= CHARACTERS_OF_GROUP:
            self._write_group()

    def close(self) -> None:
        if self._rows:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        self._writer.write_table(self._table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._characters = [], 0


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise UserError("--format parquet needs pyarrow: install the extra corpus (docs/corpus.md)") from None
    return pyarrow
