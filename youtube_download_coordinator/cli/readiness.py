"""`ydc init` and `ydc doctor`: is everything there that a worker needs?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.application import EXIT_FAILED, app
from youtube_download_coordinator.cli.options import Credentials, Database, Spreadsheet, settings
from youtube_download_coordinator.errors import ConfigError

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.doctor import Check


@app.command
def init(*, spreadsheet_id: Spreadsheet = None, credentials_file: Credentials = None) -> int:
    """Make a Google Sheet ready: tabs, columns, drop-downs, colours, notes. What is there is kept.

    Parameters
    ----------
    spreadsheet_id
        The sheet: its ID, or its address; YDC_SPREADSHEET_ID if it is not given.
    credentials_file
        The JSON key of the service account that the sheet is shared with.
    """
    from youtube_download_coordinator.stores.sheets.preparing import init_spreadsheet

    config = settings(spreadsheet_id=spreadsheet_id, credentials_file=credentials_file)
    if not config.spreadsheet_id:
        raise ConfigError("there is no spreadsheet to make ready: set YDC_SPREADSHEET_ID or --spreadsheet-id")
    for line in init_spreadsheet(config) or ["everything was ready; nothing is changed"]:
        print(line)
    return 0


@app.command
def doctor(
    *, spreadsheet_id: Spreadsheet = None, credentials_file: Credentials = None, database_url: Database = None
) -> int:
    """Check everything that a worker needs, and prove on the spreadsheet itself what the claim rests on.

    Parameters
    ----------
    spreadsheet_id
        The sheet: its ID, or its address; YDC_SPREADSHEET_ID if it is not given.
    credentials_file
        The JSON key of the service account that the sheet is shared with.
    database_url
        The queue where there is no spreadsheet.
    """
    from youtube_download_coordinator.doctor import examine

    problems = 0
    with ExitStack() as stack:
        config = settings(spreadsheet_id=spreadsheet_id, credentials_file=credentials_file, database_url=database_url)
        for finding in examine(checks(config, stack)):
            print(finding, flush=True)
            problems += not finding.ok
    print(f"\n{problems or 'no'} problem{'' if problems == 1 else 's'}")
    return EXIT_FAILED if problems else 0


def checks(config: Config, stack: ExitStack) -> list[Check]:
    """What `ydc doctor` looks at: the queue, then this machine."""
    from youtube_download_coordinator import preflight
    from youtube_download_coordinator.doctor import Check

    queue = _sheet_checks(config, stack) if config.spreadsheet_id else [Check("database", _database_look(config))]
    return [*queue, *(Check(name, look) for name, look in preflight.CHECKS.items())]


def _sheet_checks(config: Config, stack: ExitStack) -> list[Check]:
    from youtube_download_coordinator.doctor import Check
    from youtube_download_coordinator.stores.sheets.checkup import Checkup

    checkup = Checkup(config)
    stack.callback(checkup.close)
    return [
        Check("credentials", checkup.credentials),
        Check("sharing", checkup.sharing, needs="credentials"),
        Check("editing", checkup.editing, needs="sharing"),
        Check("clock", checkup.clock, needs="sharing"),
        Check("tabs", checkup.tabs, needs="sharing"),
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
