"""An overview as a page of tables: what the sheet's tab, Prefect's artifact and `ydc report` all show, each in its own way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from youtube_download_coordinator.models import Cell, Control, Page, Section, State
from youtube_download_coordinator.operations.overview import Overview
from youtube_download_coordinator.queue.cooldown import ControlValue
from youtube_download_coordinator.reasons import advice
from youtube_download_coordinator.text import format_utc

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config

ROWS_MAX = 25
"""Of a table: a page for people. The rest is counted in one row more."""
UNNAMED = "(none)"
"""The accent or the type of videos that have none."""
TOTAL = "all"
"""The column with the number of rows in all states."""


def page(found: Overview) -> Page:
    """Everything that an overview says."""
    sections = [
        Section("Fleet", ("Line", "State", "Until", "Why"), [_control(line) for line in found.controls]),
        _by_state("Rows", "In", found.counts),
        _waiting(found),
        Section("Why rows failed", ("Reason", "In", "What to do", "Rows"), _cut(_reasons(found), 3)),
        Section("Who holds what", ("Worker", "Rows"), _cut(list(found.holders.items()), 1)),
        _by_state("Videos by accent", "Accent", found.accents),
        _by_state("Videos by type", "Type", found.types),
    ]
    days = [(f"{day}", videos, round(seconds / 3600, 1)) for day, videos, seconds in found.days]
    return Page(format_utc(found.at), sections, Section("Done each day", ("Day", "Videos", "Hours"), days))


def _control(line: Control) -> Sequence[Cell]:
    return line.name, line.value or ControlValue.CLEAR.value, format_utc(line.until), line.reason


def _by_state(title: str, what: str, counts: Mapping[str, Mapping[State, int]]) -> Section:
    rows: list[Sequence[Cell]] = [
        (name or UNNAMED, *(states.get(state, 0) for state in State), sum(states.values()))
        for name, states in counts.items()
    ]
    return Section(title, (what, *(state.value for state in State), TOTAL), _cut(rows, 1))


def _waiting(found: Overview) -> Section:
    oldest = found.oldest
    rows = [(oldest.name, f"{oldest.id}", format_utc(oldest.not_before))] if oldest else []
    return Section("Waits longest", ("Video", "ID", "Since"), rows)


def _reasons(found: Overview) -> list[Sequence[Cell]]:
    failed = [(number, where, reason) for where, counts in found.reasons.items() for reason, number in counts.items()]
    return [(reason, where, advice(reason), number) for number, where, reason in sorted(failed, reverse=True)]


def _cut(rows: Sequence[Sequence[Cell]], texts: int) -> list[Sequence[Cell]]:
    """The first ROWS_MAX rows; of the others, that there are so many and what their numbers come to."""
    kept, others = list(rows[:ROWS_MAX]), rows[ROWS_MAX:]
    if others:
        sums = (sum(number for number in column if isinstance(number, int)) for column in _columns(others, texts))
        kept.append((f"{len(others)} others", *[""] * (texts - 1), *sums))
    return kept


def _columns(rows: Sequence[Sequence[Cell]], first: int) -> Iterable[Sequence[Cell]]:
    return zip(*(row[first:] for row in rows), strict=True)


def show_dashboard(config: Config, page: Page) -> None:
    """Write a report into the sheet's Dashboard tab; do nothing where the queue is a database.

    Raises StoreError when the tab cannot be written, ConfigError when a person has to change something first.
    """
    if config.spreadsheet_id:
        from youtube_download_coordinator.stores.sheets import show_dashboard as write_tab

        write_tab(config, page)
