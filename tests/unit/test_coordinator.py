"""The library without Prefect: the first implementation's public API, as its README shows it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.coordinator_time import CoordinatorTime
from tests.support.faulty_store import FaultyStore
from tests.support.rows import make_queue, new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator, PermanentError, ThrottledError, wiring
from youtube_download_coordinator import coordinator as coordinator_module
from youtube_download_coordinator.errors import LaterError, SourcesFileError, StoreUnavailable, UnfitError
from youtube_download_coordinator.models import Source, State, VideoTask
from youtube_download_coordinator.queue import Claim
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.workers import attempts as attempts_module
from youtube_download_coordinator.workers import expansion
from youtube_download_coordinator.workers.worker import Limits, Summary, Worker
from youtube_download_coordinator.youtube.listing import Listed, ListedVideo

CHANNEL = "https://www.youtube.com/channel/UC{:022}"
PLAYLIST = "https://www.youtube.com/playlist?list=PLexample"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    for name in [name for name in os.environ if name.startswith("YDC_")]:
        monkeypatch.delenv(name)
    return Config(
        database_url=f"sqlite:///{tmp_path}/queue.db",
        sources_file_path=None,
        claim_jitter_seconds=0,
        idle_poll_seconds=0,
        retry_backoff_seconds=0,
        retry_backoff_max_seconds=0,
    )


@pytest.fixture
def store(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    store = FaultyStore(config.database_url)
    monkeypatch.setattr(wiring, "_stores", {})
    monkeypatch.setattr(wiring, "_new_store", lambda config: store)
    yield store
    store.close()


@pytest.fixture
def make(config: Config, store: FaultyStore) -> Callable[..., Coordinator]:
    return lambda **settings: Coordinator(config.model_copy(update=settings))


@pytest.fixture
def coordinator(make: Callable[..., Coordinator]) -> Coordinator:
    return make()


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes every source list the given items."""

    def lists(*items: Listed, then: BaseException | None = None) -> None:
        def listing(source: Source, config: Config) -> Generator[Listed, None, None]:
            yield from items
            if then:
                raise then

        monkeypatch.setattr(
            coordinator_module, "expand_sources", lambda queue, config: expansion.expand_sources(queue, config, listing)
        )

    return lists


def listed(number: int) -> ListedVideo:
    url = f"https://www.youtube.com/watch?v={number:011}"
    return ListedVideo(url, f"yt:v:{number:011}", f"Video {number}", 60)


def add(coordinator: Coordinator, count: int = 1) -> None:
    coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(count)])


def rows(coordinator: Coordinator) -> list[VideoTask]:
    return [row for table in (VIDEO_TASKS, DEAD_LETTERS) for row in coordinator.queue.rows(table)]


def only_row(coordinator: Coordinator) -> VideoTask:
    (row,) = rows(coordinator)
    return row


def fails(error: BaseException) -> Callable[[str], None]:
    def processor(url: str) -> None:
        raise error

    return processor


# --- process_next_task -----------------------------------------------------------------------------------------------


def test_a_video_is_processed_by_its_url_and_marked_done(coordinator: Coordinator) -> None:
    add(coordinator, 2)
    urls: list[str] = []
    while coordinator.process_next_task(urls.append):
        pass
    assert sorted(urls) == [new_video(0).url, new_video(1).url]
    assert coordinator.queue.counts(VIDEO_TASKS) == {State.DONE: 2}


def test_what_the_processor_returns_is_kept(coordinator: Coordinator) -> None:
    add(coordinator)
    assert coordinator.process_next_task(lambda url: Path("media/x.m4a"))
    assert only_row(coordinator).result == "media/x.m4a"


def test_without_a_video_there_is_nothing_to_do(coordinator: Coordinator) -> None:
    assert coordinator.process_next_task(print) is False


