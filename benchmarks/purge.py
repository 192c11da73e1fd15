"""Measure the purge of a channel from a corpus: SQLite, a local folder, files of a few bytes; and its requests to a bucket.

Why: people wait for a removal that they requested. Each video has a file, a sidecar and a record. The whole place is searched
afterwards, because nothing may name one of the channel's videos.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, alone
from tests.support.corpus_rows import CountingPlace, sidecar, video
from tests.support.rows import make_queue
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.corpus.index import Index
from youtube_download_coordinator.corpus.purge import Purge
from youtube_download_coordinator.corpus.purge_selection import PurgeSelection
from youtube_download_coordinator.models import Lease, State, VideoTask
from youtube_download_coordinator.processors.archive import Product, record_content, record_path
from youtube_download_coordinator.processors.facts import file_facts, product_facts
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.place import Place
from youtube_download_coordinator.stores.sql import SqlStore

FILES = 100_000
CHANNELS = 20
SECONDS_MAX = 60.0
_ROWS_AT_ONCE = 5_000
_AUDIO = Product(kind="audio", name="audio-m4a")
Write = Callable[[str, bytes], None]


def measure() -> list[Figure]:
    files = int(os.environ.get("YDC_BENCH_FILES", FILES))
    return [*_local(files), *_requests(min(files, 10_000))]


def _local(files: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder, store = Path(name), SqlStore(f"sqlite:///{name}/queue.db")
        place = LocalPlace(folder / "media")
        purge = _filled(folder, place, make_queue(store), files, lambda path, content: _write(folder, path, content))
        seconds, videos = _run(purge)
        assert not _mentions(place, files), "the place names a purged video"
        gone = [_row(number) for number in range(0, files, CHANNELS)]
        assert purge.queue.store.insert(VIDEO_TASKS, gone) == [None] * len(gone)
        store.close()
    yield Figure(
        what=f"a channel of {videos:,} purged from {files:,} files", value=seconds, unit="s",
        beside="local folder, SQLite", bar=f"at most {SECONDS_MAX:.0f}", met=seconds <= SECONDS_MAX,
    )  # fmt: skip


def _requests(files: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        place = CountingPlace()

        def put(path: str, content: bytes) -> None:
            place.put_if_absent(path, content, content_type="", metadata={})

        purge = _filled(Path(name), place, make_queue(SqlStore("sqlite://")), files, put)
        place.requests = Counter()
        _, videos = _run(purge)
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in place.requests.most_common())
    yield Figure(
        what=f"requests to a bucket of {files:,} files, for a channel of {videos:,}", value=place.requests.total(), unit="",
        beside=f"{kinds}; 16 at a time; a list is one for each 1,000 objects",
    )  # fmt: skip


def _run(purge: Purge) -> tuple[float, int]:
    began = time.monotonic()
    report = purge.run(purge.select(PurgeSelection(channels=[f"yt:c:{_channel(0)}"])), {})
    return time.monotonic() - began, len(report.tombstones)


def _filled(folder: Path, place: Place, queue: Queue, files: int, write: Write) -> Purge:
    """Make a queue whose rows are done, their files, and the index."""
    index = Index(place, folder / "state", queue.buried_keys)
    for begin in range(0, files, _ROWS_AT_ONCE):
        rows = [_row(number) for number in range(begin, min(begin + _ROWS_AT_ONCE, files))]
        queue.store.restore(VIDEO_TASKS, rows)
        index.add(_publish(row, write) for row in rows)
    assert index.flush()
    config = Config(output_dir=folder / "work", state_dir=folder / "state")
    return Purge(queue=queue, place=place, index=index, config=config)


def _publish(row: VideoTask, write: Write) -> Any:
    channel = {"channel_id": _channel(row.id - 1), "channel": "A channel", "title": row.title}
    content: dict[str, Any] = sidecar(row.key.encode(), youtube=channel, video_task={"URL": row.url})
    write(row.result, row.key.encode())
    write(f"{row.result}.json", json.dumps(content).encode())
    record = record_content(row, _AUDIO, [row.result], row.result, (), 61.25)
    write(record_path(row, _AUDIO.name), json.dumps(record).encode())
    record["made_at"] = "2026-11-01T00:00:00Z"
    return product_facts(row.key, "audio", _AUDIO.name, record, [file_facts(row.result, content)], [content])


def _write(folder: Path, path: str, content: bytes) -> None:
    target = folder / "media" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _row(number: int) -> VideoTask:
    video_id = _id(number)
    row = video(
        number, key=f"yt:v:{video_id}", url=f"https://www.youtube.com/watch?v={video_id}", extra={"Speaker": "A"}
    )
    path = f"{row.accent}/{_channel(number)}/{video_id}.m4a"
    lease = Lease(version=3, state=State.DONE, detail=path, nonce=video_id[:8])
    return replace(row, id=number + 1, duration_seconds=61, lease=lease)


def _id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:11]


def _channel(number: int) -> str:
    return f"UC{number % CHANNELS:022}"


def _mentions(place: Place, files: int) -> list[str]:
    """Return the files whose path or content has the ID of one of the channel's videos."""
    ids = {_id(number).encode() for number in range(0, files, CHANNELS)}
    found = []
    for held in place.list():
        content = place.get(held.path)
        text = held.path.encode() + b"\n" + (gzip.decompress(content) if held.path.endswith(".gz") else content)
        if any(text[at : at + 11] in ids for at in range(len(text) - 10)):
            found.append(held.path)
    return found


if __name__ == "__main__":
    alone("benchmarks.purge", measure)
