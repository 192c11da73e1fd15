"""Options that several commands take, and what the commands open with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import ConfigError, UserError
from youtube_download_coordinator.models import Status
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.models import Row
    from youtube_download_coordinator.queue import Queue

Flag = Annotated[bool, Parameter(negative="")]
OtherSites = Annotated[bool | None, Parameter(name="--allow-other-sites", help="Take sources that are not YouTube's.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="As one line of JSON.")]
Yes = Annotated[bool, Parameter(name="--yes", negative="", help="Do not ask.")]
RowId = Annotated[
    int,
    Parameter(name="ID", help="What stands in the column ID.", validator=validators.Number(gte=1, lte=2**63 - 1)),
]

TableName = Literal["videos", "dead-letters", "sources"]
Place = Annotated[TableName, Parameter(help="Where to look; a video is found among the dead letters too.")]
TABLES: dict[TableName, Table[Any]] = {"videos": VIDEO_TASKS, "dead-letters": DEAD_LETTERS, "sources": SOURCES}


def where_videos_may_be(table: TableName) -> list[TableName]:
    """A video keeps its ID among the dead letters: who says 17 need not know where it stands."""
    return ["videos", "dead-letters"] if table == "videos" else [table]


@Parameter(name="*", group="Which queue")
@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """Where the queue is; what is not given comes from the environment."""

    spreadsheet_id: str | None = None
    """The Google Sheet: its ID, or its address; else YDC_SPREADSHEET_ID."""

    credentials_file: Path | None = None
    """The JSON key of the service account that the sheet is shared with; else YDC_CREDENTIALS_FILE."""

    database_url: str | None = None
    """The queue where there is no sheet; else YDC_DATABASE_URL, else sqlite:///coordinator.db."""

    def config(self, **more: Any) -> Config:
        """The settings with these options, and with those of `more` that are not None."""
        from youtube_download_coordinator.config import Config

        if self.spreadsheet_id and self.database_url:
            raise ConfigError("--spreadsheet-id and --database-url name two queues: give one of them")
        given = {"credentials_file": self.credentials_file, "database_url": self.database_url, **more}
        chosen = {name: value for name, value in given.items() if value is not None}
        if self.spreadsheet_id or self.database_url:  # what is said here counts more than a sheet in the environment
            chosen["spreadsheet_id"] = self.spreadsheet_id
        return Config(**chosen)

    def coordinator(self, **more: Any) -> Coordinator:
        """A coordinator on that queue."""
        from youtube_download_coordinator.coordinator import Coordinator

        return Coordinator(self.config(**more))


AS_SET = QueueOptions()
"""The queue that the environment names."""


@Parameter(name="*", group="Which rows")
@dataclass(frozen=True, kw_only=True)
class RowFilters:
    """Which rows are meant; all that is given must hold."""

    status: Status | None = None
    """What stands in Status."""

    accent: str | None = None
    """Of this accent."""

    type: str | None = None
    """Of this type."""

    source: int | None = None
    """Videos listed from the source with this ID."""

    reason: str | None = None
    """Failed last for this reason: the word at the front of LastError."""

    text: str | None = None
    """With this text in any column."""

    def selection(self, ids: tuple[int, ...] = ()) -> Selection:
        """Raises UserError for an option that a script has left empty: it would fit nearly every row."""
        if empty := [name for name in ("text", "reason") if getattr(self, name) == ""]:
            raise UserError(f"--{empty[0]} is empty: say which {empty[0]}, or leave it out")
        return Selection(
            ids=ids or None,
            status=self.status,
            accent=self.accent,
            type=self.type,
            source_id=self.source,
            reason=self.reason,
            text=self.text,
        )


NO_FILTERS = RowFilters()


def select(queue: Queue, table: TableName, selection: Selection) -> Iterator[Row]:
    """The rows that are meant, wherever they may stand."""
    return chain.from_iterable(queue.select(TABLES[place], selection) for place in where_videos_may_be(table))


def say_none_fits(queue: Queue, places: list[TableName], selection: Selection) -> None:
    """Nothing was found: say so, and name the other tables where something would be."""
    said = f"ydc: no row of {' or '.join(places)} fits"
    for place in TABLES:
        if place not in places and (count := sum(1 for _ in queue.select(TABLES[place], selection))):
            said += f"; of {place} {count} would: ydc list --table {place}"
    say(said, problem=True)


def check_positive(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not value > 0:
            raise ConfigError(f"--{name.replace('_', '-')}={value}: it must be greater than 0")
