"""Measure the capacity of one spreadsheet, the throughput of several, and the cost of archiving done rows.

Why: Google allows 10,000,000 cells in a spreadsheet, and a user may list two million videos. Whole fleets are simulated
(tests/simulation/fleet.py), each worker on one of several spreadsheets, under Google's quota: 60 reads and 60 writes a minute for
each account, 300 of each for the project, whatever the spreadsheet. Counted on simulated time: the same is counted each time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from benchmarks.figures import Figure, alone
from benchmarks.sheet import VIDEOS_A_MINUTE, WARMING_SECONDS, cost, counted, rate
from tests.simulation.fleet import Fleet, sheet_with
from tests.simulation.world import Process
from tests.support.sheet import SheetDesk, sheet_desk
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import Connection, Json
from youtube_download_coordinator.stores.sheets.guarded_batch import GuardedBatches
from youtube_download_coordinator.stores.sheets.layout import COLUMNS
from youtube_download_coordinator.stores.sheets.setup.capacity import read_capacity
from youtube_download_coordinator.stores.sheets.spreadsheet import Spreadsheet

OWN_COLUMNS = (0, 2, 5)
"""The numbers of custom columns of videos."""
BY_HAND_COLUMNS = 26
"""The columns of a tab that a person has made."""
CARRIED_BY = ((1, 1, 16), (2, 1, 16), (4, 1, 16), (1, 2, 32), (2, 2, 32), (2, 5, 64))
"""The measured numbers of spreadsheets, accounts and workers."""
SECONDS = 180
ARCHIVED, AT_ONCE = 10_000, 5_000
"""The number of archived rows, and of rows in one batch."""


def measure() -> list[Figure]:
    logging.getLogger("youtube_download_coordinator").setLevel(logging.ERROR)  # thousands of waits for the quota
    return [*_capacity(), *_carried(), *_archived()]


# --- how many videos fit ---------------------------------------------------------------------------------------------


def _capacity() -> Iterator[Figure]:
    """Yield the capacity that `ydc doctor` reports for a new spreadsheet, which also contains Google's empty tab."""
    for own in OWN_COLUMNS:
        yield _fitting(len(COLUMNS[VIDEO_TASKS.name]) + own, f"{own or 'no'} columns of one's own")
    yield _fitting(BY_HAND_COLUMNS, f"a tab made by hand, of {BY_HAND_COLUMNS} columns")


def _fitting(columns: int, what: str) -> Figure:
    with sheet_desk({"Sheet1": []}, rows=1000) as desk:
        connection = Connection(desk.config, desk.environment())
        Spreadsheet(desk.config, connection).prepared()
        with desk.book.edit() as draft:
            tab = next(sheet for sheet in draft.sheets if sheet.title == "Video Tasks")
            tab.set_grid(columnCount=columns)
        room = read_capacity(connection, desk.config)
    return Figure(what=f"videos that fit into a spreadsheet, {what}", value=room.videos + room.rows - 1, unit="videos")


# --- several spreadsheets --------------------------------------------------------------------------------------------


class Fleets(Fleet):
    """A fleet for each of several spreadsheets, with the same accounts in one Google project."""

    def __init__(self, books: int, accounts: int, workers: int) -> None:
        videos = workers * 100 // books
        super().__init__(videos, accounts=accounts)
        create, tabs = self.world.simulator.create_spreadsheet, sheet_with(videos)
        self.books = [self.world.book, *(create(tabs, rows=videos + 10, columns=20) for _ in range(books - 1))]
        for number in range(accounts):
            for book in self.books:
                book.share(self.world.simulator.accounts.add(f"account-{number}").email)

    def queue(self, process: Process) -> Queue:
        """Return the queue of the spreadsheet that is configured for this worker."""
        self.world.book = self.books[int(process.name[1:]) % len(self.books)]
        return super().queue(process)


@contextmanager
def _fleets(books: int, accounts: int, workers: int) -> Iterator[Fleets]:
    """Yield fleets on spreadsheets that workers have used before."""
    fleets = Fleets(books, accounts, workers)
    try:
        fleets.start(books, max_videos=1)
        fleets.run()
        fleets.recorded.clear()
        fleets.world.simulator.quota.set()
        yield fleets
    finally:
        fleets.close()


