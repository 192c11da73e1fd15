"""If a row raises while it is changed, it is set apart with the reason, and the others are changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tests.support.rows import make_admission, make_queue, new_source
from youtube_download_coordinator.models import Control, Done, State
from youtube_download_coordinator.queue import Queue, lifecycle
from youtube_download_coordinator.queue.machine_lines import REVISION_LINE, MachineLines
from youtube_download_coordinator.queue.refresh import next_look
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import SOURCES
from youtube_download_coordinator.stores.sql import SqlStore


@pytest.fixture
def store() -> Iterator[SqlStore]:
    store = SqlStore("sqlite://")
    yield store
    store.close()


@pytest.mark.parametrize(
    ("broken", "change", "is_done"),
    [
        ("reschedule", lambda queue: queue.recover(SOURCES), True),
        ("recover", lambda queue: queue.recover(SOURCES), False),
        ("retry_now", lambda queue: queue.retry(SOURCES, Selection()), True),
        ("apply_request", lambda queue: queue.skip(SOURCES, Selection()), False),
    ],
)
def test_a_row_that_raises_is_set_apart_with_the_reason(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, broken: str, change: Callable[[Queue], object], is_done: bool
) -> None:
    queue = make_queue(store)
    queue.add(SOURCES, [new_source(1), new_source(2)])
    if broken != "apply_request":
        claims = queue.claim(SOURCES, 2)
        queue.settle([(claim, Done()) for claim in claims] if is_done else [])
    before = {row.id: row.lease.version for row in queue.rows(SOURCES)}
    real = getattr(lifecycle, broken)

    def raises(row: object, *rest: object) -> object:
        if getattr(row, "id", 0) == 1:
            raise OverflowError("date value out of range")
        return real(row, *rest)

    monkeypatch.setattr(lifecycle, broken, raises)
    later = store.now() + timedelta(days=400)
    monkeypatch.setattr(SqlStore, "now", lambda self: later)
    change(queue)
    first, second = queue.rows(SOURCES)
    assert first.lease.state is State.ERROR
    assert first.lease.detail == "unreadable-row: OverflowError: date value out of range"
    assert second.lease.state is not State.ERROR
    assert second.lease.version == before[2] + 1


def test_a_source_that_was_checked_at_the_end_of_time_is_listed_again(store: SqlStore) -> None:
    """A sum of a time in a cell and an interval must exist."""
    queue = make_queue(store)
    end_of_time = store.now().replace(year=9999)
    source = new_source(1, checked_at=end_of_time, extra={"RefreshHours": "8784"})
    lease = next_look(source, store.now(), timedelta(days=1))
    assert lease <= queue.store.now() + timedelta(days=366)


def test_a_count_of_a_machine_that_is_not_a_number_begins_anew(store: SqlStore) -> None:
    store.set_control(REVISION_LINE, lambda line: Control(name=REVISION_LINE, value="soon"))
    MachineLines(store=store, rate_limit=None).increase_revision()
    assert [line.value for line in store.controls()] == ["1"]
    assert make_admission(store).blocked() is None
