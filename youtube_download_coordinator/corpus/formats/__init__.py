"""The formats of manifests. A writer gets one entry at a time, keeps none, and writes the same bytes for the same entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Literal, Protocol

from youtube_download_coordinator.corpus.formats.entry import Entry
from youtube_download_coordinator.corpus.formats.json_lines import AudioFolderWriter, NemoWriter
from youtube_download_coordinator.corpus.formats.lhotse_lines import LhotseWriter
from youtube_download_coordinator.corpus.formats.tables import CsvWriter, ParquetWriter

FormatName = Literal["nemo", "audiofolder", "lhotse", "csv", "parquet"]


class EntryWriter(Protocol):
    """A writer of the lines of one manifest."""

    def write(self, entry: Entry) -> None:
        """Write a line."""

    def close(self) -> None:
        """Write the remaining data. The files stay open."""


class NewWriter(Protocol):
    """A function that begins a manifest in open files. `columns` are the custom columns."""

    def __call__(
        self, files: Sequence[IO[bytes]], columns: Iterable[str], *, segments: bool, split: bool
    ) -> EntryWriter: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFormat:
    """A format, and its requirements for a recording."""

    files: Sequence[str]
    """The names of its files."""
    content_type: str
    writer: NewWriter
    is_text: bool = True
    """Whether it is text, which can be written to a terminal or a pipe."""
    has_segments: bool = True
    needs_length: bool = False
    needs_sample_rate: bool = False


FORMATS: Mapping[FormatName, ManifestFormat] = {
    "nemo": ManifestFormat(
        files=["manifest.jsonl"], content_type="application/jsonl", writer=NemoWriter, needs_length=True
    ),
    "audiofolder": ManifestFormat(
        files=["metadata.jsonl"], content_type="application/jsonl", writer=AudioFolderWriter, has_segments=False
    ),
    "lhotse": ManifestFormat(
        files=["recordings.jsonl.gz", "supervisions.jsonl.gz"],
        content_type="application/gzip",
        writer=LhotseWriter,
        is_text=False,
        needs_length=True,
        needs_sample_rate=True,
    ),
    "csv": ManifestFormat(files=["manifest.csv"], content_type="text/csv", writer=CsvWriter),
    "parquet": ManifestFormat(
        files=["manifest.parquet"],
        content_type="application/vnd.apache.parquet",
        writer=ParquetWriter,
        is_text=False,
    ),
}
