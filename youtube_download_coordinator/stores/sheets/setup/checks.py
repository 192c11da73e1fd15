"""What `ydc doctor` looks at in a spreadsheet. Each look says what it found, or raises an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError, CoordinatorError, StoreError
from youtube_download_coordinator.stores.sheets.api import Connection, SheetRefused
from youtube_download_coordinator.stores.sheets.credentials import credentials
from youtube_download_coordinator.stores.sheets.layout import Layout, read_layout, titles
from youtube_download_coordinator.stores.sheets.setup.capacity import read_capacity
from youtube_download_coordinator.stores.sheets.setup.guarantees import Proof, ProofResult, keep, prove_all
from youtube_download_coordinator.stores.sheets.setup.prepare import lost_columns

PATIENCE_SECONDS = 75.0
"""Somebody waits at the terminal; but the quota of a minute may have to be waited for."""


class SpreadsheetChecks:
    """The looks, in their order; each needs those before it."""

    def __init__(self, config: Config) -> None:
        patience = min(config.sheets_patience_seconds, PATIENCE_SECONDS)
        self._config = config.model_copy(update={"sheets_patience_seconds": patience})
        self._opened: Connection | None = None

    @property
    def _connection(self) -> Connection:
        self._opened = self._opened or Connection(self._config)
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def credentials(self) -> str:
        """A key is there and can be read."""
        found = credentials(self._config)
        kind = type(found).__module__.rpartition(".")[2].replace("_", " ")
        return f"{kind} {getattr(found, 'service_account_email', '')}".strip()

    def sharing(self) -> str:
        """Google takes the key, the API is enabled, the spreadsheet is there and shared with the account."""
        found = self._connection.properties("properties.title")
        return f"the spreadsheet {found.get('properties', {}).get('title', '')!r} can be read"

    def editing(self) -> str:
        """The account is an editor: a change that changes nothing is accepted."""
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
                f"{account} may not edit parts of {', '.join(locked)}: take the protection away (Data, Protect sheets and"
                " ranges), or let that account edit there"
            )
        return f"{account} is an editor"

    def _locked_tabs(self) -> list[str]:
        ours = {title.casefold() for title in titles(self._config).values()}
        found = self._connection.properties(
            "sheets(properties.title,protectedRanges(warningOnly,requestingUserCanEdit))"
        )
        return [
            repr(title)
            for sheet in found.get("sheets", [])
            if (title := sheet["properties"]["title"]).casefold() in ours
            and any(
                not each.get("warningOnly") and not each.get("requestingUserCanEdit")
                for each in sheet.get("protectedRanges", [])
            )
        ]

    def clock(self) -> str:
        """For information: leases are measured by Google's clock, wherever this machine's stands."""
        ahead_seconds = (datetime.now(UTC) - self._connection.now()).total_seconds()
        if abs(ahead_seconds) < 2 * self._connection.clock_error_seconds:
            return "this machine's and Google's agree"
        way = "ahead of" if ahead_seconds > 0 else "behind"
        return f"this machine's is {abs(ahead_seconds):.0f} s {way} Google's; that is no harm, leases use Google's"

    def tabs(self) -> str:
        """Everything that the queue needs is there."""
        layout = read_layout(self._connection, self._config)
        missing = _missing(layout, self._config)
        if missing:
            raise ConfigError(f"{'; '.join(missing)}: run `ydc init`")
        if lost := lost_columns(layout):
            raise ConfigError(
                f"your own columns {', '.join(lost)} are not in the dead letters, where a row would lose what is in them:"
                " run `ydc init`"
            )
        return "the tabs and their columns are there"

    def capacity(self) -> Iterator[tuple[bool, str]]:
        """How many more videos fit."""
        found = read_capacity(self._connection, self._config)
        advice = ". Move the queue to a database (`ydc copy`), or begin another spreadsheet: docs/beyond-one-sheet.md"
        yield not found.is_nearly_full, f"{found}{advice if found.is_nearly_full else ''}"

    def guarantees(self) -> Iterator[tuple[bool, str]]:
        """What the claim rests on holds on this very spreadsheet; kept in its Control tab."""
        proofs = prove_all(self._connection)
        for proof in proofs:
            yield proof.outcome is ProofResult.HOLDS, _describe(proof)
        try:
            keep(self._connection, read_layout(self._connection, self._config), proofs)
        except CoordinatorError as error:
            raise StoreError(f"what was found could not be written into the Control tab: {error}") from error


def _describe(proof: Proof) -> str:
    if proof.outcome is ProofResult.HOLDS:
        return proof.promise
    if proof.outcome is ProofResult.UNTRIED:
        return f"{proof.promise}: it could not be tried, run `ydc doctor` again ({proof.detail})"
    return (
        f"{proof.promise}: this does NOT hold ({proof.detail}). No worker starts on this spreadsheet now; use another one, or"
        " database_url, and report it"
    )


def _missing(layout: Layout, config: Config) -> list[str]:
    tabs = [repr(title) for name, title in titles(config).items() if name not in layout.tabs]
    found = [f"there is no tab {', '.join(tabs)}"] if tabs else []
    return found + [
        f"the tab {tab.title!r} lacks {', '.join(tab.missing)}" for tab in layout.tabs.values() if tab.missing
    ]
