"""Measure writing the recordings of a corpus from its rows and its index: SQLite, a local folder, without reading sidecars.

Why: a manifest of a million videos is made every day. It is written twice, and the second time must give the same bytes. Each
time is a separate process, whose peak memory is measured. Bars are for the largest corpus.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, alone, answer, peak_megabytes, start
from tests.support.corpus_rows import sidecar, video
from tests.support.rows import make_queue
from youtube_download_coordinator.corpus.index import Index
from youtube_download_coordinator.corpus.items import recordings
from youtube_download_coordinator.corpus.recordings import write
from youtube_download_coordinator.models import Lease, State, VideoTask
from youtube_download_coordinator.processors.facts import ProductFacts, file_facts, product_facts
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.stores.sql import SqlStore

SIZES = (1_000, 100_000, 1_000_000)
SECONDS_MAX = 60.0
MEGABYTES_MAX = 200.0
_ROWS_AT_ONCE = 5_000
_ACCENTS = ("Irish", "Scottish", "pt-BR", "English (India)")


def measure() -> list[Figure]:
    rows = int(os.environ.get("YDC_BENCH_ROWS", SIZES[-1]))
    return [figure for size in SIZES if size <= rows for figure in _measured(size)]


def _measured(size: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        _fill(Path(name), size)
        first, second = (json.loads(answer(start("benchmarks.manifest", name))) for _ in range(2))
    assert first["sha256"] == second["sha256"]
    assert first["recordings"] == size
    has_bar, where = size == SIZES[-1], f"{size:,} rows"
    yield Figure(
        what=f"all recordings written, {where}", value=second["seconds"], unit="s",
        beside=f"{second['cpu_seconds']:.1f} CPU s, {second['megabytes']:,.1f} MB written, the same bytes twice",
        bar=f"at most {SECONDS_MAX:.0f}" if has_bar else "", met=not has_bar or second["seconds"] <= SECONDS_MAX,
    )  # fmt: skip
    yield Figure(
        what=f"its peak memory, {where}", value=second["peak"], unit="MB",
        bar=f"at most {MEGABYTES_MAX:.0f}" if has_bar else "", met=not has_bar or second["peak"] <= MEGABYTES_MAX,
    )  # fmt: skip


def _fill(folder: Path, size: int) -> None:
    """Make a queue whose rows are done, and the index of their files."""
    store = SqlStore(_database(folder))
    index = Index(LocalPlace(folder / "media"), folder / "state")
    for begin in range(0, size, _ROWS_AT_ONCE):
        rows = [_row(number) for number in range(begin + 1, min(begin + _ROWS_AT_ONCE, size) + 1)]
        store.restore(VIDEO_TASKS, rows)
        index.add(map(_facts, rows))
    assert index.flush()
    store.close()


def _database(folder: Path) -> str:
    return f"sqlite:///{folder}/queue.db"


def _row(number: int) -> VideoTask:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    row = video(number, accent=_ACCENTS[number % 4], type="talk", source_id=number % 50 + 1, extra={"Speaker": "A"})
    path = f"{row.accent}/Channel {number % 997}/{digest[:11]}.m4a"
    lease = Lease(version=3, state=State.DONE, detail=path, nonce=digest[:8])
    return replace(row, id=number, key=f"yt:v:{digest[:11]}", duration_seconds=61, lease=lease)


def _facts(row: VideoTask) -> ProductFacts:
    content: dict[str, Any] = sidecar(row.key.encode())
    record = {"media_seconds": 61.25, "made_at": "2026-11-01T00:00:00Z"}
    return product_facts(row.key, "audio", "audio-m4a", record, [file_facts(row.result, content)], [content])


def _write(folder: Path) -> dict[str, float | str]:
    queue, place = make_queue(SqlStore(_database(folder))), LocalPlace(folder / "media")
    began, cpu = time.monotonic(), time.process_time()
    count = write(folder / "recordings", recordings(queue, place, folder / "state"))
    seconds, cpu_seconds, peak = time.monotonic() - began, time.process_time() - cpu, peak_megabytes()
    content = (folder / "recordings").read_bytes()
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "recordings": count,
        "megabytes": len(content) / 1e6,
        "peak": peak,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_write(Path(sys.argv[1]))))
    else:
        alone("benchmarks.manifest", measure)
