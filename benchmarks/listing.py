"""Compare an expansion with yt-dlp's own flat listing of the same list; measure the first claim and the memory.

Why: workers must not have to wait for the end of a list of 10,000, the list must not fill the memory, and a row for each entry
must not cost much more than printing it. The list is the synthetic one of ../shared/youtube-replay if it exists, else a feed on
loopback.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure, alone, answer, peak_megabytes, start
from benchmarks.youtube_replay import PROGRAM, replay
from examples.media_site import serving
from tests.support.rows import make_queue
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Source
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.maintenance import R
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS, Table
from youtube_download_coordinator.sources.sources_file import NO_LEASE
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.workers.expansion import expand_next

ENTRIES = 10_000
LEAST_RATIO = 0.8
FIRST_SECONDS = 3.0
PEAK_MEGABYTES = 200.0
LIST = f"https://www.youtube.com/playlist?list=PLytkit_{ENTRIES:06}_00_00"


def measure() -> list[Figure]:
    """Measure both, one after the other, on the same server. One run is enough, because a list of 10,000 averages out load."""
    with _list() as (url, environment, name):
        ours = _expansion(url, environment)
        return list(_figures(name, _flat_seconds(url, environment), ours))


def _figures(name: str, flat_seconds: float, ours: dict[str, float]) -> Iterator[Figure]:
    ratio = flat_seconds / ours["seconds"]
    yield Figure(
        what=f"listed by an expansion, {name}",
        value=ENTRIES / ours["seconds"],
        unit="entries/s",
        beside=f"yt-dlp --flat-playlist: {ENTRIES / flat_seconds:,.0f}/s",
        ratio=ratio,
        bar=f"at least {LEAST_RATIO}",
        met=ratio >= LEAST_RATIO,
    )
    met = ours["first"] < FIRST_SECONDS
    yield Figure(what="until its first video can be claimed", value=ours["first"], unit="s", bar="under 3 s", met=met)
    peak = ours["parent"] + ours["child"]
    yield Figure(
        what="its peak memory",
        value=peak,
        unit="MB",
        beside=f"parent {ours['parent']:.0f} and child {ours['child']:.0f} MB",
        bar="under 200 MB",
        met=peak < PEAK_MEGABYTES,
    )


@contextmanager
def _list() -> Iterator[tuple[str, dict[str, str], str]]:
    """Return a list of 10,000 videos: its address, the environment to reach it, and its name."""
    if PROGRAM.exists():
        with replay() as environment:
            yield LIST, environment, "synthetic playlist"
        return
    with TemporaryDirectory() as name, serving(Path(name), [f"Clip {n}" for n in range(ENTRIES)]) as address:
        yield f"{address}/feed.xml", {}, "RSS feed"


def _flat_seconds(url: str, environment: dict[str, str]) -> float:
    began = time.monotonic()
    listed = answer(
        start("yt_dlp", "--ignore-config", "--no-warnings", "--flat-playlist", "--print", "url", url, env=environment)
    )
    seconds = time.monotonic() - began
    if len(listed.splitlines()) != ENTRIES:
        raise SystemExit(f"yt-dlp listed {len(listed.splitlines())} of {ENTRIES} entries")
    return seconds


def _expansion(url: str, environment: dict[str, str]) -> dict[str, float]:
    with TemporaryDirectory() as name:
        figures: dict[str, float] = json.loads(
            answer(start("benchmarks.listing", url, f"{name}/queue.db", env=environment))
        )
    return figures


class _Watched(Queue):
    """A queue that records when another worker could claim the first video."""

    first = 0.0

    def add(self, table: Table[R], rows: Iterable[R]) -> list[int | None]:
        ids = super().add(table, rows)
        if table.name == VIDEO_TASKS.name and not self.first and make_queue(self.store, "host/b").claim(VIDEO_TASKS, 1):
            self.first = time.monotonic()
        return ids


def _expand(url: str, database: str) -> None:
    """Expand one source, and print the time and the memory."""
    template = make_queue(SqlStore(f"sqlite:///{database}"))
    queue = _Watched(
        store=template.store, worker="host/a", video_policy=template.video_policy,
        source_policy=template.source_policy, monotonic=time.monotonic, random=template.random,
        admission=template.admission,
    )  # fmt: skip
    queue.add(SOURCES, [Source(url=url, key=f"url:{url}", lease=NO_LEASE)])
    began = time.monotonic()
    expansion = expand_next(queue, Config(allow_other_sites=True, allow_private_addresses=True))
    seconds = time.monotonic() - began
    if expansion is None or expansion.failure or expansion.new != ENTRIES:
        raise SystemExit(f"the expansion failed: {expansion}")
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "first": queue.first - began, "parent": peak_megabytes(), "child": child}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _expand(*sys.argv[1:])
    else:
        alone("benchmarks.listing", measure)
