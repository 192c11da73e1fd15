"""Write manifests of recordings: select recordings, name their files, and write one file or one for each split."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Self

import msgspec

from youtube_download_coordinator.corpus.formats import FORMATS, EntryWriter, FormatName
from youtube_download_coordinator.corpus.formats.entry import Entry
from youtube_download_coordinator.corpus.recordings import Recording
from youtube_download_coordinator.corpus.splits import SPLITS, split_of
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.storage.place import Place

Paths = Literal["relative", "absolute", "urls"]
_EXTENSION = re.compile(r"(?:\.jsonl\.gz|\.[^.]*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestOptions:
    """The options of a manifest. Conditions that are None or empty exclude nothing."""

    format: FormatName = "nemo"
    paths: Paths = "relative"
    segments: bool = False
    """Write a line for each segment of the captions instead of one for each recording."""
    split: bool = False
    """Write a file for each split, by channel."""
    min_seconds: float = 0
    without_degraded: bool = False
    without_gone: bool = False
    """Leave out videos that YouTube no longer shows, according to `ydc verify`."""
    product: str = ""
    """The product whose files are used: a name, `audio-wav`, or a kind, `download`. If empty, `audio`, else `download`."""
    accent: str | None = None
    type: str | None = None
    source_id: int | None = None
    text: str | None = None

    def check(self, place: Place) -> None:
        """Raise UserError for options that cannot be combined."""
        if self.segments and not FORMATS[self.format].has_segments:
            raise UserError(f"--segments: {self.format} has one line for each file; use nemo, lhotse, csv or parquet")
        if self.format == "audiofolder" and self.paths != "relative":
            raise UserError(f"--{self.paths}: datasets refuses such paths in an AudioFolder; use another format")
        if self.paths == "absolute" and not place.is_local:
            raise UserError(f"--absolute: {place.address} is not a folder of this machine; use --urls or --relative")
        if self.text == "":
            raise UserError("--text is empty: give a text, or leave the option out")
        if not 0 <= self.min_seconds < float("inf"):
            raise UserError(f"--min-duration={self.min_seconds}: write a number of seconds, 0 or more")

    def names(self, file: str = "") -> list[str]:
        """Return the names of the files, by default those of the format. With splits there are three for each."""
        names = [file] if file else FORMATS[self.format].files
        return [split_name(name, split) for split in (SPLITS if self.split else [""]) for name in names]

    def as_json(self) -> dict[str, Any]:
        """Return the options that are not the default."""
        default = ManifestOptions()
        return {name: value for name, value in asdict(self).items() if value != getattr(default, name)}

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """Return the options from the JSON of `as_json`. Options of newer versions are ignored. Raises ValueError."""
        try:
            return msgspec.convert(content, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"these are not the options of a manifest: {error}") from None

    def reason_to_leave_out(self, recording: Recording) -> str:
        """Return the reason for leaving out a recording, to be shown after a number, or an empty text to keep it."""
        chosen = FORMATS[self.format]
        if not self._is_selected(recording):
            return "filtered"
        if exclusion := self._exclusion(recording):
            return exclusion
        if recording.seconds is None and (chosen.needs_length or self.min_seconds):
            return "of unknown length"
        if (recording.seconds or 0) < self.min_seconds:
            return "too short"
        if chosen.needs_sample_rate and not recording.sample_rate_hz:
            return "of unknown sample rate"
        return "without captions" if self.segments and not recording.segments else ""

    def _exclusion(self, recording: Recording) -> str:
        if self.without_degraded and recording.degraded:
            return "degraded"
        return "gone from YouTube" if self.without_gone and recording.availability else ""

    def _is_selected(self, recording: Recording) -> bool:
        return (
            _same(self.accent, recording.accent)
            and _same(self.type, recording.type)
            and (self.source_id is None or self.source_id == recording.source_id)
            and (self.text is None or _contains(recording, self.text.casefold()))
        )


def _same(wanted: str | None, text: str) -> bool:
    return wanted is None or wanted.casefold() == text.casefold()


def _contains(recording: Recording, folded: str) -> bool:
    values = (getattr(recording, name) for name in Recording.__struct_fields__ if name not in {"segments", "columns"})
    return any(
        folded in str(value).casefold() for value in (*values, recording.text, *recording.columns.values()) if value
    )


def split_name(name: str, split: str) -> str:
    """Return the name of the file of a split: `manifest.train.jsonl`."""
    extension = _EXTENSION.search(name) if split else None
    return f"{name[: extension.start()]}.{split}{extension[0]}" if extension else f"{name}.{split}" if split else name


@dataclass(slots=True)
class ManifestCounts:
    """The counts of a manifest, and of recordings left out, by reason."""

    recordings: int = 0
    segments: int = 0
    seconds: float = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, seconds: float | None, segments: int) -> None:
        self.recordings += 1
        self.segments += segments
        self.seconds += seconds or 0

    def describe(self, where: str) -> str:
        """Return one line: `412 recordings, 103.5 hours in manifest.jsonl; left out: 3 degraded`."""
        hours = f"{self.seconds / 3600:,.1f} hours" if self.seconds >= 360 else f"{self.seconds:,.1f} seconds"
        recordings = f"{self.recordings:,} recording{'' if self.recordings == 1 else 's'}"
        count = f"{self.segments:,} segments of {recordings}" if self.segments else recordings
        left_out = ", ".join(f"{number:,} {reason}" for reason, number in sorted(self.left_out.items()) if number)
        return f"{count}, {hours} in {where}{f'; left out: {left_out}' if left_out else ''}"


class Manifest:
    """A manifest that is being written."""

    def __init__(
        self,
        options: ManifestOptions,
        columns: Sequence[str],
        name_file: Callable[[str], str],
        files: Sequence[IO[bytes]],
    ) -> None:
        """Begin a manifest in open files: those of `options.names()`, or one split's files for all lines."""
        self.counts = ManifestCounts()
        self._options, self._name_file = options, name_file
        chosen = FORMATS[options.format]
        self._writers: list[EntryWriter] = [
            chosen.writer(
                files[first : first + len(chosen.files)], columns, segments=options.segments, split=options.split
            )
            for first in range(0, len(files), len(chosen.files))
        ]

    def add(self, recording: Recording) -> None:
        """Write a recording, or count the reason for leaving it out."""
        reason = self._options.reason_to_leave_out(recording)
        entries = [] if reason else list(self._entries(recording))
        if not entries:
            self.counts.left_out[reason or "without captions"] += 1
            return
        for entry in entries:
            self._writer_of(entry).write(entry)
        seconds = sum(entry.seconds or 0 for entry in entries)
        self.counts.add(seconds, len(entries) if self._options.segments else 0)

    def close(self) -> None:
        """Write the remaining data. The files stay open."""
        for writer in self._writers:
            writer.close()

    def _writer_of(self, entry: Entry) -> EntryWriter:
        return self._writers[SPLITS.index(entry.split) if len(self._writers) > 1 else 0]

    def _entries(self, recording: Recording) -> Iterator[Entry]:
        split = split_of(recording) if self._options.split else ""
        path = self._name_file(recording.path)
        if not self._options.segments:
            yield Entry(recording, path, split)
            return
        number, longest = 0, recording.seconds or float("inf")
        for segment in recording.segments:
            start, end = max(0.0, segment.start_seconds), min(segment.end_seconds, longest)
            if end > start and segment.text.strip():
                yield Entry(recording, path, split, segment._replace(start_seconds=start, end_seconds=end), number)
                number += 1


