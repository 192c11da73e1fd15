"""Check a spreadsheet for `ydc doctor`. Each check returns its finding, or raises an error with advice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError, CoordinatorError, StoreError
from youtube_download_coordinator.models import Control, Row
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.api import Connection, SheetRefused
from youtube_download_coordinator.stores.sheets.column_search import misnamed_columns
from youtube_download_coordinator.stores.sheets.credentials import credentials
from youtube_download_coordinator.stores.sheets.guarantee_line import note_attempt
from youtube_download_coordinator.stores.sheets.layout import Layout, LayoutProblem, titles
from youtube_download_coordinator.stores.sheets.setup.capacity import read_capacity
from youtube_download_coordinator.stores.sheets.setup.contents import lines_of_control, row_in
from youtube_download_coordinator.stores.sheets.setup.guarantees import Proof, ProofResult, keep, prove_all
from youtube_download_coordinator.stores.sheets.setup.prepare import lost_columns
from youtube_download_coordinator.stores.sheets.setup.recording import Cassette
from youtube_download_coordinator.stores.sheets.spreadsheet import DATA_TABS
from youtube_download_coordinator.stores.sheets.tab_search import copies, read_layout

LINES_PER_REQUEST = 5000
PATIENCE_SECONDS = 75.0
"""How long to repeat a request. A person waits at the terminal, but the quota may take a minute to become available."""


class SpreadsheetChecks:
    """The checks in order. Each check requires that the previous ones have succeeded."""

    def __init__(self, config: Config, *, thorough: bool = False, record: Path | None = None) -> None:
        """Prepare the checks. `record` is a folder for recordings of the guarantees' tests."""
        patience = min(config.sheets_patience_seconds, PATIENCE_SECONDS)
        self._config = config.model_copy(update={"sheets_patience_seconds": patience})
        self._opened: Connection | None = None
        self._thorough = thorough
        self._record = record

    @property
    def _connection(self) -> Connection:
        self._opened = self._opened or Connection(self._config)
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def credentials(self) -> str:
        """Check that the credentials can be read."""
        google_credentials = credentials(self._config)
        kind = type(google_credentials).__module__.rpartition(".")[2].replace("_", " ")
        return f"{kind} {getattr(google_credentials, 'service_account_email', '')}".strip()

    def sharing(self) -> str:
        """Check that Google accepts the key, that the API is enabled, and that the spreadsheet is shared with the account."""
        spreadsheet = self._connection.properties("properties.title")
        return f"the spreadsheet {spreadsheet.get('properties', {}).get('title', '')!r} can be read"

    def editing(self) -> str:
        """Check that the account is an editor, with a write that changes nothing."""
        nothing = {"find": "ydc doctor looks for what is nowhere", "replacement": "x", "allSheets": True}
        account = self._connection.account
        try:
            self._connection.write([{"findReplace": {**nothing, "matchEntireCell": True}}])
        except SheetRefused as error:
            raise ConfigError(
                f"the spreadsheet can be read, but not edited: share it with {account} as Editor, not as Viewer"
            ) from error
        locked = self._locked_tabs()
        if locked:
            raise ConfigError(
                f"{account} may not edit parts of {', '.join(locked)}: remove the protection (Data, Protect sheets and"
                " ranges), or let that account edit there"
            )
        return f"{account} is an editor"

    def _locked_tabs(self) -> list[str]:
        tab_titles = {title.casefold() for title in titles(self._config).values()}
        spreadsheet = self._connection.properties(
            "sheets(properties.title,protectedRanges(warningOnly,requestingUserCanEdit))"
        )
        return [
            repr(title)
            for sheet in spreadsheet.get("sheets", [])
            if (title := sheet["properties"]["title"]).casefold() in tab_titles
            and any(
                not protected.get("warningOnly") and not protected.get("requestingUserCanEdit")
                for protected in sheet.get("protectedRanges", [])
            )
        ]

    def clock(self) -> str:
        """Compare this machine's clock with Google's, for information only. Leases use Google's clock."""
        ahead_seconds = (datetime.now(UTC) - self._connection.now()).total_seconds()
        if abs(ahead_seconds) < 2 * self._connection.clock_error_seconds:
            return "this machine's and Google's agree"
        way = "ahead of" if ahead_seconds > 0 else "behind"
        return f"this machine's is {abs(ahead_seconds):.0f} s {way} Google's; this is harmless, because leases use Google's"

    def tabs(self) -> str:
        """Check that all tabs and columns exist."""
        layout = read_layout(self._connection, self._config)
        if layout.problem:
            raise LayoutProblem(layout.problem)
        missing = _missing(layout, self._config)
        if missing:
            raise ConfigError(f"{'; '.join(missing)}: run `ydc init`")
        if lost := lost_columns(layout):
            raise ConfigError(
                f"your own columns {', '.join(lost)} are not in the dead letters, so a row that moves there"
                " would lose their contents: run `ydc init`"
            )
        text = "all tabs and columns exist"
        if problem := misnamed_columns(self._connection, [layout.tabs[name] for name in DATA_TABS]):
            raise LayoutProblem(problem)
        if others := copies(self._connection, layout):
            text += f"; {', '.join(map(repr, others))} looks like a copy of one of them, and workers ignore it"
        return text

    def capacity(self) -> Iterator[tuple[bool, str]]:
        """Yield whether there is room, and how many more videos fit."""
        space = read_capacity(self._connection, self._config)
        advice = ". Move the queue to a database (`ydc copy`), or start another spreadsheet: docs/beyond-one-sheet.md"
        yield not space.is_nearly_full, f"{space}{advice if space.is_nearly_full else ''}"

    def contents(self) -> Iterator[Row | Control | str]:
        """Yield every row and every line of Control, or a text if it cannot be read."""
        layout = read_layout(self._connection, self._config)
        for table in (SOURCES, VIDEO_TASKS, DEAD_LETTERS):
            tab = layout.tabs[table.name]
            for start in range(1, tab.grid_rows, LINES_PER_REQUEST):
                ((lines, _),) = self._connection.values(
                    [tab.whole_rows(start, min(start + LINES_PER_REQUEST, tab.grid_rows))]
                )
                for row_number, cells in enumerate(lines, start=start + 1):
                    if content := row_in(table, tab, cells, row_number):
                        yield content
        yield from lines_of_control(layout.control)

    def guarantees(self) -> Iterator[tuple[bool, str]]:
        """Test the guarantees on which claiming relies, and record the result in the tab Control."""
        proofs = self._prove()
        for proof in proofs:
            yield proof.outcome in (ProofResult.HOLDS, ProofResult.NOTED), _describe(proof)
        try:
            keep(self._connection, read_layout(self._connection, self._config), proofs)
        except CoordinatorError as error:
            raise StoreError(f"the result could not be written into the tab Control: {error}") from error

    def repeat_guarantees(self) -> Iterator[tuple[bool, str]]:
        """Test the guarantees again. If one of them could not be tested, record the time of the test in Control."""
        tested = list(self.guarantees())
        yield from tested
        if not all(is_well for is_well, _ in tested):
            layout = read_layout(self._connection, self._config)
            if not layout.failed_guarantees:
                note_attempt(self._connection, layout)

    def _prove(self) -> list[Proof]:
        if self._record is None:
            return prove_all(self._connection, thorough=self._thorough)
        cassette = Cassette(self._connection.spreadsheet_id)
        environment = self._connection.environment
        recorded = Connection(self._config, replace(environment, client=cassette.client(environment.client)))
        try:
            return prove_all(recorded, thorough=self._thorough)
        finally:
            recorded.close()
            cassette.save(self._record / f"doctor-{self._connection.now():%Y-%m-%dT%H%M%S}.json")


def _describe(proof: Proof) -> str:
    if proof.outcome is ProofResult.HOLDS:
        return proof.promise
    if proof.outcome is ProofResult.NOTED:
        return proof.detail
    if proof.outcome is ProofResult.UNTRIED:
        return f"{proof.promise}: not tested, run `ydc doctor` again ({proof.detail})"
    return (
        f"{proof.promise}: this does NOT hold ({proof.detail}). No worker starts on this spreadsheet now; use another one, or"
        " database_url, and report it"
    )


def _missing(layout: Layout, config: Config) -> list[str]:
    tabs = [repr(title) for name, title in titles(config).items() if name not in layout.tabs]
    return ([f"there is no tab {', '.join(tabs)}"] if tabs else []) + [
        f"the tab {tab.title!r} lacks {', '.join(tab.missing)}" for tab in layout.tabs.values() if tab.missing
    ]
