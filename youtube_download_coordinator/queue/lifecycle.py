"""The state machine of a row. Each function is pure: it takes a row and an event, and returns the new row.

    PENDING ──claim──▶ HELD ──complete──▶ DONE
       ▲                │ ╰─renew─▶ HELD
       ├──release───────┤
       ├──fail (counted, with a pause)──────────────┤
       ├──fail (throttled: after the cooldown)──────┤
       ├──fail (another machine may succeed: wait for it, see offers.py)
       ├──fail (an outage is suspected)─────────────┤
       ├──recover (the lease expired)───────────────┤
       ├──fail_orphaned (its worker was killed)─────┤──▶ DEAD (a video task) or ERROR (a source) after the last attempt
       ├──reschedule── DONE, a source that is due for another listing
       ├──requeue── DONE, ERROR, DEAD          retry_now: requeue, or a PENDING row without its pause
       ├──ask_for── DONE: further products of a video
       ╰──give_back── PENDING, DEAD: attempts that failed during an outage

Clock and randomness are parameters (`Moment`), so that a simulation can be replayed exactly. Only the store's swap decides
whether a transition really happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar, assert_never

from youtube_download_coordinator.models import (
    NEVER,
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
    with_degraded,
    with_throttles,
)
from youtube_download_coordinator.queue.done_fields import storable, with_rights
from youtube_download_coordinator.queue.offers import (
    CURED_BY_MACHINES,
    NEEDS_ACCOUNT,
    NO_NEED,
    NO_OFFER,
    NO_OFFERS,
    Need,
    Offer,
    Offers,
    need_of,
    waits,
    with_need,
)
from youtube_download_coordinator.queue.product_requests import (
    NO_REQUEST,
    ProductRequest,
    request_for,
    request_of,
    with_request,
    without_products,
)
from youtube_download_coordinator.queue.refresh import next_look
from youtube_download_coordinator.queue.tombstones import is_purged
from youtube_download_coordinator.reasons import (
    BLOCKED,
    INTERRUPTED,
    SUSPECTED,
    UNREADABLE_ROW,
    advice,
    is_machine_wide,
)
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS, format_utc, truncate

R = TypeVar("R", bound=Row)

MAX_INTERRUPTIONS = 5
"""A function may end its program this many times in succession before that counts as a failed attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The length of a claim, the number of attempts at a row, and the pauses between them."""

    lease: timedelta
    max_retries: int | None
    """Failed attempts before the row is given up; None: no limit."""
    backoff: timedelta
    backoff_max: timedelta
    max_throttles: int | None = None
    """Refusals of a row while YouTube answers others before the row is given up; None: no limit."""
    refresh: timedelta | None = None
    """The time from one listing of a source to the next; None: it is listed once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The clock, nonce and jitter of one transition."""

    now: datetime
    """By the store's clock."""
    nonce: str
    jitter: float = 0.0
    """From 0 to 1. The pause is shortened by up to half: by `jitter / 2` of its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Admission's findings about a failed attempt."""

    is_row_at_fault: bool = False
    """The row was refused while admission was open: YouTube has answered another row since this row's last throttle."""
    until: datetime | None = None
    """The end of the cooldown."""
    is_suspected: bool = False
    """An outage is suspected (suspicion.py): the failure is not counted, whatever its verdict."""


NO_THROTTLE = Throttle()


def is_due(row: Row, now: datetime, offer: Offer = NO_OFFER) -> bool:
    """Return whether a machine with this offer may claim the row."""
    if row.lease.state is not State.PENDING or not need_of(row.lease).is_met_by(offer):
        return False
    return row.lease.not_before is None or row.lease.not_before <= now or waits(row.lease)


def lacks_machine(row: Row, now: datetime, offer: Offer) -> bool:
    """Return whether the row is due but needs another machine's offer."""
    is_over = row.lease.not_before is None or row.lease.not_before <= now
    return row.lease.state is State.PENDING and is_over and not need_of(row.lease).is_met_by(offer)


def is_stalled(row: Row, now: datetime) -> bool:
    """Return whether a worker held the row and did not renew its claim in time."""
    return row.lease.state is State.HELD and (row.lease.until is None or row.lease.until <= now)