@contextmanager
def writing(manifests: Sequence[Manifest]) -> Iterator[None]:
    """Close manifests at the end. After an error, what they write is discarded."""
    try:
        yield
    except BaseException:
        for manifest in manifests:
            with suppress(Exception):
                manifest.close()
        raise
    for manifest in manifests:
        manifest.close()


def naming(paths: Paths, place: Place, folder: Path | None) -> Callable[[str], str]:
    """Return a function that names a file of the place in a manifest. `folder`: the manifest's local folder, if it has one.

    A relative path starts in the manifest's folder, or in `output_dir` if that folder is not in the place.
    """
    if paths == "urls":
        return (lambda path: Path(place.url(path)).as_uri()) if place.is_local else place.url
    if paths == "absolute":
        return place.url
    root = Path(place.address).resolve() if place.is_local else None
    if root is None or folder is None or not folder.resolve().is_relative_to(root) or folder.resolve() == root:
        return lambda path: path
    upwards = os.path.relpath(root, folder.resolve())
    below = folder.resolve().relative_to(root).as_posix() + "/"
    return lambda path: path.removeprefix(below) if path.startswith(below) else f"{upwards}/{path}"


def check_folder(options: ManifestOptions, name_file: Callable[[str], str]) -> None:
    """Raise UserError for an AudioFolder whose files are not below its own folder, because datasets refuses it."""
    if options.format == "audiofolder" and name_file("x").startswith(".."):
        raise UserError(
            "an AudioFolder must be in output_dir itself, because datasets refuses paths that lead upwards; leave out DEST"
        )
