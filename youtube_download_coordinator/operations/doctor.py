"""What `ydc doctor` checks: the queue first, then this machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from youtube_download_coordinator.operations import preflight
from youtube_download_coordinator.operations.examine import Check
from youtube_download_coordinator.workers.find_processor import BUILT_INS, check_processor

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config


def checks(config: Config, stack: ExitStack, processor: str = "download") -> list[Check]:
    """What `ydc doctor` looks at: the queue, then this machine."""
    queue = _sheet_checks(config, stack) if config.spreadsheet_id else [Check("database", _database_look(config))]
    newest = Check("package index", preflight.check_newest, stops=False)
    return [*queue, *preflight.checks(config, processor), newest, *_processor_checks(processor)]


def _processor_checks(processor: str) -> list[Check]:
    def look() -> str:
        check_processor(processor)
        return f"{processor} can be called"

    return [] if processor in BUILT_INS else [Check("processor", look)]


def _sheet_checks(config: Config, stack: ExitStack) -> list[Check]:
    from youtube_download_coordinator.stores.sheets.setup.checks import SpreadsheetChecks

    checkup = SpreadsheetChecks(config)
    stack.callback(checkup.close)
    return [
        Check("credentials", checkup.credentials),
        Check("sharing", checkup.sharing, needs="credentials"),
        Check("editing", checkup.editing, needs="sharing"),
        Check("clock", checkup.clock, needs="sharing"),
        Check("tabs", checkup.tabs, needs="sharing"),
        Check("room", checkup.capacity, needs="tabs", stops=False),
        Check("guarantees", checkup.guarantees, needs="editing"),
    ]


def _database_look(config: Config) -> Callable[[], str]:
    def look() -> str:
        from youtube_download_coordinator.stores.sql import SqlStore

        SqlStore(config.database_url).close()
        return (
            f"{config.database_url.partition(':')[0]} opens (there is no spreadsheet_id)"  # a URL may hold a password
        )

    return look