def is_due_again(row: Row, now: datetime) -> bool:
    """Return whether the row is done and `reschedule` is due."""
    return row.lease.state is State.DONE and (row.lease.not_before is None or row.lease.not_before <= now)


def claim(
    row: R, moment: Moment, holder: str, policy: RetryPolicy, offer: Offer = NO_OFFER, early: timedelta = timedelta(0)
) -> R:
    """Give a due row to `holder` for one lease. `offer` and `early` describe the holder's machine."""
    _require(is_due(row, moment.now + early, offer), row, "claim")
    held = _next(row, moment, State.HELD, holder=holder, until=moment.now + policy.lease)
    return replace(held, claimed_by=holder, claimed_at=moment.now.replace(microsecond=0))


def renew(row: R, moment: Moment, policy: RetryPolicy) -> R:
    """Extend a held row's claim to one lease from now."""
    _require(row.lease.state is State.HELD, row, "renew")
    return _next(row, moment, State.HELD, holder=row.lease.holder, until=moment.now + policy.lease)


def settle(
    row: R,
    moment: Moment,
    outcome: Outcome,
    policy: RetryPolicy,
    throttle: Throttle = NO_THROTTLE,
    offers: Offers = NO_OFFERS,
) -> R:
    """Record the outcome of an attempt at a held row."""
    match outcome:
        case Done():
            done = storable(outcome)
            settled = complete(row, moment, with_degraded(done.result, done.degraded), policy, done.media_seconds)
            is_video = isinstance(settled, VideoTask)
            return replace(settled, extra=with_rights(settled.extra, done)) if is_video else settled
        case Failure():
            return fail(row, moment, outcome, policy, throttle, offers)
        case _:
            assert_never(outcome)


def complete(row: R, moment: Moment, result: str, policy: RetryPolicy, media_seconds: float | None = None) -> R:
    """Record a held row's result and the length of its media.

    A source also gets the time of its next listing.
    """
    _require(row.lease.state is State.HELD, row, "complete")
    done = _next(row, moment, State.DONE, detail=truncate(result))
    if isinstance(done, VideoTask) and media_seconds is not None:
        return replace(done, duration_seconds=round(media_seconds))
    if not isinstance(done, Source):
        return done
    when = next_look(replace(done, checked_at=moment.now), moment.now, policy.refresh)
    return replace(done, lease=replace(done.lease, not_before=when))


def reschedule(row: Source, moment: Moment, policy: RetryPolicy) -> Source:
    """Make a source pending that is due for another listing, or set a later time if its setting or column has changed."""
    _require(is_due_again(row, moment.now), row, "be rescheduled")
    when = next_look(row, moment.now, policy.refresh)
    if when > moment.now:
        return _next(row, moment, State.DONE, not_before=when, detail=row.lease.detail)
    return _next(row, moment, State.PENDING, tries=0)


def fail(
    row: R,
    moment: Moment,
    failure: Failure,
    policy: RetryPolicy,
    throttle: Throttle = NO_THROTTLE,
    offers: Offers = NO_OFFERS,
) -> R:
    """Record a failed attempt: retry after a pause, release without counting, or give up, according to the verdict."""
    _require(row.lease.state is State.HELD, row, "fail")
    need = need_of(row.lease)
    if throttle.is_suspected:
        detail = _describe_suspected(str(failure), need, row.lease.throttles)
        return _next(row, moment, State.PENDING, not_before=moment.now + _pause(1, moment, policy), detail=detail)
    match failure.verdict:
        case Verdict.RETRY:
            max_tries = policy.max_retries
        case Verdict.GONE:
            is_confirmed = row.lease.reason == failure.reason
            max_tries = 1 if is_confirmed else policy.max_retries
        case Verdict.PERMANENT if failure.reason in CURED_BY_MACHINES:
            max_tries, need = 1, offers.need_after(need, failure)
            if need:
                detail = _describe(failure, row.lease.throttles, need)
                return _next(row, moment, State.PENDING, not_before=need.not_before, detail=detail)
        case Verdict.PERMANENT:
            max_tries = 1
        case Verdict.THROTTLED:
            return _put_off_or_give_up(row, moment, failure, policy, throttle)
        case Verdict.UNFIT if failure.reason == INTERRUPTED:
            return _interrupt(row, moment, failure, policy)
        case Verdict.LATER | Verdict.UNFIT:
            not_before = _not_before(row, moment, failure, policy)
            detail = _describe(failure, row.lease.throttles, need)
            return _next(row, moment, State.PENDING, not_before=not_before, detail=detail)
        case _:
            assert_never(failure.verdict)
    return _retry_or_give_up(row, moment, failure, policy, max_tries, need)


