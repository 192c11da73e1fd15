"""A full spreadsheet: one line reports it, its rows are processed all the same, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_google import Spreadsheet
from tests.fake_google.grid import CELL_LIMIT, Contents, Sheet
from tests.support.sheet import DEAD, SOURCE_TAB, VIDEOS, SheetDesk, a_video, video_url
from tests.support.sheets_setting import Setting, findings
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import PermanentError, StoreFull
from youtube_download_coordinator.models import Done, State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.sources.sources_file import ingest_file, new_source
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.stores.sheets.layout import COLUMNS
from youtube_download_coordinator.stores.sheets.setup.capacity import CELLS_MAX
from youtube_download_coordinator.stores.sheets.setup.prepare import init_spreadsheet
from youtube_download_coordinator.workers.expansion import FULL, Expansion, Listing, expand_next, expand_sources
from youtube_download_coordinator.youtube.listing import ListedVideo

NOTES = "Notes"
CHANNEL = "https://www.youtube.com/channel/UC{:022}"
CONFIG = Config()


def tab_of(draft: Contents, title: str) -> Sheet:
    return next(sheet for sheet in draft.sheets if sheet.title == title)


def cells(book: Spreadsheet) -> int:
    return sum(sheet.rows * sheet.columns for sheet in book.contents.sheets)


def fill(book: Spreadsheet, room_cells: int = 0) -> None:
    """Add a tab, as a person, that leaves room for so many cells, and delete the empty lines at the end of the others."""
    with book.edit() as draft:
        for title in (SOURCE_TAB, VIDEOS, DEAD):
            sheet = tab_of(draft, title)
            sheet.set_grid(rowCount=max(sheet.values.height, 2))
    book.add_sheet(NOTES, [], row_count=CELL_LIMIT - cells(book) - room_cells, column_count=1)


def make_room(book: Spreadsheet) -> None:
    """Delete that tab, as a person."""
    with book.edit() as draft:
        draft.sheets.remove(tab_of(draft, NOTES))


def listing(videos: int) -> Listing:
    def listed(source: object, config: object) -> Iterator[ListedVideo]:
        yield from (ListedVideo(video_url(n), a_video(n).key, f"Video {n}", 60) for n in range(videos))

    return listed  # type: ignore[return-value]


def urls(desk: SheetDesk, tab: str = VIDEOS) -> list[str]:
    return [line["URL"] for line in desk.lines(tab) if line["URL"]]


def expand(queue: Queue, videos: int) -> Expansion:
    found = expand_next(queue, CONFIG, listing(videos))
    assert found is not None
    return found


# --- what is refused, and what goes on -------------------------------------------------------------------------------


def test_rows_that_do_not_fit_are_refused_at_once_in_one_line_and_none_is_added(desk: SheetDesk) -> None:
    queue = desk.queue()
    queue.add(VIDEO_TASKS, [a_video(1)])
    fill(desk.book, room_cells=2 * desk.book.tab(VIDEOS).columns)
    before = desk.simulator.stats()["requests"]

    with pytest.raises(StoreFull, match=r"the spreadsheet is full.*`ydc copy`.*docs/beyond-one-sheet.md") as error:
        queue.add(VIDEO_TASKS, [a_video(number) for number in range(2, 5)])

    assert "\n" not in str(error.value)
    assert desk.simulator.stats()["requests"] - before == 1  # no use in asking again
    assert urls(desk) == [video_url(1)]
    assert queue.add(VIDEO_TASKS, [a_video(2), a_video(3)]) == [2, 3]  # these fit


def test_videos_that_are_there_are_processed_and_a_dead_one_waits_for_room(
    desk: SheetDesk, caplog: pytest.LogCaptureFixture
) -> None:
    queue = desk.queue()
    queue.add(VIDEO_TASKS, [a_video(number) for number in (1, 2, 3)])
    fill(desk.book)

    first, second, third = queue.claim(VIDEO_TASKS, 3)
    dead = PermanentError("gone", reason="private").failure
    rows = queue.settle([(first, Done(result="a.m4a")), (second, dead), (third, Done(result="c.m4a"))])

    assert [row and row.lease.state for row in rows] == [State.DONE, State.DEAD, State.DONE]
    assert "could not be moved to the dead_letters" in caplog.text
    assert queue.counts(VIDEO_TASKS) == {State.DONE: 2, State.DEAD: 1}
    assert queue.claim(VIDEO_TASKS, 3) == []
    assert queue.recover(VIDEO_TASKS).moved == 0

    make_room(desk.book)
    assert queue.recover(VIDEO_TASKS).moved == 1
    assert (queue.counts(VIDEO_TASKS), queue.counts(DEAD_LETTERS)) == ({State.DONE: 2}, {State.DEAD: 1})


def test_a_dead_letter_that_is_to_run_again_waits_for_room_too(desk: SheetDesk) -> None:
    queue = desk.queue()
    queue.add(VIDEO_TASKS, [a_video(1)])
    queue.settle([(claim, PermanentError("no").failure) for claim in queue.claim(VIDEO_TASKS, 1)])
    fill(desk.book)

    assert queue.requeue_dead_letters() == 1
    assert urls(desk, DEAD) == [video_url(1)]
    make_room(desk.book)
    queue.recover(VIDEO_TASKS)
    assert (urls(desk), urls(desk, DEAD)) == ([video_url(1)], [])
    assert len(queue.claim(VIDEO_TASKS, 1)) == 1


def test_what_a_person_types_into_a_line_that_is_there_is_taken_in(desk: SheetDesk) -> None:
    queue = desk.queue()
    queue.add(VIDEO_TASKS, [a_video(1)])
    desk.person.insert_row(VIDEOS, 3, {"URL": video_url(2)})
    fill(desk.book)
    assert [claim.row.url for claim in queue.claim(VIDEO_TASKS, 5)] == [video_url(1), video_url(2)]


# --- listing ---------------------------------------------------------------------------------------------------------


def test_a_source_without_room_for_its_videos_is_listed_again_when_there_is_some(desk: SheetDesk) -> None:
    """Keep those that fit, count no attempt, and have each video once in the end."""
    queue = desk.queue()
    queue.add(SOURCES, [new_source(CHANNEL.format(1))])
    fill(desk.book, room_cells=30 * desk.book.tab(VIDEOS).columns)

    expansion = expand(queue, 50)
    assert expansion.failure is not None
    assert (expansion.failure.reason, expansion.stops) == (FULL, True)
    source = next(queue.rows(SOURCES))
    assert (source.lease.state, source.lease.tries, source.listed_with) == (State.PENDING, 0, "")
    assert source.last_error.startswith("queue-full: the spreadsheet is full")
    assert len(urls(desk)) == 20
    assert expand_next(queue, CONFIG, listing(50)) is None  # not before an hour

    make_room(desk.book)
    desk.clock.advance(2 * 3600)
    assert expand(queue, 50).new == 30
    assert sorted(urls(desk)) == sorted(map(video_url, range(50)))
    assert next(queue.rows(SOURCES)).lease.state is State.DONE


def test_no_other_source_is_asked_for_when_there_is_no_room(desk: SheetDesk) -> None:
    queue = desk.queue()
    queue.add(SOURCES, [new_source(CHANNEL.format(number)) for number in range(3)])
    fill(desk.book)
    assert [each.failure.reason for each in expand_sources(queue, CONFIG, listing(5)) if each.failure] == [FULL]
    assert [row.lease.tries for row in queue.rows(SOURCES)] == [0, 0, 0]


def test_a_sources_file_is_taken_in_as_far_as_it_goes_and_the_rest_is_told(desk: SheetDesk, tmp_path: Path) -> None:
    queue = desk.queue()
    queue.add(SOURCES, [new_source(CHANNEL.format(0))])
    fill(desk.book)
    path = tmp_path / "sources.txt"
    path.write_text("".join(f"{CHANNEL.format(number)}\n" for number in range(3)))

    found = ingest_file(queue, path)

    assert (found.full, found.failed, found.added) == (True, True, 0)
    (problem,) = found.problems
    assert problem.startswith(f"{path}: the spreadsheet is full")
    make_room(desk.book)
    again = ingest_file(queue, path)
    assert (again.failed, again.added, again.known) == (False, 2, 1)


# --- as people meet it -----------------------------------------------------------------------------------------------


@pytest.fixture
def here(here: Setting) -> Setting:
    """Return a new spreadsheet that is ready for workers."""
    here.new_book()
    init_spreadsheet(here.config())
    return here


def test_a_command_says_it_in_one_line(here: Setting) -> None:
    fill(here.book)
    with here.book.edit() as draft:  # no line is left in the sources either
        tab_of(draft, SOURCE_TAB).values.put(1, 1, "https://www.youtube.com/watch?v=UKwSQSFN4Nw")
    done = here.run("add", CHANNEL.format(1))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("ydc: SpreadsheetFull: the spreadsheet is full")
    assert "docs/beyond-one-sheet.md" in line


def room(here: Setting) -> tuple[bool, str]:
    return next((finding.ok, finding.text) for finding in findings(here) if finding.name == "room")


def test_doctor_says_how_many_videos_fit(here: Setting) -> None:
    """An empty spreadsheet: the lines that new tabs have come on top."""
    ok, text = room(here)
    assert ok
    width = len(COLUMNS["video_tasks"])
    fit = (CELLS_MAX - cells(here.book)) // width
    assert text == f"1% of Google's 10,000,000 cells are taken; {fit:,} more videos fit, with {width} cells each"


def test_doctor_warns_from_four_fifths_on_and_its_number_is_right(here: Setting) -> None:
    init_width = here.book.tab(VIDEOS).columns
    fill(here.book, room_cells=7 * init_width + 3)
    with here.book.edit() as draft:
        tab_of(draft, VIDEOS).set_grid(rowCount=4)  # and three empty lines; one takes what fill has left of 2
    ok, text = room(here)
    assert not ok
    assert text.startswith("100% of Google's 10,000,000 cells are taken; ")
    assert text.endswith("docs/beyond-one-sheet.md")
    promised = int(text.partition("; ")[2].partition(" more")[0])

    store = SheetsStore(here.config())
    assert len(store.insert(VIDEO_TASKS, [a_video(number) for number in range(promised)])) == promised
    with pytest.raises(StoreFull):
        store.insert(VIDEO_TASKS, [a_video(promised)])
    store.close()


def test_doctor_names_columns_that_nobody_uses(here: Setting) -> None:
    """A tab that a person made has 26 columns, and all of them count."""
    width = here.book.tab(VIDEOS).columns
    with here.book.edit() as draft:
        tab_of(draft, VIDEOS).set_grid(rowCount=100_000, columnCount=26)
    ok, text = room(here)
    assert ok
    gain = int(text.partition("(")[2].partition(" more")[0].replace(",", ""))
    before = int(text.partition("; ")[2].partition(" more")[0].replace(",", ""))
    with here.book.edit() as draft:
        tab_of(draft, VIDEOS).set_grid(columnCount=width)
    after = int(room(here)[1].partition("; ")[2].partition(" more")[0].replace(",", ""))
    assert after == before + gain


def test_doctor_on_a_full_spreadsheet_blames_no_guarantee(here: Setting) -> None:
    """Report that the scratch tab does not fit; workers go on."""
    fill(here.book)
    found = [finding for finding in findings(here) if finding.name == "guarantees"]
    assert found
    assert not any("does NOT hold" in finding.text for finding in found)
    assert any("full" in finding.text for finding in found)
