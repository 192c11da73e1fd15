"""A person at the sheet who does everything that queue.md allows, at random, between any two requests."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from tests.fake_google import Person
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos

ACTIONS = (
    "sort",
    "sort",
    "say",
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
    "rename",
    "duplicate",
    "swap",
)
STATUSES = ("pending", "pending", "pending", "done", "error", "in-progress", "", "Pending ", "whatever")
DELETE_LAST = 0.5
SAY_WHILE_HELD = 0.6
"""So often what is typed into Status is about a row that a worker holds, if there is one."""
TABS = ("Video Tasks", "Video Tasks", "Video Tasks", "Dead-Letter Queue", "Sources")

Rows = list[list[Any]]


def video_url(number: int) -> str:
    return f"https://www.youtube.com/watch?v=v{number:010}"


def source_url(number: int) -> str:
    return f"https://www.youtube.com/playlist?list=PL{number:016}"


class Human:
    """A person at the sheet, who does everything that queue.md allows."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self.person = Person(chaos.world.book, chaos.world.title)
        self.random = Random()
        self.typed = 0

    def act(self, random: Random) -> None:
        """Do one thing."""
        self.random = random
        name = random.choice([name for name in ACTIONS if name not in self.chaos.chances.forbidden] or ["edit"])
        tab = random.choice(TABS)
        rows = self.chaos.world.rows(tab)
        if "Lease" in rows[0]:
            said = getattr(self, name)(tab, rows)
            if said:
                self.chaos.world.note(f"a person {said} in {tab}")
            self.chaos.oracle.forget_own_cells()

    def _line(self, rows: Rows) -> int:
        return self.random.randrange(1, len(rows)) if len(rows) > 1 else 0

    def sort(self, tab: str, rows: Rows) -> str:
        column = self.random.choice([name for name in rows[0] if name])
        descending = self.random.random() < 0.5
        self.person.sort(tab, column, descending=descending)
        return f"sorts the rows by {column}{', descending,' if descending else ''}"

    def _type(self, tab: str, rows: Rows, url: str) -> str:
        self.typed += 1
        if tab == "Dead-Letter Queue":
            return ""
        at = self.random.randrange(1, len(rows) + 1)
        notes = {"Notes": f"typed {self.typed}"} if "Notes" in rows[0] else {}
        brought = self._id_cells(rows)
        self.person.insert_row(tab, at, {"URL": url, **notes, **brought})
        return f"inserts line {at + 1} with the URL {url}{' and ' if brought else ''}{_told(brought)}"

    def _id_cells(self, rows: Rows) -> dict[str, str]:
        """Return the cells typed beside a new row's URL: an ID that no row has, one that another row has, or none."""
        standing = [str(row[0]) for row in rows[1:] if rows[0][0] == "ID" and row and row[0]]
        ids = {0: str(500 + self.typed), 1: next(iter(standing), "")}
        tries = {"RetryCount": str(self.typed % 5)} if "RetryCount" in rows[0] else {}
        typed = ids.get(self.typed % 3)
        if not typed:
            return {}
        if typed in standing:
            self.chaos.oracle.imported_ids.add(int(typed))
        return {"ID": typed, **tries}

    def bare(self, tab: str, rows: Rows) -> str:
        number = 1001 + self.typed
        return self._type(tab, rows, source_url(number) if tab == "Sources" else video_url(number))

    def known(self, tab: str, rows: Rows) -> str:
        number = self.random.randrange(4)
        return self._type(tab, rows, source_url(number) if tab == "Sources" else video_url(number))

    def junk(self, tab: str, rows: Rows) -> str:
        return self._type(tab, rows, "not a url")

    def blank(self, tab: str, rows: Rows) -> str:
        at = self.random.randrange(1, len(rows) + 1)
        self.person.insert_row(tab, at)
        return f"inserts an empty line {at + 1}"

    def copy(self, tab: str, rows: Rows) -> str:
        line = self._line(rows)
        if not line:
            return ""
        self.person.duplicate_row(tab, line)
        return f"copies line {line + 1} ({_lease(rows, line)})"

    def edit(self, tab: str, rows: Rows) -> str:
        line = self._line(rows)
        if not line or "Notes" not in rows[0]:
            return ""
        self.typed += 1
        self.person.edit(tab, line, "Notes", f"edited {self.typed}")
        return f"types into Notes of line {line + 1}"

    def say(self, tab: str, rows: Rows) -> str:
        line = self._line(rows)
        if not line:
            return ""
        text = self.random.choice(STATUSES)
        held = [at for at in range(1, len(rows)) if " held " in _lease(rows, at)]
        if held and self.random.random() < SAY_WHILE_HELD:
            line = self.random.choice(held)
        encoded = decode_lease(_lease(rows, line))
        if encoded:
            self.chaos.oracle.requested_ids.add(encoded.row_id)
            self.chaos.oracle.freed.add(encoded.key)
        self.person.edit(tab, line, "Status", text)
        return f"types {text!r} into Status of line {line + 1} ({_lease(rows, line)})"

    def delete(self, tab: str, rows: Rows) -> str:
        """Delete a line, often the one added last, whose ID must never be given again."""
        last = max(
            range(len(rows)), key=lambda at: encoded.row_id if (encoded := decode_lease(_lease(rows, at))) else 0
        )
        line = last if self.random.random() < DELETE_LAST else self._line(rows)
        if not line or self.random.random() >= 0.4:
            return ""
        encoded = decode_lease(_lease(rows, line))
        url = str(dict(zip(rows[0], rows[line], strict=False)).get("URL", ""))
        self.chaos.oracle.freed |= {url, encoded.key if encoded else ""}
        self.person.delete_row(tab, line)
        if encoded:
            self.chaos.oracle.deleted(tab, encoded)
        return f"deletes line {line + 1} ({_lease(rows, line)})"

    def filter(self, tab: str, rows: Rows) -> str:
        if self.random.random() < 0.5:
            self.person.filter(tab, "Status", ["pending", "in-progress"])
            return "hides pending rows by a filter"
        self.person.clear_filter(tab)
        return "clears the filter"

    def hide(self, tab: str, rows: Rows) -> str:
        self.person.hide_column(tab, "Lease")
        return "hides the column Lease"

    def move(self, tab: str, rows: Rows) -> str:
        line, to = self._line(rows), self._line(rows)
        if not line or to in (0, line, line + 1):
            return ""
        self.person.move_row(tab, line, to)
        return f"drags line {line + 1} to before line {to + 1}"

    def rename(self, tab: str, rows: Rows) -> str:
        """Rename a tab, sometimes back to its first name."""
        tab = self._any_tab(tab)
        titles = [sheet.title for sheet in self.chaos.world.book.contents.sheets]
        self.typed += 1
        title = tab if tab not in titles and self.random.random() < 0.5 else f"backup {self.typed}"
        self.person.rename_tab(tab, title)
        return f"renames to {title!r} the tab that was {tab!r} first"

    def duplicate(self, tab: str, rows: Rows) -> str:
        """Duplicate a tab, which stays there."""
        tab = self._any_tab(tab)
        return f"duplicates the tab that was {tab!r} first, as {self._duplicate(tab)!r}"

    def _duplicate(self, tab: str) -> str:
        self.typed += 1
        title = f"Copy {self.typed} of {tab}"
        self.person.duplicate_tab(tab, title)
        return title

    def swap(self, tab: str, rows: Rows) -> str:
        """Duplicate a tab, and give its title to the copy."""
        tab = self._any_tab(tab)
        title, copy = self.chaos.world.title(tab), self._duplicate(tab)
        self.person.rename_tab(tab, f"backup {self.typed}")
        Person(self.chaos.world.book).rename_tab(copy, title)
        return f"gives the title {title!r} to a copy of the tab"

    def _any_tab(self, tab: str) -> str:
        is_control = self.random.random() < 0.2 and self.chaos.world.sheet_id("Control") is not None
        return "Control" if is_control else tab


def _told(cells: dict[str, str]) -> str:
    return " and ".join(f"{name} {text}" for name, text in cells.items())


def _lease(rows: Rows, line: int) -> str:
    return str(dict(zip(rows[0], rows[line], strict=False)).get("Lease", ""))