def _not_before(row: Row, moment: Moment, failure: Failure, policy: RetryPolicy) -> datetime | None:
    """Return the time until which a row waits, if it is too early or this machine cannot do it."""
    if failure.verdict is Verdict.LATER:
        wanted = min(_in_utc(failure.not_before) or moment.now + policy.backoff_max, NEVER)
        return max(wanted, moment.now + policy.backoff)
    # Other sources may be listed here, so this one waits: without a pause it would be claimed again at once.
    is_listed_elsewhere = isinstance(row, Source) and not is_machine_wide(failure)
    return moment.now + policy.backoff_max if is_listed_elsewhere else None


def release(row: R, moment: Moment) -> R:
    """Give back a held row without counting an attempt."""
    _require(row.lease.state is State.HELD, row, "release")
    return _next(row, moment, State.PENDING, detail=row.lease.detail)


def wait_for_machine(row: R, moment: Moment, offer: Offer) -> R:
    """Let a due row wait for a machine with another offer."""
    _require(lacks_machine(row, moment.now, offer), row, "wait for a machine")
    return _next(row, moment, State.PENDING, detail=row.lease.detail)


def reconsider(row: R, moment: Moment, offers: Offers) -> R:
    """Let a row wait for other machines when its own are gone. Give it up if no machine offers what it needs."""
    _require(waits(row.lease), row, "wait for other machines")
    need = need_of(row.lease)
    new = offers.assigned(need, account=need.account, needs_region=bool(need.waits_for))
    detail = with_need(row.lease.detail, new)
    if new:
        return _next(row, moment, State.PENDING, not_before=new.not_before, detail=detail)
    return _give_up(row, moment, detail, row.lease.tries + 1)


def give_back(row: R, moment: Moment, tries: int) -> R:
    """Undo failed attempts that an outage caused: make the row due again, with at most `tries` failed attempts."""
    _require(row.lease.state in {State.PENDING, State.DEAD}, row, "be given back")
    need = need_of(row.lease)
    if row.lease.reason == NEEDS_ACCOUNT:
        need = replace(need, account=False)
    detail = _describe_suspected(with_throttles(with_need(row.lease.detail, NO_NEED), 0), need, row.lease.throttles)
    # Due from now on: rows that were never tried are older, and are claimed first.
    return _next(row, moment, State.PENDING, tries=min(tries, row.lease.tries), not_before=moment.now, detail=detail)


def recover(row: R, moment: Moment, policy: RetryPolicy) -> R:
    """Count a failed attempt at a stalled row, which may be claimed again at once."""
    _require(is_stalled(row, moment.now), row, "recover")
    message = f"{row.lease.holder} did not renew its claim, which expired at {format_utc(row.lease.until)}"
    return _retry_at_once(row, moment, Failure(verdict=Verdict.RETRY, reason="stalled", message=message), policy)


def fail_orphaned(row: R, moment: Moment, policy: RetryPolicy) -> R:
    """Count a failed attempt at a row whose worker died during it, before the lease expires."""
    _require(row.lease.state is State.HELD, row, "fail as orphaned")
    message = f"{row.lease.holder} was killed during the attempt"
    return _retry_at_once(row, moment, Failure(verdict=Verdict.RETRY, reason="killed", message=message), policy)


def requeue(row: R, moment: Moment) -> R:
    """Reset a settled row: pending, with no failed attempts."""
    _require(row.lease.state in {State.DONE, State.ERROR, State.DEAD}, row, "requeue")
    return _next(row, moment, State.PENDING, tries=0)


