"""Calculate statistics of a corpus. The recordings are read once, and memory does not grow with them."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from posixpath import splitext
from typing import NamedTuple

from youtube_download_coordinator.corpus.recordings import Recording
from youtube_download_coordinator.errors import StoreError

SHOWN = 25
"""The most values of one property that are listed by name. The others are summed up."""
DURATIONS_SECONDS = (60, 300, 600, 1200, 1800, 3600, 7200)
"""The upper bounds of the ranges in which the lengths of videos are counted."""
_VALUES_IN_MEMORY = 20_000
"""The most different values in memory before they are added to a scratch file. There may be a million channels."""

ACCENT, TYPE, LANGUAGE, LICENSE, TRACK, CHANNEL = "accent", "type", "language", "license", "track", "channel"
TRAINABLE, DEGRADED, CAPTIONS, SAMPLE_RATE, CODEC = "trainable", "degraded", "captions", "sample rate", "codec"
AUDIO_CHANNELS, PRODUCT, UPLOADED, COLLECTED = "audio channels", "product", "uploaded", "collected"
SUFFIX = "file extension"
PROPERTIES = (
    *(ACCENT, TYPE, LANGUAGE, LICENSE, TRACK, CHANNEL, TRAINABLE, DEGRADED, CAPTIONS),
    *(SAMPLE_RATE, CODEC, AUDIO_CHANNELS, PRODUCT, UPLOADED, COLLECTED, SUFFIX),
)


class Share(NamedTuple):
    """The videos with the same value of a property."""

    value: str
    """The value; empty: not known."""
    label: str
    """The value for people, such as a channel's name."""
    videos: int
    milliseconds: int

    @property
    def hours(self) -> float:
        """Return the playing time of the videos."""
        return self.milliseconds / 3_600_000


class Shares(NamedTuple):
    """The videos of a corpus by one property."""

    different: int
    """The number of different known values."""
    first: list[Share]
    """The SHOWN values with the most playing time."""
    others: Share
    """All other values together."""


@dataclass(slots=True)
class Statistics:
    """The numbers of a corpus. A video with several files counts once, with the longest of them."""

    videos: int = 0
    milliseconds: int = 0
    files: int = 0
    bytes: int = 0
    without_length: int = 0
    """Videos whose length is not known. They count as 0 seconds."""
    with_text: int = 0
    """Videos with captions that a person wrote."""
    durations: list[int] = field(default_factory=lambda: [0] * (len(DURATIONS_SECONDS) + 1))
    """Number of videos whose length is within each range of DURATIONS_SECONDS, and of those that are longer."""
    first_collected: str = ""
    last_collected: str = ""
    """ISO-8601, UTC."""
    first_uploaded: str = ""
    last_uploaded: str = ""
    """YYYYMMDD."""
    shares: dict[str, Shares] = field(default_factory=dict)
    """The shares by the names in PROPERTIES."""

    @property
    def hours(self) -> float:
        """Return the playing time of all videos."""
        return self.milliseconds / 3_600_000


def gather(recordings: Iterable[Recording]) -> Statistics:
    """Count recordings that are in the order of their rows' IDs. Raises StoreError if there is no room for a scratch file."""
    numbers = Statistics()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="ydc-card-") as folder,
            closing(sqlite3.connect(Path(folder, "sums.db"), isolation_level=None)) as db,
        ):
            sums = _Sums(db)
            for _, files in groupby(recordings, key=lambda recording: recording.id):
                _add_video(numbers, sums, list(files))
            numbers.shares = {name: sums.shares(name) for name in PROPERTIES}
    except sqlite3.Error as error:
        raise StoreError(f"{tempfile.gettempdir()} has no room for a scratch file: {error}") from error
    return numbers


