"""What may happen to a row: pure functions from a row and an event to the row as it becomes.

    PENDING ──claim──▶ HELD ──complete──▶ DONE
       ▲                │ ╰─renew─▶ HELD
       ├──release───────┤
       ├──fail (counted, with a pause)──┤
       ├──recover (the lease ran out)───┤
       ├──bereave (its worker was killed)──┤──▶ DEAD (a video task) or ERROR (a source) when there is no more hope
       ├──look_again── DONE, a source whose time has come
       ╰──requeue── DONE, ERROR, DEAD          hurry: requeue, or a PENDING row without its pause

Clock and randomness are given (`At`), so that a story replays exactly. Whether a transition really happens is decided by
the store's swap alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar, assert_never

from youtube_download_coordinator.models import (
    SKIPPED,
    Done,
    Failure,
    Lease,
    Outcome,
    Row,
    Source,
    State,
    Status,
    Verdict,
    VideoTask,
)
from youtube_download_coordinator.queue.refresh import next_look
from youtube_download_coordinator.reasons import advice
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS, format_utc, truncate

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long a claim lasts, and how often and after which pauses an attempt is made."""

    lease: timedelta
    max_retries: int | None
    """Failed attempts until there is no more hope; None: hope never ends."""
    backoff: timedelta
    backoff_max: timedelta
    refresh: timedelta | None = None
    """So long after its last look a source that is done is looked at again; None: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a transition needs from outside."""

    now: datetime
    """By the store's clock."""
    nonce: str
    jitter: float = 0.0
    """From 0 to 1: how much of half a pause is taken off."""


def is_due(row: Row, now: datetime) -> bool:
    """Whether the row may be claimed."""
    return row.lease.state is State.PENDING and (row.lease.not_before is None or row.lease.not_before <= now)


def is_stalled(row: Row, now: datetime) -> bool:
    """Whether a worker held the row and did not renew its claim in time."""
    return row.lease.state is State.HELD and (row.lease.until is None or row.lease.until <= now)


def is_due_again(row: Row, now: datetime) -> bool:
    """Whether the row is done and the time has come to ask whether it is to be done again."""
    return row.lease.state is State.DONE and (row.lease.not_before is None or row.lease.not_before <= now)


def claim(row: R, at: Moment, holder: str, policy: RetryPolicy) -> R:
    """PENDING and due: held by `holder` for one lease."""
    _require(is_due(row, at.now), row, "claim")
    held = _next(row, at, State.HELD, holder=holder, until=at.now + policy.lease)
    return replace(held, claimed_by=holder, claimed_at=at.now.replace(microsecond=0))


def renew(row: R, at: Moment, policy: RetryPolicy) -> R:
    """HELD: for one lease from now."""
    _require(row.lease.state is State.HELD, row, "renew")
    return _next(row, at, State.HELD, holder=row.lease.holder, until=at.now + policy.lease)


def settle(row: R, at: Moment, outcome: Outcome, policy: RetryPolicy) -> R:
    """HELD: what becomes of the row after an attempt."""
    match outcome:
        case Done(result=result):
            return complete(row, at, result, policy)
        case Failure():
            return fail(row, at, outcome, policy)
        case _:
            assert_never(outcome)


def complete(row: R, at: Moment, result: str, policy: RetryPolicy) -> R:
    """HELD: done, with its result; a source, until it is looked at again."""
    _require(row.lease.state is State.HELD, row, "complete")
    done = _next(row, at, State.DONE, detail=truncate(result))
    if not isinstance(done, Source):
        return done
    when = next_look(replace(done, checked_at=at.now), at.now, policy.refresh)
    return replace(done, lease=replace(done.lease, not_before=when))


def reschedule(row: Source, at: Moment, policy: RetryPolicy) -> Source:
    """DONE, and its time has come: pending, or done until a later time when setting and column say so now."""
    _require(is_due_again(row, at.now), row, "be looked at again")
    when = next_look(row, at.now, policy.refresh)
    if when > at.now:
        return _next(row, at, State.DONE, not_before=when, detail=row.lease.detail)
    return _next(row, at, State.PENDING, tries=0)


def fail(row: R, at: Moment, failure: Failure, policy: RetryPolicy) -> R:
    """HELD: tried again after a pause, given back without counting, or given up, as the verdict says."""
    _require(row.lease.state is State.HELD, row, "fail")
    match failure.verdict:
        case Verdict.RETRY:
            return _retry_or_give_up(row, at, failure, policy, policy.max_retries)
        case Verdict.GONE:
            said_before = row.lease.reason == failure.reason
            return _retry_or_give_up(row, at, failure, policy, 1 if said_before else policy.max_retries)
        case Verdict.PERMANENT:
            return _retry_or_give_up(row, at, failure, policy, 1)
        case Verdict.LATER:
            soonest = at.now + policy.backoff
            when = max(_in_utc(failure.not_before) or at.now + policy.backoff_max, soonest)
            return _next(row, at, State.PENDING, not_before=when, detail=_describe(failure))
        case Verdict.THROTTLED | Verdict.UNFIT:
            return _next(row, at, State.PENDING, detail=_describe(failure))
        case _:
            assert_never(failure.verdict)


