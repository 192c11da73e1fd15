"""Workers add the files that they publish to the index, with the facts of their sidecars."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.clip_site import Site, task
from tests.support.rows import make_queue
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.corpus.index import INDEX
from youtube_download_coordinator.corpus.items import recordings
from youtube_download_coordinator.processors.built_in import RECIPES, Settings
from youtube_download_coordinator.processors.production import Production
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.workers.worker import Limits


def test_facts_of_an_attempt_are_those_of_its_sidecar(site: Site, settings: Settings, tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    settings = replace(settings, network=replace(settings.network, state_dir=str(state_dir)))
    queue, place = make_queue(SqlStore("sqlite://")), LocalPlace(settings.output_dir)
    queue.add(VIDEO_TASKS, [task(site)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    steps = [RECIPES[name](claim.row, settings, None) for name in ("audio", "metadata")]
    queue.settle([(claim, Production(claim.row, settings, steps).run())])

    (recording,) = recordings(queue, place, state_dir)
    assert (recording.path, recording.codec, recording.channels) == (
        f"Scottish/clip-{recording.video_id[-12:]}.m4a",
        "mp4a.40.2",
        2,
    )
    assert recording.seconds == pytest.approx(1, abs=0.1)
    shutil.rmtree(state_dir)
    shutil.rmtree(settings.output_dir / INDEX)
    assert list(recordings(queue, place, state_dir)) == [recording]


@pytest.mark.slow
def test_the_end_of_a_worker_puts_them_into_the_index(site: Site, tmp_path: Path) -> None:
    config = Config(
        database_url=f"sqlite:///{tmp_path}/queue.db",
        state_dir=tmp_path / "state",
        output_dir=tmp_path / "media",
        allow_other_sites=True,
        allow_private_addresses=True,
        spreadsheet_id=None,
    )
    with Coordinator(config) as coordinator:
        coordinator.queue.add(VIDEO_TASKS, [task(site)])
        assert coordinator.process("audio", Limits(concurrency=1)).attempted == 1
        (row,) = coordinator.queue.rows(VIDEO_TASKS)
    assert [held.path.partition("/")[0] for held in LocalPlace(tmp_path / "media").list(INDEX)] == [".corpus"]
    with Coordinator(config) as coordinator:
        (recording,) = recordings(coordinator.queue, LocalPlace(tmp_path / "media"), tmp_path / "elsewhere")
    assert recording.path == row.result