def _carried() -> Iterator[Figure]:
    for books, accounts, workers in CARRIED_BY:
        with _fleets(books, accounts, workers) as fleets:
            began, first = fleets.world.clock.now() + WARMING_SECONDS, fleets.requests
            fleets.start(workers, seconds=SECONDS)
            fleets.run()
            carried = rate(fleets.recorded, began, began + SECONDS - WARMING_SECONDS)
            each = cost(fleets, first, len(fleets.recorded))
        where = f"{counted(books, 'spreadsheet')}, {counted(accounts, 'account')}, {workers} workers"
        wanted = workers * VIDEOS_A_MINUTE
        yield Figure(
            what=f"carried by Google's quota, {where}",
            value=carried,
            unit="videos a minute",
            beside=f"wanted: {wanted:,}",
            ratio=carried / wanted,
        )
        yield Figure(what=f"requests a video, refused ones too, {where}", value=each.requests, unit="requests")
        yield Figure(what=f"sent and received for a video, looks too, {where}", value=each.kilobytes, unit="kB")


# --- archiving: a plan ----------------------------------------------------------------------------------------------


def _archived() -> Iterator[Figure]:
    """Measure the batches of the plan in docs/beyond-one-sheet.md, which explains why no command sends them."""
    tabs = sheet_with(ARCHIVED)
    with sheet_desk({**tabs, "Archive": [["Lease"]]}, rows=ARCHIVED + 1) as desk:
        _narrow(desk)
        before, spreadsheet = _cells(desk), Spreadsheet(desk.config, Connection(desk.config, desk.environment()))
        spreadsheet.layout()
        batches = GuardedBatches(spreadsheet)
        first = desk.simulator.stats()["last"]
        for _ in range(ceil(ARCHIVED / AT_ONCE)):
            batches.run(lambda _: _archiving(desk, spreadsheet))
        stats, won = desk.simulator.stats(first), before - _cells(desk)
    what = f"{ARCHIVED:,} done rows that stand together"
    yield Figure(what=f"a plan: archiving {what}, {AT_ONCE:,} at once", value=stats["requests"], unit="requests")
    sent = stats["bytes_in"] + stats["bytes_out"]
    yield Figure(what=f"a plan: archiving {what}, sent and received", value=sent / 1e6, unit="MB")
    fit = won / len(COLUMNS[VIDEO_TASKS.name])
    yield Figure(what=f"a plan: room won by archiving {what}", value=fit, unit="more videos")


def _narrow(desk: SheetDesk) -> None:
    with desk.book.edit() as draft:
        for sheet in draft.sheets:
            width = 1 if sheet.title == "Archive" else len(sheet.values.row(0, 0, 20))
            rows = ARCHIVED + 1 if sheet.title == "Video Tasks" else 2
            sheet.set_grid(columnCount=max(width, 1), rowCount=rows)


def _archiving(desk: SheetDesk, spreadsheet: Spreadsheet) -> list[Json]:
    """Copy the encoded leases of the first lines to the archive, and delete the lines."""
    tab, archive = spreadsheet.tab(VIDEO_TASKS.name), desk.book.tab("Archive")
    lines, at = {"startRowIndex": 1, "endRowIndex": 1 + AT_ONCE}, archive.rows
    lease = tab.column("Lease")
    source = {"sheetId": tab.sheet_id, **lines, "startColumnIndex": lease, "endColumnIndex": lease + 1}
    there = {"startRowIndex": at, "endRowIndex": at + AT_ONCE, "startColumnIndex": 0, "endColumnIndex": 1}
    target = {"sheetId": archive.sheet_id, **there}
    gone = {"sheetId": tab.sheet_id, "dimension": "ROWS", "startIndex": 1, "endIndex": 1 + AT_ONCE}
    return [
        {"appendDimension": {"sheetId": archive.sheet_id, "dimension": "ROWS", "length": AT_ONCE}},
        {"copyPaste": {"source": source, "destination": target, "pasteType": "PASTE_VALUES"}},
        {"appendDimension": {"sheetId": tab.sheet_id, "dimension": "ROWS", "length": 1}},
        {"deleteDimension": {"range": gone}},
    ]


def _cells(desk: SheetDesk) -> int:
    return sum(sheet.rows * sheet.columns for sheet in desk.book.contents.sheets)


if __name__ == "__main__":
    alone("benchmarks.spreadsheets", measure)
