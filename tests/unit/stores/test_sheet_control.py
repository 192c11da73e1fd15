"""Control on a sheet: what people type there, what a sort does to it, and that looking at it costs nothing of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.rows import make_admission
from tests.support.sheet import SheetDesk, a_video
from youtube_download_coordinator.models import Control, Done, Failure, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.text import format_utc

CONTROL = "Control"
NAME = "cooldown host"
BOT_CHECK = Failure(verdict=Verdict.THROTTLED, reason="bot-check", message="=1+1 are you a robot?")


@pytest.fixture
def machine_state() -> Iterator[SqlStore]:
    machine_state = SqlStore("sqlite://")
    yield machine_state
    machine_state.close()


def queue_of(desk: SheetDesk, name: str = "a", machine_state: SqlStore | None = None) -> Queue:
    queue = desk.queue(name)
    queue.admission = make_admission(queue.store, queue.worker, machine_state=machine_state)
    return queue


def add(queue: Queue, count: int = 20) -> None:
    queue.add(VIDEO_TASKS, (a_video(number, title=f"{number}") for number in range(count)))


def row_of(desk: SheetDesk, name: str) -> int:
    return next(at for at, line in enumerate(desk.lines(CONTROL), start=1) if line["Name"] == name)


def types(desk: SheetDesk, column: str, text: str, name: str = NAME) -> None:
    """Type into a line of Control as a person. A worker sees it half a minute later."""
    desk.person.edit(CONTROL, row_of(desk, name), column, text)
    desk.clock.advance(31)


def adds_line(desk: SheetDesk, **cells: str) -> None:
    desk.person.insert_row(CONTROL, 1, dict(cells))
    desk.clock.advance(31)


def throttle(queue: Queue) -> None:
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, BOT_CHECK)])


def shown(desk: SheetDesk, name: str = NAME) -> dict[str, str]:
    return desk.lines(CONTROL)[row_of(desk, name) - 1]


# --- what people see and type ----------------------------------------------------------------------------------------


def test_people_see_who_why_and_until_when(desk: SheetDesk) -> None:
    queue = queue_of(desk)
    add(queue)
    now = queue.store.now()
    throttle(queue)
    line = shown(desk)
    assert (line["Value"], line["Reason"]) == ("cooling", "host/a: bot-check: =1+1 are you a robot?")
    until = datetime.fromisoformat(line["Until"])
    assert timedelta(minutes=15) <= until - now <= timedelta(minutes=15, seconds=5)
    assert not [each for each in desk.book.formulas() if each[0] == CONTROL]


@pytest.mark.parametrize("typed", ["clear", "Clear ", ""])
def test_a_person_lifts_a_cooldown(desk: SheetDesk, typed: str) -> None:
    queue = queue_of(desk)
    add(queue)
    throttle(queue)
    assert queue.claim(VIDEO_TASKS, 5) == []
    types(desk, "Value", typed)
    assert len(queue.claim(VIDEO_TASKS, 5)) == 5


def test_a_person_deletes_the_line(desk: SheetDesk) -> None:
    queue = queue_of(desk)
    add(queue)
    throttle(queue)
    desk.person.delete_row(CONTROL, row_of(desk, NAME))
    desk.clock.advance(31)
    assert len(queue.claim(VIDEO_TASKS, 5)) == 5


def test_a_person_types_another_until(desk: SheetDesk) -> None:
    """Sheets makes a date cell of it, and shows it in its own way."""
    queue = queue_of(desk)
    add(queue)
    throttle(queue)
    sooner = (queue.store.now() + timedelta(minutes=3)).replace(microsecond=0)
    types(desk, "Until", f"{sooner:%Y-%m-%d %H:%M:%S}")
    closed = queue.admission.blocked()
    assert closed
    assert closed.until == sooner
    desk.clock.advance(200)
    assert len(queue.claim(VIDEO_TASKS, 5)) == 1


@pytest.mark.parametrize("value", ["paused", "Paused until {until}"])
def test_a_person_pauses_the_fleet_and_lets_it_go_on(desk: SheetDesk, value: str) -> None:
    queue = queue_of(desk)
    add(queue)
    until = f"{queue.store.now() + timedelta(hours=1):%Y-%m-%d %H:%M}"
    given = {} if "{" in value else {"Until": until}
    adds_line(desk, Name="Fleet", Value=value.format(until=until), Reason="sorting", **given)
    assert queue.claim(VIDEO_TASKS, 5) == []
    closed = queue.admission.blocked()
    assert closed
    assert closed.until == datetime.fromisoformat(until).replace(tzinfo=UTC)
    types(desk, "Value", "running", "Fleet")
    assert len(queue.claim(VIDEO_TASKS, 5)) == 5


def test_what_is_read_while_a_pause_is_marked_is_returned(desk: SheetDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other, handle = desk.store("a"), desk.store("b"), desk.simulator.handle
    store.controls(fresh=True)
    adds_line(desk, Name="Fleet", Value="paused")

    def other_is_first(*request: Any, **more: Any) -> Any:
        if b"addNamedRange" in repr((request, more)).encode():
            monkeypatch.undo()
            other.controls(fresh=True)
            adds_line(desk, Name=NAME, Value="cooling")
        return handle(*request, **more)

    monkeypatch.setattr(desk.simulator, "handle", other_is_first)
    assert NAME in {line.name for line in store.controls(fresh=True)}


def test_a_pause_whose_line_is_deleted_in_an_outage_holds_nothing_else_back(desk: SheetDesk) -> None:
    queue = queue_of(desk)
    adds_line(desk, Name="fleet", Value="paused")
    assert queue.admission.blocked()
    desk.person.delete_row(CONTROL, row_of(desk, "fleet"))
    adds_line(desk, Name=NAME, Value="cooling")
    outage = desk.simulator.faults.add("status", status=503, times=None, path="spreadsheets/[^/:]+$")
    for _ in range(2):
        assert {line.name: line.value for line in queue.store.controls()} == {"fleet": "paused", NAME: "cooling"}
    assert outage.fired
    outage.times = 0
    assert {line.name: line.value for line in queue.store.controls()} == {"fleet": "paused", NAME: "cooling"}


def test_a_person_begins_a_cooldown_by_hand(desk: SheetDesk) -> None:
    queue = queue_of(desk)
    add(queue)
    adds_line(desk, Name="Cooldown  HOST", Value="Cooling")
    assert queue.claim(VIDEO_TASKS, 5) == []
    assert shown(desk, "Cooldown  HOST")["Value"] == "cooling"
    assert datetime.fromisoformat(shown(desk, "Cooldown  HOST")["Until"]) > queue.store.now()


def test_a_time_that_is_none_is_said_once_and_does_not_count(desk: SheetDesk, caplog: pytest.LogCaptureFixture) -> None:
    queue = queue_of(desk)
    adds_line(desk, Name="fleet", Value="paused", Until="after lunch")
    for _ in range(3):
        closed = queue.admission.blocked()
        assert closed
        assert closed.until is None
        desk.clock.advance(31)
    messages = [record.getMessage() for record in caplog.records if "after lunch" in record.getMessage()]
    assert len(messages) == 1


def test_the_stores_own_lines_steer_nothing(desk: SheetDesk) -> None:
    queue = queue_of(desk)
    add(queue)
    desk.person.insert_row(CONTROL, 1, {"Name": "guarantees", "Value": "ok"})
    throttle(queue)
    assert [line.name for line in queue.store.controls(fresh=True)] == [NAME]


# --- a person sorts --------------------------------------------------------------------------------------------------


class _Sorts:
    """A person who acts between a store's read of Control and its change."""

    def __init__(self, desk: SheetDesk, store: SheetsStore, act: object, times: int = 1) -> None:
        self.left = times
        batches = store._batches
        read, self.act = batches.read_index, act

        def read_and_act() -> object:
            index = read()
            if self.left:
                self.left -= 1
                act()  # type: ignore[operator]
            return index

        batches.read_index = read_and_act  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize("times", [1, 2])