def release(row: R, at: Moment) -> R:
    """HELD: given back untouched; nothing is counted."""
    _require(row.lease.state is State.HELD, row, "release")
    return _next(row, at, State.PENDING, detail=row.lease.detail)


def recover(row: R, at: Moment, policy: RetryPolicy) -> R:
    """Stalled: one try more is counted, and it may be claimed again at once."""
    _require(is_stalled(row, at.now), row, "recover")
    message = f"{row.lease.holder} did not renew its claim, which ran out at {format_utc(row.lease.until)}"
    return _retry_at_once(row, at, Failure(verdict=Verdict.RETRY, reason="stalled", message=message), policy)


def fail_orphaned(row: R, at: Moment, policy: RetryPolicy) -> R:
    """HELD by a worker that is known to be dead, as it died in an attempt: as `recover`, before the lease runs out."""
    _require(row.lease.state is State.HELD, row, "bereave")
    message = f"{row.lease.holder} was killed during the attempt"
    return _retry_at_once(row, at, Failure(verdict=Verdict.RETRY, reason="killed", message=message), policy)


def requeue(row: R, at: Moment) -> R:
    """DONE, ERROR or DEAD: as if it had never been tried."""
    _require(row.lease.state in {State.DONE, State.ERROR, State.DEAD}, row, "requeue")
    return _next(row, at, State.PENDING, tries=0)


def retry_now(row: R, at: Moment, policy: RetryPolicy) -> R | None:
    """Somebody asks for the row now: PENDING loses its pause, what is settled is as if it had never been tried.

    What a worker holds stays with it (None), until its lease has run out.
    """
    match row.lease.state:
        case State.HELD:
            return recover(row, at, policy) if is_stalled(row, at.now) else None
        case State.PENDING:
            return _next(row, at, State.PENDING, detail=row.lease.detail)
        case State.DONE | State.ERROR | State.DEAD:
            return requeue(row, at)
        case _:
            assert_never(row.lease.state)


def apply_request(row: R, at: Moment) -> R | None:
    """What a person asked for through Status, where that makes sense; None where it is ignored, as on a row that is held."""
    settled = {State.DONE, State.ERROR, State.DEAD}
    match row.requested_status:
        case Status.PENDING if row.lease.state in settled:
            return requeue(row, at)
        case Status.DONE if row.lease.state in {State.PENDING, State.ERROR, State.DEAD}:
            return _next(row, at, State.DONE, detail=SKIPPED)
        case Status.ERROR if row.lease.state in {State.PENDING, State.DONE}:
            return _next(row, at, State.ERROR, detail="by-hand: kept away from workers")
        case _:
            return None


def backoff_seconds(tries: int, jitter: float, policy: RetryPolicy) -> float:
    """The pause after that many failed attempts: doubling, bounded, up to half of it taken off by the jitter."""
    longest = policy.backoff_max.total_seconds()
    doubled = policy.backoff.total_seconds() * float(2 ** min(tries - 1, 32))
    return min(doubled, longest) * (1 - jitter / 2)


def _describe(failure: Failure) -> str:
    """The reason, what was said, and what a person can do about it, if there is room."""
    text = truncate(str(failure))
    more = advice(failure.reason)
    if not more or len(text) + len(more) + len(_ADVICE) > DETAIL_MAX_CHARACTERS:
        return text
    return f"{text}{_ADVICE if failure.message else ': '}{more}"


_ADVICE = " → "


def _in_utc(moment: datetime | None) -> datetime | None:
    """A processor may have said a time without a zone: it means UTC."""
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _retry_at_once(row: R, at: Moment, failure: Failure, policy: RetryPolicy) -> R:
    """Counted, with no pause: nothing says that the row is to blame."""
    at_once = replace(policy, backoff=timedelta(0), backoff_max=timedelta(0))
    return _retry_or_give_up(row, at, failure, at_once, policy.max_retries)


def _retry_or_give_up(row: R, at: Moment, failure: Failure, policy: RetryPolicy, max_tries: int | None) -> R:
    tries = row.lease.tries + 1
    detail = _describe(failure)
    if max_tries is not None and tries >= max_tries:
        hopeless = State.DEAD if isinstance(row, VideoTask) else State.ERROR
        return _next(row, at, hopeless, tries=tries, detail=detail)
    pause = timedelta(milliseconds=round(backoff_seconds(tries, at.jitter, policy) * 1000))  # as exact as a lease word
    return _next(row, at, State.PENDING, tries=tries, not_before=at.now + pause if pause else None, detail=detail)


def _next(
    row: R,
    at: Moment,
    state: State,
    *,
    tries: int | None = None,
    not_before: datetime | None = None,
    holder: str = "",
    until: datetime | None = None,
    detail: str | None = None,
) -> R:
    """The row with its next lease. While it is held, why it failed last stays known: GONE is believed the second time."""
    kept_detail = row.lease.detail if state is State.HELD else ""
    lease = Lease(
        version=row.lease.version + 1,
        state=state,
        tries=row.lease.tries if tries is None else tries,
        not_before=not_before,
        holder=holder,
        until=until,
        detail=kept_detail if detail is None else detail,
        nonce=at.nonce,
    )
    return replace(row, lease=lease, requested_status=None)


def _require(allowed: bool, row: Row, event: str) -> None:
    if not allowed:
        raise ValueError(f"row {row.id} is {row.lease.state}: it cannot {event}")
