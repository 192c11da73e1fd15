"""A spreadsheet on a simulated Google, an account it is shared with, and `ydc` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fake_google import Account, SheetsServer, Simulator, Spreadsheet
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.operations import doctor, preflight
from youtube_download_coordinator.operations.examine import Finding, examine

PROJECT = str(Path(__file__).parents[2])
NO_INDEX: Mapping[str, str] = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
"""`ydc doctor` asks no package index for a newer yt-dlp."""
SEED_SOURCES = ["ID", "URL", "Status", "ClaimedBy", "ClaimedAt", "Accent", "Type"]
SEED_VIDEOS = [
    "ID", "SourceID", "URL", "Status", "ClaimedBy", "ClaimedAt", "Accent", "Type", "Duration", "RetryCount",
]  # fmt: skip
SEED_TABS: Mapping[str, list[list[str]]] = {
    "Sources": [SEED_SOURCES],
    "Video Tasks": [SEED_VIDEOS],
    "Dead-Letter Queue": [SEED_VIDEOS],
}


@dataclass
class Setting:
    """The set-up of a test of `ydc init` or `ydc doctor`."""

    server: SheetsServer
    account: Account
    folder: Path
    book: Spreadsheet

    @property
    def simulator(self) -> Simulator:
        return self.server.simulator

    @property
    def key_file(self) -> Path:
        return self.folder / "key.json"

    def new_book(self, tabs: Mapping[str, list[list[Any]]] | None = None, **size: Any) -> Spreadsheet:
        """Create another spreadsheet, which is used from now on."""
        self.book = self.simulator.create_spreadsheet(tabs, (self.account,), **{"rows": 50, **size})
        return self.book

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "spreadsheet_id": self.book.spreadsheet_id,
            "credentials_file": self.key_file,
            "sheets_api_url": self.server.address,
            "sheets_patience_seconds": 5,
            **more,
        }

    def config(self, **more: Any) -> Config:
        return Config(**self.settings(**more))

    def command(self, *arguments: str, **more: Any) -> dict[str, Any]:
        """Return the arguments with which `ydc` is started with these settings. None leaves one out."""
        given = {name: value for name, value in self.settings(**more).items() if value is not None}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("YDC_", "GOOGLE_"))}
        variables = {f"YDC_{name.upper()}": str(value) for name, value in given.items()}
        return {
            "args": [sys.executable, "-m", "youtube_download_coordinator", *arguments],
            "cwd": self.folder,
            "env": kept | {"COLUMNS": "200", "PYTHONPATH": PROJECT} | {**NO_INDEX} | variables,
        }

    def run(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run `ydc` in a process of its own."""
        command = self.command(*arguments, **more)
        return subprocess.run(**command, capture_output=True, text=True, check=False, timeout=100)

    def header(self, tab: str) -> list[str]:
        return list(self.book.rows(tab)[0])


@contextmanager
def google(folder: Path) -> Iterator[Setting]:
    """Yield a running simulator with an empty spreadsheet. Every answer is checked against Google's schema."""
    with SheetsServer() as server:
        account = server.simulator.accounts.add("worker")
        account.write_key_file(folder / "key.json", server.simulator.token_uri)
        setting = Setting(server, account, folder, server.simulator.create_spreadsheet(None, (account,)))
        yield setting
        assert server.simulator.answer_problems == []
        assert server.simulator.misses == []


def findings(here: Setting, **settings: Any) -> list[Finding]:
    """Return the findings of doctor about the sheet, without those about this machine."""
    with ExitStack() as stack:
        config = here.config(**settings)
        machine = {"package index", *(check.name for check in preflight.checks(config))}
        return list(examine(check for check in doctor.checks(config, stack) if check.name not in machine))


def problems(here: Setting, **settings: Any) -> dict[str, str]:
    return {finding.name: finding.text for finding in findings(here, **settings) if not finding.ok}


def names_of(found: list[Finding]) -> list[str]:
    return list(dict.fromkeys(finding.name for finding in found))


def control_line(here: Setting) -> list[str]:
    return next((row for row in here.book.rows("Control") if row[:1] == ["guarantees"]), [])


def nothing_is_left(here: Setting) -> bool:
    titles = [sheet.title for sheet in here.book.contents.sheets]
    contents = here.book.contents
    named = [each["name"] for each in [*contents.named_ranges.values(), *contents.broken_ranges.values()]]
    return not any("doctor" in each for each in [*titles, *named])