def test_nothing_stays_on_another_row(desk: SheetDesk, times: int) -> None:
    store = desk.store()
    others = [Control(name="fleet", value="running", reason="by Ana"), Control(name="cooldown b", value="clear")]
    for line in [*others, Control(name=NAME, value="clear", pause_seconds=900)]:
        store.set_control(line.name, lambda _, line=line: line)  # type: ignore[misc]
    desk.person.insert_row(CONTROL, 1, {"Name": "guarantees", "Value": "ok", "Reason": "ydc doctor"})
    before = {line["Name"]: line for line in desk.lines(CONTROL) if line["Name"] not in {NAME, "change"}}

    def sort() -> None:
        desk.person.sort(CONTROL, "Name", descending=sorts.left % 2 == 0)

    sorts = _Sorts(desk, store, sort, times)
    new = Control(name=NAME, value="cooling", until=datetime(2026, 12, 1, tzinfo=UTC), reason="why", pause_seconds=1800)
    assert store.set_control(NAME, lambda line: new) == new
    assert sorts.left == 0
    assert {line["Name"]: line for line in desk.lines(CONTROL) if line["Name"] not in {NAME, "change"}} == before
    assert (shown(desk)["Value"], shown(desk)["Until"]) == ("cooling", format_utc(new.until))
    assert set(store.controls(fresh=True)) == {new, *others}


