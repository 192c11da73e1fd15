"""People at the tabs and columns of a spreadsheet in use: nothing is processed twice or lost, or one line says what to do."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.sheet import DEAD, SOURCE_TAB, VIDEOS, SheetDesk, a_video, video_url
from youtube_download_coordinator.errors import ConfigError, CoordinatorError, StoreError
from youtube_download_coordinator.models import Control, Done, Lease, State, VideoTask
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.cooldown import FLEET, is_paused
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Change, Swap
from youtube_download_coordinator.stores.sheets.api import Connection
from youtube_download_coordinator.stores.sheets.guarantee_line import GuaranteesFailed
from youtube_download_coordinator.stores.sheets.layout import LayoutProblem
from youtube_download_coordinator.stores.sheets.lease_codec import encode_lease
from youtube_download_coordinator.stores.sheets.spreadsheet import Spreadsheet

CONTROL = "Control"
TITLES = [SOURCE_TAB, VIDEOS, DEAD, CONTROL]
COUNT = 8
Act = Callable[[SheetDesk], None]


def work(desk: SheetDesk, queues: list[Queue], recorded: Counter[str], rounds: int) -> None:
    """Let workers claim two videos each, in turn, and record their results."""
    for _ in range(rounds):
        claims = [(queue, claim) for queue in queues for claim in queue.claim(VIDEO_TASKS, 2)]
        desk.clock.advance(5)
        for queue, claim in claims:
            recorded[claim.row.key] += 1
            queue.settle([(claim, Done(result="ok"))])
        desk.clock.advance(60)
        desk.show()


def begin(desk: SheetDesk) -> tuple[list[Queue], Counter[str]]:
    """Let two workers process four of the videos each once."""
    queues, recorded = [desk.queue("w1"), desk.queue("w2")], Counter[str]()
    queues[0].add(VIDEO_TASKS, [a_video(number) for number in range(COUNT)])
    work(desk, queues, recorded, 1)
    return queues, recorded


def titles(desk: SheetDesk) -> list[str]:
    return [sheet.title for sheet in desk.book.contents.sheets]


def title_row(desk: SheetDesk, tab: str, old: str, new: str) -> None:
    header = desk.book.rows(tab)[0]
    desk.person.edit(tab, 0, header.index(old), new)


def swap_names(desk: SheetDesk, tab: str) -> None:
    desk.person.duplicate_tab(tab, "copy")
    desk.person.rename_tab(tab, "backup")
    desk.person.rename_tab("copy", tab)


def delete_named_ranges(desk: SheetDesk) -> None:
    with desk.book.edit() as draft:
        draft.named_ranges.clear()


def confuse_names(desk: SheetDesk) -> None:
    """Give a copy of the videos the title of the dead letters."""
    desk.person.rename_tab(DEAD, "graveyard")
    desk.person.duplicate_tab(VIDEOS, DEAD)


def exchange_names(desk: SheetDesk) -> None:
    desk.person.rename_tab(DEAD, "x")
    desk.person.rename_tab(VIDEOS, DEAD)
    desk.person.rename_tab("x", VIDEOS)


def rename_and_back(desk: SheetDesk) -> None:
    desk.person.rename_tab(VIDEOS, "backup")
    desk.queue("w3").counts(VIDEO_TASKS)
    desk.person.rename_tab("backup", VIDEOS)


def swap_and_empty_copy(desk: SheetDesk) -> None:
    swap_names(desk, VIDEOS)
    desk.person.clear_tab(VIDEOS)


def start_over(desk: SheetDesk) -> None:
    """Delete both columns of the workers: done rows stay done."""
    desk.person.delete_column(VIDEOS, "Lease")
    desk.person.delete_column(VIDEOS, "Shown")


def empty_leases(desk: SheetDesk) -> None:
    """Empty every Lease cell: a row is restored from its ID, Status and Shown."""
    for row in range(1, len(desk.book.rows(VIDEOS))):
        desk.person.edit(VIDEOS, row, "Lease", "")


def exchange_columns(*pairs: tuple[str, str]) -> Act:
    """Return a person's exchange of names of columns, without what is below them."""

    def act(desk: SheetDesk) -> None:
        header = [str(name) for name in desk.book.rows(VIDEOS)[0]]
        new = dict(pairs) | {second: first for first, second in pairs}
        for column, name in enumerate(header):
            desk.person.edit(VIDEOS, 0, column, new.get(name, name))

    return act


