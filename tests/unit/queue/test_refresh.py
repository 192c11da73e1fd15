"""The next listing of a source, as pure rules and on the queue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.faulty_store import FaultyStore
from tests.support.rows import POLICY, make_queue, new_source
from tests.support.sheet import SOURCE_TAB, SheetDesk, sheet_desk
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.models import NEVER, Done, Failure, Lease, Source, State, Status, Verdict
from youtube_download_coordinator.queue import Queue, lifecycle
from youtube_download_coordinator.queue.lifecycle import Moment, RetryPolicy
from youtube_download_coordinator.queue.maintenance import SCAN_PAGE_ROWS
from youtube_download_coordinator.queue.refresh import CHECK_INTERVAL, next_look, refresh_hours
from youtube_download_coordinator.queue.store import SOURCES, Change

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
AT = Moment(now=NOW, nonce="fresh")
DAILY = replace(POLICY, refresh=DAY, backoff=timedelta(0), backoff_max=timedelta(0))


def listed(ago: timedelta = timedelta(hours=5), result: str = "", **fields: Any) -> Source:
    """Return a source that was listed so long ago."""
    lease = Lease(state=State.DONE, not_before=NOW, detail=result, nonce="old")
    return new_source(1, **({"checked_at": NOW - ago, "lease": lease} | fields))


# --- the rules -------------------------------------------------------------------------------------------------------


def test_a_source_is_looked_at_so_long_after_its_last_look() -> None:
    assert next_look(listed(timedelta(hours=5)), NOW, DAY) == NOW + timedelta(hours=19)


@pytest.mark.parametrize(("column", "hours"), [("RefreshHours", 6.0), ("refreshhours ", 0.5)])
def test_a_column_goes_before_the_setting(column: str, hours: float) -> None:
    source = listed(timedelta(0), extra={column: str(hours)})
    assert next_look(source, NOW, DAY) == NOW + timedelta(hours=hours)
    assert next_look(source, NOW, None) == NOW + timedelta(hours=hours)


@pytest.mark.parametrize("said", ["off", "Never", "0", "0.0"])
def test_what_is_off_is_asked_again_the_next_day(said: str) -> None:
    assert next_look(listed(extra={"RefreshHours": said}), NOW, DAY) == NOW + CHECK_INTERVAL
    assert next_look(listed(), NOW, None) == NOW + CHECK_INTERVAL


def test_a_column_that_cannot_be_read_makes_it_due() -> None:
    assert next_look(listed(extra={"RefreshHours": "daily"}), NOW, DAY) == NOW


@pytest.mark.parametrize(
    "source",
    [
        listed(key="yt:v:M4gD1WSo5mA"),
        listed(result="is source 12"),
        listed(result="skipped by hand"),
        listed(checked_at=None, lease=Lease(state=State.DONE, nonce="old")),
    ],
    ids=["a video", "an alias", "skipped", "typed as done"],
)
def test_what_does_not_grow_is_never_looked_at_again(source: Source) -> None:
    assert next_look(source, NOW, DAY) == NEVER


def test_a_source_whose_look_is_not_recorded_is_due() -> None:
    """Its worker was killed before the sheet showed CheckedAt; its lease has the time."""
    assert next_look(listed(checked_at=None), NOW, DAY) == NOW


@pytest.mark.parametrize("said", ["-1", "nan", "inf", "9000", "daily", "1,5", "24h"])
def test_what_is_no_number_of_hours_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="is not a number of hours up to 8784"):
        refresh_hours(said)
    monkeypatch.setenv("YDC_REFRESH_AFTER_HOURS", said)
    with pytest.raises(ConfigError, match=r"refresh_after_hours=.*is not a number of hours"):
        Config()


@pytest.mark.parametrize(("said", "refresh"), [("6", timedelta(hours=6)), ("off", None), ("0", None)])
def test_the_setting(said: str, refresh: timedelta | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Config().refresh == timedelta(hours=24)
    monkeypatch.setenv("YDC_REFRESH_AFTER_HOURS", said)
    assert Config().refresh == refresh


def test_a_look_that_is_due_makes_it_pending_and_counts_nothing() -> None:
    row = lifecycle.reschedule(listed(2 * DAY, lease=_done(tries=2)), AT, DAILY)
    assert (row.lease.state, row.lease.tries, row.lease.not_before, row.lease.detail) == (State.PENDING, 0, None, "")


def test_a_look_that_is_not_due_any_more_waits_for_its_new_time() -> None:
    source = listed(timedelta(hours=5), extra={"RefreshHours": "10"})
    row = lifecycle.reschedule(source, AT, DAILY)
    assert (row.lease.state, row.lease.not_before) == (State.DONE, NOW + timedelta(hours=5))
    assert row.lease.version == source.lease.version + 1


def _done(**fields: Any) -> Lease:
    return Lease(state=State.DONE, nonce="old", **fields)


# --- on the queue ----------------------------------------------------------------------------------------------------


@pytest.fixture
def store() -> Iterator[FaultyStore]:
    store = FaultyStore()
    yield store
    store.close()


def queue_with(store: FaultyStore, policy: RetryPolicy = DAILY) -> Queue:
    queue = make_queue(store, policy=policy)
    queue.source_policy = replace(queue.source_policy, refresh=policy.refresh)
    return queue


def listed_once(queue: Queue, count: int, *, ago: timedelta = DAY, **fields: Any) -> None:
    """Add sources that were listed so long ago."""
    queue.add(SOURCES, [new_source(number, **fields) for number in range(count)])
    for claim in queue.claim(SOURCES, count) + queue.claim(SOURCES, count):
        queue.settle([(claim, Done())], checked_at=queue.store.now() - ago)


def soon(queue: Queue, ago: timedelta) -> None:
    """Let the times in the leases pass: what was to be looked at `ago` from now is due."""
    store = queue.store
    real = store.now
    store.now = lambda: real() + ago  # type: ignore[method-assign]


def test_a_source_is_listed_again_when_its_time_has_come(store: FaultyStore) -> None:
    queue = queue_with(store)
    listed_once(queue, 1, ago=timedelta(0))
    (row,) = queue.rows(SOURCES)
    assert row.status is Status.DONE
    assert row.not_before is not None
    assert queue.claim(SOURCES, 1) == []
    soon(queue, DAY + timedelta(seconds=1))
    (claim,) = queue.claim(SOURCES, 1)
    assert claim.row.id == row.id


def test_a_look_that_fails_leaves_it_pending(store: FaultyStore) -> None:
    queue = queue_with(store)
    listed_once(queue, 1)
    soon(queue, 2 * DAY)
    (claim,) = queue.claim(SOURCES, 1)
    queue.settle([(claim, Failure(verdict=Verdict.RETRY, reason="http-503"))])
    (row,) = queue.rows(SOURCES)
    assert (row.status, row.retry_count, row.last_error) == (Status.PENDING, 1, "http-503")


def test_it_is_counted_as_nothing_that_a_person_did(store: FaultyStore) -> None:
    queue = queue_with(store)
    listed_once(queue, 3)
    soon(queue, 2 * DAY)
    recovered = queue.recover(SOURCES)
    assert (recovered.due_again, recovered.requests_applied, recovered.retried, recovered.total) == (3, 0, 0, 3)


def test_what_never_comes_due_hides_nothing_and_is_not_met_again(store: FaultyStore) -> None:
    """More rows than a page that an older version has left without a time, and behind them one whose time has come."""
    queue = queue_with(store)
    key = "yt:v:{:011}"
    queue.add(SOURCES, [new_source(number, key=key.format(number)) for number in range(2 * SCAN_PAGE_ROWS)])
    queue.add(SOURCES, [new_source(999)])
    for claim in queue.claim(SOURCES, 1000):
        done = replace(claim.row, lease=_done(version=claim.row.lease.version + 1), checked_at=queue.store.now() - DAY)
        assert store.swap(SOURCES, [Change(claim.row, done)])
    (claim,) = queue.claim(SOURCES, 1)
    assert claim.row.key == "url:source-00999"
    queue.settle([(claim, Done())], checked_at=queue.store.now())
    before = store.calls["swap"]
    assert queue.claim(SOURCES, 1) == []
    assert store.calls["swap"] == before
    assert {row.lease.not_before for row in queue.rows(SOURCES) if row.key.startswith("yt:v:")} == {NEVER}


def test_refresh_that_is_switched_on_finds_what_was_listed_before(store: FaultyStore) -> None:
    off = queue_with(store, replace(DAILY, refresh=None))
    listed_once(off, 2, ago=DAY)
    soon(off, timedelta(days=2))
    assert off.claim(SOURCES, 1) == []
    soon(off, timedelta(days=2))
    assert len(queue_with(store).claim(SOURCES, 2)) == 2


def test_of_many_that_are_due_a_page_is_made_pending_at_a_time(store: FaultyStore) -> None:
    queue = queue_with(store)
    listed_once(queue, 3 * SCAN_PAGE_ROWS)
    soon(queue, 2 * DAY)
    assert queue.recover(SOURCES).due_again == SCAN_PAGE_ROWS
    total = 0
    while claims := queue.claim(SOURCES, 50):
        queue.settle([(claim, Done()) for claim in claims], checked_at=queue.store.now())
        total += len(claims)
    assert total == 3 * SCAN_PAGE_ROWS


# --- on a sheet ------------------------------------------------------------------------------------------------------

CHANNEL = "https://www.youtube.com/channel/UCsXVk37bltHxD1rDPwtNM8Q"


@pytest.fixture
def desk() -> Iterator[SheetDesk]:
    with sheet_desk() as desk:
        desk.person.insert_row(SOURCE_TAB, 1, {"URL": CHANNEL})
        yield desk


def sheet_queue(desk: SheetDesk, name: str = "worker") -> Queue:
    queue = desk.queue(name)
    queue.source_policy = replace(queue.source_policy, refresh=DAY)
    return queue


def look(queue: Queue) -> bool:
    """Claim the source and list it, if it is due."""
    claims = queue.claim(SOURCES, 1)
    queue.settle([(claim, Done()) for claim in claims], checked_at=queue.store.now())
    return bool(claims)


def test_people_see_when_it_is_looked_at_again(desk: SheetDesk) -> None:
    queue = sheet_queue(desk)
    assert look(queue)
    desk.show()
    line = desk.line(CHANNEL, SOURCE_TAB)
    checked, next_time = (datetime.fromisoformat(line[name]) for name in ("CheckedAt", "NotBefore"))
    assert (line["Status"], next_time - checked) == ("done", DAY)


def test_on_a_sheet_it_is_looked_at_again_by_any_machine(desk: SheetDesk) -> None:
    assert look(sheet_queue(desk))
    desk.show()
    desk.clock.advance(DAY.total_seconds() + 1)
    others = [sheet_queue(desk, name) for name in ("b", "c")]
    assert [look(queue) for queue in others] == [True, False]


def test_a_person_may_say_another_interval_for_one_source(desk: SheetDesk) -> None:
    desk.person.insert_column(SOURCE_TAB, 5, "refreshhours")
    desk.person.edit(SOURCE_TAB, desk.row_of(CHANNEL, SOURCE_TAB), "refreshhours", "48")
    queue = sheet_queue(desk)
    assert look(queue)
    desk.clock.advance(DAY.total_seconds() + 60)
    assert not look(queue)
    desk.clock.advance(DAY.total_seconds())
    assert look(queue)


def test_what_a_person_has_called_done_is_left_alone(desk: SheetDesk) -> None:
    queue = sheet_queue(desk)
    look(queue)
    desk.show()
    desk.type_status(CHANNEL, "pending", SOURCE_TAB)
    desk.clock.advance(60)
    queue.recover(SOURCES)
    desk.show()
    desk.type_status(CHANNEL, "done", SOURCE_TAB)
    desk.clock.advance(10 * DAY.total_seconds())
    assert not look(queue)
    desk.show()
    line = desk.line(CHANNEL, SOURCE_TAB)
    assert (line["Status"], line["NotBefore"]) == ("done", "")


def test_looking_whether_a_source_is_due_costs_no_request(desk: SheetDesk) -> None:
    """It is asked along with what stalled, of what one look has read."""
    queue = sheet_queue(desk)
    look(queue)
    desk.show()
    desk.clock.advance(60)
    before = desk.simulator.stats()["requests"]
    assert not look(queue)
    assert desk.simulator.stats()["requests"] - before == 1
