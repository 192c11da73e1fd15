"""Rules of lifecycle.py that mutation testing (`make mutate`) has found to be untested: counts, pauses and what a row needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.rows import POLICY, new_source, new_video
from youtube_download_coordinator.models import Done, Failure, Lease, Source, State, Status, Verdict, VideoTask
from youtube_download_coordinator.queue import lifecycle
from youtube_download_coordinator.queue.lifecycle import Moment, Throttle
from youtube_download_coordinator.queue.offers import NO_OFFER, NO_OFFERS, Need, need_of, with_need
from youtube_download_coordinator.queue.tombstones import PURGED_KEY
from youtube_download_coordinator.reasons import advice

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
AT = Moment(now=NOW, nonce="fresh")
HOLDER = "host/a"
IN_BRAZIL = Need(waits_for=("BR",))


def row_with(state: State, detail: str = "", tries: int = 0, not_before: datetime | None = None) -> VideoTask:
    lease = Lease(version=4, state=state, tries=tries, detail=detail, not_before=not_before, nonce="old")
    return new_video(1, id=17, lease=lease)


def held(detail: str = "", tries: int = 0) -> VideoTask:
    row = row_with(State.PENDING, detail, tries)
    return lifecycle.claim(row, AT, HOLDER, POLICY)


def test_a_row_is_not_claimed_before_its_time_unless_that_is_asked_for() -> None:
    row = row_with(State.PENDING, not_before=NOW + timedelta(hours=23))
    with pytest.raises(ValueError, match="cannot claim"):
        lifecycle.claim(row, AT, HOLDER, POLICY)
    early = lifecycle.claim(row, AT, HOLDER, POLICY, early=timedelta(hours=23))
    assert early.lease.state is State.HELD


def test_gone_twice_in_a_row_is_the_end_however_few_attempts_were_counted() -> None:
    gone = Failure(verdict=Verdict.GONE, reason="gone", message="message")
    assert lifecycle.fail(held("gone: message"), AT, gone, POLICY).lease.state is State.DEAD


def test_a_row_whose_pause_ends_now_lacks_its_machine() -> None:
    row = row_with(State.PENDING, with_need("region: not here", IN_BRAZIL), not_before=NOW)
    assert lifecycle.lacks_machine(row, NOW, NO_OFFER)
    assert not lifecycle.lacks_machine(row, NOW - timedelta(microseconds=1), NO_OFFER)


def test_a_dead_letter_that_was_refused_too_often_counts_its_refusals_in_its_text_alone() -> None:
    policy = replace(POLICY, max_throttles=2)
    refused = Failure(verdict=Verdict.THROTTLED, reason="bot-check", message="are you one?")
    dead = lifecycle.fail(
        held("bot-check: are you one? (throttled 1 time)"), AT, refused, policy, Throttle(is_row_at_fault=True)
    )
    assert dead.lease.state is State.DEAD
    assert dead.last_error.startswith(
        "blocked: refused 2 times while other videos were answered; last: bot-check: are you one?"
    )
    assert "(throttled" not in dead.last_error


@pytest.mark.parametrize("space", [-1, 0, 1])
def test_advice_is_added_where_it_fits_to_the_last_character(space: int) -> None:
    hint = advice("needs-account")
    length = 300 - len(" → ") - len(hint) - len("needs-account: ") - space
    failure = Failure(verdict=Verdict.RETRY, reason="needs-account", message="m" * length)
    text = lifecycle.fail(held(), AT, failure, POLICY).last_error
    assert text == f"needs-account: {failure.message}" + (f" → {hint}" if space >= 0 else "")


# --- sources -----------------------------------------------------------------------------------------------------------


def done_source(refresh_hours: str, checked_at: datetime | None = None) -> Source:
    lease = Lease(version=4, state=State.DONE, not_before=NOW, nonce="old")
    extra = {"RefreshHours": refresh_hours} if refresh_hours else {}
    return new_source(1, id=3, lease=lease, extra=extra, checked_at=checked_at)


@pytest.mark.parametrize(("refresh_hours", "checked_at"), [("tomorrow", None), ("", NOW - timedelta(hours=6))])
def test_a_source_that_is_due_at_this_moment_is_listed_again(refresh_hours: str, checked_at: datetime | None) -> None:
    policy = replace(POLICY, refresh=timedelta(hours=6))
    again = lifecycle.reschedule(done_source(refresh_hours, checked_at), AT, policy)
    assert again.lease.state is State.PENDING


def test_a_source_that_this_machine_cannot_list_waits_while_it_can_list_others() -> None:
    def not_before(row: Source | VideoTask, reason: str) -> datetime | None:
        claimed = lifecycle.claim(row, AT, HOLDER, POLICY)
        failure = Failure(verdict=Verdict.UNFIT, reason=reason, message="message")
        return lifecycle.fail(claimed, AT, failure, POLICY).lease.not_before

    source = new_source(1, id=3)
    assert not_before(source, "a-reason-of-one-source") == NOW + POLICY.backoff_max
    assert not_before(source, "offline") is None, "nothing can be listed here"
    assert not_before(row_with(State.PENDING), "a-reason-of-one-source") is None


# --- a function that ends its program --------------------------------------------------------------------------------


def test_the_fifth_interruption_in_a_row_is_a_failed_attempt() -> None:
    interrupted = Failure(verdict=Verdict.UNFIT, reason="interrupted", message="sys.exit(1)")
    row, seen = row_with(State.PENDING), []
    for _ in range(5):
        row = lifecycle.claim(row, AT, HOLDER, POLICY)
        row = lifecycle.fail(row, AT, interrupted, POLICY)
        seen.append((row.last_error.partition(",")[0], row.lease.tries, row.lease.not_before))
    assert seen == [
        ("interrupted: 1 time", 0, None),
        ("interrupted: 2 times", 0, None),
        ("interrupted: 3 times", 0, None),
        ("interrupted: 4 times", 0, None),
        ("interrupted: 5 times", 1, NOW + POLICY.backoff),
    ]


# --- what a row needs ------------------------------------------------------------------------------------------------


def held_with(detail: str, need: Need) -> VideoTask:
    row = held()
    return replace(row, lease=replace(row.lease, detail=with_need(detail, need)))


def test_a_released_row_goes_on_waiting_for_its_machine() -> None:
    row = lifecycle.release(held_with("region: not in your country", IN_BRAZIL), AT)
    assert need_of(row.lease) == IN_BRAZIL
    assert row.lease.not_before == IN_BRAZIL.not_before


def test_what_nobody_offers_any_longer_is_given_up_with_one_attempt_more() -> None:
    row = row_with(State.PENDING, with_need("region: not here", IN_BRAZIL), 1, IN_BRAZIL.not_before)
    given_up = lifecycle.reconsider(row, AT, NO_OFFERS)
    assert (given_up.lease.state, given_up.lease.tries) == (State.DEAD, 2)


def test_a_row_that_waits_for_an_account_alone_gets_no_advice_about_one() -> None:
    failure = Failure(verdict=Verdict.RETRY, reason="needs-account", message="sign in")
    assert "→" in lifecycle.fail(held(), AT, failure, POLICY).last_error
    waiting = lifecycle.fail(held_with("needs-account: sign in", Need(account=True)), AT, failure, POLICY)
    assert need_of(waiting.lease).account
    assert "→" not in waiting.last_error


# --- what an outage has counted is given back ------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "account"), [("needs-account", False), ("boom", True)])
def test_a_row_given_back_needs_an_account_only_for_another_reason_than_the_outage(reason: str, account: bool) -> None:
    row = row_with(State.DEAD, with_need(f"{reason}: sign in", Need(account=True)), tries=3)
    given_back = lifecycle.give_back(row, AT, 1)
    assert need_of(given_back.lease).account is account
    assert given_back.lease.tries == 1


def test_a_row_given_back_keeps_its_throttle_count_once() -> None:
    row = row_with(State.DEAD, "boom: it (waits for region:BR) (throttled 3 times)", tries=3)
    given_back = lifecycle.give_back(row, AT, 1)
    assert given_back.last_error.endswith("boom: it (waits for region:BR) (throttled 3 times)")
    assert given_back.lease.throttles == 3


# --- results and recovered rows --------------------------------------------------------------------------------------


def test_a_result_is_corrected_on_a_row_that_is_done_and_on_no_other() -> None:
    corrected = lifecycle.correct_result(row_with(State.DONE, "a.m4a", tries=2), AT, "b.m4a")
    assert corrected
    assert (corrected.lease.state, corrected.result, corrected.lease.tries) == (State.DONE, "b.m4a", 2)
    assert all(
        lifecycle.correct_result(row_with(state, "a.m4a"), AT, "b.m4a") is None
        for state in (State.PENDING, State.HELD, State.ERROR, State.DEAD)
    )


def test_the_rights_of_a_video_are_recorded_and_a_source_has_none() -> None:
    done = Done(result="a.m4a", license="creative-commons", trainable="all")
    video = lifecycle.settle(held(), AT, done, POLICY)
    assert video.extra == {"License": "creative-commons", "Trainable": "all"}
    source = lifecycle.claim(new_source(1, id=3), AT, HOLDER, POLICY)
    assert lifecycle.settle(source, AT, done, POLICY).extra == {}


def test_a_status_that_a_person_types_on_a_purged_row_is_replaced_by_what_it_is() -> None:
    purged = replace(row_with(State.DEAD, "purged"), key=f"{PURGED_KEY}123")
    shown = replace(purged, requested_status=purged.status)
    assert lifecycle.apply_request(shown, AT) is None
    typed = lifecycle.apply_request(replace(purged, requested_status=Status.PENDING), AT)
    assert typed
    assert (typed.lease.state, typed.last_error, typed.lease.version) == (State.DEAD, "purged", 5)


def test_a_row_whose_worker_was_killed_has_no_time_to_wait_for() -> None:
    assert lifecycle.fail_orphaned(held(), AT, POLICY).lease.not_before is None
