"""Operations on rows that a process does not hold: add, recover, requeue, retry, skip, move misplaced rows, and read.

`Queue` adds the operations of a worker: claim rows, hold them, and record the results of attempts.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from youtube_download_coordinator.errors import StoreFull, StoreUnavailable, UserError
from youtube_download_coordinator.models import Lease, Row, Source, State, Status, VideoTask
from youtube_download_coordinator.queue import cooldown, lifecycle
from youtube_download_coordinator.queue.lifecycle import Moment, RetryPolicy
from youtube_download_coordinator.queue.offers import Offer, Offers, offers_in
from youtube_download_coordinator.queue.selection import ChangeResult, Selection
from youtube_download_coordinator.queue.store import (
    DEAD_LETTERS,
    SOURCES,
    VIDEO_TASKS,
    AccentOrder,
    Change,
    Store,
    Swap,
    Table,
    Where,
)
from youtube_download_coordinator.queue.targets import TargetProgress, Targets, describe_held_back
from youtube_download_coordinator.queue.tombstones import PURGED_ADVICE, PURGED_KEY, is_purged, purged, tombstone
from youtube_download_coordinator.queue.unpublished import ReadKeys, kept
from youtube_download_coordinator.queue.waiting import WaitingRows

if TYPE_CHECKING:
    from random import Random  # only its type: randomness is given

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)
T = TypeVar("T")

SCAN_PAGE_ROWS = 100
INSERT_BATCH_ROWS = 500
"""Rows in one insertion: few enough that other processes do not wait long for it."""
ADD_ROUNDS = 8
"""How often a row is looked for and added in turn."""
_VIDEO_TABLES = (VIDEO_TASKS, DEAD_LETTERS)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """The numbers of rows that a recovery changed, by kind of change."""

    retried: int = 0
    given_up: int = 0
    requests_applied: int = 0
    """Rows in whose Status a person had typed a request."""
    moved: int = 0
    due_again: int = 0
    """Sources that are listed again for new videos."""

    @property
    def total(self) -> int:
        return self.retried + self.given_up + self.requests_applied + self.moved + self.due_again


@dataclass(slots=True, kw_only=True)
class Maintenance:
    """The shared queue as any process sees it. Safe to use from several threads."""

    store: Store
    video_policy: RetryPolicy
    source_policy: RetryPolicy
    random: Random
    on_attempt_end: Callable[[VideoTask], None] = lambda task: None
    """A callback for each video that this process recorded as done or moved to the dead letters, called afterwards."""
    unpublished: ReadKeys = lambda: ()
    """A function that returns the keys of videos whose files wait on this machine's disk to be published (unpublished.py)."""
    targets: Targets = field(default_factory=Targets)
    """The target hours of each accent."""
    _waiting: WaitingRows = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = WaitingRows(self.store)

    # --- adding ------------------------------------------------------------------------------------------------------

    def add(self, table: Table[R], rows: Iterable[R]) -> list[int | None]:
        """Insert rows, each with its first lease. Return their IDs, or None for each row whose key exists or was purged."""
        drafts = (replace(row, lease=Lease(nonce=self._nonce())) for row in rows)
        return [row_id for batch in batches(drafts) for row_id in self._insert(table, batch)]

    def _insert(self, table: Table[R], rows: Sequence[R]) -> list[int | None]:
        """Insert rows. Skip sources that are purged videos: nothing would be fetched, but their rows would name the video."""
        buried = self.buried_keys([row.key for row in rows]) if table.row_type is Source else set()
        if not buried:
            return self.store.insert(table, rows)
        ids = iter(self.store.insert(table, [row for row in rows if row.key not in buried]))
        return [None if row.key in buried else next(ids) for row in rows]

    def find_or_add(self, table: Table[R], row: R) -> tuple[int, bool]:
        """Insert the row unless its key exists. Return the row's ID and whether it was inserted."""
        for _ in range(ADD_ROUNDS):  # a person may delete the row between the two requests
            (row_id,) = self.add(table, [row])
            if row_id is not None:
                return row_id, True
            if known := self.store.scan(table, Where(keys=[row.key]), limit=1):
                return known[0].id, False
            if self.buried_keys([row.key]):
                raise UserError(PURGED_ADVICE)
        raise StoreUnavailable(f"{row.url} was deleted each time it was added; try again")

    def known_videos(self, keys: Collection[str]) -> set[str]:
        """Return the keys that belong to a video task, a dead letter or a purged video. A hint: only an insertion decides."""
        where = Where(keys=list(keys))
        rows = (row for table in (VIDEO_TASKS, DEAD_LETTERS) for row in self.store.scan(table, where, limit=len(keys)))
        return {row.key for row in rows} | self.buried_keys(keys) if keys else set()

    # --- recovering --------------------------------------------------------------------------------------------------

    def recover(self, table: Table[R]) -> RecoveryReport:
        """Release stalled rows, apply people's requests, move misplaced rows, and reschedule sources.

        Give up rows that wait for a machine when no machine offers what they need.
        """
        policy, retried, given_up = self._policy(table), 0, 0

        def release_stalled(row: R, moment: Moment) -> R | None:
            return lifecycle.recover(row, moment, policy) if lifecycle.is_stalled(row, moment.now) else None

        for rows in self._pages(table, lambda: Where(state=State.HELD, due=self.store.now())):
            won = self._won(table, self._changes(rows, release_stalled))
            retried += sum(change.new.lease.state is State.PENDING for change in won)
            given_up += sum(change.new.lease.state is not State.PENDING for change in won)
        changed = self._reconsider(table)
        given_up += sum(row.lease.state is not State.PENDING for row in changed)
        are_videos = table.name == VIDEO_TASKS.name
        applied = self._apply_requests(table) + (self._apply_requests(DEAD_LETTERS) if are_videos else 0)
        moved, due_again = (self._move_misplaced(), 0) if are_videos else (0, self._reschedule())
        self._forget_machines()
        return RecoveryReport(
            retried=retried, given_up=given_up, requests_applied=applied, moved=moved, due_again=due_again
        )

    def _apply_requests(self, table: Table[R]) -> int:
        """Apply what people typed into Status. Return the number of rows changed."""
        count = 0
        for rows in self._pages(table, lambda: Where(has_request=True)):
            count += len(self._won(table, self._changes(rows, lifecycle.apply_request)))
        return count

    def _reconsider(self, table: Table[R]) -> list[R]:
        """Let rows wait for other machines, or give them up, if their own have offered nothing for a day.

        Do nothing while the fleet is paused.
        """
        changed: list[R] = []
        for rows in self._waiting.unoffered(table, self._read_offers, SCAN_PAGE_ROWS):
            lines, moment = self.store.controls(), self._moment()
            if any(line.name == cooldown.FLEET and cooldown.is_paused(line, moment.now) for line in lines):
                break
            offers = offers_in(lines, moment.now)
            changes = [
                Change(row, lifecycle.reconsider(row, self._with_new_nonce(moment), Offers(all=offers)))
                for row in rows
                if not row.requested_status
            ]
            changed += [change.new for change in self._won(table, changes)]
        return changed

    def _forget_machines(self) -> None:
        """Remove lines of Control that machines have not used for a week."""
        now = self.store.now()
        for line in self.store.controls():
            if cooldown.is_forgotten(line, now):
                self.store.remove_control(line.name, lambda line: cooldown.is_forgotten(line, now))
            elif cooldown.dated_clear(line, now):
                self.store.set_control(line.name, lambda line: cooldown.dated_clear(line, now))

    def _read_offers(self) -> list[Offer]:
        return offers_in(self.store.controls(), self.store.now())

    def _reschedule(self) -> int:
        """Make sources pending that are due for another listing. Return their number.

        Stop after the first page that contains one, because all sources of a queue may be due at once.
        """

        def reschedule(row: Source, moment: Moment) -> Source | None:
            is_due = lifecycle.is_due_again(row, moment.now) and not row.requested_status
            return lifecycle.reschedule(row, moment, self.source_policy) if is_due else None

        for rows in self._pages(SOURCES, lambda: Where(state=State.DONE, due=self.store.now())):
            won = self._won(SOURCES, self._changes(rows, reschedule))
            if count := sum(change.new.lease.state is State.PENDING for change in won):
                return count
        return 0

    def release_holder(self, holder: str, attempted: Collection[int] = ()) -> int:
        """Release the rows of another worker that is known to be dead. Return their number.

        `attempted` are the IDs of the videos it was processing when it died. Each counts a failed attempt, because the
        video may have been the cause.
        """
        videos = self._release_holder(VIDEO_TASKS, holder, attempted)
        self._move([row for row in videos if row.lease.state is State.DEAD], VIDEO_TASKS, DEAD_LETTERS)
        return len(self._release_holder(SOURCES, holder)) + len(videos)

    def _release_holder(self, table: Table[R], holder: str, attempted: Collection[int] = ()) -> list[R]:
        released: list[R] = []
        policy, kept_keys = self._policy(table), self.unpublished()
        for rows in self._pages(table, lambda: Where(state=State.HELD, holder=holder)):
            moment = self._moment()
            changes = [
                Change(row, lifecycle.fail_orphaned(row, self._with_new_nonce(moment), policy))
                if row.id in attempted
                else Change(row, lifecycle.release(row, self._with_new_nonce(moment)))
                for row in rows
            ]
            changes = [replace(change, new=kept(change.new, moment.now, kept_keys)) for change in changes]
            released += [change.new for change in self._won(table, changes)]
        return released

    # --- moving ------------------------------------------------------------------------------------------------------

    def _move_misplaced(self) -> int:
        """Move dead rows to the dead letters, and revived rows back, if a worker died before it moved them."""
        dead = self._rows_in(VIDEO_TASKS, State.DEAD)
        revived = [row for state in State if state is not State.DEAD for row in self._rows_in(DEAD_LETTERS, state)]
        return self._move(dead, VIDEO_TASKS, DEAD_LETTERS) + self._move(revived, DEAD_LETTERS, VIDEO_TASKS)

    def _rows_in(self, table: Table[R], state: State) -> list[R]:
        return [row for rows in self._pages(table, lambda: Where(state=state)) for row in rows]

    def _move(self, rows: Sequence[VideoTask], source: Table[VideoTask], target: Table[VideoTask]) -> int:
        """Move rows and return how many were moved. If the target is full, they wait for the next recovery."""
        moved = 0
        try:
            for row in rows:
                if self.store.move(source, row, target):
                    moved += 1
                    if target is DEAD_LETTERS:
                        self.on_attempt_end(row)
        except StoreFull as error:
            log.warning("rows could not be moved to the %s; trying again at the next recovery: %s", target.name, error)
        return moved

    # --- purged videos -----------------------------------------------------------------------------------------------

    def buried_keys(self, keys: Collection[str]) -> set[str]:
        """Return the keys that have a tombstone. A hint, like `Store.buried`."""
        by_tombstone = {tombstone(key): key for key in keys}
        return {by_tombstone[known] for known in self.store.buried(by_tombstone)} if by_tombstone else set()

    def erase(self, table: Table[R], rows: Sequence[R]) -> list[Change[R]]:
        """Erase rows of videos that have a tombstone, whoever holds them. Return the changes that were won."""
        moment = self._moment()
        new_keys = [f"{PURGED_KEY}{tombstone(row.key)}" for row in rows if not is_purged(row)]
        taken = {row.key for name in _VIDEO_TABLES for row in self.store.scan(name, Where(keys=new_keys), limit=10000)}
        changes = [Change(row, purged(row, moment.now, self._nonce(), taken)) for row in rows]
        outcomes = self.store.erase(table, changes) if changes else []
        return [change for change, outcome in zip(changes, outcomes, strict=True) if outcome is Swap.WON]

    def _without_buried(self, table: Table[R], rows: Sequence[R]) -> Sequence[R]:
        """Erase the rows of purged videos, and return the other rows.

        An older worker may have inserted such a row, or a person may have restored an old version of it.
        """
        if not rows or table.row_type is not VideoTask:
            return rows
        buried = self.buried_keys([row.key for row in rows])
        if erased := [row for row in rows if row.key in buried]:
            log.warning("%d rows of purged videos erased", len(erased))
            self.erase(table, erased)
        return [row for row in rows if row.key not in buried]

    # --- people's requests -------------------------------------------------------------------------------------------

    def retry(self, table: Table[R], selection: Selection) -> Counter[ChangeResult]:
        """Make rows due now: end their pauses, reset settled rows, and move dead letters back."""
        policy = self._policy(table)
        return self._change(
            table,
            selection,
            lambda row, moment: None if lifecycle.is_due(row, moment.now) else lifecycle.retry_now(row, moment, policy),
        )

    def ask_for(self, table: Table[R], selection: Selection, products: Sequence[str]) -> Counter[ChangeResult]:
        """Make rows that are done due for further products. Rows that are not done are left alone (ALREADY)."""
        return self._change(table, selection, lambda row, moment: lifecycle.ask_for(row, moment, products))

    def skip(self, table: Table[R], selection: Selection) -> Counter[ChangeResult]:
        """Mark rows as done without processing them."""
        return self._change(
            table,
            selection,
            lambda row, moment: lifecycle.apply_request(replace(row, requested_status=Status.DONE), moment),
        )

    def correct_results(self, results: Mapping[int, str]) -> set[int]:
        """Replace the results of videos that are done, by ID. Return the IDs of the changed rows."""
        rows = self.store.scan(VIDEO_TASKS, Where(ids=list(results)), limit=len(results)) if results else []
        changes = self._changes(rows, lambda row, moment: lifecycle.correct_result(row, moment, results[row.id]))
        return {change.new.id for change in self._won(VIDEO_TASKS, changes)}

    def requeue_dead_letters(self, ids: Sequence[int] | None = None) -> int:
        """Reset dead letters (all of them, or those with these IDs) to new rows. Return their number."""
        return self.retry(DEAD_LETTERS, Selection(ids=ids))[ChangeResult.CHANGED]

    def _change(
        self, table: Table[R], selection: Selection, transition: Callable[[R, Moment], R | None]
    ) -> Counter[ChangeResult]:
        results: Counter[ChangeResult] = Counter()
        for rows in batches(self.select(table, selection), SCAN_PAGE_ROWS):
            changes = self._changes(rows, transition)
            changing_ids = {change.seen.id for change in changes}
            unchanged = [row for row in rows if row.id not in changing_ids]
            won = self._won(table, changes)
            results += Counter({ChangeResult.CHANGED: len(won), ChangeResult.MISSED: len(changes) - len(won)})
            results.update(
                ChangeResult.HELD if row.lease.state is State.HELD else ChangeResult.ALREADY for row in unchanged
            )
            if table.name == DEAD_LETTERS.name:
                revived = (change.new for change in won)
                self._move([row for row in revived if isinstance(row, VideoTask)], DEAD_LETTERS, VIDEO_TASKS)
        return results

    # --- reading -----------------------------------------------------------------------------------------------------

    def select(self, table: Table[R], selection: Selection) -> Iterator[R]:
        """Yield the selected rows in order of ID, read page by page."""
        pages = (self.rows(table, where) for where in selection.wheres())
        return (row for row in merge(*pages, key=lambda row: row.id) if selection.matches(row))

    def rows(self, table: Table[R], where: Where | None = None) -> Iterator[R]:
        """Yield every row in order of ID, read page by page."""
        where = where or Where()
        while page := self.store.scan(table, where, limit=1000):
            yield from page
            where = replace(where, after_id=page[-1].id)

    def counts(self, table: Table[Any]) -> Mapping[State, int]:
        return self.store.count(table)

    def hours_by_target(self) -> list[TargetProgress]:
        """Return how much there is of each accent that has a target, in the order of the setting. Raises StoreUnavailable."""
        return self.targets.progress(self.store)

    def held_back_by_targets(self) -> str:
        """Return which pending videos are not claimed because their accents have their hours; an empty text if none are."""
        return describe_held_back(self.hours_by_target())

    def claimable(self, table: Table[Any], due: datetime) -> Where:
        """Return the conditions of the rows that may be claimed at a time: no target holds them back."""
        return Where(state=State.PENDING, due=due, accents=self._accents(table))

    def _accents(self, table: Table[Any]) -> AccentOrder | None:
        return self.targets.order(self.store) if table.name == VIDEO_TASKS.name else None

    def next_due(self, table: Table[R]) -> datetime | None:
        """Return when the next pending row may be claimed, or None if no row is pending."""
        rows = self.store.scan(table, self.claimable(table, END_OF_TIME), limit=1)
        return (rows[0].lease.not_before or self.store.now()) if rows else None

    # --- shared with Queue -------------------------------------------------------------------------------------------

    def _pages(self, table: Table[R], where: Callable[[], Where]) -> Iterator[list[R]]:
        """Yield pages of matching rows while the caller changes them so that they stop matching.

        A row that still matches afterwards is yielded only once.
        """
        seen_ids: set[int] = set()
        while rows := [row for row in self.store.scan(table, where(), limit=SCAN_PAGE_ROWS) if row.id not in seen_ids]:
            yield rows
            seen_ids |= {row.id for row in rows}

    def _changes(self, rows: Iterable[R], transition: Callable[[R, Moment], R | None]) -> list[Change[R]]:
        """Apply a transition to rows and return the changes.

        If the transition raises for a row, set that row apart with the reason, so that the others are still changed.
        """
        moment, changes = self._moment(), []
        for row in rows:
            row_moment = self._with_new_nonce(moment)
            try:
                new = transition(row, row_moment)
            except Exception as error:
                log.exception(
                    "row %d (%s) cannot be changed; it is set to error and kept from workers", row.id, row.name
                )
                new = lifecycle.set_apart(row, row_moment, f"{type(error).__name__}: {error}")
            if new is not None:
                changes.append(Change(row, new))
        return changes

    def _won(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Change[R]]:
        """Swap the rows and return the changes that were won."""
        outcomes = self.store.swap(table, changes) if changes else []
        return [change for change, outcome in zip(changes, outcomes, strict=True) if outcome is Swap.WON]

    def _policy(self, table: Table[Any]) -> RetryPolicy:
        return self.source_policy if table.row_type is Source else self.video_policy

    def _moment(self) -> Moment:
        return Moment(now=self.store.now(), nonce="")

    def _with_new_nonce(self, moment: Moment) -> Moment:
        return replace(moment, nonce=self._nonce(), jitter=self.random.random())

    def _nonce(self) -> str:
        return f"{self.random.getrandbits(32):08x}"


def batches(items: Iterable[T], size: int = INSERT_BATCH_ROWS) -> Iterator[list[T]]:
    """Yield lists of at most `size` items, built as the items arrive."""
    rest = iter(items)
    return iter(lambda: list(islice(rest, size)), [])
