"""Define the options that several commands share, and open the queue and the rows that they select."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import ConfigError, UserError
from youtube_download_coordinator.queue.selection import Selection, parse_status
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.models import Row
    from youtube_download_coordinator.queue import Queue

Flag = Annotated[bool, Parameter(negative="")]
OtherSites = Annotated[
    bool | None, Parameter(name="--allow-other-sites", help="Accept sources that are not on YouTube.")
]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print one line of JSON.")]
Yes = Annotated[bool, Parameter(name="--yes", negative="", help="Do not ask for confirmation.")]
RowId = Annotated[
    int,
    Parameter(name="ID", help="The value of the column ID.", validator=validators.Number(gte=1, lte=2**63 - 1)),
]

TableName = Literal["videos", "dead-letters", "sources"]
TableOption = Annotated[TableName, Parameter(help="The table to look in; `videos` includes the dead letters.")]
TABLES: dict[TableName, Table[Any]] = {"videos": VIDEO_TASKS, "dead-letters": DEAD_LETTERS, "sources": SOURCES}


def tables_to_search(table: TableName) -> list[TableName]:
    """Return the tables that `--table` names. A video keeps its ID when it becomes a dead letter."""
    return ["videos", "dead-letters"] if table == "videos" else [table]


@Parameter(name="*", group="Which queue")
@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """Options that name the queue. Settings that are not given come from the environment."""

    spreadsheet_id: str | None = None
    """The ID or address of the Google Sheet; YDC_SPREADSHEET_ID unless given."""

    credentials_file: Path | None = None
    """The JSON key file of the service account with which the sheet is shared; YDC_CREDENTIALS_FILE unless given."""

    database_url: str | None = None
    """The database, if the queue is not a sheet; YDC_DATABASE_URL unless given, or sqlite:///coordinator.db."""

    def config(self, **more: Any) -> Config:
        """Return the settings with these options and the values in `more` that are not None. Raises ConfigError."""
        from youtube_download_coordinator.config import Config

        if self.spreadsheet_id and self.database_url:
            raise ConfigError("--spreadsheet-id and --database-url name two queues: give only one")
        given = {"credentials_file": self.credentials_file, "database_url": self.database_url, **more}
        options = {name: value for name, value in given.items() if value is not None}
        if self.spreadsheet_id or self.database_url:  # takes precedence over a sheet in the environment
            options["spreadsheet_id"] = self.spreadsheet_id
        return Config(**options)

    def coordinator(self, **more: Any) -> Coordinator:
        """Open the queue. Raises ConfigError."""
        from youtube_download_coordinator.coordinator import Coordinator

        return Coordinator(self.config(**more))

    def named(self, *, is_data: bool = False, **more: Any) -> Coordinator:
        """Open the queue and print its name, on stderr if the output `is_data` for a program. Raises ConfigError."""
        coordinator = self.coordinator(**more)
        store = coordinator.queue.store
        say(f"queue: {store.name}{', new' if store.is_new else ''}", problem=is_data)
        return coordinator


AS_SET = QueueOptions()
"""The queue that the environment names."""


@Parameter(name="*", group="Which rows")
@dataclass(frozen=True, kw_only=True)
class RowFilters:
    """Filters that select rows. A row must meet all of them."""

    status: str | None = None
    """Only rows with this Status: pending, in-progress, done or error; or "dead letters" for rows that failed for good."""

    accent: str | None = None
    """Only rows with this Accent."""

    type: str | None = None
    """Only rows with this Type."""

    source: int | None = None
    """Only videos from the source with this ID."""

    reason: str | None = None
    """Only rows with this reason for the last failure: the first word of LastError."""

    text: str | None = None
    """Only rows with this text in any column."""

    def selection(self, ids: tuple[int, ...] = ()) -> Selection:
        """Return the rows to select. Raises UserError for an empty text or reason, which would match nearly every row."""
        if empty := [name for name in ("text", "reason") if getattr(self, name) == ""]:
            raise UserError(f"--{empty[0]} is empty: give a {empty[0]}, or leave the option out")
        return Selection(
            ids=ids or None,
            status=None if self.status is None else parse_status(self.status, "--status"),
            accent=self.accent,
            type=self.type,
            source_id=self.source,
            reason=self.reason,
            text=self.text,
        )


NO_FILTERS = RowFilters()


def select(queue: Queue, table: TableName, selection: Selection) -> Iterator[Row]:
    """Return the selected rows of every table that `table` names."""
    return chain.from_iterable(queue.select(TABLES[name], selection) for name in tables_to_search(table))


def report_no_match(queue: Queue, tables: list[TableName], selection: Selection) -> None:
    """Report that no row matches, and name the other tables that have matching rows."""
    message = f"ydc: no row of {' or '.join(tables)} matches"
    for name in TABLES:
        if name not in tables and (count := sum(1 for _ in queue.select(TABLES[name], selection))):
            message += f"; {count} of {name} would: ydc list --table {name}"
    say(message, problem=True)


def check_positive(**options: float | None) -> None:
    """Raise ConfigError for an option that is not greater than 0."""
    for name, value in options.items():
        if value is not None and not value > 0:
            raise ConfigError(f"--{name.replace('_', '-')}={value}: it must be greater than 0")