def _add_video(numbers: Statistics, sums: _Sums, files: list[Recording]) -> None:
    video = max(files, key=lambda file: file.seconds or 0)
    milliseconds = round((video.seconds or 0) * 1000)
    numbers.videos += 1
    numbers.milliseconds += milliseconds
    numbers.files += len(files)
    numbers.bytes += sum(file.bytes or 0 for file in files)
    numbers.without_length += not milliseconds
    numbers.with_text += any(file.segments for file in files)
    if milliseconds:
        numbers.durations[sum(milliseconds >= bound * 1000 for bound in DURATIONS_SECONDS)] += 1
    collected = [file.collected_at for file in files if file.collected_at]
    numbers.first_collected = min(filter(None, (numbers.first_collected, *collected)), default="")
    numbers.last_collected = max((numbers.last_collected, *collected))
    numbers.first_uploaded = min(filter(None, (numbers.first_uploaded, video.upload_date)), default="")
    numbers.last_uploaded = max(numbers.last_uploaded, video.upload_date)
    sums.add(_values(video, files), video.channel_id or video.channel, video.channel, milliseconds)


_Values = tuple[tuple[str, str], ...]


def _values(video: Recording, files: list[Recording]) -> _Values:
    """Return the properties of a video except its channel. A name may occur several times."""
    return (
        (ACCENT, video.accent),
        (TYPE, video.type),
        (LANGUAGE, video.language),
        (LICENSE, video.license),
        (TRACK, video.track),
        (TRAINABLE, video.trainable),
        (CODEC, video.codec),
        (SAMPLE_RATE, f"{video.sample_rate_hz or ''}"),
        (AUDIO_CHANNELS, f"{video.channels or ''}"),
        (UPLOADED, video.upload_date[:4]),
        (COLLECTED, video.collected_at[:7]),
        *sorted({(CAPTIONS, file.caption_language) for file in files if file.segments}),
        *sorted({(DEGRADED, reason) for file in files for reason in file.degraded.split(", ") if reason}),
        *sorted({(SUFFIX, splitext(file.path)[1]) for file in files}),
        *sorted({(PRODUCT, file.product) for file in files}),
    )


class _Sums:
    """Sums by property and value, in a scratch file if there are many."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._videos: dict[_Values, list[int]] = defaultdict(lambda: [0, 0])
        self._channels: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._labels: dict[str, str] = {}
        self._db = db
        db.execute("PRAGMA journal_mode=OFF")
        db.execute("PRAGMA synchronous=OFF")
        db.execute(
            "CREATE TABLE sums (name, value, label, videos INTEGER, milliseconds INTEGER, PRIMARY KEY (name, value))"
            " WITHOUT ROWID"
        )

    def add(self, values: _Values, channel: str, label: str, milliseconds: int) -> None:
        for sums in (self._videos[values], self._channels[channel]):
            sums[0] += 1
            sums[1] += milliseconds
        if label:
            self._labels[channel] = label  # the last name of a channel that was renamed
        if len(self._videos) + len(self._channels) > _VALUES_IN_MEMORY:
            self._flush()

    def shares(self, name: str) -> Shares:
        self._flush()
        (all_values, different, videos, milliseconds) = self._db.execute(
            "SELECT count(*), count(nullif(value, '')), coalesce(sum(videos), 0), coalesce(sum(milliseconds), 0)"
            " FROM sums WHERE name = ?",
            (name,),
        ).fetchone()
        rows = self._db.execute(
            "SELECT value, label, videos, milliseconds FROM sums WHERE name = ?"
            " ORDER BY milliseconds DESC, videos DESC, value LIMIT ?",
            (name, SHOWN),
        )
        first = [Share(value, label or value, *numbers) for value, label, *numbers in rows]
        rest = (videos - sum(share.videos for share in first), milliseconds - sum(s.milliseconds for s in first))
        return Shares(different, first, Share("", f"{all_values - len(first):,} others", *rest))

    def _flush(self) -> None:
        sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        for values, (videos, milliseconds) in self._videos.items():
            for key in values:
                sums[key][0] += videos
                sums[key][1] += milliseconds
        rows = [(*key, "", *numbers) for key, numbers in sums.items()]
        rows += [(CHANNEL, key, self._labels.get(key, ""), *numbers) for key, numbers in self._channels.items()]
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO sums VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET videos = videos + excluded.videos,"
            " milliseconds = milliseconds + excluded.milliseconds,"
            " label = CASE excluded.label WHEN '' THEN label ELSE excluded.label END",
            rows,
        )
        self._db.execute("COMMIT")
        for sums_in_memory in (self._videos, self._channels, self._labels):
            sums_in_memory.clear()