def merge_own_names(desk: SheetDesk) -> None:
    for name in ("Region", "Speaker"):
        desk.person.insert_column(VIDEOS, 0, name)
    desk.person.merge(VIDEOS, 0, 0, 1)


def merge_names(first: str, last: str) -> Act:
    return lambda desk: desk.person.merge(VIDEOS, 0, first, last)


HARMLESS: dict[str, Act] = {
    "videos renamed": lambda desk: desk.person.rename_tab(VIDEOS, "backup"),
    "sources renamed": lambda desk: desk.person.rename_tab(SOURCE_TAB, "Channels"),
    "dead letters renamed": lambda desk: desk.person.rename_tab(DEAD, "it's dead!"),
    "Control renamed": lambda desk: desk.person.rename_tab(CONTROL, "do not touch"),
    "renamed and back": rename_and_back,
    "videos duplicated": lambda desk: desk.person.duplicate_tab(VIDEOS, "Copy of Video Tasks"),
    "videos duplicated and names swapped": lambda desk: swap_names(desk, VIDEOS),
    "names swapped and the copy emptied": swap_and_empty_copy,
    "sources duplicated and names swapped": lambda desk: swap_names(desk, SOURCE_TAB),
    "Control duplicated and names swapped": lambda desk: swap_names(desk, CONTROL),
    "names of two tabs exchanged": exchange_names,
    "a copy named like another tab": confuse_names,
    "named ranges deleted": delete_named_ranges,
    "Control emptied": lambda desk: desk.person.clear_tab(CONTROL),
    "a line of Control deleted": lambda desk: desk.person.delete_row(CONTROL, 2),
    "Lease moved": lambda desk: desk.person.move_column(VIDEOS, "Lease", 0),
    "Lease hidden": lambda desk: desk.person.hide_column(VIDEOS, "Lease"),
    "a column inserted": lambda desk: desk.person.insert_column(VIDEOS, 0, "My notes"),
    "Shown renamed": lambda desk: title_row(desk, VIDEOS, "Shown", "Version"),
    "Shown deleted": lambda desk: desk.person.delete_column(VIDEOS, "Shown"),
    "Duration deleted": lambda desk: desk.person.delete_column(VIDEOS, "Duration"),
    "filtered": lambda desk: desk.person.filter(VIDEOS, "Status", ["pending", "done"]),
    "Lease and Shown deleted": start_over,
    "cells of Lease emptied": empty_leases,
    "the names of Lease and Shown merged": merge_names("Lease", "Shown"),
    "the names of Type and Duration merged": merge_names("Type", "Duration"),
    "the names of own columns merged": merge_own_names,
    "cells of two rows merged": lambda desk: desk.person.merge(VIDEOS, 2, "Accent", "Duration"),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_workers_go_on_and_process_nothing_twice(desk: SheetDesk, name: str) -> None:
    queues, recorded = begin(desk)
    before = len(titles(desk))
    HARMLESS[name](desk)
    made_by_people = len(titles(desk)) - before
    work(desk, [*queues, desk.queue("w4")], recorded, 4)
    assert set(recorded.values()) == {1}
    assert len(recorded) == COUNT
    assert desk.queue("w5").counts(VIDEO_TASKS) == {State.DONE: COUNT}
    assert len(titles(desk)) == before + made_by_people  # no tab was made silently


def without_name(column: str, tab: str = VIDEOS) -> Act:
    return lambda desk: title_row(desk, tab, column, "")


def replace_by_copy(desk: SheetDesk) -> None:
    desk.person.duplicate_tab(VIDEOS, "copy")
    desk.person.delete_tab(VIDEOS)
    desk.person.rename_tab("copy", VIDEOS)


def rename_both(desk: SheetDesk) -> None:
    title_row(desk, VIDEOS, "Lease", "lock")
    title_row(desk, VIDEOS, "Shown", "lock 2")


def empty_header(desk: SheetDesk) -> None:
    for column in range(len(desk.book.rows(VIDEOS)[0])):
        desk.person.edit(VIDEOS, 0, column, "")


STOPPING: dict[str, tuple[Act, str]] = {
    "videos deleted": (lambda desk: desk.person.delete_tab(VIDEOS), "the tab 'Video Tasks' is gone: restore it"),
    "sources deleted": (lambda desk: desk.person.delete_tab(SOURCE_TAB), "the tab 'Sources' is gone: restore it"),
    "dead letters deleted": (lambda desk: desk.person.delete_tab(DEAD), "the tab 'Dead-Letter Queue' is gone"),
    "Control deleted": (lambda desk: desk.person.delete_tab(CONTROL), "the tab 'Control' is gone: restore it"),
    "videos replaced by a copy": (replace_by_copy, "'Video Tasks' is gone, and the tab of that name now is another"),
    "Lease without a name": (without_name("Lease"), "the column name Lease of the tab 'Video Tasks' .* was column O"),
    "Lease renamed": (lambda desk: title_row(desk, VIDEOS, "Lease", "lock"), "undo that; Lease was column"),
    "Lease deleted": (
        lambda desk: desk.person.delete_column(VIDEOS, "Lease"),
        "undo that, or delete Shown too to start",
    ),
    "Lease of sources renamed": (without_name("Lease", SOURCE_TAB), "column name Lease of the tab 'Sources' is gone"),
    "Lease and Shown renamed": (rename_both, "the column name Lease of the tab 'Video Tasks' is gone"),
    "URL renamed": (lambda desk: title_row(desk, VIDEOS, "URL", "Link"), "undo that; URL was column C"),
    "header emptied": (empty_header, "the column name URL and Lease of the tab 'Video Tasks' is gone"),
    "header deleted": (lambda desk: desk.person.delete_row(VIDEOS, 0), "the column name URL and Lease"),
    "a line above the header": (lambda desk: desk.person.insert_row(VIDEOS, 0), "are in row 2; they must be in row 1"),
    "the names of SourceID and URL merged": (merge_names("SourceID", "URL"), "undo that; URL was column C"),
    "the names of Result and Lease merged": (merge_names("Result", "Lease"), "undo that; Lease was column O"),
    "Lease and Shown exchanged": (exchange_columns(("Lease", "Shown")), "exchanged: undo that; Lease was column O"),
    "Lease and Accent exchanged": (exchange_columns(("Lease", "Accent")), "exchanged: undo that; Lease was column O"),
    "Lease and Status exchanged": (
        exchange_columns(("Lease", "Status")),
        "undo that; Status was column D, and Lease was column O",
    ),
    "Lease and URL exchanged": (
        exchange_columns(("Lease", "URL")),
        "exchanged: undo that; URL was column C, and Lease",
    ),
    "Status and Result exchanged": (exchange_columns(("Status", "Result")), "undo that; Status was column D"),
    "URL and Title exchanged": (exchange_columns(("URL", "Title")), "exchanged: undo that; URL was column C"),
    "Value of Control renamed": (without_name("Value", CONTROL), "the tab 'Control' lacks the column names Value"),
}


@pytest.mark.parametrize("name", STOPPING)
def test_workers_stop_with_one_line_until_it_is_undone(desk: SheetDesk, name: str) -> None:
    act, line = STOPPING[name]
    queues, recorded = begin(desk)
    if "sources" in name:  # so that its tab has rows as well
        desk.person.insert_row(SOURCE_TAB, 1, {"URL": "https://www.youtube.com/@somebody"})
        desk.look_again(queues[0])
    before = desk.book.contents.copy()
    act(desk)
    changed = [desk.book.rows(title)[:1] for title in titles(desk)]
    desk.clock.advance(300)
    for queue in queues:
        with pytest.raises(LayoutProblem, match=line) as stopped:
            queue.counts(VIDEO_TASKS)
        assert "\n" not in str(stopped.value)
    with pytest.raises(ConfigError, match=line):
        desk.queue("new").counts(VIDEO_TASKS)
    assert [desk.book.rows(title)[:1] for title in titles(desk)] == changed  # nothing was made
    desk.person.restore_version(before)
    work(desk, [*queues, desk.queue("w4")], recorded, 4)
    assert (len(recorded), set(recorded.values())) == (COUNT, {1})


def test_a_renamed_tab_is_logged_once(desk: SheetDesk, caplog: pytest.LogCaptureFixture) -> None:
    queues, recorded = begin(desk)
    desk.person.rename_tab(VIDEOS, "backup")
    with caplog.at_level(logging.INFO):
        work(desk, queues[:1], recorded, 4)
    assert [record.message for record in caplog.records if "is called" in record.message] == [
        "the tab 'Video Tasks' is called 'backup' now, and is used as before"
    ]


def test_a_result_is_recorded_while_a_person_renames_control_again_and_again(
    desk: SheetDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time between the look at the tabs and the write, which names Control by its title."""
    queue = desk.queue()
    queue.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    names, title, handle = ["one", "two", "three"], CONTROL, desk.simulator.handle

    def renames(method: str, path: str, *more: Any) -> Any:
        nonlocal title
        if names and path.endswith(":batchUpdate"):
            desk.person.rename_tab(title, title := names.pop())
        return handle(method, path, *more)

    monkeypatch.setattr(desk.simulator, "handle", renames)
    assert queue.settle([(claim, Done(result="a.m4a"))]) != [None]
    assert names == []
    assert " done " in desk.line(video_url(1))["Lease"]


def test_a_spreadsheet_of_version_0_1_0_whose_tab_was_renamed_is_recognised(desk: SheetDesk) -> None:
    _, recorded = begin(desk)
    with desk.book.edit() as draft:  # that version made no marks
        for range_id in [each for each in draft.named_ranges if not each.startswith("ydc-") or "tab" in each]:
            del draft.named_ranges[range_id]
    for row, line in reversed(list(enumerate(desk.lines(CONTROL), start=1))):
        if line["Name"].startswith(("tab ", "change")):
            desk.person.delete_row(CONTROL, row)
    desk.person.rename_tab(VIDEOS, "backup")
    work(desk, [desk.queue("w4"), desk.queue("w5")], recorded, 4)
    assert (len(recorded), set(recorded.values())) == (COUNT, {1})
    assert sorted(titles(desk)) == sorted(["backup", SOURCE_TAB, DEAD, CONTROL])


def test_of_two_tabs_that_version_0_1_0_may_have_used_none_is_taken(desk: SheetDesk) -> None:
    begin(desk)
    desk.person.duplicate_tab(VIDEOS, "one")
    desk.person.rename_tab(VIDEOS, "two")
    delete_named_ranges(desk)
    desk.person.clear_tab(CONTROL)
    with pytest.raises(LayoutProblem, match=r"it may be 'one' or 'two'|it may be 'two' or 'one'"):
        desk.store("new")


def test_an_old_version_of_the_whole_spreadsheet_revives_no_token(desk: SheetDesk) -> None:
    queues, recorded = begin(desk)
    work(desk, queues, recorded, 4)
    before = desk.book.contents.copy()
    queues[0].add(VIDEO_TASKS, [a_video(number) for number in range(COUNT, COUNT + 3)])
    desk.person.restore_version(before)
    queues[1].add(VIDEO_TASKS, [a_video(number) for number in range(COUNT, COUNT + 3)])
    work(desk, [desk.queue("w4")], recorded, 3)
    assert (len(recorded), set(recorded.values())) == (COUNT + 3, {1})


# --- the pause --------------------------------------------------------------------------------------------------------


def paused(store: Any) -> bool:
    return any(line.name == FLEET and is_paused(line, store.now()) for line in store.controls(fresh=True))


PAUSE_LOSERS: dict[str, Act] = {
    "renamed": lambda desk: desk.person.rename_tab(CONTROL, "backup"),
    "emptied": lambda desk: desk.person.clear_tab(CONTROL),
    "duplicated and names swapped": lambda desk: swap_names(desk, CONTROL),
    "its line deleted": lambda desk: desk.person.delete_row(
        CONTROL, next(row for row, line in enumerate(desk.lines(CONTROL), start=1) if line["Name"].casefold() == FLEET)
    ),
}


@pytest.mark.parametrize("is_typed", [True, False])
@pytest.mark.parametrize("name", PAUSE_LOSERS)
def test_a_pause_outlives_what_happens_to_control(desk: SheetDesk, name: str, *, is_typed: bool) -> None:
    stores = [desk.store("w1"), desk.store("w2")]
    if is_typed:
        desk.person.insert_row(CONTROL, 1, {"Name": "Fleet", "Value": "paused"})
    else:
        stores[0].set_control(FLEET, lambda _: Control(name=FLEET, value="paused"))
    assert all(map(paused, stores))
    PAUSE_LOSERS[name](desk)
    stores.append(desk.store("w3"))
    assert all(map(paused, stores))
    stores[1].set_control(FLEET, lambda _: Control(name=FLEET, value="running"))
    assert not any(map(paused, [*stores, desk.store("w4")]))


def test_a_pause_outlives_a_control_that_is_deleted_and_made_anew(desk: SheetDesk) -> None:
    store = desk.store("w1")
    store.set_control(FLEET, lambda _: Control(name=FLEET, value="paused"))
    desk.person.delete_tab(CONTROL)
    with pytest.raises(CoordinatorError, match="'Control' is gone"):
        store.controls(fresh=True)
    Spreadsheet(desk.config, Connection(desk.config, desk.environment("admin"))).prepared(new_tabs=True)
    assert paused(desk.store("w2"))
    assert paused(store)


def test_a_pause_ends_when_a_person_types_so(desk: SheetDesk) -> None:
    store = desk.store("w1")
    store.set_control(FLEET, lambda _: Control(name=FLEET, value="paused"))
    assert paused(store)
    row = next(at for at, line in enumerate(desk.lines(CONTROL), start=1) if line["Name"] == FLEET)
    desk.person.edit(CONTROL, row, "Value", "running")
    assert not paused(store)
    desk.person.delete_row(CONTROL, row)
    assert not paused(store)
    assert not paused(desk.store("w2"))


def test_the_url_of_a_video_is_still_its_own_after_the_names_were_swapped(desk: SheetDesk) -> None:
    queues, recorded = begin(desk)
    swap_names(desk, VIDEOS)
    work(desk, queues, recorded, 4)
    assert desk.line(video_url(1), "backup")["Status"] == "done"


# --- the alarm ----------------------------------------------------------------------------------------------------------


def guarantees_line(desk: SheetDesk) -> str:
    return next((line["Value"] for line in desk.lines(CONTROL) if line["Name"] == "guarantees"), "")


def stale_swap(desk: SheetDesk, old: str, new: str) -> None:
    """Let Google apply another worker's swap that it has checked against a cell as it was before."""
    row = next(at for at, line in enumerate(desk.lines(), start=1) if line["Lease"] == old)
    desk.person.edit(VIDEOS, row, "Lease", new)


def held_by_two(desk: SheetDesk, queue: Queue) -> None:
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    lease = encode_lease(claim.row)
    stale_swap(desk, lease, lease.replace("host/w1", "host/rogue").replace(claim.row.lease.nonce, "0badcafe"))
    desk.show()


def added_twice(desk: SheetDesk, queue: Queue) -> None:
    (line, *_) = [line for line in desk.lines() if " pending " in line["Lease"]]
    copied = {name: line[name] for name in ("ID", "URL", "Status", "Shown")}
    lease = line["Lease"].rpartition("#")[0] + "#0badcafe"
    desk.person.insert_row(VIDEOS, 1, {**copied, "Lease": lease})
    desk.clock.advance(61)
    queue.counts(VIDEO_TASKS)


def guarded_by_two(desk: SheetDesk, queue: Queue) -> None:
    row, line = next((at, line) for at, line in enumerate(desk.lines(CONTROL), start=1) if line["Name"] == "change")
    desk.person.edit(CONTROL, row, "Lease", line["Lease"].rpartition(".")[0] + ".0badcafe")
    with pytest.raises(GuaranteesFailed, match="two processes have made change"):
        queue.add(VIDEO_TASKS, [a_video(99)])
    desk.clock.advance(61)


@pytest.mark.parametrize("betray", [held_by_two, added_twice, guarded_by_two])
def test_what_only_a_broken_guarantee_can_do_stops_the_fleet(
    desk: SheetDesk, caplog: pytest.LogCaptureFixture, betray: Callable[[SheetDesk, Queue], None]
) -> None:
    queues = [desk.queue("w1"), desk.queue("w2")]
    queues[0].add(VIDEO_TASKS, [a_video(number) for number in range(6)])
    if betray is guarded_by_two:
        desk.clock.advance(61)
    betray(desk, queues[0])
    assert [record.levelname for record in caplog.records if "ydc doctor" in record.message] == ["ERROR"]
    assert guarantees_line(desk).startswith("failed: ")
    desk.clock.advance(40)
    for queue in [*queues, desk.queue("w3")]:
        queue.store.controls(fresh=True)
        with pytest.raises(ConfigError, match=r"claiming is not safe on this spreadsheet.*ydc doctor") as stopped:
            queue.claim(VIDEO_TASKS, 1)
        assert "\n" not in str(stopped.value)
        assert queue.store.scan(VIDEO_TASKS)  # reading goes on
        assert sum(queue.counts(VIDEO_TASKS).values()) >= 6
    row = next(at for at, line in enumerate(desk.lines(CONTROL), start=1) if line["Name"] == "guarantees")
    desk.person.edit(CONTROL, row, "Value", "ok")  # as `ydc doctor` does
    if betray is guarded_by_two:
        assert desk.queue("w4").claim(VIDEO_TASKS, 1)


def test_a_claim_that_is_another_workers_ends(desk: SheetDesk) -> None:
    queue = desk.queue("w1")
    queue.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    lease = encode_lease(claim.row)
    stale_swap(desk, lease, lease.replace("host/w1", "host/rogue").replace(claim.row.lease.nonce, "0badcafe"))
    queue.settle([(claim, Done(result="mine"))])
    assert "rogue" in desk.line(video_url(1))["Lease"]
    assert guarantees_line(desk) == "failed: row 1 is claimed by this worker and by another one"


def test_what_people_do_with_rows_is_no_alarm(desk: SheetDesk) -> None:
    queues, recorded = begin(desk)
    desk.person.duplicate_row(VIDEOS, 3)
    desk.person.duplicate_row(VIDEOS, 9)
    desk.person.insert_row(VIDEOS, 1, {"URL": video_url(2)})
    work(desk, queues, recorded, 4)
    assert guarantees_line(desk) == ""
    assert set(recorded.values()) == {1}


def finish_unheard(desk: SheetDesk, queue: Queue, claim: Claim[VideoTask]) -> None:
    """Settle a claim with a write that is applied, after which Google does not answer."""
    desk.simulator.faults.add("apply_then_reset", body="findReplace")
    desk.simulator.faults.add("status", times=None)
    with pytest.raises(StoreError):
        queue.store.swap(VIDEO_TASKS, [Change(claim.row, done(claim.row))])
    desk.simulator.faults.clear()


def done(row: VideoTask) -> VideoTask:
    lease = Lease(version=row.lease.version + 1, state=State.DONE, detail="mine", nonce="5eed5eed")
    return replace(row, lease=lease)


@pytest.mark.parametrize("is_swapped", [True, False], ids=["by a swap", "by a projection"])
def test_a_claim_that_an_unanswered_write_has_ended_is_no_alarm(desk: SheetDesk, *, is_swapped: bool) -> None:
    """Another worker has the row rightfully, because a person has sent it again."""
    first, second = desk.queue("w1"), desk.queue("w2")
    first.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = first.claim(VIDEO_TASKS, 1)
    finish_unheard(desk, first, claim)
    held_back, desk.later = desk.later, []
    for _ in range(2):
        desk.look_again(second)
    desk.type_status(video_url(1), "pending")
    desk.clock.advance(2)
    second.recover(VIDEO_TASKS)
    assert [other.row.key for other in second.claim(VIDEO_TASKS, 1)] == [claim.row.key]
    if is_swapped:
        renewed = replace(claim.row.lease, version=claim.row.lease.version + 1, nonce="abcdabcd")
        assert first.store.swap(VIDEO_TASKS, [Change(claim.row, replace(claim.row, lease=renewed))]) == [Swap.LOST]
    else:
        desk.later += held_back
        first.store.flush()
    desk.show()
    assert guarantees_line(desk) == ""
    assert "host/w2" in desk.line(video_url(1))["Lease"]