def retry_now(row: R, moment: Moment, policy: RetryPolicy) -> R | None:
    """Make the row due: end the pause of a pending row, reset a settled one, recover a stalled one.

    Return None for a row that a worker holds, and for a row of a purged video.
    """
    if is_purged(row):
        return None
    match row.lease.state:
        case State.HELD:
            return recover(row, moment, policy) if is_stalled(row, moment.now) else None
        case State.PENDING:
            return _next(row, moment, State.PENDING, detail=with_need(row.lease.detail, NO_NEED))
        case State.DONE | State.ERROR | State.DEAD:
            return requeue(row, moment)
        case _:
            assert_never(row.lease.state)


def correct_result(row: R, moment: Moment, result: str) -> R | None:
    """Replace the result of a row that is done. None for any other row."""
    if row.lease.state is not State.DONE or is_purged(row):
        return None
    return _next(row, moment, State.DONE, not_before=row.lease.not_before, detail=truncate(result))


def ask_for(row: R, moment: Moment, products: Sequence[str]) -> R | None:
    """Make a row that is done due for further products. Return None for any other row.

    A row that already waits with such a request gets these products in addition.
    """
    request = request_of(row.lease)
    if is_purged(row):
        return None
    if row.lease.state is State.DONE:
        request = request_for(products, row.lease.result)
    elif row.lease.state is State.HELD or not request:
        return None
    return _next(row, moment, State.PENDING, tries=0, request=request.also(products))


def set_apart(row: R, moment: Moment, problem: str) -> R:
    """Keep a row away from workers, because its content cannot be processed."""
    state = State.DEAD if row.lease.state is State.DEAD else State.ERROR
    return _next(row, moment, state, detail=truncate(f"{UNREADABLE_ROW}: {problem}"))


def apply_request(row: R, moment: Moment) -> R | None:
    """Apply the status that a person typed. Return None where it is ignored, for example on a held row."""
    settled = {State.DONE, State.ERROR, State.DEAD}
    if is_purged(row):  # the next version makes the sheet show the old Status again
        is_as_shown = row.requested_status is row.status
        return None if is_as_shown else _next(row, moment, row.lease.state, detail=row.lease.detail)
    match row.requested_status:
        case Status.PENDING if row.lease.state in settled:
            return requeue(row, moment)
        case Status.DONE if row.lease.state in {State.PENDING, State.ERROR, State.DEAD}:
            return _next(row, moment, State.DONE, detail=request_of(row.lease).result or SKIPPED)
        case Status.ERROR if row.lease.state in {State.PENDING, State.DONE}:
            return _next(row, moment, State.ERROR, detail="by-hand: kept away from workers")
        case _:
            return None


def backoff_seconds(tries: int, jitter: float, policy: RetryPolicy) -> float:
    """Return the pause after that many failed attempts: doubling, bounded, less up to half of it by the jitter."""
    longest = policy.backoff_max.total_seconds()
    doubled = policy.backoff.total_seconds() * float(2 ** min(tries - 1, 32))
    return min(doubled, longest) * (1 - jitter / 2)


def _describe(failure: Failure, throttles: int, need: Need = NO_NEED) -> str:
    """Return the reason, the message, advice if there is room for it, what the row needs, and its throttle count."""
    text = truncate(str(failure))
    hint = "" if need and failure.reason in CURED_BY_MACHINES else advice(failure.reason)
    if hint and len(text) + len(hint) + len(_HINT) <= DETAIL_MAX_CHARACTERS:
        text = f"{text}{_HINT if failure.message else ': '}{hint}"
    return with_throttles(with_need(text, need), throttles)


def _describe_suspected(failure: str, need: Need, throttles: int) -> str:
    return with_throttles(with_need(f"{SUSPECTED}: {failure.removeprefix(f'{SUSPECTED}: ')}", need), throttles)


_HINT = " → "


def _in_utc(time: datetime | None) -> datetime | None:
    """Return the time with a zone. A processor may give one without: it means UTC."""
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time


def _retry_at_once(row: R, moment: Moment, failure: Failure, policy: RetryPolicy) -> R:
    """Count a failed attempt without a pause: the row may not be the cause."""
    without_pause = replace(policy, backoff=timedelta(0), backoff_max=timedelta(0))
    return _retry_or_give_up(row, moment, failure, without_pause, policy.max_retries, need_of(row.lease))


