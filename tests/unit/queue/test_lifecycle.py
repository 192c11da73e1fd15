"""The rules, one test each; then Hypothesis' random lives of a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rows import POLICY, new_source, new_video
from youtube_download_coordinator.models import (
    Done,
    Failure,
    Lease,
    Row,
    Source,
    State,
    Verdict,
    VideoTask,
    with_throttles,
)
from youtube_download_coordinator.queue import lifecycle
from youtube_download_coordinator.queue.lifecycle import (
    Moment,
    RetryPolicy,
    Throttle,
    backoff_seconds,
    is_due,
    is_due_again,
    is_stalled,
)
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
AT = Moment(now=NOW, nonce="fresh")
HOLDER = "host/a"


def held(tries: int = 0, detail: str = "", until: datetime = LATER) -> VideoTask:
    lease = Lease(version=4, state=State.HELD, tries=tries, holder=HOLDER, until=until, detail=detail, nonce="old")
    return new_video(1, id=17, lease=lease)


def resting(state: State, **lease: object) -> VideoTask:
    return new_video(1, id=17, lease=Lease(version=4, state=state, nonce="old", **lease))  # type: ignore[arg-type]


def failure(verdict: Verdict, reason: str = "why", **more: object) -> Failure:
    return Failure(verdict=verdict, reason=reason, message="message", **more)  # type: ignore[arg-type]


# --- who may be claimed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "due"),
    [
        (resting(State.PENDING), True),
        (resting(State.PENDING, not_before=NOW), True),
        (resting(State.PENDING, not_before=NOW + timedelta(microseconds=1)), False),
        (held(until=NOW), False),
        *((resting(state), False) for state in (State.DONE, State.ERROR, State.DEAD)),
    ],
)
def test_pending_rows_are_due_when_their_time_has_come(row: VideoTask, due: bool) -> None:
    assert is_due(row, NOW) is due


@pytest.mark.parametrize(
    ("row", "stalled"),
    [
        (held(until=NOW + timedelta(microseconds=1)), False),
        (held(until=NOW), True),
        (replace(held(), lease=replace(held().lease, until=None)), True),
        (resting(State.PENDING), False),
        (resting(State.DONE), False),
    ],
)
def test_a_held_row_is_stalled_when_its_claim_has_run_out(row: VideoTask, stalled: bool) -> None:
    assert is_stalled(row, NOW) is stalled


# --- one rule each ---------------------------------------------------------------------------------------------------


def test_a_claim_holds_for_one_lease_and_says_who_and_when() -> None:
    row = lifecycle.claim(resting(State.PENDING, tries=1, detail="gone: as before"), AT, HOLDER, POLICY)
    assert row.lease == Lease(
        version=5,
        state=State.HELD,
        tries=1,
        holder=HOLDER,
        until=NOW + POLICY.lease,
        detail="gone: as before",
        nonce="fresh",
    )
    assert (row.claimed_by, row.claimed_at) == (HOLDER, NOW)


def test_a_renewal_holds_for_one_lease_from_now() -> None:
    row = lifecycle.renew(held(tries=2, detail="gone: x"), AT, POLICY)
    assert (row.lease.until, row.lease.holder, row.lease.tries) == (NOW + POLICY.lease, HOLDER, 2)
    assert row.lease.detail == "gone: x"


def test_a_result_is_kept_with_the_tries_it_took() -> None:
    row = lifecycle.complete(held(tries=2, detail="why: it failed before"), AT, "media/x.m4a", POLICY)
    assert (row.lease.state, row.result, row.last_error, row.retry_count) == (State.DONE, "media/x.m4a", "", 2)
    assert (row.lease.holder, row.lease.until) == ("", None)


@pytest.mark.parametrize(
    ("seconds", "listed", "shown"), [(59.6, 3600, 60), (None, 3600, 3600), (2**31 - 1, None, 2**31 - 1)]
)
def test_the_measured_length_replaces_the_listed_one(seconds: float | None, listed: int | None, shown: int) -> None:
    row = replace(held(), duration_seconds=listed)
    done = lifecycle.settle(row, AT, Done(result="x.m4a", media_seconds=seconds), POLICY)
    assert done.duration_seconds == shown


@pytest.mark.parametrize("result", ["x.m4a", "x" * 400])
def test_a_degraded_result_keeps_its_mark(result: str) -> None:
    row = lifecycle.settle(held(), AT, Done(result=result, degraded="format-18, low-bit-rate"), POLICY)
    assert row.result.endswith(" (degraded: format-18, low-bit-rate)")
    assert row.lease.degraded == "format-18, low-bit-rate"
    assert len(row.result) <= DETAIL_MAX_CHARACTERS
    assert lifecycle.settle(held(), AT, Done(result=result), POLICY).lease.degraded == ""


def test_results_and_reasons_are_cut_to_one_line() -> None:
    long = "x\n" * 1000
    done = lifecycle.complete(held(), AT, long, POLICY)
    failed = lifecycle.fail(held(), AT, Failure(verdict=Verdict.RETRY, reason="why", message=long), POLICY)
    for row in (done, failed):
        assert len(row.lease.detail) == DETAIL_MAX_CHARACTERS
        assert "\n" not in row.lease.detail


def test_a_failure_is_counted_and_waits_out_a_pause() -> None:
    row = lifecycle.fail(held(), AT, failure(Verdict.RETRY), POLICY)
    assert (row.lease.state, row.lease.tries, row.lease.not_before) == (State.PENDING, 1, NOW + POLICY.backoff)
    assert row.last_error == "why: message"


def test_the_last_failure_is_the_end() -> None:
    assert lifecycle.fail(held(tries=1), AT, failure(Verdict.RETRY), POLICY).lease.state is State.PENDING
    row = lifecycle.fail(held(tries=2), AT, failure(Verdict.RETRY), POLICY)
    assert (row.lease.state, row.lease.tries) == (State.DEAD, 3)


def test_one_attempt_at_all_means_no_second_one() -> None:
    row = lifecycle.fail(held(), AT, failure(Verdict.RETRY), replace(POLICY, max_retries=1))
    assert row.lease.state is State.DEAD


def test_without_a_bound_hope_never_ends() -> None:
    row = lifecycle.fail(held(tries=10_000), AT, failure(Verdict.RETRY), replace(POLICY, max_retries=None))
    assert (row.lease.state, row.lease.tries) == (State.PENDING, 10_001)
    assert row.lease.not_before == NOW + POLICY.backoff_max


def test_a_permanent_failure_is_the_end_of_a_video_and_an_error_of_a_source() -> None:
    source = new_source(1, lease=held().lease)
    unbounded = replace(POLICY, max_retries=None)
    assert lifecycle.fail(held(), AT, failure(Verdict.PERMANENT), POLICY).lease.state is State.DEAD
    assert lifecycle.fail(source, AT, failure(Verdict.PERMANENT), unbounded).lease.state is State.ERROR


@pytest.mark.parametrize(
    ("before", "state"), [("", State.PENDING), ("http-503: x", State.PENDING), ("gone: x", State.DEAD)]
)
def test_gone_is_believed_when_the_attempt_before_said_the_same(before: str, state: State) -> None:
    row = lifecycle.fail(
        held(tries=1, detail=before), AT, failure(Verdict.GONE, "gone"), replace(POLICY, max_retries=9)
    )
    assert row.lease.state is state


def test_too_early_waits_until_then_and_is_not_counted() -> None:
    row = lifecycle.fail(held(tries=1), AT, failure(Verdict.LATER, not_before=LATER), POLICY)
    assert (row.lease.state, row.lease.tries, row.lease.not_before) == (State.PENDING, 1, LATER)


def test_too_early_without_a_time_waits_for_the_longest_pause() -> None:
    row = lifecycle.fail(held(), AT, failure(Verdict.LATER), POLICY)
    assert row.lease.not_before == NOW + POLICY.backoff_max


def test_too_early_never_means_at_once() -> None:
    row = lifecycle.fail(held(), AT, failure(Verdict.LATER, not_before=NOW - timedelta(days=1)), POLICY)
    assert row.lease.not_before == NOW + POLICY.backoff


def test_a_time_without_a_zone_is_utc() -> None:
    row = lifecycle.fail(held(), AT, failure(Verdict.LATER, not_before=LATER.replace(tzinfo=None)), POLICY)
    assert row.lease.not_before == LATER


def test_an_unfit_machine_is_not_the_rows_fault() -> None:
    row = lifecycle.fail(held(tries=1), AT, failure(Verdict.UNFIT), POLICY)
    assert (row.lease.state, row.lease.tries, row.lease.not_before) == (State.PENDING, 1, None)


# --- throttled -------------------------------------------------------------------------------------------------------

FIVE = replace(POLICY, max_throttles=5)
AT_FAULT = Throttle(is_row_at_fault=True, until=LATER)


def throttled(row: VideoTask, throttle: Throttle, policy: RetryPolicy = FIVE) -> VideoTask:
    return lifecycle.fail(row, AT, failure(Verdict.THROTTLED, "bot-check"), policy, throttle)


def test_a_throttled_row_waits_a_little_longer_than_its_machine_and_no_try_is_counted() -> None:
    row = throttled(held(tries=1), AT_FAULT)
    assert (row.lease.state, row.lease.tries, row.lease.throttles) == (State.PENDING, 1, 1)
    assert row.lease.not_before == LATER + POLICY.backoff
    assert (
        row.last_error
        == "bot-check: message → if it stays: YDC_COOKIES_FILE, YDC_PROXY or fewer videos at a time"
        + (" (throttled 1 time)")
    )


def test_a_row_that_was_throttled_together_with_others_or_as_the_probe_is_put_off_uncounted() -> None:
    row = throttled(held(detail="bot-check: x (throttled 3 times)"), Throttle(until=LATER))
    assert (row.lease.throttles, row.lease.not_before) == (3, LATER + 4 * POLICY.backoff)
    assert throttled(held(), Throttle()).lease.not_before == NOW + POLICY.backoff


def test_each_refusal_of_a_row_alone_makes_its_pause_longer_and_the_last_one_makes_it_a_dead_letter() -> None:
    row, pauses = held(tries=1), []
    for _ in range(4):
        row = throttled(row, AT_FAULT)
        assert row.lease.not_before
        pauses.append((row.lease.not_before - LATER) / POLICY.backoff)
        row = lifecycle.claim(row, replace(AT, now=row.lease.not_before), HOLDER, POLICY)
    assert pauses == [1, 2, 4, 8]
    row = throttled(row, AT_FAULT)
    assert (row.lease.state, row.lease.tries, row.lease.reason) == (State.DEAD, 1, "blocked")
    assert row.last_error.startswith(
        "blocked: refused 5 times while other videos were answered; last: bot-check: message"
    )
    assert lifecycle.requeue(row, AT).lease.throttles == 0


def test_a_source_is_never_given_up_because_it_is_throttled() -> None:
    source = new_source(1, id=17, lease=held(detail="bot-check: x (throttled 99 times)").lease)
    row = lifecycle.fail(source, AT, failure(Verdict.THROTTLED), replace(FIVE, max_throttles=None), AT_FAULT)
    assert (row.lease.state, row.lease.throttles) == (State.PENDING, 100)


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.GONE, Verdict.LATER, Verdict.UNFIT, Verdict.PERMANENT])
def test_the_throttle_count_outlives_other_failures(verdict: Verdict) -> None:
    row = lifecycle.fail(held(detail="bot-check: x (throttled 3 times)"), AT, failure(verdict), POLICY)
    assert (row.lease.throttles, row.lease.reason) == (3, "why")


def test_the_throttle_count_outlives_claims_releases_and_recoveries() -> None:
    row = held(detail="bot-check: x (throttled 3 times)", until=NOW)
    assert lifecycle.renew(row, AT, POLICY).lease.throttles == 3
    assert lifecycle.release(row, AT).lease.throttles == 3
    assert lifecycle.recover(row, AT, POLICY).lease.throttles == 3
    assert lifecycle.fail_orphaned(row, AT, POLICY).lease.throttles == 3


def test_a_result_is_no_throttle_count() -> None:
    assert lifecycle.complete(held(), AT, "a song (throttled 4 times)", POLICY).lease.throttles == 0


@given(st.text(max_size=400), st.integers(min_value=1, max_value=999_999))
def test_no_message_is_taken_for_a_throttle_count(text: str, count: int) -> None:
    for detail in (text, f"{text} (throttled 7 times)", f"{text} (throttled 7 times) (throttled 1 time)"):
        assert Lease(detail=with_throttles(detail, count), nonce="").throttles == count
        assert Lease(detail=with_throttles(detail, 0), nonce="").throttles == 0
        assert len(with_throttles(detail, count)) <= DETAIL_MAX_CHARACTERS


def test_a_release_forgets_nothing() -> None:
    row = lifecycle.release(held(tries=1, detail="gone: x"), AT)
    assert (row.lease.state, row.lease.tries, row.lease.detail) == (State.PENDING, 1, "gone: x")


def test_a_stalled_row_may_be_claimed_at_once_with_one_try_more() -> None:
    row = lifecycle.recover(held(until=NOW), AT, POLICY)
    assert is_due(row, NOW)
    assert (row.lease.tries, row.lease.reason) == (1, "stalled")
    assert HOLDER in row.last_error


def test_a_row_that_stalls_its_workers_is_given_up_like_another() -> None:
    assert lifecycle.recover(held(tries=2, until=NOW), AT, POLICY).lease.state is State.DEAD


def test_a_row_whose_worker_was_killed_in_the_attempt_may_be_claimed_at_once_with_one_try_more() -> None:
    row = lifecycle.fail_orphaned(held(), AT, POLICY)
    assert is_due(row, NOW)
    assert (row.lease.tries, row.lease.reason) == (1, "killed")
    assert HOLDER in row.last_error
    assert lifecycle.fail_orphaned(held(tries=2), AT, POLICY).lease.state is State.DEAD


@pytest.mark.parametrize("state", [State.DONE, State.ERROR, State.DEAD])
def test_a_requeued_row_is_as_new(state: State) -> None:
    row = lifecycle.requeue(resting(state, tries=3, detail="why: x"), AT)
    assert row.lease == Lease(version=5, state=State.PENDING, nonce="fresh")


def test_an_outcome_settles_as_what_it_is() -> None:
    assert lifecycle.settle(held(), AT, Done(result="r"), POLICY).lease.state is State.DONE
    assert lifecycle.settle(held(), AT, failure(Verdict.RETRY), POLICY).lease.state is State.PENDING


def test_the_jitter_takes_off_at_most_half_of_a_pause() -> None:
    assert [backoff_seconds(2, jitter, POLICY) for jitter in (0, 0.5, 1)] == [120, 90, 60]


def test_no_number_of_tries_is_too_much_for_a_pause() -> None:
    assert backoff_seconds(10**9, 0, POLICY) == POLICY.backoff_max.total_seconds()


EVENTS: dict[str, Callable[[VideoTask], Row]] = {
    "claim": lambda row: lifecycle.claim(row, AT, HOLDER, POLICY),
    "renew": lambda row: lifecycle.renew(row, AT, POLICY),
    "complete": lambda row: lifecycle.complete(row, AT, "", POLICY),
    "fail": lambda row: lifecycle.fail(row, AT, failure(Verdict.RETRY), POLICY),
    "release": lambda row: lifecycle.release(row, AT),
    "recover": lambda row: lifecycle.recover(row, AT, POLICY),
    "fail as orphaned": lambda row: lifecycle.fail_orphaned(row, AT, POLICY),
    "requeue": lambda row: lifecycle.requeue(row, AT),
    "be rescheduled": lambda row: lifecycle.reschedule(new_source(1, lease=row.lease), AT, POLICY),
}
ALLOWED = {
    State.PENDING: {"claim"},
    State.HELD: {"renew", "complete", "fail", "release", "fail as orphaned"},
    State.DONE: {"requeue", "be rescheduled"},
    State.ERROR: {"requeue"},
    State.DEAD: {"requeue"},
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", EVENTS)
def test_what_is_not_in_the_drawing_is_refused(state: State, event: str) -> None:
    row = held() if state is State.HELD else resting(state)
    if event in ALLOWED[state]:
        assert EVENTS[event](row).lease.version == 5
    else:
        with pytest.raises(ValueError, match=f"it cannot {event}"):
            EVENTS[event](row)


# --- any life --------------------------------------------------------------------------------------------------------

POLICIES = st.builds(
    RetryPolicy,
    lease=st.timedeltas(timedelta(milliseconds=1), timedelta(hours=1)),
    max_retries=st.none() | st.integers(1, 5),
    backoff=st.timedeltas(timedelta(0), timedelta(hours=2)),
    backoff_max=st.timedeltas(timedelta(0), timedelta(hours=2)),
    refresh=st.none() | st.timedeltas(timedelta(0), timedelta(hours=2)),
)
FAILURES = st.builds(
    Failure,
    verdict=st.sampled_from(Verdict),
    reason=st.sampled_from(["gone", "http-503", "throttled"]),
    message=st.text(max_size=400),
    not_before=st.sampled_from([None, LATER, NOW - timedelta(days=1), LATER.replace(tzinfo=None)]),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["claim", "renew", "settle", "release", "recover", "fail as orphaned", "requeue", "look again"]
        ),
        st.integers(0, 3 * 3600),
        st.floats(0, 1),
        FAILURES | st.builds(Done, result=st.text(max_size=400)),
    ),
    max_size=30,
)


def take(row: Row, event: str, at: Moment, outcome: Done | Failure, policy: RetryPolicy) -> Row | None:
    """Return the row after the event, or None if the rules do not allow it now."""
    return (
        take_held(row, event, at, outcome, policy)
        if row.lease.state is State.HELD
        else take_free(row, event, at, policy)
    )


def take_free(row: Row, event: str, at: Moment, policy: RetryPolicy) -> Row | None:
    if event == "claim" and is_due(row, at.now):
        return lifecycle.claim(row, at, HOLDER, policy)
    if event == "requeue" and row.lease.state in {State.DONE, State.ERROR, State.DEAD}:
        return lifecycle.requeue(row, at)
    if event == "look again" and isinstance(row, Source) and is_due_again(row, at.now):
        return lifecycle.reschedule(row, at, policy)
    return None


def take_held(row: Row, event: str, at: Moment, outcome: Done | Failure, policy: RetryPolicy) -> Row | None:
    if event == "recover" and is_stalled(row, at.now):
        return lifecycle.recover(row, at, policy)
    if event == "settle":
        new = lifecycle.settle(row, at, outcome, policy)
        return replace(new, checked_at=at.now) if isinstance(new, Source) and isinstance(outcome, Done) else new
    if event == "fail as orphaned":
        return lifecycle.fail_orphaned(row, at, policy)
    if event == "renew":
        return lifecycle.renew(row, at, policy)
    return lifecycle.release(row, at) if event == "release" else None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of a machine that is busy with other tests
@given(steps=STEPS, policy=POLICIES, row=st.sampled_from([new_video(1, id=1), new_source(1, id=1)]))
def test_in_any_life_the_rules_hold(
    steps: list[tuple[str, int, float, Done | Failure]], policy: RetryPolicy, row: Row
) -> None:
    now = NOW
    for number, (event, seconds, jitter, outcome) in enumerate(steps):
        now += timedelta(seconds=seconds)
        new = take(row, event, Moment(now=now, nonce=f"step{number}", jitter=jitter), outcome, policy)
        if new is None:
            continue
        check_step(row, new, event, policy)
        row = new


def check_step(old: Row, new: Row, event: str, policy: RetryPolicy) -> None:
    lease = new.lease
    assert lease.version == old.lease.version + 1
    assert lease.nonce != old.lease.nonce
    assert (new.id, new.key, new.url) == (old.id, old.key, old.url)
    assert (lease.state is State.HELD) == bool(lease.holder) == (lease.until is not None)
    assert lease.not_before is None or lease.state in {State.PENDING, State.DONE}
    assert not (isinstance(new, VideoTask) and lease.state is State.DONE and lease.not_before)
    assert len(lease.detail) <= DETAIL_MAX_CHARACTERS
    again = event == "requeue" or (event == "look again" and lease.state is State.PENDING)
    assert lease.tries - old.lease.tries in ({-old.lease.tries} if again else {0, 1})
    # Never two that hold, never anything taken from one who holds: only a holder's own step, or time, ends a hold.
    assert old.lease.state is not State.HELD or event in {"renew", "settle", "release", "recover", "fail as orphaned"}
    assert old.lease.state is State.HELD or event in {"claim", "requeue", "look again"}
    if policy.max_retries is not None:
        assert lease.tries <= policy.max_retries
        assert lease.tries < policy.max_retries or lease.state not in {State.PENDING, State.HELD}
    assert lease.state is not (State.ERROR if isinstance(new, VideoTask) else State.DEAD)
