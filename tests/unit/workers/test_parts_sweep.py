"""Half files that no attempt on this machine will resume are removed: after the last attempt, and when a worker starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.clip_site import Site, task
from tests.support.rows import make_queue, new_video
from tests.unit.processors.test_parts import leave_part, names
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.errors import PermanentError, StoreUnavailable
from youtube_download_coordinator.models import Done, Failure, Outcome, VideoTask
from youtube_download_coordinator.processors.parts import work_folder
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.workers.parts_sweep import KEPT_SECONDS, sweep_parts
from youtube_download_coordinator.workers.worker import Limits

KEYS = {name: f"url:https://a.org/{name}" for name in ("done", "dead", "pending", "here", "elsewhere", "unknown")}
VIDEOS = {name: new_video(1, url=f"https://a.org/{name}", key=key) for name, key in KEYS.items()}


@pytest.fixture
def queue() -> Iterator[Queue]:
    """Return host-a's queue with a row in each state, and one that is missing."""
    store = SqlStore("sqlite://")
    ours, theirs = make_queue(store, "host-a/1"), make_queue(store, "host-b/1")
    outcomes: dict[str, Done | Failure | None] = {
        "done": Done(result="x"), "dead": PermanentError(reason="private").failure, "here": None, "elsewhere": None,
    }  # fmt: skip
    for name, outcome in outcomes.items():
        ours.add(VIDEO_TASKS, [VIDEOS[name]])
        (claim,) = (theirs if name == "elsewhere" else ours).claim(VIDEO_TASKS, 1)
        if outcome:
            ours.settle([(claim, outcome)])
    ours.add(VIDEO_TASKS, [VIDEOS["pending"]])
    with closing(store):
        yield ours


def left(output_dir: Path) -> set[str]:
    return {name.partition("-")[0] for name in names(output_dir)}


def test_the_parts_of_done_and_dead_rows_and_of_other_machines_are_removed_at_the_start(
    queue: Queue, tmp_path: Path
) -> None:
    for video in VIDEOS.values():
        leave_part(tmp_path, video)
    sweep_parts(queue, tmp_path)
    assert left(tmp_path) == {"pending", "here", "unknown"}


def test_what_nobody_has_touched_for_a_week_is_removed(queue: Queue, tmp_path: Path) -> None:
    for video in VIDEOS.values():
        leave_part(tmp_path, video)
    long_ago = queue.store.now().timestamp() - KEPT_SECONDS - 60
    for path in (tmp_path / ".parts").rglob("*"):
        if path.name.startswith(("pending", "unknown")) or path.parent.name.startswith(("pending", "unknown")):
            os.utime(path, (long_ago, long_ago))
    sweep_parts(queue, tmp_path)
    assert left(tmp_path) == {"here"}


def test_parts_in_which_a_process_works_stay(queue: Queue, tmp_path: Path) -> None:
    with work_folder(tmp_path, VIDEOS["done"], "audio-m4a"):
        sweep_parts(queue, tmp_path)
        assert left(tmp_path) == {"done"}


@pytest.mark.parametrize("stem", ["aaaaaaaaaaa", "-aB_cdefghi"])
def test_parts_of_the_version_before_are_known_by_youtubes_id(queue: Queue, tmp_path: Path, stem: str) -> None:
    folder = tmp_path / ".parts" / f"{stem}.audio-m4a"
    folder.mkdir(parents=True)
    queue.add(VIDEO_TASKS, [new_video(9, key=f"yt:v:{stem}")])
    claims = queue.claim(VIDEO_TASKS, 9)
    queue.settle([(claim, Done()) for claim in claims])
    sweep_parts(queue, tmp_path)
    assert not folder.exists()


def test_a_queue_that_does_not_answer_leaves_the_parts(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(*arguments: object, **options: object) -> None:
        raise StoreUnavailable("away")

    leave_part(tmp_path, VIDEOS["done"])
    monkeypatch.setattr(queue.store, "scan", scan)
    sweep_parts(queue, tmp_path)
    assert left(tmp_path) == {"done"}


def test_a_worker_removes_the_parts_of_a_row_with_its_last_attempt(site: Site, tmp_path: Path) -> None:
    """Also those of another product, which nobody makes any longer."""
    config = Config(
        database_url=f"sqlite:///{tmp_path}/queue.db",
        state_dir=tmp_path,
        output_dir=tmp_path / "media",
        min_free_disk_bytes=0,
        claim_batch_size=1,
    )
    with Coordinator(config) as coordinator:
        coordinator.queue.add(VIDEO_TASKS, [task(site), new_video(2)])

        def submit(video: VideoTask) -> Future[Outcome]:
            leave_part(config.work_dir, video, "audio-wav")
            future: Future[Outcome] = Future()
            future.set_result(Done() if video.id == 1 else PermanentError(reason="private").failure)
            return future

        coordinator.worker(submit, Limits(concurrency=1)).run()
    assert names(config.work_dir) == set()