def _put_off_or_give_up(row: R, moment: Moment, failure: Failure, policy: RetryPolicy, throttle: Throttle) -> R:
    """Make a throttled row wait until the cooldown is over, and longer each time that YouTube refuses it alone."""
    throttles = row.lease.throttles + throttle.is_row_at_fault
    if policy.max_throttles is not None and throttles >= policy.max_throttles:
        message = f"refused {throttles} times while other videos were answered; last: {failure}"
        return _give_up(row, moment, _describe(Failure(verdict=Verdict.PERMANENT, reason=BLOCKED, message=message), 0))
    not_before = max(throttle.until or moment.now, moment.now) + _pause(max(throttles, 1), moment, policy)
    detail = _describe(failure, throttles, need_of(row.lease))
    return _next(row, moment, State.PENDING, not_before=not_before, detail=detail)


def _interrupt(row: R, moment: Moment, failure: Failure, policy: RetryPolicy) -> R:
    """Release the row. From the fifth time on, count an attempt, so that a function that always ends its program stops."""
    count, need = row.lease.interruptions + 1, need_of(row.lease)
    message = f"{count} time{'' if count == 1 else 's'}, last by {failure.message}"
    counted = replace(failure, message=message)
    if count >= MAX_INTERRUPTIONS:
        return _retry_or_give_up(row, moment, counted, policy, policy.max_retries, need)
    return _next(row, moment, State.PENDING, detail=_describe(counted, row.lease.throttles, need))


def _retry_or_give_up(
    row: R, moment: Moment, failure: Failure, policy: RetryPolicy, max_tries: int | None, need: Need
) -> R:
    tries = row.lease.tries + 1
    if max_tries is not None and tries >= max_tries:
        given_up = replace(need, account=False, waits_for=())
        return _give_up(row, moment, _describe(failure, row.lease.throttles, given_up), tries)
    detail = _describe(failure, row.lease.throttles, need)
    pause = _pause(tries, moment, policy)
    return _next(
        row, moment, State.PENDING, tries=tries, not_before=moment.now + pause if pause else None, detail=detail
    )


def _pause(count: int, moment: Moment, policy: RetryPolicy) -> timedelta:
    """Return a backoff in whole milliseconds, the precision of an encoded lease."""
    return timedelta(milliseconds=round(backoff_seconds(count, moment.jitter, policy) * 1000))


def _give_up(row: R, moment: Moment, detail: str, tries: int | None = None) -> R:
    if request := request_of(row.lease):  # the earlier files still exist
        return _next(row, moment, State.DONE, detail=without_products(request, Lease(detail=detail, nonce="").reason))
    given_up = State.DEAD if isinstance(row, VideoTask) else State.ERROR
    return _next(row, moment, given_up, tries=tries, detail=detail)


def _next(
    row: R,
    moment: Moment,
    state: State,
    *,
    tries: int | None = None,
    not_before: datetime | None = None,
    holder: str = "",
    until: datetime | None = None,
    detail: str | None = None,
    request: ProductRequest = NO_REQUEST,
) -> R:
    """Return the row with its next lease. Requested products are kept until the row is done.

    A held row keeps the detail of its last failure, so that GONE can be confirmed. A pending row that needs another machine and
    has no pause waits for that machine.
    """
    if detail is None:
        detail = row.lease.detail if state is State.HELD else ""
    if state is not State.DONE:
        detail = with_request(detail, request or request_of(row.lease))
    lease = Lease(
        version=row.lease.version + 1,
        state=state,
        tries=row.lease.tries if tries is None else tries,
        not_before=not_before,
        holder=holder,
        until=until,
        detail=detail,
        nonce=moment.nonce,
    )
    if state is State.PENDING and not_before is None and (need := need_of(lease)):
        lease = replace(lease, not_before=need.not_before)
    return replace(row, lease=lease, requested_status=None)


def _require(allowed: bool, row: Row, event: str) -> None:
    if not allowed:
        raise ValueError(f"row {row.id} is {row.lease.state}: it cannot {event}")
