"""Functions that run in the caller's own process: how long they keep their video, and how they end."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator import AttemptResult, Config, Coordinator, ProcessorError, UserError, VideoTask
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.lifecycle import MAX_INTERRUPTIONS
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        database_url=f"sqlite:///{tmp_path}/queue.db",
        state_dir=tmp_path / "state",
        claim_jitter_seconds=0,
        idle_poll_seconds=0,
        retry_backoff_seconds=0,
    )


@pytest.fixture
def coordinator(config: Config) -> Iterator[Coordinator]:
    with Coordinator(config) as coordinator:
        yield coordinator


def add(coordinator: Coordinator, count: int = 1) -> None:
    coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(count)])


def video(coordinator: Coordinator) -> VideoTask:
    rows = [row for table in (VIDEO_TASKS, DEAD_LETTERS) for row in coordinator.queue.rows(table)]
    return rows[0]


# --- open and closed -----------------------------------------------------------------------------------------------------


def test_a_closed_coordinator_says_so_and_holds_nothing(config: Config) -> None:
    with Coordinator(config) as coordinator:
        add(coordinator)
        claims = coordinator.queue.claim(VIDEO_TASKS, 1)
        assert claims
    coordinator.close()
    uses: list[Any] = [
        partial(coordinator.process_next_task, print),
        coordinator.client.get_sources,
        coordinator.give_back,
    ]
    for use in uses:
        with pytest.raises(UserError, match="this Coordinator is closed"):
            use()
    with Coordinator(config) as another:
        assert video(another).lease.state is State.PENDING


def test_closing_one_coordinator_leaves_another_of_the_process_working(config: Config) -> None:
    with Coordinator(config) as one, Coordinator(config) as another:
        add(one)
        one.close()
        assert another.process_next_task(lambda url: url)


def test_a_video_that_is_processed_at_close_is_finished_and_given_to_nobody_else(config: Config) -> None:
    """Given back while its function runs on, it would be processed twice."""
    with Coordinator(config) as another:
        coordinator = Coordinator(config)
        add(coordinator)
        began, may_end = threading.Event(), threading.Event()

        def processor(url: str) -> str:
            began.set()
            assert may_end.wait(20)
            return "finished"

        results: list[object] = []
        thread = threading.Thread(target=lambda: results.append(coordinator.process_next(processor)))
        thread.start()
        assert began.wait(20)
        coordinator.close()
        assert another.process_next(lambda url: "twice") is None
        may_end.set()
        thread.join(20)
        assert results == [AttemptResult.DONE]
        assert video(another).result == "finished"


def test_a_function_may_close_its_coordinator(config: Config) -> None:
    coordinator = Coordinator(config)
    add(coordinator)
    assert coordinator.process_next(lambda url: coordinator.close()) is AttemptResult.DONE
    with pytest.raises(UserError, match="this Coordinator is closed"):
        coordinator.process_next(print)


def test_a_block_that_is_open_at_close_keeps_its_videos(config: Config) -> None:
    with Coordinator(config) as another:
        coordinator = Coordinator(config)
        add(coordinator)
        with coordinator.claim_videos(1) as videos:
            for task in videos:
                coordinator.close()
                assert another.process_next(lambda url: "twice") is None
                assert videos.finish(task, "finished") is AttemptResult.DONE


def test_a_pickled_coordinator_is_another_worker_of_the_same_queue(coordinator: Coordinator) -> None:
    add(coordinator, 2)
    coordinator.queue.claim(VIDEO_TASKS, 1)
    with pickle.loads(pickle.dumps(coordinator)) as another:
        assert another.queue.worker != coordinator.queue.worker
        assert another.process_next(lambda url: url) is AttemptResult.DONE
        assert another.process_next(lambda url: "twice") is None
    assert pickle.loads(pickle.dumps(coordinator.client)).counts() == coordinator.client.counts()


# --- what the function receives ----------------------------------------------------------------------------------------


class Callable:
    def __call__(self, task: VideoTask) -> str:
        return task.accent


@pytest.mark.parametrize(
    ("processor", "gets"),
    [
        (lambda url: url, "url"),
        (lambda anything: anything, "url"),
        (lambda task: task.accent, "accent"),
        (lambda video_task: video_task.accent, "accent"),
        (Callable(), "accent"),
        (partial(lambda prefix, task: task.accent, "x"), "accent"),
        (str.upper, "URL"),
    ],
)
def test_every_face_gives_a_function_the_same_argument(coordinator: Coordinator, processor: Any, gets: str) -> None:
    coordinator.queue.add(VIDEO_TASKS, [new_video(1, accent="Scottish")])
    assert coordinator.process_next_task(processor)
    row = video(coordinator)
    assert row.result == {"url": row.url, "URL": row.url.upper(), "accent": "Scottish"}[gets]


@pytest.mark.parametrize("processor", [None, 7, lambda: 1, lambda a, b: 1])
def test_what_cannot_be_called_is_refused_before_anything_is_claimed(coordinator: Coordinator, processor: Any) -> None:
    add(coordinator)
    with pytest.raises(ProcessorError):
        coordinator.process_next_task(processor)
    assert video(coordinator).lease.version == 0


# --- how it ends ---------------------------------------------------------------------------------------------------------


def test_a_function_that_always_ends_its_program_does_not_run_for_ever(coordinator: Coordinator) -> None:
    add(coordinator)
    attempts = 0
    while not list(coordinator.queue.rows(DEAD_LETTERS)):
        with pytest.raises(SystemExit, match="3"):
            coordinator.process_next_task(lambda url: sys.exit(3))
        attempts += 1
    row = video(coordinator)
    assert attempts == MAX_INTERRUPTIONS + coordinator.config.max_retries - 1
    assert row.last_error.startswith(f"interrupted: {attempts} times, last by SystemExit: 3")


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("error", [Unreadable(), StopIteration("x"), RecursionError(), OSError(2, "no file")])
def test_every_exception_is_a_failed_attempt(coordinator: Coordinator, error: Exception) -> None:
    add(coordinator)
    assert coordinator.process_next(partial(_raise, error)) is AttemptResult.RETRY
    assert (video(coordinator).lease.tries, video(coordinator).lease.reason) == (1, "error")


def test_a_stop_of_the_program_charges_nothing(coordinator: Coordinator) -> None:
    add(coordinator)
    for error in (SystemExit(0), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            coordinator.process_next_task(partial(_raise, error))
        assert (video(coordinator).lease.state, video(coordinator).lease.tries) == (State.PENDING, 0)
    assert coordinator.process_next_task(lambda url: "whole")
    assert video(coordinator).result == "whole"


def _raise(error: BaseException, url: str) -> None:
    raise error


def test_a_long_function_keeps_its_video_and_a_warning_names_it(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    """Its claim is renewed beyond the attempt's deadline."""
    short = config.model_copy(update={"attempt_timeout_minutes": 0.001})
    warned = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: warned.set() if "attempt_timeout_minutes" in record.getMessage() else None  # type: ignore[method-assign]
    logger = logging.getLogger("youtube_download_coordinator.workers.in_process")
    logger.addHandler(handler)
    with Coordinator(short) as coordinator:
        add(coordinator)

        def long(url: str) -> str:
            assert warned.wait(30)
            (claim,) = coordinator.queue._held
            assert claim.renew_until is not None
            assert claim.renew_until - coordinator.queue.monotonic() > 23 * 3600
            return "done"

        assert coordinator.process_next_task(long)
        assert video(coordinator).result == "done"
    logger.removeHandler(handler)


