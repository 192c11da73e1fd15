"""A process that runs for weeks does not grow: expired claims, and processes that outlive their workers."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from tests.support.faulty_store import FaultyStore
from tests.support.rows import POLICY, Clock, make_queue, new_video
from youtube_download_coordinator import Config, StoreUnavailable
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.reaper import ClaimReaper

LEASE_SECONDS = POLICY.lease.total_seconds()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore()


@pytest.fixture
def queue(store: FaultyStore, clock: Clock) -> Queue:
    queue = make_queue(store, clock=clock)
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(20)])
    return queue


def cannot_be_given_back(queue: Queue, store: FaultyStore) -> None:
    """Claim a video, and let the store be away in the moment in which it is to be given back."""
    claims = queue.claim(VIDEO_TASKS, 1)
    store.fails = lambda verb: verb == "swap"
    with pytest.raises(StoreUnavailable):
        queue.release(claims)
    store.fails = lambda verb: False


def reapers() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [each for each in children if "reaper_main.py" in " ".join(each.cmdline())]


def test_a_claim_that_could_not_be_given_back_counts_as_long_as_it_holds(
    queue: Queue, store: FaultyStore, clock: Clock
) -> None:
    cannot_be_given_back(queue, store)
    assert queue.held_rows == 1
    clock.seconds += LEASE_SECONDS
    assert queue.held_rows == 0


def test_claims_that_ran_out_are_not_kept(queue: Queue, store: FaultyStore, clock: Clock) -> None:
    for _ in range(10):
        cannot_be_given_back(queue, store)
        clock.seconds += LEASE_SECONDS
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    assert queue.release_all() == 1
    assert queue.settle([(claim, Done())]) == [None]


def test_a_worker_leaves_one_process_behind_however_often_the_store_is_away(
    queue: Queue, store: FaultyStore, clock: Clock, tmp_path: Path
) -> None:
    """It gives back what is held when this process is killed; once nothing is, it ends, and nothing of it is left open."""
    queue.worker = "host/endurance"  # a reaper that another test has left for its worker would be used again
    config, before = Config(database_url=f"sqlite:///{tmp_path}/queue.db"), len(os.listdir("/proc/self/fd"))
    others = set(reapers())  # of tests before this one, which were to leave some
    for _ in range(3):
        with ClaimReaper(queue, config) as attempts_run:
            attempts_run([])
            cannot_be_given_back(queue, store)
        assert len(set(reapers()) - others) == 1
    clock.seconds += LEASE_SECONDS
    with ClaimReaper(queue, config) as attempts_run:
        attempts_run([])
        assert len(set(reapers()) - others) == 1
    assert set(reapers()) <= others
    assert len(os.listdir("/proc/self/fd")) == before
