"""List the checks of `ydc doctor`, first of the queue and then of this machine."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from youtube_download_coordinator.operations import preflight
from youtube_download_coordinator.operations.check_place import check_rights, check_uploads
from youtube_download_coordinator.operations.check_rows import check_rows, read_database
from youtube_download_coordinator.operations.examine import Check, Finding, examine
from youtube_download_coordinator.processors.names import BUILT_INS, processor_names
from youtube_download_coordinator.workers.find_processor import check_processor

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.queue.store import Store
    from youtube_download_coordinator.stores.sheets.setup.checks import SpreadsheetChecks


def checks(
    config: Config,
    stack: ExitStack,
    processor: str = "download",
    *,
    thorough: bool = False,
    record: Path | None = None,
) -> list[Check]:
    """Return the checks of the queue and of this machine. `stack` closes the stores that they open.

    `thorough` and `record` apply to the guarantees of a Google Sheet: repeat every race more often, and record the HTTP
    exchanges.
    """
    sheet = partial(_sheet_checks, config, stack, thorough=thorough, record=record)
    queue = sheet() if config.spreadsheet_id else _database_checks(config)
    newest = Check("package index", preflight.check_newest, stops=False)
    return [
        *queue,
        *preflight.checks(config, processor),
        newest,
        *_storage_checks(config, processor),
        *_processor_checks(processor),
    ]


def repeat_proof(config: Config, store: Store) -> list[Finding]:
    """Test the guarantees of a Google Sheet again if the last test is a month old. Return the findings.

    The store must have read the sheet just before, because it then knows the date of the last test.
    """
    if not getattr(store, "is_proof_due", False):
        return []
    with ExitStack() as stack:
        return list(examine([Check("guarantees", _spreadsheet(config, stack).repeat_guarantees)]))


def _storage_checks(config: Config, processor: str) -> list[Check]:
    if isinstance(config.output_dir, Path) or set(processor_names(processor)).isdisjoint(BUILT_INS):
        return []
    return [
        Check("rights", partial(check_rights, config.output_dir), needs="storage"),
        Check("uploads", partial(check_uploads, config.output_dir), needs="storage"),
    ]


def _processor_checks(processor: str) -> list[Check]:
    def check() -> str:
        check_processor(processor)
        return f"{processor} can be called"

    return [] if set(processor_names(processor)) <= set(BUILT_INS) else [Check("processor", check)]


def _sheet_checks(config: Config, stack: ExitStack, *, thorough: bool, record: Path | None) -> list[Check]:
    spreadsheet = _spreadsheet(config, stack, thorough=thorough, record=record)
    return [
        Check("credentials", spreadsheet.credentials),
        Check("sharing", spreadsheet.sharing, needs="credentials"),
        Check("editing", spreadsheet.editing, needs="sharing"),
        Check("clock", spreadsheet.clock, needs="sharing"),
        Check("tabs", spreadsheet.tabs, needs="sharing"),
        Check("room", spreadsheet.capacity, needs="tabs", stops=False),
        Check("rows", lambda: check_rows(config, spreadsheet.contents()), needs="tabs", stops=False),
        Check("guarantees", spreadsheet.guarantees, needs="editing"),
    ]


def _spreadsheet(
    config: Config, stack: ExitStack, *, thorough: bool = False, record: Path | None = None
) -> SpreadsheetChecks:
    from youtube_download_coordinator.stores.sheets.setup.checks import SpreadsheetChecks

    spreadsheet = SpreadsheetChecks(config, thorough=thorough, record=record)
    stack.callback(spreadsheet.close)
    return spreadsheet


def _database_checks(config: Config) -> list[Check]:
    return [
        Check("database", partial(_check_database, config)),
        Check("rows", lambda: check_rows(config, read_database(config)), needs="database", stops=False),
    ]


def _check_database(config: Config) -> str:
    from youtube_download_coordinator.stores.sql import SqlStore

    SqlStore(config.database_url).close()
    scheme = config.database_url.partition(":")[0]  # the rest of a URL may contain a password
    return f"{scheme} opens (no spreadsheet_id is set)"
