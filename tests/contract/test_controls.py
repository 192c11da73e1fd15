"""The lines of control, bullet by bullet (youtube_download_coordinator/queue/store.py), on every backend."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from youtube_download_coordinator.models import Control
from youtube_download_coordinator.queue.store import Store

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
FULL = Control(
    name="cooldown host-a", value="cooling", until=NOON, reason='=1+1 it\'s "throttled" 🎥', pause_seconds=900
)
RIVALS = 4
ADDED_BY_EACH = 3


def put(store: Store, line: Control) -> None:
    assert store.set_control(line.name, lambda _: line) == line


def lines(store: Store) -> dict[str, Control]:
    return {line.name: line for line in store.controls(fresh=True)}


def test_at_first_there_is_no_line(store: Store) -> None:
    seen: list[Control | None] = []
    assert store.set_control("fleet", lambda line: seen.append(line)) is None
    assert (seen, store.controls(fresh=True)) == ([None], [])


def test_a_line_is_found_as_it_was_set(open_store: Callable[[], Store]) -> None:
    put(open_store(), FULL)
    assert lines(open_store()) == {FULL.name: FULL}


def test_a_change_sees_the_line_as_it_is(open_store: Callable[[], Store]) -> None:
    put(open_store(), FULL)
    seen: list[Control | None] = []
    assert open_store().set_control(FULL.name, lambda line: seen.append(line)) is None
    assert seen == [FULL]


@pytest.mark.parametrize("seconds", [900, 1800, 0])
def test_every_part_may_change_and_be_emptied(store: Store, seconds: int) -> None:
    put(store, FULL)
    changed = Control(name=FULL.name, value="clear", pause_seconds=seconds)
    put(store, changed)
    assert lines(store) == {FULL.name: changed}


def test_other_lines_stay_as_they_are(store: Store) -> None:
    others = [Control(name="fleet", value="running"), Control(name="cooldown host-b", value="probing", until=NOON)]
    for line in [*others, FULL]:
        put(store, line)
    put(store, Control(name=FULL.name, value="clear", pause_seconds=1800))
    left = lines(store)
    del left[FULL.name]
    assert left == {line.name: line for line in others}


def test_a_line_is_removed_and_others_stay(store: Store) -> None:
    others = [Control(name="fleet", value="paused"), Control(name="cooldown host-b", value="probing", until=NOON)]
    for line in [others[0], FULL, others[1]]:
        put(store, line)
    seen: list[Control] = []
    assert not store.remove_control(FULL.name, lambda line: bool(seen.append(line)))  # type: ignore[func-returns-value]
    assert seen == [FULL]
    assert store.remove_control(FULL.name, lambda line: line == FULL)
    left = {line.name: line for line in others}
    assert {line.name: line for line in store.controls()} == lines(store) == left
    assert not store.remove_control(FULL.name, lambda line: True)
    put(store, FULL)
    assert lines(store) == {**left, FULL.name: FULL}


def test_a_pause_ends_when_its_line_is_removed(open_store: Callable[[], Store]) -> None:
    stores = [open_store(), open_store()]
    for _ in range(2):
        put(stores[0], Control(name="fleet", value="paused"))
        assert [set(lines(store)) for store in stores] == [{"fleet"}, {"fleet"}]
        assert stores[0].remove_control("fleet", lambda line: line.value == "paused")
        assert [lines(store) for store in [*stores, open_store()]] == [{}, {}, {}]


def test_what_this_store_set_is_seen_at_once(store: Store) -> None:
    put(store, FULL)
    assert store.controls() == [FULL]


def test_what_this_store_set_is_seen_at_once_beside_what_was_read(open_store: Callable[[], Store]) -> None:
    """Lines that are kept from the last look are not an excuse."""
    put(open_store(), FULL)
    store = open_store()
    assert store.controls() == [FULL]
    fleet = Control(name="fleet", value="paused")
    for line in (fleet, Control(name="fleet", value="running")):
        put(store, line)
        assert {line.name: line for line in store.controls()} == {FULL.name: FULL, "fleet": line}


def test_what_another_set_is_seen_in_a_fresh_look(open_store: Callable[[], Store]) -> None:
    store, other = open_store(), open_store()
    store.controls()
    put(other, FULL)
    assert lines(store) == {FULL.name: FULL}
    assert store.controls() == [FULL]


def test_of_changes_at_once_each_sees_those_before_it(open_store: Callable[[], Store]) -> None:
    """None is lost: the pause counts them all."""
    start = threading.Barrier(RIVALS)

    def count(line: Control | None) -> Control:
        return Control(name="cooldown host-a", pause_seconds=(line.pause_seconds if line else 0) + 1)

    def add() -> None:
        store = open_store()
        start.wait()
        for _ in range(ADDED_BY_EACH):
            store.set_control("cooldown host-a", count)

    threads = [threading.Thread(target=add) for _ in range(RIVALS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines(open_store())["cooldown host-a"].pause_seconds == RIVALS * ADDED_BY_EACH


def test_of_rivals_one_wins_what_only_one_may_have(open_store: Callable[[], Store]) -> None:
    """As a probe is won: the change leaves a line that another has changed."""
    put(open_store(), FULL)
    start = threading.Barrier(RIVALS)
    won: list[int] = []

    def win(rival: int) -> None:
        store = open_store()
        start.wait()
        new = Control(name=FULL.name, value="probing", reason=f"rival {rival}")
        if store.set_control(FULL.name, lambda line: new if line == FULL else None):
            won.append(rival)

    threads = [threading.Thread(target=win, args=(rival,)) for rival in range(RIVALS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [f"rival {rival}" for rival in won] == [lines(open_store())[FULL.name].reason]
