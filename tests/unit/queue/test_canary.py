"""The canary in the admission: it tells a block of the machine from a row at fault, and is never trusted too far."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.faulty_store import ClockedStore
from tests.support.rows import make_admission, make_queue, new_video
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Control, Done, Failure, Outcome, State, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.canary import CANARY_LINE, Canary
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS

BOT_CHECK = Failure(verdict=Verdict.THROTTLED, reason="bot-check", message="Sign in to confirm you're not a bot")
OWN = Failure(verdict=Verdict.THROTTLED, reason="throttled", message="my own service")
GONE = Failure(verdict=Verdict.GONE, reason="gone", message="Video unavailable")
PRIVATE = Failure(verdict=Verdict.PERMANENT, reason="private")
NETWORK = Failure(verdict=Verdict.RETRY, reason="network")
CANARY = "https://www.youtube.com/watch?v=canary-0001"
PAUSE = timedelta(seconds=901)


@dataclass
class Youtube:
    """Answers requests for canaries from a script, else with Done; keeps what was asked."""

    answers: deque[Outcome] = field(default_factory=deque)
    asked: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def __call__(self, url: str) -> Outcome:
        self.asked.append(url)
        self.meanwhile()
        return self.answers.popleft() if self.answers else Done()


@pytest.fixture
def store() -> Iterator[ClockedStore]:
    store = ClockedStore()
    yield store
    store.close()


@pytest.fixture
def youtube() -> Youtube:
    return Youtube()


@pytest.fixture
def worker(store: ClockedStore, machine_state: ClockedStore, youtube: Youtube) -> Callable[..., Queue]:
    """Return a function that makes a worker on a machine with a canary."""

    def make(name: str = "host-a/1", url: str = CANARY, **more: Any) -> Queue:
        queue = make_queue(store, name, policy=replace(make_queue(store).video_policy, max_throttles=5))
        canary = Canary(request=youtube, configured_url=url, machine_state=machine_state)
        queue.admission = make_admission(store, name, machine_state=machine_state, canary=canary, **more)
        return queue

    return make


def add(queue: Queue, count: int = 20) -> None:
    videos = (f"video-{number:05}" for number in range(count))
    urls = ((name, f"https://www.youtube.com/watch?v={name}") for name in videos)
    queue.add(VIDEO_TASKS, [new_video(n, key=f"yt:v:{name}", url=url) for n, (name, url) in enumerate(urls)])


def settle(queue: Queue, outcome: Outcome) -> None:
    """End one attempt, as a worker does."""
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, outcome)])
    queue.admission.check_canary()


def line(queue: Queue) -> Control:
    return next(line for line in queue.store.controls() if line.name == queue.admission.cooldown_name)


# --- a cooldown that begins ------------------------------------------------------------------------------------------


def test_an_answered_canary_ends_the_cooldown_at_once_and_the_row_is_at_fault(
    worker: Callable[..., Queue], youtube: Youtube
) -> None:
    told: list[Control] = []
    queue = worker(on_cooldown=told.append)
    add(queue)
    settle(queue, BOT_CHECK)
    assert (line(queue).value, youtube.asked, told) == ("clear", [CANARY], [])
    assert queue.admission.goes_on
    assert len(queue.claim(VIDEO_TASKS, 5)) == 5
    assert sorted(row.lease.throttles for row in queue.rows(VIDEO_TASKS))[-1] == 1


@pytest.mark.parametrize("answer", [BOT_CHECK, NETWORK, GONE, PRIVATE])
def test_any_other_answer_leaves_the_cooldown_as_it_was(
    worker: Callable[..., Queue], youtube: Youtube, answer: Outcome
) -> None:
    told: list[Control] = []
    queue = worker(on_cooldown=told.append)
    add(queue)
    youtube.answers.append(answer)
    settle(queue, BOT_CHECK)
    assert (line(queue).value, line(queue).reason) == ("cooling", f"host-a/1: {BOT_CHECK}")
    assert told == [line(queue)]
    assert not queue.admission.goes_on
    assert queue.claim(VIDEO_TASKS, 5) == []


def test_while_the_canary_is_asked_nothing_begins(worker: Callable[..., Queue], youtube: Youtube) -> None:
    queue, other = worker(), worker("host-a/2")
    add(queue)
    claimed: list[int] = []
    youtube.meanwhile = lambda: claimed.append(len(other.claim(VIDEO_TASKS, 5)) + len(queue.claim(VIDEO_TASKS, 5)))
    settle(queue, BOT_CHECK)
    assert claimed == [0]


def test_what_a_person_says_meanwhile_stands(worker: Callable[..., Queue], youtube: Youtube) -> None:
    queue = worker()
    add(queue)
    name = queue.admission.cooldown_name
    youtube.meanwhile = lambda: queue.store.set_control(
        name, lambda line: replace(line, value="stop") if line else None
    )
    settle(queue, BOT_CHECK)
    assert line(queue).value == "stop"
    assert not queue.admission.goes_on


def test_a_cooldown_that_a_person_has_changed_is_not_asked_about(
    worker: Callable[..., Queue], youtube: Youtube
) -> None:
    queue = worker()
    add(queue)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, BOT_CHECK)])
    queue.store.set_control(queue.admission.cooldown_name, lambda line: replace(line, value="stop") if line else None)
    queue.admission.check_canary()
    assert (youtube.asked, queue.admission.goes_on, line(queue).value) == ([], False, "stop")


def test_a_canary_says_nothing_about_another_service(worker: Callable[..., Queue], youtube: Youtube) -> None:
    queue = worker()
    add(queue)
    settle(queue, OWN)
    assert (line(queue).value, youtube.asked) == ("cooling", [])


def test_a_block_that_spares_the_canary_holds_all_the_same(worker: Callable[..., Queue], youtube: Youtube) -> None:
    queue = worker()
    add(queue)
    for _ in range(4):
        settle(queue, BOT_CHECK)
    assert line(queue).value == "clear"
    settle(queue, BOT_CHECK)
    assert (line(queue).value, len(youtube.asked)) == ("cooling", 4)


def test_rows_that_were_refused_before_do_not_make_the_canary_doubtful(
    worker: Callable[..., Queue], youtube: Youtube, store: ClockedStore
) -> None:
    queue = worker()
    queue.add(VIDEO_TASKS, [new_video(1, key="yt:v:video-00001")])
    for refusals in range(1, 5):
        settle(queue, BOT_CHECK)
        assert (line(queue).value, len(youtube.asked)) == ("clear", refusals)
        store.ahead += timedelta(days=1)


def test_it_is_trusted_again_when_a_row_is_answered_or_a_pause_is_over(
    worker: Callable[..., Queue], youtube: Youtube, store: ClockedStore
) -> None:
    queue = worker()
    add(queue)
    for outcome in (*[BOT_CHECK] * 4, NETWORK, *[BOT_CHECK] * 4):
        settle(queue, outcome)
    assert (line(queue).value, len(youtube.asked)) == ("clear", 8)
    settle(queue, BOT_CHECK)
    assert line(queue).value == "cooling"
    store.ahead += PAUSE
    settle(queue, BOT_CHECK)
    assert (line(queue).value, len(youtube.asked)) == ("clear", 10), "once before the row, once after it"


def test_when_the_store_fails_meanwhile_the_outcome_is_recorded_and_another_may_probe_soon(
    worker: Callable[..., Queue], youtube: Youtube, store: ClockedStore
) -> None:
    queue, other = worker(), worker("host-a/2")
    add(queue)
    with pytest.MonkeyPatch.context() as patch:

        def set_control(*_: Any) -> Any:
            raise StoreUnavailable("no answer")

        youtube.meanwhile = lambda: patch.setattr(store, "set_control", set_control)
        settle(queue, BOT_CHECK)
    youtube.meanwhile = lambda: None
    assert line(queue).value == "probing"
    assert not queue.admission.goes_on
    assert queue.counts(VIDEO_TASKS) == {State.PENDING: 20}
    store.ahead += timedelta(seconds=121)
    assert len(other.claim(VIDEO_TASKS, 5)) == 5, "the canary was asked first"


def test_poisoned_rows_alone_at_the_end_are_dead_letters_in_the_end(
    worker: Callable[..., Queue], store: ClockedStore
) -> None:
    queue = worker()
    add(queue, 2)
    for _ in range(60):
        while claims := queue.claim(VIDEO_TASKS, 1):
            queue.settle([(claims[0], BOT_CHECK)])
            queue.admission.check_canary()
        store.ahead += timedelta(minutes=20)
    assert [row.lease.reason for row in queue.rows(DEAD_LETTERS)] == ["blocked", "blocked"]


# --- a probe ---------------------------------------------------------------------------------------------------------


def cooled(queue: Queue, youtube: Youtube) -> None:
    """Begin a cooldown that the canary confirms, and let its pause pass."""
    youtube.answers.append(BOT_CHECK)
    settle(queue, BOT_CHECK)
    queue.store.ahead += PAUSE  # type: ignore[attr-defined]


def test_the_canary_is_probed_before_any_row(worker: Callable[..., Queue], youtube: Youtube) -> None:
    queue = worker()
    add(queue)
    cooled(queue, youtube)
    assert len(queue.claim(VIDEO_TASKS, 5)) == 5
    assert line(queue).value == "clear"


def test_a_refused_canary_makes_the_pause_longer_and_no_row_is_tried(
    worker: Callable[..., Queue], youtube: Youtube, store: ClockedStore
) -> None:
    queue = worker()
    add(queue)
    cooled(queue, youtube)
    youtube.answers += [BOT_CHECK, BOT_CHECK]
    assert queue.admission.acquire(5) == 0
    assert (line(queue).value, line(queue).pause_seconds) == ("cooling", 1800)
    assert line(queue).reason == "host-a/1: bot-check: the canary was refused as well"
    store.ahead += 2 * PAUSE
    assert queue.claim(VIDEO_TASKS, 5) == [], "it is asked again: the reason is YouTube's still"
    assert line(queue).pause_seconds == 3600


def test_a_canary_that_says_nothing_leaves_the_probe_to_a_row(worker: Callable[..., Queue], youtube: Youtube) -> None:
    queue = worker()
    add(queue)
    cooled(queue, youtube)
    youtube.answers.append(NETWORK)
    assert len(queue.claim(VIDEO_TASKS, 5)) == 1
    assert line(queue).value == "probing"


# --- which video -----------------------------------------------------------------------------------------------------


def test_the_last_video_that_is_done_is_the_canary_of_its_machine(
    worker: Callable[..., Queue], youtube: Youtube, machine_state: ClockedStore
) -> None:
    one, other = worker(url=""), worker("host-a/2", url="")
    add(one)
    settle(one, BOT_CHECK)
    assert youtube.asked == [], "none is known yet"
    one.admission.lift("by hand")
    (claim,) = one.claim(VIDEO_TASKS, 1)
    one.settle([(claim, Done())])
    settle(other, BOT_CHECK)
    assert youtube.asked == [claim.row.url]


def test_what_was_there_already_or_is_on_another_site_is_no_canary(
    worker: Callable[..., Queue], youtube: Youtube
) -> None:
    queue = worker(url="")
    add(queue, 1)
    queue.add(VIDEO_TASKS, [new_video(n) for n in range(100, 120)])
    settle(queue, Done(asked_youtube=False))
    settle(queue, Done())
    settle(queue, BOT_CHECK)
    assert youtube.asked == []


def test_a_canary_that_is_gone_is_replaced(
    worker: Callable[..., Queue], youtube: Youtube, machine_state: ClockedStore, store: ClockedStore
) -> None:
    queue = worker(url="")
    add(queue)
    (first,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(first, Done())])
    youtube.answers.append(GONE)
    settle(queue, BOT_CHECK)
    assert [line.value for line in machine_state.controls() if line.name == CANARY_LINE] == [""]
    queue.admission.lift("by hand")
    (second,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(second, Done())])
    settle(queue, BOT_CHECK)
    assert youtube.asked == [first.row.url, second.row.url]
    assert [line.value for line in machine_state.controls() if line.name == CANARY_LINE] == [second.row.url]


def test_the_canary_is_saved_once_an_hour(
    worker: Callable[..., Queue], machine_state: ClockedStore, store: ClockedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = worker(url="")
    add(queue)
    saved: list[str] = []
    set_control = machine_state.set_control

    def counted(name: str, *given: Any) -> Control | None:
        saved.append(name)
        return set_control(name, *given)

    monkeypatch.setattr(machine_state, "set_control", counted)
    for _ in range(5):
        settle(queue, Done())
    assert saved == [CANARY_LINE]
    store.ahead += timedelta(hours=1)
    settle(queue, Done())
    assert saved == [CANARY_LINE] * 2
