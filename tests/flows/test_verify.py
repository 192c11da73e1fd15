"""verify-corpus: its table, its final state, and that it asks nothing while the fleet is paused."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from flows.verify_corpus import verify_corpus
from tests.flows import seen
from tests.support.clip_site import Site, task
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.queue.store import VIDEO_TASKS


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("YDC_ALLOW_PRIVATE_ADDRESSES", "true")
    monkeypatch.setenv("YDC_RETRY_BACKOFF_SECONDS", "0")
    site = Site({"/clip.mp4": ("video/mp4", b"a clip")})
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield site
    site.closing.set()
    site.shutdown()
    site.server_close()


def add_done(coordinator: Coordinator, site: Site, *paths: str) -> None:
    for path in paths:
        coordinator.queue.add(VIDEO_TASKS, [task(site, path)])
        (claim,) = coordinator.queue.claim(VIDEO_TASKS, 1)
        coordinator.queue.settle([(claim, Done(result="x.mp4"))])


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_video_that_is_gone_is_in_the_table(coordinator: Coordinator, site: Site) -> None:
    add_done(coordinator, site, "/clip.mp4", "/lost.mp4")
    state = verify_corpus(return_state=True)
    assert (state.name, state.message) == ("CompletedWithErrors", "2 of 2 videos asked about, 1 there, 1 gone")
    (row,) = seen.table(state, "verified-videos")
    assert (row["finding"], row["ID"], row["reason"]) == ("gone", 2, "gone")
    again = verify_corpus(return_state=True)
    assert (again.name, again.message) == ("Completed", "0 of 0 videos asked about, 0 there")


def test_a_paused_fleet_asks_nothing(coordinator: Coordinator, site: Site) -> None:
    add_done(coordinator, site, "/clip.mp4")
    coordinator.client.pause(reason="maintenance")
    state = verify_corpus(return_state=True)
    assert (state.name, state.message) == ("Skipped", "the fleet is paused: maintenance")
    assert site.log == []
