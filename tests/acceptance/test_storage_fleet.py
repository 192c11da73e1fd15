"""A fleet with one bucket: each file is there once, none stays on a local disk, and a failed upload costs no second download."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import mutagen
import psutil
import pytest

from examples.media_site import make_site, serving
from tests.support.object_storage import BUCKET, SECRET, s3_environment, s3_server
from tests.support.storage_proxy import StorageProxy
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.models import State, VideoTask
from youtube_download_coordinator.processors.parts import unpublished_keys
from youtube_download_coordinator.storage.opening import open_place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

YDC = Path(sys.executable).with_name("ydc")
ADDRESS = f"s3://{BUCKET}/corpus"
TITLES = ("Interview in Lagos", "A reading from Recife", "Market talk, Chennai", "Old songs", "A lecture", "Two voices")


@dataclass
class Scene:
    """Machines with a folder each, a media site, a queue and a bucket behind a proxy."""

    folder: Path
    proxy: StorageProxy
    site: str = ""
    fetched: Counter[str] = field(default_factory=Counter)
    """GETs of media, by address."""

    def environment(self, machine: str) -> dict[str, str]:
        home = self.folder / machine
        home.mkdir(exist_ok=True)
        others = {name: value for name, value in os.environ.items() if not name.startswith(("YDC_", "AWS_"))}
        return {
            **others,
            **s3_environment(self.proxy.url),
            "YDC_DATABASE_URL": f"sqlite:///{self.folder / 'queue.db'}",
            "YDC_STATE_DIR": str(home / "state"),
            "YDC_OUTPUT_DIR": ADDRESS,
            "YDC_ALLOW_OTHER_SITES": "true",
            "YDC_ALLOW_PRIVATE_ADDRESSES": "true",
            "YDC_VIDEOS_PER_HOUR": "0",
            "YDC_MIN_FREE_DISK_BYTES": "0",
            "YDC_CONCURRENCY": "1",
            "YDC_CLAIM_BATCH_SIZE": "1",
            "YDC_IDLE_POLL_SECONDS": "0.1",
            "YDC_RETRY_BACKOFF_SECONDS": "0",
            "YDC_RETRY_BACKOFF_MAX_SECONDS": "5",
        }

    def ydc(self, machine: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [YDC, *arguments],
            cwd=self.folder / machine,
            env=self.environment(machine),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, machine: str, *arguments: str) -> str:
        with self.ydc(machine, *arguments) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        return out

    def work_dir(self, machine: str) -> Path:
        return self.folder / machine / "state" / "files"

    def files_on(self, machine: str) -> list[Path]:
        return [path for path in self.work_dir(machine).rglob("*") if path.is_file()]

    def rows(self) -> list[VideoTask]:
        with Coordinator(Config(database_url=f"sqlite:///{self.folder / 'queue.db'}")) as coordinator:
            return list(coordinator.client.videos())


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with s3_server() as url, StorageProxy(url) as proxy:
        scene = Scene(tmp_path, proxy)
        for name in ("one", "two", "three"):
            for variable, value in s3_environment(proxy.url).items():
                monkeypatch.setenv(variable, value)
            scene.environment(name)
        site = make_site(tmp_path / "site", TITLES)

        def count(address: str) -> None:
            scene.fetched[address] += address.endswith(".mp4")

        with serving(site, TITLES, count) as scene.site:
            scene.run("one", "add", f"{scene.site}/feed.xml", "--accent", "Cork")
            yield scene


def test_each_file_is_in_the_bucket_once_and_none_on_a_disk(scene: Scene, tmp_path: Path) -> None:
    scene.proxy.heal()
    workers = [scene.ydc(machine, "run") for machine in ("one", "two")]
    wait_until(lambda: any(request.method == "PUT" for request in list(scene.proxy.requests)), 120)
    commands = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
    said = ""
    for worker in workers:
        out, err = worker.communicate(timeout=240)
        assert worker.returncode == 0, out + err
        said += out + err
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET not in said + str(commands)
    assert SECRET.encode() not in kept
    rows = scene.rows()
    assert [row.lease.state for row in rows] == [State.DONE] * len(TITLES)
    requests = Counter(request.method for request in scene.proxy.requests if ".swept" not in str(request))
    print(f"{len(TITLES)} files: {dict(requests)}")
    assert requests["PUT"] == 3 * len(TITLES)
    names = {held.path for held in open_place(ADDRESS).list() if not held.path.startswith(".archive/")}
    assert names == {name for row in rows for name in (row.result, f"{row.result}.json")}
    assert (scene.files_on("one"), scene.files_on("two")) == ([], [])
    assert max(scene.fetched.values()) <= 2  # yt-dlp looks at a file and downloads it
    for row in rows:  # on a third machine
        path = tmp_path / "three" / "copy.m4a"
        open_place(ADDRESS).download(row.result, path)
        assert mutagen.File(path, easy=True)["title"] == [row.title]
    assert ADDRESS in scene.run("three", "show", "1")


def test_a_killed_machine_uploads_what_it_has_and_no_other_fetches_it_again(scene: Scene) -> None:
    fault = scene.proxy.fail("slow-down", "^PUT .*/Cork/", times=10**6)
    with scene.ydc("one", "run") as worker:
        wait_until(
            lambda: any("PUT" in str(each) and "/Cork/" in str(each) for each in list(scene.proxy.requests)), 120
        )
        worker.send_signal(signal.SIGKILL)
    (kept,) = unpublished_keys(next(scene.work_dir("one").iterdir()))
    key = {row.key: row for row in scene.rows()}[kept].url
    wait_until(lambda: {row.key: row for row in scene.rows()}[kept].lease.state is State.PENDING)
    row = {row.key: row for row in scene.rows()}[kept]
    assert row.not_before
    with Coordinator(Config(database_url=f"sqlite:///{scene.folder / 'queue.db'}")) as coordinator:
        assert row.not_before - coordinator.queue.store.now() > timedelta(minutes=50)
    fault.times = 0
    fetched = scene.fetched[key]
    scene.run("two", "run")
    unfinished = [row.key for row in scene.rows() if row.lease.state is not State.DONE]
    assert (unfinished, scene.fetched[key]) == ([kept], fetched)
    scene.run("one", "run")
    assert all(row.lease.state is State.DONE for row in scene.rows())
    assert scene.fetched[key] == fetched
    assert scene.files_on("one") == []
