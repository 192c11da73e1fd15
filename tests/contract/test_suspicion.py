"""An outage on every backend: what it has counted is given back, dead letters too, and Control shows it to other machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from tests.support.rows import make_admission, make_queue, new_video
from youtube_download_coordinator.models import Control, Done, Failure, Outcome, State, Verdict, VideoTask
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS, Store
from youtube_download_coordinator.queue.suspicion import OutageLimits
from youtube_download_coordinator.workers.attempts import Attempts

SIGN_IN = Failure(
    verdict=Verdict.PERMANENT, reason="needs-account", message="Please sign in", systemic=True, from_yt_dlp=True
)
VERSION = "2026.10.26"


def attempts_on(store: Store, host: str) -> Attempts[VideoTask]:
    queue = make_queue(store, f"{host}/1")
    queue.admission = make_admission(
        store, f"{host}/1", yt_dlp_version=lambda: VERSION, outage_limits=OutageLimits(known_videos=4, other_videos=9)
    )
    return Attempts(queue=queue, table=VIDEO_TASKS, timeout=timedelta(hours=1), claim_batch_size=1)


def attempt(attempts: Attempts[VideoTask], outcome: Outcome) -> bool:
    attempts.stopped_by = ""
    attempts.queue.store.controls(fresh=True)  # a hint may be older than what another machine has just written
    claim = attempts.begin_next()
    return claim is not None and attempts.settle(claim, outcome) is not None


def line(store: Store, host: str) -> Control:
    name = f"suspect {host} {VERSION}"
    return next((line for line in store.controls(fresh=True) if line.name == name), Control(name=name))


def end_the_pause(store: Store, host: str) -> None:
    now = store.now() - timedelta(seconds=1)
    assert store.set_control(line(store, host).name, lambda line: line and replace(line, until=now))


def test_an_outage_leaves_no_trace_in_the_rows(open_store: Callable[[], Store]) -> None:
    store = open_store()
    make_queue(store).add(VIDEO_TASKS, [new_video(number, source_id=number) for number in range(1, 9)])
    first, second = attempts_on(open_store(), "host-a"), attempts_on(open_store(), "host-b")
    assert [attempt(first, SIGN_IN) for _ in range(2)] == [True, True]
    assert line(store, "host-a").value == "watching"
    assert [attempt(second, SIGN_IN) for _ in range(2)] == [True, True]
    assert line(store, "host-b").value == "suspect"
    assert " 2 videos of 2 sources on 2 machines since " in line(store, "host-b").reason
    assert not attempt(second, SIGN_IN)
    assert attempt(first, SIGN_IN)
    assert line(store, "host-a").value == "suspect"
    assert store.count(DEAD_LETTERS) == {}
    assert {(row.lease.state, row.lease.tries) for row in store.scan(VIDEO_TASKS)} == {(State.PENDING, 0)}
    end_the_pause(store, "host-a")
    assert attempt(attempts_on(open_store(), "host-a"), Done())
    assert (line(store, "host-a").value, line(store, "host-b").value) == ("clear", "suspect")
