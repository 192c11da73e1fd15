"""Rows that wait for a machine which offers what they need, on every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.rows import POLICY, make_queue, new_video
from youtube_download_coordinator.models import Control, Done, Failure, State, Status, Verdict, VideoTask
from youtube_download_coordinator.operations.overview import overview
from youtube_download_coordinator.operations.summary import page
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.offers import Offer, Offers, need_of, parse_offer, waits
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS, Store, Where

REGION = Failure(verdict=Verdict.PERMANENT, reason="region", message="not available in your country")
ACCOUNT = Failure(verdict=Verdict.PERMANENT, reason="needs-account", message="Sign in to confirm your age")
RETRY = Failure(verdict=Verdict.RETRY, reason="http-503", message="Service Unavailable")
NO_WAIT = replace(POLICY, backoff=timedelta(0), backoff_max=timedelta(0))


def worker(store: Store, name: str, *offers: str) -> Queue:
    """Return a worker whose machine has said what it offers."""
    queue = make_queue(store, name, policy=NO_WAIT)
    queue.offer = parse_offer(offers)
    queue.renew_offer()
    return queue


def fail(queue: Queue, failure: Failure) -> VideoTask:
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    (row,) = queue.settle([(claim, failure)])
    assert row is not None
    return row


def dead(store: Store) -> list[VideoTask]:
    return list(store.scan(DEAD_LETTERS))


def expire(store: Store, queue: Queue) -> None:
    """End what a machine has offered, as a day does."""
    store.set_control(
        queue.offer.line_name, lambda line: line and replace(line, until=store.now() - timedelta(hours=1))
    )


def test_a_row_waits_for_a_machine_that_offers_what_it_needs(store: Store) -> None:
    plain, elsewhere, brazil = (
        worker(store, "a/1"),
        worker(store, "b/1", "region:PT"),
        worker(store, "c/1", "region:BR"),
    )
    plain.add(VIDEO_TASKS, [new_video(1)])
    row = fail(plain, replace(REGION, regions=("BR", "AR")))
    assert (row.status, row.not_before, row.retry_count) == (Status.PENDING, None, 0)
    assert row.last_error == "region: not available in your country (waits for region:BR; only in AR BR)"
    assert plain.claim(VIDEO_TASKS, 5) == elsewhere.claim(VIDEO_TASKS, 5) == []
    assert (plain.next_due(VIDEO_TASKS) or store.now()) > store.now() + timedelta(days=365)
    (claim,) = brazil.claim(VIDEO_TASKS, 5)
    assert need_of(claim.row.lease).waits_for == ("BR",)
    brazil.settle([(claim, Done(result="x.m4a"))])
    assert plain.counts(VIDEO_TASKS) == {State.DONE: 1}


def test_a_need_that_nobody_offers_is_a_dead_letter_as_ever(store: Store) -> None:
    plain, brazil = worker(store, "a/1"), worker(store, "c/1", "region:BR")
    plain.add(VIDEO_TASKS, [new_video(number) for number in range(3)])
    assert fail(plain, ACCOUNT).lease.state is State.DEAD
    assert fail(plain, replace(REGION, regions=("PT",))).last_error.endswith("(only in PT)")
    expire(store, brazil)
    assert fail(plain, REGION).retry_count == 1
    assert sorted(row.lease.reason for row in dead(store)) == ["needs-account", "region", "region"]


def test_each_country_is_tried_once(store: Store) -> None:
    plain, brazil, portugal = (
        worker(store, "a/1"), worker(store, "b/1", "region:BR"), worker(store, "c/1", "region:PT")
    )  # fmt: skip
    plain.add(VIDEO_TASKS, [new_video(1)])
    assert "(waits for region:BR or region:PT)" in fail(plain, REGION).last_error
    assert "(waits for region:PT; not in BR)" in fail(brazil, REGION).last_error
    assert brazil.claim(VIDEO_TASKS, 1) == []
    assert fail(portugal, REGION).lease.state is State.DEAD
    (letter,) = dead(store)
    assert letter.last_error.endswith("(not in BR PT)")


def test_a_row_may_need_a_country_and_an_account(store: Store) -> None:
    plain, brazil = worker(store, "a/1"), worker(store, "b/1", "region:BR")
    both, account = worker(store, "c/1", "region:BR", "account"), worker(store, "d/1", "account")
    plain.add(VIDEO_TASKS, [new_video(1)])
    fail(plain, REGION)
    assert "(waits for account with region:BR)" in fail(brazil, ACCOUNT).last_error
    assert brazil.claim(VIDEO_TASKS, 1) == account.claim(VIDEO_TASKS, 1) == []
    assert fail(both, ACCOUNT).lease.state is State.DEAD


def test_other_failures_do_not_change_what_a_row_needs(store: Store) -> None:
    plain, account = worker(store, "a/1"), worker(store, "b/1", "account")
    plain.add(VIDEO_TASKS, [new_video(1)])
    fail(plain, ACCOUNT)
    assert (fail(account, RETRY).retry_count, plain.claim(VIDEO_TASKS, 1)) == (1, [])
    (claim,) = account.claim(VIDEO_TASKS, 1)
    account.release([claim])
    assert plain.claim(VIDEO_TASKS, 1) == []
    account.claim(VIDEO_TASKS, 1)
    account.release_holder("b/1", attempted=[claim.row.id])
    assert plain.claim(VIDEO_TASKS, 1) == []
    assert fail(account, RETRY).lease.state is State.DEAD


def test_a_pause_that_ends_where_nothing_is_offered(store: Store) -> None:
    """The row is read once, and not by each claim."""
    plain, account = worker(store, "a/1"), worker(store, "b/1", "account")
    plain.add(VIDEO_TASKS, [new_video(1)])
    fail(plain, ACCOUNT)
    account.video_policy = replace(POLICY, backoff=timedelta(milliseconds=1))
    row = fail(account, RETRY)
    assert row.not_before is not None
    while store.now() <= row.not_before:
        pass
    assert plain.claim(VIDEO_TASKS, 1) == []
    (row,) = store.scan(VIDEO_TASKS)
    assert waits(row.lease)
    assert store.scan(VIDEO_TASKS, Where(state=State.PENDING, due=store.now())) == []
    assert len(account.claim(VIDEO_TASKS, 1)) == 1


@pytest.mark.parametrize("is_paused", [False, True])
def test_rows_wait_for_other_machines_or_are_given_up_when_nobody_offers_any_longer(
    store: Store, is_paused: bool
) -> None:
    plain, brazil, account = (
        worker(store, "a/1"), worker(store, "b/1", "region:BR"), worker(store, "c/1", "account")
    )  # fmt: skip
    plain.add(VIDEO_TASKS, [new_video(number) for number in range(5)])
    fail(plain, ACCOUNT)
    for _ in range(3):
        fail(plain, REGION)
    fail(plain, replace(REGION, regions=("BR", "CL")))
    assert plain.recover(VIDEO_TASKS).total == 0
    expire(store, brazil)
    worker(store, "d/1", "region:PT")
    if is_paused:
        store.set_control("fleet", lambda line: Control(name="fleet", value="paused"))
    report = make_queue(store, "e/1").recover(VIDEO_TASKS)
    assert report.given_up == (0 if is_paused else 1)
    assert [row.retry_count for row in dead(store)] == ([] if is_paused else [1])
    waiting = [str(need_of(row.lease)) for row in plain.rows(VIDEO_TASKS)]
    if not is_paused:
        assert sorted(waiting) == ["account", *["region:PT"] * 3]
        expire(store, account)
        assert plain.recover(VIDEO_TASKS).given_up == 1


def test_a_person_who_retries_a_row_resets_what_it_needs(store: Store) -> None:
    plain, _ = worker(store, "a/1"), worker(store, "b/1", "account")
    plain.add(VIDEO_TASKS, [new_video(1)])
    row = fail(plain, ACCOUNT)
    assert plain.retry(VIDEO_TASKS, Selection(ids=[row.id])).total() == 1
    (claim,) = plain.claim(VIDEO_TASKS, 1)
    assert not need_of(claim.row.lease)
    assert claim.row.lease.detail == "needs-account: Sign in to confirm your age"


def test_many_rows_of_others_do_not_hide_those_for_this_machine(store: Store) -> None:
    plain, account, brazil = (
        worker(store, "a/1"), worker(store, "b/1", "account"), worker(store, "c/1", "region:BR")
    )  # fmt: skip
    plain.add(VIDEO_TASKS, [new_video(number) for number in range(60)])
    claims = plain.claim(VIDEO_TASKS, 60)
    while len(claims) < 60:
        claims += plain.claim(VIDEO_TASKS, 60)
    plain.settle([(claim, ACCOUNT if claim.row.id == 60 else REGION) for claim in claims])
    assert [claim.row.id for claim in account.claim(VIDEO_TASKS, 5)] == [60]
    assert account.claim(VIDEO_TASKS, 5) == []
    assert len(brazil.claim(VIDEO_TASKS, 5)) == 5


def test_a_row_that_waits_is_a_probe_only_where_nothing_else_is_due(store: Store) -> None:
    """Else a machine that has nothing else to do would never go on."""
    plain, brazil = worker(store, "a/1"), worker(store, "b/1", "region:BR")
    plain.add(VIDEO_TASKS, [new_video(1)])
    fail(plain, REGION)
    plain.add(VIDEO_TASKS, [new_video(2)])
    over = store.now() - timedelta(minutes=1)
    name = brazil.admission.cooldown_name
    store.set_control(name, lambda line: Control(name=name, value="cooling", until=over))
    for number in (2, 1):
        (claim,) = brazil.claim(VIDEO_TASKS, 5)
        assert claim.row.url == new_video(number).url
        brazil.release([claim])
        if number == 2:
            plain.settle([(plain.claim(VIDEO_TASKS, 1)[0], Done(result="x.m4a"))])


def test_an_offer_is_one_line_that_machines_share(store: Store) -> None:
    first, second = worker(store, "a/1", "region:BR", "account"), worker(store, "b/1", "account", "region:BR")
    (line,) = [line for line in store.controls(fresh=True) if line.name.startswith("offers")]
    assert (line.name, line.value, first.offer) == ("offers account region:br", "offered", second.offer)
    hours = (line.until or store.now()) - store.now()
    assert timedelta(hours=23, minutes=59) < hours <= timedelta(hours=24)
    assert Offers(own=first.offer, all=[Offer(account=True)]).own == first.offer


def test_what_rows_wait_for_is_counted(store: Store) -> None:
    plain, *_ = worker(store, "a/1"), worker(store, "b/1", "account"), worker(store, "c/1", "region:BR")
    plain.add(VIDEO_TASKS, [new_video(number) for number in range(5)])
    for failure in (ACCOUNT, REGION, replace(REGION, regions=("BR",)), RETRY):
        fail(plain, failure)
    found = overview(plain)
    assert found.waiting == {"region:BR": 2, "account": 1}
    assert found.reasons["videos"] == {"region": 2, "http-503": 1, "needs-account": 1}
    assert [line.name for line in found.controls] == ["fleet", "offers account", "offers region:br"]
    lines = next(section.rows for section in page(found).sections if section.title == "Why rows failed")
    assert lines[0] == ("waits for region:BR", "videos", "a machine with that in YDC_OFFERS claims it", 2)
