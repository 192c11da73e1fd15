"""Hypothesis writes the nasty story: several workers over one store, with remembered stale rows, checked against a model.

The model knows, for each row, the one lease that was last swapped in. Every swap that names another lease must be lost and
write nothing. Stale rows are remembered and tried again later: a store that ignores what was seen is found in a few steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from tests.support.rows import new_video
from youtube_download_coordinator.models import Lease, State, VideoTask
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS, Change, R, Store, Swap, Table

START = datetime(2026, 11, 22, tzinfo=UTC)
NO_SHRINKING = settings(max_examples=200, deadline=None, database=None, phases=[Phase.generate])
TABLES = st.sampled_from([VIDEO_TASKS, DEAD_LETTERS])


class Story(RuleBasedStateMachine):
    """A story that every store must survive. `make_store` gives each story a new store."""

    make_store: Callable[[], Store]
    remembered = Bundle("remembered")

    def __init__(self) -> None:
        super().__init__()
        self.store = self.make_store()
        self.rows: dict[int, tuple[str, VideoTask]] = {}
        self.keys: set[str] = set()
        self.nonces = count()

    def teardown(self) -> None:
        self.store.close()

    @rule(target=remembered, numbers=st.lists(st.integers(0, 12), min_size=1, max_size=5))
    def insert(self, numbers: list[int]) -> VideoTask:
        rows = [replace(new_video(n), lease=Lease(nonce=f"i{next(self.nonces)}")) for n in numbers]
        ids = self.store.insert(VIDEO_TASKS, rows)
        for row, row_id in zip(rows, ids, strict=True):
            assert (row_id is None) == (row.key in self.keys)
            self.keys.add(row.key)
            if row_id is not None:
                assert row_id > max(self.rows, default=0)
                self.rows[row_id] = (VIDEO_TASKS.name, replace(row, id=row_id))
        return next(row for _, row in self.rows.values() if row.key == rows[0].key)

    @rule(
        target=remembered,
        table=TABLES,
        seen=remembered,
        state=st.sampled_from(State),
        tries=st.integers(0, 3),
        seconds=st.integers(-5, 5),
    )
    def swap(self, table: Table[VideoTask], seen: VideoTask, state: State, tries: int, seconds: int) -> VideoTask:
        change = self.change(seen, state, tries, seconds)
        (outcome,) = self.store.swap(table, [change])
        self.expect(table, change, outcome)
        return change.new

    @rule(table=TABLES, seen=st.lists(remembered, max_size=4), state=st.sampled_from(State))
    def swap_many(self, table: Table[VideoTask], seen: list[VideoTask], state: State) -> None:
        distinct = list({row.id: row for row in seen}.values())
        changes = [self.change(row, state, 0, 0) for row in distinct]
        for change, outcome in zip(changes, self.store.swap(table, changes), strict=True):
            self.expect(table, change, outcome)

    def change(self, seen: VideoTask, state: State, tries: int, seconds: int) -> Change[VideoTask]:
        moment = START + timedelta(seconds=seconds)
        lease = Lease(
            version=seen.lease.version + 1,
            state=state,
            tries=tries,
            not_before=moment if state is State.PENDING and seconds else None,
            holder="h" if state is State.HELD else "",
            until=moment if state is State.HELD else None,
            nonce=f"s{next(self.nonces)}",
        )
        return Change(seen, replace(seen, lease=lease))

    def expect(self, table: Table[VideoTask], change: Change[VideoTask], outcome: Swap) -> None:
        place, current = self.rows[change.seen.id]
        same_lease = current.lease == change.seen.lease
        is_current = place == table.name and same_lease
        may_be_moved_back = (
            same_lease and current.lease.state is State.HELD
        )  # a store may move such a row back, and then swap it
        assert outcome is (Swap.WON if is_current else Swap.LOST) or may_be_moved_back
        if outcome is Swap.WON:
            self.rows[current.id] = (table.name, change.new)

    @rule(seen=remembered, there=st.booleans())
    def move(self, seen: VideoTask, there: bool) -> None:
        source, target = (VIDEO_TASKS, DEAD_LETTERS) if there else (DEAD_LETTERS, VIDEO_TASKS)
        place, current = self.rows[seen.id]
        is_current = place == source.name and current.lease == seen.lease
        assert self.store.move(source, seen, target) is is_current
        if is_current:
            self.rows[seen.id] = (target.name, current)

    @rule(seen=consumes(remembered))
    def forget(self, seen: VideoTask) -> None:
        pass

    @invariant()
    def the_store_holds_what_was_won(self) -> None:
        for table in (VIDEO_TASKS, DEAD_LETTERS):
            expected = [row for _, (place, row) in sorted(self.rows.items()) if place == table.name]
            assert self.store.scan(table) == expected
            counted = {state: sum(row.lease.state is state for row in expected) for state in State}
            assert self.store.count(table) == {state: number for state, number in counted.items() if number}


def story(make_store: Callable[[], Store]) -> type[Story]:
    return type("StoryOfOneStore", (Story,), {"make_store": staticmethod(make_store)})


@pytest.mark.parametrize(
    "stories",
    [pytest.param(20, id="some"), pytest.param(100, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
)
def test_no_story_breaks_the_store(make_empty_store: Callable[[], Store], stories: int) -> None:
    run_state_machine_as_test(
        story(make_empty_store),
        settings=settings(
            max_examples=stories, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_a_blind_store_is_found_out() -> None:
    """The story bites: a store whose swap does not look at what was seen fails it."""
    from youtube_download_coordinator.stores.sql import SqlStore

    class Blind(SqlStore):
        def swap(self, table: Table[R], changes: Sequence[Change[R]]) -> list[Swap]:
            current = {row.id: row for row in self.scan(table)}
            seen_as_is = [Change(current[c.seen.id], c.new) for c in changes if c.seen.id in current]
            super().swap(table, seen_as_is)
            return [Swap.WON if c.seen.id in current else Swap.LOST for c in changes]

    with pytest.raises(AssertionError):
        run_state_machine_as_test(story(lambda: Blind("sqlite://")), settings=NO_SHRINKING)