def test_a_line_that_is_deleted_meanwhile_is_made_anew(desk: SheetDesk) -> None:
    store = desk.store()
    store.set_control(NAME, lambda _: Control(name=NAME, value="clear", pause_seconds=900))
    before = [line["Name"] for line in desk.lines(CONTROL) if line["Name"] != NAME]
    _Sorts(desk, store, lambda: desk.person.delete_row(CONTROL, row_of(desk, NAME)))
    new = Control(name=NAME, value="cooling", until=datetime(2026, 12, 1, tzinfo=UTC), pause_seconds=900)
    assert store.set_control(NAME, lambda line: new) == new
    assert (shown(desk)["Value"], [line["Value"] for line in desk.lines(CONTROL)].count("cooling")) == ("cooling", 1)
    assert [line["Name"] for line in desk.lines(CONTROL) if line["Name"] not in {NAME, ""}] == [
        each for each in before if each
    ]


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_line_is_removed_and_nothing_else(desk: SheetDesk, times: int) -> None:
    store = desk.store()
    others = [Control(name="fleet", value="paused", reason="by Ana"), Control(name="cooldown b", value="clear")]
    for line in [*others, Control(name=NAME, value="clear", reason="by Bo", pause_seconds=900)]:
        store.set_control(line.name, lambda _, line=line: line)  # type: ignore[misc]
    desk.person.insert_row(CONTROL, 1, {"Name": "guarantees", "Value": "ok", "Reason": "ydc doctor"})
    before = {line["Name"]: line for line in desk.lines(CONTROL) if line["Name"] not in {NAME, "change", ""}}

    def sort() -> None:
        desk.person.sort(CONTROL, "Name", descending=sorts.left % 2 == 0)

    sorts = _Sorts(desk, store, sort, times)
    assert store.remove_control(NAME, lambda line: line.pause_seconds == 900)
    assert sorts.left == 0
    after = {line["Name"]: line for line in desk.lines(CONTROL) if any(line.values())}
    del after["change"]
    assert after == before
    assert set(store.controls(fresh=True)) == set(others)


def test_a_pause_whose_line_is_lost_ends(desk: SheetDesk) -> None:
    queue, other = queue_of(desk), queue_of(desk, "b")
    queue.admission.pause(None, "sorting")
    desk.clock.advance(31)
    assert other.admission.blocked()
    desk.person.delete_row(CONTROL, row_of(desk, "fleet"))
    desk.clock.advance(31)
    assert other.admission.blocked()
    assert queue.admission.resume("by hand")
    desk.clock.advance(31)
    assert other.admission.blocked() is None


# --- what it costs ---------------------------------------------------------------------------------------------------


def requests(desk: SheetDesk) -> int:
    return int(desk.simulator.stats()["requests"])


def test_control_comes_along_with_everything_that_is_asked(desk: SheetDesk) -> None:
    queue = queue_of(desk)
    add(queue)
    other = queue_of(desk, "b")
    claims = queue.claim(VIDEO_TASKS, 5)
    other.admission.pause(None, "by hand")
    desk.clock.advance(20)
    queue.renew()
    before = requests(desk)
    assert queue.admission.blocked()
    assert requests(desk) == before + 1  # once for each pause: whether it is marked outside Control
    assert queue.admission.blocked()
    assert requests(desk) == before + 1
    assert claims


def test_an_answer_that_was_long_on_its_way_is_as_old_as_its_question(
    desk: SheetDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, person = queue_of(desk), queue_of(desk, "b").admission
    desk.clock.advance(31)
    handle = desk.simulator.handle

    def slow_once(*request: Any) -> Any:
        monkeypatch.undo()
        answer = handle(*request)
        person.pause(None, "by hand")
        desk.clock.advance(31)
        return answer

    monkeypatch.setattr(desk.simulator, "handle", slow_once)
    assert queue.admission.blocked(), "it was paused half a minute ago, after the first answer had been given"


def test_a_closed_gate_costs_a_run_its_start_and_no_more(desk: SheetDesk) -> None:
    queue = queue_of(desk)
    add(queue)
    throttle(queue)
    before = requests(desk)
    late = queue_of(desk, "late")
    assert late.claim(VIDEO_TASKS, 10) == []
    assert late.claim(SOURCES, 1) == []
    assert requests(desk) - before == 2


def test_while_it_is_closed_a_worker_asks_twice_a_minute(desk: SheetDesk) -> None:
    queue = queue_of(desk)
    add(queue)
    throttle(queue)
    before = requests(desk)
    for _ in range(100):
        desk.clock.advance(3)
        assert queue.claim(VIDEO_TASKS, 10) == []
    assert requests(desk) - before <= 10


def test_the_machines_other_workers_know_at_once(desk: SheetDesk, machine_state: SqlStore) -> None:
    """Through the machine state: otherwise it would take them half a minute."""
    one, two = queue_of(desk, "a", machine_state), queue_of(desk, "b", machine_state)
    add(one)
    assert two.admission.blocked() is None
    throttle(one)
    before = requests(desk)
    assert two.admission.blocked()
    assert requests(desk) - before == 1


def test_a_cooldown_costs_three_requests_at_each_turn(desk: SheetDesk) -> None:
    """The token, a look, the change; beside what the attempt costs anyway."""
    queue = queue_of(desk)
    add(queue)
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    before = requests(desk)
    queue.settle([(claim, BOT_CHECK)])
    assert requests(desk) - before == 3 + 1
    desk.clock.advance(16 * 60)
    before = requests(desk)
    (claim,) = queue.claim(VIDEO_TASKS, 5)
    assert requests(desk) - before <= 3 + 3, "a look at Control, at the lines, the claim"
    before = requests(desk)
    queue.settle([(claim, Done())])
    assert requests(desk) - before == 3 + 1
