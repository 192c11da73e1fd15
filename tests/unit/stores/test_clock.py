"""A store's clock between its answers: never ahead of the store, never further behind than it says, and seldom asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sheet import sheet_desk
from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.stores.clock import (
    DRIFT,
    StoreClock,
    monotonic_seconds,
    suspended_seconds,
    wall_clock_offset,
)
from youtube_download_coordinator.stores.sheets.api import Connection
from youtube_download_coordinator.stores.sql import SqlStore

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MAX_AGE_SECONDS = 60.0


class SimulatedStore:
    """A store that tells the time, and this machine's two clocks; a test lets time pass."""

    def __init__(self, *, resolution_seconds: float = 0.001, can_be_set_back: bool = True) -> None:
        self.true = NOON
        """The store's clock."""
        self.monotonic = 5000.0
        self.jumps = 7.0
        self.asked = 0
        self.way_seconds = 0.01
        """Each way of an answer."""
        self.failure: Exception | None = None
        self.tells_time = True
        self.rate = 1.0
        """Seconds of this machine's monotonic clock in a second of the store's."""
        self.resolution_seconds = resolution_seconds
        self.clock = StoreClock(
            self.answer,
            max_age_seconds=MAX_AGE_SECONDS,
            resolution_seconds=resolution_seconds,
            can_be_set_back=can_be_set_back,
            monotonic=lambda: self.monotonic,
            jumps=lambda: self.jumps,
        )

    def pass_time(self, seconds: float) -> None:
        self.true += timedelta(seconds=seconds)
        self.monotonic += seconds * self.rate

    def suspend(self, seconds: float, *, is_counted: bool = True) -> None:
        """Suspend the machine; `is_counted`: its monotonic clock goes on."""
        self.true += timedelta(seconds=seconds)
        self.monotonic += seconds if is_counted else 0
        self.jumps += seconds

    def answer(self) -> None:
        """Answer a request: the time is taken on the way, and cut."""
        self.asked += 1
        sent = self.clock.before_request()
        self.pass_time(self.way_seconds)
        if self.failure:
            raise self.failure
        cut = timedelta(seconds=(self.true - NOON).total_seconds() % self.resolution_seconds)
        answer = self.true - cut
        self.pass_time(self.way_seconds)
        if self.tells_time:
            self.clock.record(answer, sent)

    def behind_seconds(self) -> float:
        return (self.true - self.clock.now()).total_seconds()

    def check(self) -> None:
        """Check that `now` is not ahead, nor further behind than `error_seconds`; a microsecond is rounding."""
        now = self.clock.now()
        behind = (self.true - now).total_seconds()
        assert -1e-5 <= behind <= self.clock.error_seconds + 1e-5


seconds = st.floats(0, 200, allow_nan=False)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), seconds),
        st.tuples(st.just("answer"), st.floats(0, 5)),
        st.tuples(st.just("suspend"), st.floats(2, 10_000)),
        st.tuples(st.just("suspend uncounted"), st.floats(2, 10_000)),
    ),
    max_size=30,
)


@given(steps=STEPS, rate=st.floats(1 - DRIFT / 2, 1 + DRIFT / 2), resolution_seconds=st.sampled_from([0.001, 1.0]))
def test_it_is_never_ahead_and_never_further_behind_than_it_says(
    steps: list[tuple[str, float]], rate: float, resolution_seconds: float
) -> None:
    for can_be_set_back in (True, False):
        store = SimulatedStore(resolution_seconds=resolution_seconds, can_be_set_back=can_be_set_back)
        store.rate = rate
        for step, amount in steps:
            if step == "pass":
                store.pass_time(amount)
            elif step == "answer":
                store.way_seconds = amount
                store.answer()
                store.way_seconds = 0.01
            else:
                store.suspend(amount, is_counted=step == "suspend")
            store.check()


@given(steps=st.lists(st.tuples(st.floats(0, 50), st.timedeltas(-2 * HOUR, 2 * HOUR)), max_size=20))
def test_a_database_whose_clock_is_set_is_followed_with_its_next_answer(steps: list[tuple[float, timedelta]]) -> None:
    store = SimulatedStore()
    for pause, change in steps:
        store.pass_time(pause)
        store.true += change
        store.answer()
        store.check()


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200))
def test_it_is_asked_at_most_once_a_minute(pauses: list[float]) -> None:
    store = SimulatedStore()
    for pause in pauses:
        store.pass_time(pause)
        store.clock.now()
    assert store.asked <= 1 + sum(pauses) / MAX_AGE_SECONDS


def test_answers_to_other_questions_take_the_place_of_asking() -> None:
    store = SimulatedStore()
    store.clock.now()
    for _ in range(10):
        store.pass_time(50)
        store.answer()
        asked = store.asked
        store.check()
        assert store.asked == asked


@pytest.mark.parametrize("is_counted", [True, False])
def test_after_a_suspend_it_is_asked_again(is_counted: bool) -> None:
    store = SimulatedStore()
    store.clock.now()
    store.suspend(30, is_counted=is_counted)
    store.check()
    assert store.asked == 2
    store.check()
    assert store.asked == 2


def test_a_suspend_while_an_answer_is_on_its_way_is_noticed() -> None:
    """The answer then is as old as the suspend was long, and a monotonic clock that stood still does not show it."""
    store = SimulatedStore()
    sent = store.clock.before_request()
    answer = store.true
    store.suspend(3600, is_counted=False)
    store.clock.record(answer, sent)
    store.check()
    assert store.asked == 1


