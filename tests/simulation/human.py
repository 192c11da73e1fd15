"""A person at the sheet who does everything that queue.md allows, at random, between any two requests."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from tests.sheets_api import Person
from youtube_download_coordinator.stores.sheets.words import read_word

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos

ACTIONS = ("sort", "sort", "bare", "known", "junk", "blank", "copy", "edit", "say", "delete", "filter", "hide", "move")
STATUSES = ("pending", "done", "error", "in-progress", "", "Pending ", "whatever")


def video_url(number: int) -> str:
    return f"https://www.youtube.com/watch?v=v{number:010}"


def source_url(number: int) -> str:
    return f"https://www.youtube.com/playlist?list=PL{number:016}"


class Human:
    """A person at the sheet, who does everything that queue.md allows."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self.person = Person(chaos.world.book)
        self.random = Random(f"{chaos.seed} person")
        self.typed = 0
        self.log: list[str] = []

    def maybe_act(self) -> None:
        if self.chaos.quiet or self.random.random() >= self.chaos.chances.person:
            return
        names = [
            n
            for n in (
                "sort",
                "sort",
                "bare",
                "known",
                "junk",
                "blank",
                "copy",
                "edit",
                "say",
                "delete",
                "filter",
                "hide",
                "move",
            )
            if n not in self.chaos.chances.forbidden
        ]
        name = self.random.choice(names)
        tab = self.random.choice(["Video Tasks", "Video Tasks", "Video Tasks", "Dead-Letter Queue", "Sources"])
        rows = self.chaos.world.book.rows(tab)
        if "Lease" in rows[0]:
            self.log.append(f"{name} {tab}")
            getattr(self, name)(tab, rows)
            self.chaos.oracle.own = self.chaos.oracle._own_cells()

    def _line(self, rows: list[list[Any]]) -> int:
        return self.random.randrange(1, len(rows)) if len(rows) > 1 else 0

    def sort(self, tab: str, rows: list[list[Any]]) -> None:
        self.person.sort(
            tab, self.random.choice([name for name in rows[0] if name]), descending=self.random.random() < 0.5
        )

    def _type(self, tab: str, rows: list[list[Any]], url: str, **more: str) -> None:
        if tab != "Dead-Letter Queue":
            at = self.random.randrange(1, len(rows) + 1)
            notes = {"Notes": f"typed {self.typed}"} if "Notes" in rows[0] else {}
            self.person.insert_row(tab, at, {"URL": url, **notes, **more})

    def bare(self, tab: str, rows: list[list[Any]]) -> None:
        self.typed += 1
        number = 1000 + self.typed
        self._type(tab, rows, source_url(number) if tab == "Sources" else video_url(number))

    def known(self, tab: str, rows: list[list[Any]]) -> None:
        self.typed += 1
        number = self.random.randrange(4)
        self._type(tab, rows, source_url(number) if tab == "Sources" else video_url(number))

    def junk(self, tab: str, rows: list[list[Any]]) -> None:
        self.typed += 1
        self._type(tab, rows, "not a url")

    def blank(self, tab: str, rows: list[list[Any]]) -> None:
        self.person.insert_row(tab, self.random.randrange(1, len(rows) + 1))

    def copy(self, tab: str, rows: list[list[Any]]) -> None:
        if line := self._line(rows):
            self.person.duplicate_row(tab, line)

    def edit(self, tab: str, rows: list[list[Any]]) -> None:
        line = self._line(rows)
        if line and "Notes" in rows[0]:
            self.typed += 1
            self.person.edit(tab, line, "Notes", f"edited {self.typed}")

    def say(self, tab: str, rows: list[list[Any]]) -> None:
        if line := self._line(rows):
            word = read_word(str(dict(zip(rows[0], rows[line], strict=False)).get("Lease", "")))
            if word:
                self.chaos.oracle.asked.add(word.row_id)
                self.chaos.oracle.freed.add(word.key)
            self.person.edit(tab, line, "Status", self.random.choice(STATUSES))

    def delete(self, tab: str, rows: list[list[Any]]) -> None:
        if (line := self._line(rows)) and self.random.random() < 0.4:
            row = dict(zip(rows[0], rows[line], strict=False))
            word = read_word(str(row.get("Lease", "")))
            self.chaos.oracle.freed |= {str(row.get("URL", "")), word.key if word else ""}
            self.person.delete_row(tab, line)

    def filter(self, tab: str, rows: list[list[Any]]) -> None:
        if self.random.random() < 0.5:
            self.person.filter(tab, "Status", ["pending", "in-progress"])
        else:
            self.person.clear_filter(tab)

    def hide(self, tab: str, rows: list[list[Any]]) -> None:
        self.person.hide_column(tab, "Lease")

    def move(self, tab: str, rows: list[list[Any]]) -> None:
        if (line := self._line(rows)) and (to := self._line(rows)) and to not in (line, line + 1):
            self.person.move_row(tab, line, to)