def test_a_video_that_fails_max_retries_times_is_a_dead_letter(make: Callable[..., Coordinator]) -> None:
    coordinator = make(max_retries=2)
    add(coordinator)
    processor = fails(OSError("broken pipe"))
    assert [coordinator.process_next_task(processor) for _ in range(3)] == [True, True, False]
    row = only_row(coordinator)
    assert (row.lease.state, row.retry_count) == (State.DEAD, 2)
    assert "broken pipe" in row.last_error
    assert coordinator.queue.counts(DEAD_LETTERS) == {State.DEAD: 1}


def test_a_permanent_error_is_a_dead_letter_at_once(coordinator: Coordinator) -> None:
    add(coordinator)
    assert coordinator.process_next_task(fails(PermanentError("no speech in it", reason="music")))
    assert only_row(coordinator).last_error == "music: no speech in it"
    assert coordinator.queue.counts(DEAD_LETTERS) == {State.DEAD: 1}


def test_too_early_is_not_counted(coordinator: Coordinator) -> None:
    add(coordinator)
    coordinator.process_next_task(fails(LaterError("Premieres in 3 hours")))
    assert (only_row(coordinator).lease.state, only_row(coordinator).retry_count) == (State.PENDING, 0)


def test_throttling_gives_the_attempt_back_and_pauses_the_claiming(
    make: Callable[..., Coordinator], monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator = make(idle_poll_seconds=30)
    clock = CoordinatorTime()
    clock.install(monkeypatch)
    add(coordinator, 2)
    asked: list[str] = []

    def processor(url: str) -> None:
        asked.append(url)
        raise ThrottledError("HTTP Error 429")

    assert [coordinator.process_next_task(processor) for _ in range(3)] == [False] * 3
    assert len(asked) == 1
    assert {(row.lease.state, row.retry_count) for row in rows(coordinator)} == {(State.PENDING, 0)}
    clock.now += 30
    assert not coordinator.process_next_task(processor)
    assert len(asked) == 1
    coordinator.queue.admission.lift("by a test")
    clock.now += 30
    coordinator.process_next_task(processor)
    assert len(asked) == 2


def test_a_bug_of_the_processor_costs_no_video(make: Callable[..., Coordinator], store: FaultyStore) -> None:
    """Videos without a source: each counts as one of its own."""
    coordinator = make(outage_other_videos=3, max_retries=1, idle_poll_seconds=0)
    add(coordinator, 5)
    asked: list[str] = []
    coordinator.queue.admission.find_upgrade = lambda: asked.append("the index") or ""  # type: ignore[func-returns-value]
    for _ in range(5):
        coordinator.process_next_task(fails(KeyError("x")))
    assert {(row.lease.state, row.lease.tries) for row in rows(coordinator)} == {(State.PENDING, 0)}
    assert len(rows(coordinator)) == 5
    (line,) = store.controls()
    assert (line.value, asked) == ("suspect", []), "a newer yt-dlp would not help"
    assert metadata.version("yt-dlp") in line.name


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interruption_goes_through_and_gives_the_video_back(coordinator: Coordinator, error: BaseException) -> None:
    add(coordinator)
    with pytest.raises(type(error)):
        coordinator.process_next_task(fails(error))
    assert (only_row(coordinator).lease.state, only_row(coordinator).retry_count) == (State.PENDING, 0)


def test_a_claim_is_renewed_while_the_processor_runs_longer_than_its_lease(make: Callable[..., Coordinator]) -> None:
    coordinator = make(stalled_task_timeout_minutes=0.3 / 60)
    add(coordinator)

    def processor(url: str) -> str:
        wait_until(lambda: only_row(coordinator).lease.version >= 5)  # renewed every 0.1 s: longer than a lease
        return "done"

    assert coordinator.process_next_task(processor)
    row = only_row(coordinator)
    assert (row.lease.state, row.retry_count, row.result) == (State.DONE, 0, "done")


def test_a_processor_that_takes_too_long_loses_its_claim(make: Callable[..., Coordinator], store: FaultyStore) -> None:
    coordinator = make(stalled_task_timeout_minutes=0.3 / 60, in_process_timeout_minutes=0.2 / 60)
    add(coordinator)
    other = make_queue(store, "host/b")

    def processor(url: str) -> str:
        wait_until(lambda: other.claim(VIDEO_TASKS, 1))
        return "late"

    coordinator.process_next_task(processor)
    row = only_row(coordinator)
    assert (row.claimed_by, row.lease.state, row.retry_count, row.result) == ("host/b", State.HELD, 1, "")


def test_a_claim_that_was_lost_meanwhile_is_not_marked_done(coordinator: Coordinator, store: FaultyStore) -> None:
    add(coordinator)
    other = make_queue(store, "host/b")

    def processor(url: str) -> str:
        other.release_holder(coordinator.queue.worker)
        other.claim(VIDEO_TASKS, 1)
        return "late"

    coordinator.process_next_task(processor)
    row = only_row(coordinator)
    assert (row.claimed_by, row.lease.state, row.result) == ("host/b", State.HELD, "")


def test_an_outcome_that_cannot_be_recorded_is_recorded_later(
    coordinator: Coordinator, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts_module, "RECORD_AGAIN_SECONDS", 0)
    add(coordinator)
    refused = iter(range(3))

    def processor(url: str) -> None:
        store.fails = lambda verb: verb == "swap" and next(refused, None) is not None

    assert coordinator.process_next_task(processor)
    assert only_row(coordinator).lease.state is State.DONE


def test_an_unavailable_queue_is_an_error(coordinator: Coordinator, store: FaultyStore) -> None:
    store.fails = lambda verb: True
    with pytest.raises(StoreUnavailable):
        coordinator.process_next_task(print)


# --- the sources file ------------------------------------------------------------------------------------------------


def test_the_sources_file_is_taken_in_and_expanded(
    make: Callable[..., Coordinator], tmp_path: Path, lists: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sources.txt"
    path.write_text(f"{CHANNEL.format(1)}|pt-BR|interview\nno address\n")
    lists(listed(1), listed(2))
    coordinator = make(sources_file_path=path)
    urls: list[str] = []
    while coordinator.process_next_task(urls.append):
        pass
    assert sorted(urls) == [listed(1).url, listed(2).url]
    assert f"{path}, line 2: " in caplog.text
    assert [(task["Accent"], task["Type"]) for task in coordinator.client.get_video_tasks()] == [
        ("pt-BR", "interview")
    ] * 2


def test_sources_are_expanded_only_when_no_video_is_pending(
    coordinator: Coordinator, lists: Callable[..., None]
) -> None:
    add(coordinator)
    coordinator.client.add_source(url=PLAYLIST)
    lists(listed(1))
    assert coordinator.process_next_task(str)
    assert coordinator.queue.counts(SOURCES) == {State.PENDING: 1}
    assert coordinator.process_next_task(str)
    assert coordinator.queue.counts(SOURCES) == {State.DONE: 1}


def test_sources_without_new_videos_are_passed_over(coordinator: Coordinator, lists: Callable[..., None]) -> None:
    for number in range(3):
        coordinator.client.add_source(url=CHANNEL.format(number))
    lists()
    assert coordinator.process_next_task(str) is False
    assert coordinator.queue.counts(SOURCES) == {State.DONE: 3}


def test_when_youtube_throttles_a_listing_the_call_ends(coordinator: Coordinator, lists: Callable[..., None]) -> None:
    coordinator.client.add_source(url=PLAYLIST)
    lists(then=ThrottledError("HTTP Error 429"))
    assert coordinator.process_next_task(str) is False
    assert coordinator.queue.counts(SOURCES) == {State.PENDING: 1}


def test_a_source_that_cannot_be_listed_here_holds_up_no_other(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where a failed attempt may be repeated at once: each source is listed once in a call."""
    calls: list[str] = []

    def listing(source: Source, config: Config) -> Generator[Listed, None, None]:
        calls.append(source.url)
        if source.url == PLAYLIST:
            raise UnfitError("log in again", reason="stale-cookies")
        yield listed(1)

    monkeypatch.setattr(
        coordinator_module, "expand_sources", lambda queue, config: expansion.expand_sources(queue, config, listing)
    )
    coordinator.client.add_source(url=PLAYLIST)
    assert coordinator.process_next_task(str) is False
    assert calls == [PLAYLIST]
    coordinator.client.add_source(url=CHANNEL.format(1))
    assert coordinator.process_next_task(str) is True
    assert len(calls) <= 3
    assert coordinator.queue.counts(SOURCES) == {State.PENDING: 1, State.DONE: 1}


def test_a_file_that_changes_is_taken_in_again_and_one_that_does_not_is_not_read(
    make: Callable[..., Coordinator], tmp_path: Path, store: FaultyStore, lists: Callable[..., None]
) -> None:
    lists()
    path = tmp_path / "sources.txt"
    path.write_text(f"{CHANNEL.format(1)}\n")
    coordinator = make(sources_file_path=path)
    coordinator.process_next_task(str)
    inserts = store.calls["insert"]
    coordinator.process_next_task(str)
    assert store.calls["insert"] == inserts
    path.write_text(f"{CHANNEL.format(1)}\n{CHANNEL.format(2)}\n")
    coordinator.process_next_task(str)
    assert [source["URL"] for source in coordinator.client.get_sources()] == [CHANNEL.format(1), CHANNEL.format(2)]


def test_a_file_that_was_never_there_is_an_error(make: Callable[..., Coordinator], tmp_path: Path) -> None:
    coordinator = make(sources_file_path=tmp_path / "sources.txt")
    with pytest.raises(SourcesFileError, match="No such file"):
        coordinator.process_next_task(str)


def test_a_file_that_is_gone_for_a_while_ends_no_worker(
    make: Callable[..., Coordinator], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sources.txt"
    path.write_text("# nothing yet\n")
    coordinator = make(sources_file_path=path)
    add(coordinator, 2)
    assert coordinator.process_next_task(str)
    path.unlink()
    assert coordinator.process_next_task(str)
    assert "and is skipped" in caplog.text


# --- a loop without a sleep ------------------------------------------------------------------------------------------


def test_an_idle_loop_asks_the_store_at_most_every_idle_poll_seconds(
    make: Callable[..., Coordinator], store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator = make(idle_poll_seconds=30, claim_jitter_seconds=5)
    clock = CoordinatorTime()
    clock.install(monkeypatch)
    store.calls.clear()
    coordinator.process_next_task(str)
    once = store.calls.total()
    until = clock.now + 300
    while clock.now < until:
        assert coordinator.process_next_task(str) is False
    assert store.calls.total() <= 11 * once
    assert all(0 <= seconds <= 5 for seconds in clock.slept)
    assert len(clock.slept) > 60


def test_a_source_that_is_added_by_hand_is_looked_at_now(
    make: Callable[..., Coordinator], lists: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator = make(idle_poll_seconds=30)
    CoordinatorTime().install(monkeypatch)
    assert coordinator.process_next_task(str) is False
    lists(listed(1))
    coordinator.client.add_source(url=PLAYLIST)
    assert coordinator.process_next_task(str) is True


# --- client ----------------------------------------------------------------------------------------------------------


def test_sources_and_videos_are_dicts_by_column_name(coordinator: Coordinator, lists: Callable[..., None]) -> None:
    assert coordinator.client.add_source(url=PLAYLIST, accent="Nigerian", source_type="interview") == 1
    (source,) = coordinator.client.get_sources()
    assert list(source)[:7] == ["ID", "URL", "Status", "ClaimedBy", "ClaimedAt", "Accent", "Type"]
    assert {"URL": PLAYLIST, "Status": "pending", "Accent": "Nigerian", "Type": "interview"}.items() <= source.items()
    lists(listed(7))
    coordinator.process_next_task(lambda url: "media/7.m4a")
    (task,) = coordinator.client.get_video_tasks()
    names = ["ID", "SourceID", "URL", "Status", "ClaimedBy", "ClaimedAt", "Accent", "Type", "Duration", "RetryCount"]
    assert list(task)[:10] == names
    shown = {name: task[name] for name in ("SourceID", "URL", "Status", "Accent", "Duration", "Title", "Result")}
    assert shown == {
        "SourceID": 1,
        "URL": listed(7).url,
        "Status": "done",
        "Accent": "Nigerian",
        "Duration": 60,
        "Title": "Video 7",
        "Result": "media/7.m4a",
    }


# --- its parts -------------------------------------------------------------------------------------------------------


def test_a_coordinator_is_cheap_to_build(make: Callable[..., Coordinator], store: FaultyStore) -> None:
    before = store.calls.total()
    made = [make() for _ in range(100)]
    assert {id(each.queue.store) for each in made} == {id(store)}
    assert len({each.queue.worker for each in made}) == 100
    assert store.calls.total() == before


def test_its_rows_carry_the_host_and_the_run(config: Config, store: FaultyStore) -> None:
    coordinator = Coordinator(config, run="my run")
    add(coordinator)
    coordinator.queue.claim(VIDEO_TASKS, 1)
    assert only_row(coordinator).claimed_by.startswith(f"{socket.gethostname()}/my run.")


def test_everything_it_holds_is_given_back(coordinator: Coordinator, make: Callable[..., Coordinator]) -> None:
    add(coordinator, 5)
    coordinator.client.add_source(url=PLAYLIST)
    coordinator.queue.claim(VIDEO_TASKS, 2)
    coordinator.queue.claim(SOURCES, 1)
    make().queue.claim(VIDEO_TASKS, 1)
    assert coordinator.give_back() == 3
    assert coordinator.queue.counts(VIDEO_TASKS) == {State.PENDING: 4, State.HELD: 1}


def test_an_attempt_submitted_in_the_moment_of_an_interruption_is_ended(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(worker: Worker, claim: Claim[VideoTask]) -> None:
        worker.submit(claim.row)
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "_begin", begin)
    add(coordinator)
    with pytest.raises(KeyboardInterrupt):
        coordinator.process("tests.support.bad_processors:sleeps", Limits(concurrency=2))
    assert (only_row(coordinator).lease.state, only_row(coordinator).retry_count) == (State.PENDING, 0)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("video")] == []


def test_rounds_wait_for_what_is_to_be_tried_again(
    make: Callable[..., Coordinator], monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator = make(retry_backoff_seconds=60, retry_backoff_max_seconds=60)
    clock = CoordinatorTime()
    clock.install(monkeypatch)
    add(coordinator)
    rounds = coordinator.rounds(Limits(concurrency=1), Summary())
    next(rounds)
    coordinator.process_next_task(fails(OSError("broken pipe")))
    next(rounds)
    assert 25 < sum(clock.slept) <= 60


def test_rounds_end_when_nothing_is_left(make: Callable[..., Coordinator], monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = make()
    clock = CoordinatorTime()
    clock.install(monkeypatch)
    add(coordinator)
    assert [coordinator.process_next_task(str) for _ in coordinator.rounds(Limits(concurrency=1), Summary())] == [True]
    assert clock.slept == []


def test_rounds_do_not_wait_for_what_is_later_than_their_time(
    make: Callable[..., Coordinator], monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator = make(retry_backoff_seconds=60, retry_backoff_max_seconds=60)
    clock = CoordinatorTime()
    clock.install(monkeypatch)
    add(coordinator)
    for _ in coordinator.rounds(Limits(concurrency=1, max_seconds=10), Summary()):
        coordinator.process_next_task(fails(OSError("broken pipe")))
    assert clock.slept == []