def test_many_answers_narrow_it_down() -> None:
    """A date is cut to seconds; several of them, at different parts of a second, say more than one."""
    store = SimulatedStore(resolution_seconds=1.0, can_be_set_back=False)
    store.pass_time(0.97)
    store.answer()
    assert store.behind_seconds() > 0.9
    for _ in range(20):
        store.pass_time(1.05)
        store.answer()
        store.check()
    assert store.behind_seconds() < 0.2


def test_of_many_servers_the_one_that_is_behind_is_ignored() -> None:
    store = SimulatedStore(resolution_seconds=1.0, can_be_set_back=False)
    before = store.clock.now()
    store.true -= HOUR
    store.answer()
    assert store.clock.now() >= before


def test_a_wide_answer_does_not_set_a_good_clock_back() -> None:
    store = SimulatedStore()
    before = store.clock.now()
    store.way_seconds = 5
    store.answer()
    assert store.clock.now() - before > timedelta(seconds=9.9)
    assert store.clock.error_seconds < 0.1


def test_the_error_of_the_answer_before_still_counts() -> None:
    """A caller may have asked for `now` just before a better answer came, and asks for the error just after."""
    store = SimulatedStore()
    store.way_seconds = 3
    store.clock.now()
    behind = store.behind_seconds()
    store.way_seconds = 0
    store.answer()
    assert store.clock.error_seconds >= behind
    store.answer()
    assert store.clock.error_seconds < 0.1


def test_answers_without_the_time_are_an_error_and_not_a_loop() -> None:
    store = SimulatedStore()
    store.tells_time = False
    with pytest.raises(StoreError, match=r"do not contain the time.*proxy"):
        store.clock.now()
    assert store.asked == 1


def test_a_store_that_is_away_is_not_guessed_at() -> None:
    store = SimulatedStore()
    store.clock.now()
    store.failure = StoreUnavailable("no answer")
    store.pass_time(59)
    store.check()
    store.pass_time(2)
    with pytest.raises(StoreUnavailable):
        store.clock.now()
    store.failure = None
    store.check()


# --- this machine's clocks -------------------------------------------------------------------------------------------


def clocks_of(**clocks: float) -> Callable[[int], float]:
    return lambda name: clocks[str(name)]


def set_wall_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + seconds * (clock == time.CLOCK_REALTIME))


def test_a_linux_clock_counts_suspends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", "boot", raising=False)
    monkeypatch.setattr(time, "clock_gettime", clocks_of(boot=1000.0))
    monkeypatch.setattr(time, "monotonic", lambda: 400.0)
    assert (monotonic_seconds(), suspended_seconds()) == (1000.0, 600.0)


def test_a_mac_s_clock_counts_suspends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr(time, "CLOCK_UPTIME_RAW", "awake", raising=False)
    monkeypatch.setattr(time, "CLOCK_MONOTONIC", "all")
    monkeypatch.setattr(time, "clock_gettime", clocks_of(awake=400.0, all=1000.0))
    monkeypatch.setattr(time, "monotonic", lambda: 400.0)
    assert (monotonic_seconds(), suspended_seconds()) == (1000.0, 600.0)


def test_elsewhere_there_is_one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLOCK_BOOTTIME", "CLOCK_UPTIME_RAW"):
        monkeypatch.delattr(time, name, raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 400.0)
    assert (monotonic_seconds(), suspended_seconds()) == (400.0, 0.0)


def test_a_set_wall_clock_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = wall_clock_offset()
    set_wall_clock(monkeypatch, 3600)
    assert 3599 < wall_clock_offset() - before < 3601


# --- on a database ---------------------------------------------------------------------------------------------------


class Machine:
    """The clocks that a SqlStore is given."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.jumps = 0.0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[SqlStore]:
    """Return the list of stores that asked their database for the time, one entry for each query."""
    asked: list[SqlStore] = []
    ask = SqlStore._ask_time

    def note(store: SqlStore) -> None:
        asked.append(store)
        ask(store)

    monkeypatch.setattr(SqlStore, "_ask_time", note)
    return asked


@pytest.mark.parametrize("jump", ["suspend", "old"])
def test_a_database_is_asked_again_when_it_must_be(jump: str, asked: list[SqlStore]) -> None:
    machine = Machine()
    store = SqlStore("sqlite://", monotonic=lambda: machine.seconds, clock_jumps=lambda: machine.jumps)
    for _ in range(3):
        store.now()
        machine.seconds += 10
    assert len(asked) == 1
    machine.seconds += 31 if jump == "old" else 0
    machine.jumps += 2 if jump == "suspend" else 0
    store.now()
    assert len(asked) == 2
    store.close()


def test_a_sqlite_store_notices_that_the_wall_clock_was_set(
    asked: list[SqlStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlStore("sqlite://")
    store.now()
    store.now()
    assert len(asked) == 1
    set_wall_clock(monkeypatch, 3600)
    store.now()
    assert len(asked) == 2
    store.close()


def test_an_answer_of_google_with_an_older_date_is_not_followed() -> None:
    """Its servers' clocks differ: what one has dated an hour ago must not make a lease last longer."""
    with sheet_desk() as desk:
        environment = replace(desk.environment("other"), monotonic=lambda: desk.clock.seconds)
        connection = Connection(desk.config, environment)
        connection.properties("spreadsheetId")
        before = connection.now()
        desk.clock.offset_seconds -= 3600
        connection.properties("spreadsheetId")
        assert before <= connection.now() < before + timedelta(seconds=30)
