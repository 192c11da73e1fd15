"""Kill attempts while they publish files over a bad connection: nothing is half there, lost, or fetched twice.

    python -m tests.chaos.uploads --kills 1000

A process fetches one file after the other from a site on loopback, and publishes it in an S3 (moto) behind a proxy that refuses,
breaks off and loses answers. It is killed at a random moment, and another goes on. Two folders are two machines; every fifth
video is given to both. Every 25th is too large for a conditional put. Files are fetched without yt-dlp, which takes longer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cyclopts import App

from tests.support.clip_site import Site, make_clip
from tests.support.object_storage import BUCKET, s3_environment, s3_server
from tests.support.rows import new_video
from tests.support.storage_proxy import FaultKind, StorageProxy
from tests.support.waiting import wait_until
from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.archive import FOLDER, Product, record_path
from youtube_download_coordinator.processors.extraction import Extraction
from youtube_download_coordinator.processors.output_paths import file_stem
from youtube_download_coordinator.processors.parts import unpublished_keys
from youtube_download_coordinator.processors.place_sweep import MARK, sweep_place
from youtube_download_coordinator.processors.production import Made, Production, Recipe
from youtube_download_coordinator.processors.sidecar import SUFFIX
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.storage.opening import open_place
from youtube_download_coordinator.storage.place import MAX_CONDITIONAL_BYTES
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.youtube.network import Network

app = App(name="python -m tests.chaos.uploads", help=__doc__)

PRODUCT = Product(kind="download", name="download")
ADDRESS = f"s3://{BUCKET}/corpus"
LARGE_BYTES = MAX_CONDITIONAL_BYTES + 4_000_000
FAULTS: tuple[tuple[FaultKind, str], ...] = (
    ("slow-down", "^PUT"),
    ("broken-request", "^PUT"),
    ("broken-request", "partNumber"),
    ("no-answer", "^PUT"),
    ("lost-answer", "^PUT"),
    ("lost-answer", "^POST .*uploadId"),
    ("slow-down", "^GET"),
)
LONGEST_LIFE_SECONDS = 0.5
PUTS_IN_A_LIFE = 20
"""Half of the lives end after so many of them, or fewer, and the others after a random time."""
PENDING_VIDEOS = 4
PRELOADED = [
    "yt_dlp.version",
    "obstore.store",
    __name__,
    "youtube_download_coordinator.processors.sidecar_schema",
    "youtube_download_coordinator.storage.object_place",
]


@dataclass(slots=True)
class Evidence:
    """The counts of a run, and its violations."""

    kills: int = 0
    killed_with_files: int = 0
    """Kills after which a file waited on the disk to be published."""
    requests: int = 0
    published: int = 0
    swept: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.killed_with_files} of them with unpublished files; {self.published} videos published with"
            f" {self.requests} requests; {self.swept} files swept; {len(self.wrong)} wrong"
        )


class Uploads:
    """A run: a media site, an S3, and processes that are killed."""

    def __init__(self, folder: Path, seed: int, stack: ExitStack) -> None:
        self._random = random.Random(seed)
        self._machines = [folder / "a", folder / "b"]
        self._site = stack.enter_context(_site(folder))
        self._proxy = stack.enter_context(StorageProxy(stack.enter_context(s3_server())))
        os.environ.update(s3_environment(self._proxy.url))
        self._place = open_place(ADDRESS)
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(PRELOADED)
        self._pending: dict[str, list[Path]] = {}
        """Videos that have no record yet, by path, with the machines that work on them."""
        self._made: set[str] = set()
        """Videos whose files one machine has completed: nobody may fetch them again."""
        self._count = 0
        self.evidence = Evidence()

    def rage(self, kills: int) -> None:
        """Kill so many processes."""
        while self.evidence.kills < kills:
            while len(self._pending) < PENDING_VIDEOS:
                self._add()
            for kind, pattern in self._random.sample(FAULTS, self._random.randrange(3)):
                self._proxy.fail(kind, pattern, times=self._random.randrange(1, 3))
            self._live(self._random.choice(self._machines), self._random.uniform(0, LONGEST_LIFE_SECONDS))

    def settle(self) -> None:
        """Let every video be published, then look at everything that is there."""
        for machine in self._machines * 2:
            self._live(machine, None)
        self.evidence.wrong += [f"{path} is not published" for path in self._pending]
        self.evidence.wrong += self._wrong_objects()
        with contextlib.closing(SqlStore("sqlite://")) as store:
            self.evidence.swept = sweep_place(self._place, store.now() + timedelta(days=2))
        named = self._named()
        there = {held.path for held in self._place.list() if not held.path.startswith(f"{FOLDER}/")}
        self.evidence.wrong += [f"{name} is there, and no record names it" for name in there - named]
        self.evidence.published = sum(not name.endswith(SUFFIX) for name in named)

    def _add(self) -> None:
        self._count += 1
        size = "large" if self._count % 25 == 0 else "small"
        path = f"/{size}-{self._count:05}.mp4"
        self._site.files[path] = self._site.files[f"/{size}.mp4"]
        self._pending[path] = self._machines if self._count % 5 == 0 else [self._random.choice(self._machines)]

    def _live(self, machine: Path, seconds: float | None) -> None:
        """Let a machine work for so long, kill it, and look at what it did."""
        paths = [path for path, machines in self._pending.items() if machine in machines]
        if not paths:
            return
        self._site.log.clear()
        process = self._processes.Process(target=work, args=(paths, self._site.url, str(machine)))
        process.start()
        if seconds is not None and self._random.random() < 0.5:
            puts, seconds = self._random.randrange(1, PUTS_IN_A_LIFE), self._random.uniform(0, 0.02)
            wait_until(lambda: self._puts() >= puts or not process.is_alive())
        process.join(seconds)
        is_killed = process.is_alive()
        self.evidence.kills += is_killed
        _end(process)
        fetched = Counter(path for path, _ in self._site.log)
        self.evidence.wrong += [f"{path} is fetched again" for path in fetched.keys() & self._made]
        self.evidence.requests += len(self._proxy.requests)
        waiting = unpublished_keys(machine)
        self.evidence.killed_with_files += is_killed and bool(waiting)
        put = " ".join(str(request) for request in self._proxy.requests if request.method in ("PUT", "POST"))
        self._proxy.heal()
        for path in paths:
            if len(self._pending[path]) == 1 and (f"url:{path}" in waiting or file_stem(video("", path)) in put):
                self._made.add(path)
            if self._place.head(record_path(video("", path), PRODUCT.name)):
                del self._pending[path]

    def _puts(self) -> int:
        return sum(request.method in ("PUT", "POST") for request in list(self._proxy.requests))

    def _records(self) -> dict[str, Any]:
        paths = [held.path for held in self._place.list(FOLDER) if held.path != MARK]
        return {path: json.loads(self._place.get(path)) for path in paths}

    def _named(self) -> set[str]:
        names = {name for record in self._records().values() for name in record["files"]}
        return names | {f"{name}{SUFFIX}" for name in names}

    def _wrong_objects(self) -> Iterator[str]:
        """Yield what is not whole: a record whose file or sidecar is missing or not what it should be."""
        for path, record in self._records().items():
            if len(record["files"]) != 1 or path.removesuffix(".json")[-2] == ".":
                yield f"{path} is not the only record of its video"
            for name in record["files"]:
                held = self._place.head(name)
                if held is None:
                    yield f"{path} names {name}, which is not there"
                    continue
                with self._place.open(name) as content:
                    digest = hashlib.sha256()
                    while piece := content.read(2**20):
                        digest.update(piece)
                sidecar = json.loads(self._place.get(f"{name}{SUFFIX}"))
                facts = (held.sha256, sidecar["sha256"], sidecar["file"], sidecar["bytes"])
                if facts != (digest.hexdigest(), digest.hexdigest(), Path(name).name, held.size):
                    yield f"{name} is not what its sidecar says"


def work(paths: list[str], site_url: str, folder: str) -> None:
    """Publish videos, in a process of its own group."""
    os.setsid()
    network = Network(allow_other_sites=True, allow_private_addresses=True)
    settings = Settings(output_dir=Path(folder), place=ADDRESS, network=network)
    for path in paths:
        task = video(site_url, path)
        recipe = Recipe(product=PRODUCT, make=partial(fetch, task))
        with contextlib.suppress(AttemptError):
            Production(task, settings, [recipe]).run()


def fetch(task: VideoTask, extraction: Extraction, work: Path) -> Made:
    """Make the file as a built-in does, without yt-dlp."""
    path = work / "made.mp4"
    with urllib.request.urlopen(task.url) as answer, path.open("wb") as file:
        shutil.copyfileobj(answer, file)
    return Made(info={}, files={"mp4": path})


def video(site_url: str, path: str) -> VideoTask:
    return new_video(1, id=1, url=site_url + path, key=f"url:{path}", accent="Cork")


def _end(process: Any) -> None:
    """Kill a process with those that it has started, and wait for its end."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


@contextlib.contextmanager
def _site(folder: Path) -> Iterator[Site]:
    clip = make_clip(folder / "clip.mp4")
    padding = LARGE_BYTES.to_bytes(4, "big") + b"free" + random.Random(1).randbytes(LARGE_BYTES - 8)
    site = Site({"/small.mp4": ("video/mp4", clip), "/large.mp4": ("video/mp4", clip + padding)})
    threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield site
    site.closing.set()
    site.shutdown()
    site.server_close()


@app.default
def run(*, kills: int = 1000, seed: int = 1) -> int:
    """Kill so many processes; 1 when something went wrong."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ydc-uploads-") as folder, ExitStack() as stack:
        uploads = Uploads(Path(folder), seed, stack)
        uploads.rage(kills)
        uploads.settle()
    print(f"seed {seed}, {time.monotonic() - began:.0f} s: {uploads.evidence}")
    for line in uploads.evidence.wrong:
        print(f"WRONG: {line}")
    return 1 if uploads.evidence.wrong else 0


if __name__ == "__main__":
    sys.exit(app(sys.argv[1:], result_action="return_value"))
