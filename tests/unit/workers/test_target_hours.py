"""Target hours at work: what a program, a run and a fleet do when accents have their hours."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.rows import Clock, make_queue, new_video
from youtube_download_coordinator import Config, Coordinator, wiring
from youtube_download_coordinator.cli.progress import Progress
from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.models import Done, Failure, Outcome, State, Verdict, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Where
from youtube_download_coordinator.queue.targets import Targets
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.stores.sql.accents import AccentIndexes
from youtube_download_coordinator.workers.worker import Limits, Summary

HOUR = 3600
LEFT = "a has 3.0 of 3 hours: its 5 pending videos are left"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Coordinator]]:
    monkeypatch.setattr(wiring, "_stores", {})
    monkeypatch.setattr(wiring, "_targets", {})

    def make(**settings: Any) -> Coordinator:
        return Coordinator(
            Config(
                _env_file=None,
                database_url=f"sqlite:///{tmp_path}/queue.db",
                state_dir=tmp_path / "state",
                output_dir=tmp_path / "media",
                claim_jitter_seconds=0,
                idle_poll_seconds=0,
                videos_per_hour=0,
                **settings,
            )
        )

    yield make
    for store in wiring._stores.values():
        store.close()


def add(coordinator: Coordinator, accent: str, count: int, first: int = 1) -> None:
    videos = [new_video(number, accent=accent, duration_seconds=HOUR) for number in range(first, first + count)]
    coordinator.queue.add(VIDEO_TASKS, videos)


def test_a_program_stops_at_the_target_and_its_log_says_why(
    make: Callable[..., Coordinator], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    coordinator = make(target_hours={"a": 3})
    add(coordinator, "a", 8)
    urls: list[str] = []
    while coordinator.process_next_task(urls.append):
        pass
    assert len(urls) == 3
    assert f"no video is due ({LEFT}): looking again every 0 s" in caplog.messages


def done_at_once(video: VideoTask) -> Future[Outcome]:
    future: Future[Outcome] = Future()
    future.set_result(Done(result="a file"))
    return future


def test_a_run_ends_with_the_reason(make: Callable[..., Coordinator]) -> None:
    coordinator = make(target_hours="a:3")
    add(coordinator, "a", 8)
    add(coordinator, "b", 2, first=20)
    summary, rounds = Summary(), 0
    for left in coordinator.rounds(Limits(concurrency=2), summary):
        summary.add(coordinator.worker(done_at_once, left).run())
        rounds += 1
    assert rounds == 1
    assert str(summary) == f"5 done; {LEFT}"
    nothing = coordinator.worker(done_at_once, Limits(concurrency=2)).run()
    assert str(nothing) == f"no videos; {LEFT}"
    assert not nothing.stopped_by


def test_what_is_left_of_a_run_is_without_what_is_held_back(make: Callable[..., Coordinator]) -> None:
    coordinator = make(target_hours="a:3")
    add(coordinator, "a", 8)
    coordinator.worker(done_at_once, Limits(concurrency=2)).run()
    add(coordinator, "b", 2, first=20)
    progress = Progress(coordinator.queue)
    progress.begin_processing()
    assert progress.waiting == 2


def test_videos_that_are_held_back_are_no_other_source_to_compare_with(make: Callable[..., Coordinator]) -> None:
    """Otherwise an outage would use up the tries of the only source that may be claimed."""
    coordinator = make(target_hours="a:3")
    add(coordinator, "a", 8)
    has_other_source = coordinator.queue.admission.suspicion.has_other_source
    assert has_other_source(["1"])
    coordinator.worker(done_at_once, Limits(concurrency=2)).run()
    assert not has_other_source(["1"])
    add(coordinator, "b", 1, first=20)
    assert has_other_source(["1"])


def test_all_coordinators_of_a_process_count_together(
    make: Callable[..., Coordinator], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[object] = []
    count = SqlStore.playing_times

    def counting(store: SqlStore) -> object:
        counts.append(store)
        return count(store)

    monkeypatch.setattr(SqlStore, "playing_times", counting)
    first = make(target_hours={"a": 3})
    add(first, "a", 8)
    for _ in range(3):
        assert make(target_hours={"a": 3}).process_next_task(lambda url: None)
    assert not make(target_hours={"a": 3}).process_next_task(lambda url: None)
    assert len(counts) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_fleet_stops_near_its_targets(tmp_path: Path, seed: int) -> None:
    """Six workers with clocks of their own, whose counts are up to a minute old, and a third of whose attempts fail."""
    random, clock = Random(seed), Clock()
    hours = {"a": 20.0, "b": 40.0}
    with closing(SqlStore(f"sqlite:///{tmp_path}/queue.db")) as store:
        durations = [random.randrange(300, 5400) for _ in range(600)]
        queues = [make_queue(store, f"host/{number}", clock=clock) for number in range(6)]
        for queue in queues:
            queue.targets = Targets(hours=hours, monotonic=clock)
        videos = enumerate(durations, start=1)
        queues[0].add(
            VIDEO_TASKS, [new_video(n, accent="abc"[n % 3], duration_seconds=seconds) for n, seconds in videos]
        )
        assert work_off(queues, random, clock) == 600
        progress = make_queue(store)
        progress.targets = Targets(hours=hours)
        reached = {each.accent: each for each in progress.hours_by_target()}
    most = 6 * 2 * 1.5  # what six workers claim in a minute: two videos each
    assert all(hours[accent] <= each.hours <= hours[accent] + most for accent, each in reached.items())
    assert all(each.pending for each in reached.values())


def work_off(queues: list[Queue], random: Random, clock: Clock) -> int:
    """Let workers claim and settle in any order until none is claimed for long. Return the number of rows."""
    held: dict[int, list[Any]] = {number: [] for number in range(len(queues))}
    idle = 0
    while idle < 60:
        clock.seconds += random.uniform(0, 20)
        number = random.randrange(len(queues))
        queue, claims = queues[number], held[number]
        if claims:
            results: list[tuple[Any, Outcome]] = [(claim, ended(random)) for claim in claims]
            queue.settle(results)
            held[number] = []
        else:
            held[number] = list(queue.claim(VIDEO_TASKS, 2))
        idle = 0 if any(held.values()) else idle + 1
    return len(queues[0].store.scan(VIDEO_TASKS, Where(), limit=1000))


def ended(random: Random) -> Outcome:
    failure = Failure(verdict=Verdict.LATER, reason="premiere", message="not yet")
    return failure if random.random() < 1 / 3 else Done(result="a file")


def statements(store: SqlStore, call: Callable[[], object]) -> Counter[str]:
    """Return how many statements a call sends, by their first word."""
    sent: Counter[str] = Counter()

    def record(_: object, __: object, statement: str, *___: object) -> None:
        sent[statement.split()[0]] += 1

    sa.event.listen(store._engine, "before_cursor_execute", record)
    call()
    sa.event.remove(store._engine, "before_cursor_execute", record)
    return sent


@pytest.mark.parametrize(("hours", "reads"), [({}, 1), ({"a": 100}, 2)], ids=["without targets", "with targets"])
def test_a_claim_needs_one_more_query(tmp_path: Path, hours: dict[str, float], reads: int) -> None:
    with closing(SqlStore(f"sqlite:///{tmp_path}/queue.db")) as store:
        queue = make_queue(store)
        queue.targets = Targets(hours=hours)
        queue.add(VIDEO_TASKS, [new_video(n, accent="abc"[n % 3], duration_seconds=HOUR) for n in range(100)])
        queue.claim(VIDEO_TASKS, 5)
        sent = statements(store, lambda: queue.claim(VIDEO_TASKS, 5))
        assert (sent["SELECT"] + sent["WITH"], sent["UPDATE"]) == (reads, 5)
    assert has_accent_indexes(tmp_path / "queue.db") is bool(hours)


def has_accent_indexes(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    return {"videos_by_accent", "videos_playing_time"} <= names


def test_a_queue_with_the_indexes_opens_as_before(tmp_path: Path) -> None:
    for _ in range(2):
        with closing(SqlStore(f"sqlite:///{tmp_path}/queue.db")) as store:
            assert store.playing_times() == []


@pytest.mark.parametrize("error", [StoreError("must be owner of table videos"), StoreUnavailable("no answer")], ids=str)
def test_a_user_that_may_not_create_the_indexes_works_without_them(
    error: StoreError, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[str] = []

    @contextmanager
    def creating() -> Iterator[Any]:
        begun.append("a transaction")
        raise error
        yield

    indexes = AccentIndexes(creating)
    for _ in range(2):
        with pytest.raises(StoreUnavailable) if isinstance(error, StoreUnavailable) else nullcontext():
            indexes.create_once()
    is_final = not isinstance(error, StoreUnavailable)
    assert (len(begun), len(caplog.messages)) == ((1, 1) if is_final else (2, 0))


def steps_of_a_claim(folder: Path, pending: int) -> int:
    """Return SQLite's instructions for a claim from behind that many pending rows of an accent that has its hours."""
    with closing(SqlStore(f"sqlite:///{folder}/{pending}.db")) as store:
        queue = make_queue(store)
        rows = [new_video(n, accent="done", duration_seconds=HOUR) for n in range(pending)]
        rows += [new_video(n, accent="b", duration_seconds=HOUR) for n in range(10_000, 10_050)]
        queue.add(VIDEO_TASKS, rows)
        queue.targets = Targets(hours={"done": 0.1, "b": 100})
        queue.hours_by_target()
        queue.targets._seconds["done", State.DONE] = HOUR
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        def connected(connection: Any, _record: object, _proxy: object) -> None:
            connection.set_progress_handler(step, 1)

        sa.event.listen(store._engine.pool, "checkout", connected)
        claims = queue.claim(VIDEO_TASKS, 5)
        assert [claim.row.accent for claim in claims] == ["b"] * 5
        return count


def test_rows_of_an_accent_that_has_its_hours_cost_nothing(tmp_path: Path) -> None:
    assert steps_of_a_claim(tmp_path, 4000) <= 1.05 * steps_of_a_claim(tmp_path, 100)
