"""A spreadsheet on a simulated Google in this process, without sockets or real time: stores on it, and what people see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest import mock

import requests

from tests.fake_google import Account, ManualClock, NoAnswer, Person, Simulator
from tests.simulation.world import Client
from tests.support.rows import make_queue
from tests.support.seed_columns import SEED_SOURCE_COLUMNS, SEED_VIDEO_COLUMNS
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done, Failure, Lease, Outcome, Verdict, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.stores.sheets import api as connection
from youtube_download_coordinator.stores.sheets.api import Environment
from youtube_download_coordinator.stores.sheets.projection import SHOW_SECONDS

VIDEOS, SOURCE_TAB, DEAD = "Video Tasks", "Sources", "Dead-Letter Queue"
SEED_TABS: Mapping[str, list[list[Any]]] = {
    SOURCE_TAB: [SEED_SOURCE_COLUMNS],
    VIDEOS: [SEED_VIDEO_COLUMNS],
    DEAD: [SEED_VIDEO_COLUMNS],
}
BROKEN = Failure(verdict=Verdict.PERMANENT, reason="private", message="Private video")


def video_url(number: int) -> str:
    return f"https://www.youtube.com/watch?v=v{number:010}"


def a_video(number: int, **fields: Any) -> VideoTask:
    """Return the video of that URL, before it is inserted."""
    return VideoTask(url=video_url(number), key=f"yt:v:v{number:010}", lease=Lease(nonce=""), **fields)


def add_videos(queue: Queue, *numbers: int, **extra: str) -> None:
    """Add videos with cells in a person's own columns."""
    queue.add(VIDEO_TASKS, [a_video(number, extra=extra) for number in numbers])


class SheetDesk:
    """A spreadsheet, the stores that work on it, and a person who has it open."""

    def __init__(self, tabs: Mapping[str, list[list[Any]]] = SEED_TABS, rows: int = 60, seed: int = 1) -> None:
        self.clock = ManualClock()
        self.simulator = Simulator(self.clock, seed)
        self.book = self.simulator.create_spreadsheet(dict(tabs), rows=rows, columns=24)
        self.person = Person(self.book)
        self.config = Config(spreadsheet_id=self.book.spreadsheet_id, sheets_patience_seconds=30)
        self.later: list[Callable[[], None]] = []
        self.request_seconds = 0.0
        """How long Google takes for an answer."""
        self.thinking_seconds = 0.0
        """How long we take from one look at the clock to the next."""

    def store(self, name: str = "worker") -> SheetsStore:
        """Open a worker's store, with its own account."""
        return SheetsStore(self.config, self.environment(name))

    def environment(self, name: str = "worker") -> Environment:
        """Return an environment that connects an account of its own to this Google."""
        account = self.simulator.accounts.add(name)
        self.book.share(account.email)
        ask = self._asking(account)
        return Environment(
            monotonic=self._monotonic,
            clock_jumps=lambda: 0.0,
            sleep=self.clock.advance,
            later=lambda seconds, work: self.later.append(work),
            randomness=Random(name),
            client=lambda credentials: Client(ask),
        )

    def queue(self, name: str = "worker") -> Queue:
        """Open a worker's queue. Its monotonic clock is the simulated one."""
        queue = make_queue(self.store(name), f"host/{name}")
        queue.monotonic = self.clock.now
        return queue

    def _monotonic(self) -> float:
        self.clock.advance(self.thinking_seconds)
        return self.clock.now()

    def _asking(self, account: Account) -> Callable[[str, str, str, bytes], tuple[int, dict[str, str], bytes]]:
        token = self.simulator.accounts.token(account, self.clock.now() + 10**9)

        def ask(method: str, path: str, query: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
            self.clock.advance(self.request_seconds)
            try:
                return self.simulator.handle(method, path, query, {"Authorization": f"Bearer {token}"}, body)
            except NoAnswer as error:
                raise requests.ConnectionError(str(error)) from error

        return ask

    def lines(self, tab: str = VIDEOS) -> list[dict[str, str]]:
        """Return the contents of a tab, line by line and by column name."""
        header, *rows = self.book.rows(tab)
        return [
            {str(name): str(cell) for name, cell in zip(header, [*row, *[""] * len(header)], strict=False)}
            for row in rows
        ]

    def line(self, url: str, tab: str = VIDEOS) -> dict[str, str]:
        """Return the only line with a URL."""
        (found,) = [line for line in self.lines(tab) if line["URL"] == url]
        return found

    def row_of(self, url: str, tab: str = VIDEOS) -> int:
        """Return the position of a line, counted as the person's methods do."""
        return next(at for at, line in enumerate(self.lines(tab), start=1) if line["URL"] == url)

    def type_status(self, url: str, text: str, tab: str = VIDEOS) -> None:
        """Set a Status as a person does."""
        self.person.edit(tab, self.row_of(url, tab), "Status", text)

    def finish(self, queue: Queue, outcome: Outcome = Done(result="ok")) -> None:  # noqa: B008  it is frozen
        """Process everything that is due, a moment later."""
        self.clock.advance(2)
        while claims := queue.claim(VIDEO_TASKS, 4):
            queue.settle([(claim, outcome) for claim in claims])
        self.show()

    def look_again(self, queue: Queue) -> None:
        """Recover a minute later."""
        self.clock.advance(61)
        queue.recover(SOURCES)
        queue.recover(VIDEO_TASKS)
        self.clock.advance(61)
        for each in (SOURCES, VIDEO_TASKS, DEAD_LETTERS):
            queue.counts(each)
        self.show()

    def show(self) -> None:
        """Let everything that was put off happen."""
        while self.later:
            self.clock.advance(SHOW_SECONDS)
            self.later.pop(0)()


@contextmanager
def sheet_desk(tabs: Mapping[str, list[list[Any]]] = SEED_TABS, rows: int = 60) -> Iterator[SheetDesk]:
    """Yield a desk without signing in. At the end, check that the simulation knows every request that was sent."""
    with mock.patch.object(connection, "credentials", return_value=None):
        desk = SheetDesk(tabs, rows)
        yield desk
    assert desk.simulator.misses == []
    assert desk.simulator.answer_problems == []