# --- async -----------------------------------------------------------------------------------------------------------------


async def process(url: str) -> str:
    await asyncio.sleep(0)
    return url


def test_an_async_function_inside_a_running_loop_is_refused_before_anything_is_claimed(
    coordinator: Coordinator,
) -> None:
    add(coordinator)

    async def host() -> None:
        with pytest.raises(ProcessorError, match="aprocess_next_task"):
            coordinator.process_next_task(process)
        assert video(coordinator).lease.version == 0
        assert not coordinator.process_next_task(lambda url: process(url))  # known only when it has been called
        assert (video(coordinator).lease.state, video(coordinator).lease.tries) == (State.PENDING, 0)

    asyncio.run(host())


def test_an_async_function_runs_in_the_hosts_loop(coordinator: Coordinator) -> None:
    add(coordinator, 2)

    async def host() -> list[object]:
        loops: list[object] = []

        async def note(task: VideoTask) -> str:
            loops.append(asyncio.get_running_loop())
            return task.url

        assert await coordinator.aprocess_next_task(note)
        assert await coordinator.aprocess_next_task(lambda url: url)
        assert not await coordinator.aprocess_next_task(note)
        return [loop is asyncio.get_running_loop() for loop in loops]

    assert asyncio.run(host()) == [True]
    assert all(row.result == row.url for row in coordinator.queue.rows(VIDEO_TASKS))


def test_a_cancelled_call_gives_its_video_back(coordinator: Coordinator) -> None:
    add(coordinator)

    async def host() -> None:
        began = asyncio.Event()

        async def hang(url: str) -> None:
            began.set()
            await asyncio.Event().wait()

        call = asyncio.ensure_future(coordinator.aprocess_next_task(hang))
        await began.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(host())
    assert (video(coordinator).lease.state, video(coordinator).lease.tries) == (State.PENDING, 0)


# --- forked and killed -------------------------------------------------------------------------------------------------


def test_only_the_process_that_claimed_ends_the_claim(coordinator: Coordinator) -> None:
    """A function forks, and its child raises, exits or returns: the parent still holds the video."""
    add(coordinator)
    parent, names = os.getpid(), {coordinator.queue.worker}

    def forks(url: str) -> str:
        for end in (_raise_runtime_error, sys.exit, str):
            child = os.fork()
            if not child:
                return str(end(url))
            assert os.waitpid(child, 0)[1] == 0
        (row,) = coordinator.queue.rows(VIDEO_TASKS)
        return f"{row.lease.state} by {row.lease.holder}"

    try:
        coordinator.process_next_task(forks)
        ended_well = True
    except SystemExit:
        ended_well = True
    if os.getpid() != parent:
        os._exit(0 if ended_well and coordinator.queue.worker not in names else 1)
    assert video(coordinator).result == f"held by {coordinator.queue.worker}"


def _raise_runtime_error(url: str) -> None:
    raise RuntimeError(url)


KILLED = """
    import sys, time
    from youtube_download_coordinator import Config, Coordinator

    Coordinator(Config()).process_next_task(lambda url: (print("begun", flush=True), time.sleep(600)))
"""


def test_a_killed_process_frees_its_video_within_seconds(config: Config, coordinator: Coordinator) -> None:
    add(coordinator)
    settings = {"YDC_DATABASE_URL": config.database_url, "YDC_STATE_DIR": str(config.state_dir)}
    command = [sys.executable, "-c", textwrap.dedent(KILLED)]
    with subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: video(coordinator).lease.state is State.PENDING)
    assert video(coordinator).lease.reason == "killed"
