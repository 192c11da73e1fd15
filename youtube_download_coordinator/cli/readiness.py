"""`ydc init` and `ydc doctor`: is everything there that a worker needs?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import EXIT_FAILED, WORK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, QueueOptions
from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import ConfigError

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.operations.doctor import Check


@app.command(group=WORK)
def init(*, queue: QueueOptions = AS_SET) -> int:
    """Make a Google Sheet ready.

    Tabs, columns, drop-downs, colours, notes. What is there is kept.

    ```
    ydc init --spreadsheet-id 1AbC...xyz --credentials-file service-account.json
    ```
    """
    from youtube_download_coordinator.stores.sheets.setup.init import init_spreadsheet

    config = queue.config()
    if not config.spreadsheet_id:
        raise ConfigError("there is no spreadsheet to make ready: set YDC_SPREADSHEET_ID or --spreadsheet-id")
    for line in init_spreadsheet(config) or ["everything was ready; nothing is changed"]:
        say(line)
    return 0


@app.command(group=WORK)
def doctor(
    *,
    processor: Annotated[str, Parameter(name=["--processor", "-p"])] = "download",
    queue: QueueOptions = AS_SET,
) -> int:
    """Check everything that a worker needs.

    On a spreadsheet, what the claim rests on is proved on the spreadsheet itself.

    ```
    ydc doctor
    ```

    Parameters
    ----------
    processor
        What the workers are to do: download (which needs everything), audio, metadata, subtitles, or module:function.
    """
    from youtube_download_coordinator.operations.doctor import examine

    problems = warnings = 0
    with ExitStack() as stack:
        for finding in examine(checks(queue.config(), stack, processor)):
            say(f"{finding}")
            problems += finding.stops and not finding.ok
            warnings += not finding.stops and not finding.ok
    say("")
    told = [_count(problems, "problem"), *([_count(warnings, "warning")] if warnings else [])]
    say(", ".join(told))
    return EXIT_FAILED if problems else 0


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def checks(config: Config, stack: ExitStack, processor: str = "download") -> list[Check]:
    """What `ydc doctor` looks at: the queue, then this machine."""
    from youtube_download_coordinator.operations import preflight
    from youtube_download_coordinator.operations.doctor import Check

    queue = _sheet_checks(config, stack) if config.spreadsheet_id else [Check("database", _database_look(config))]
    return [*queue, *preflight.checks(config, processor), *_processor_checks(processor)]


def _processor_checks(processor: str) -> list[Check]:
    from youtube_download_coordinator.operations.doctor import Check
    from youtube_download_coordinator.workers.run_processor import BUILT_INS, check_processor

    def look() -> str:
        check_processor(processor)
        return f"{processor} can be called"

    return [] if processor in BUILT_INS else [Check("processor", look)]


def _sheet_checks(config: Config, stack: ExitStack) -> list[Check]:
    from youtube_download_coordinator.operations.doctor import Check
    from youtube_download_coordinator.stores.sheets.setup.checks import Checkup

    checkup = Checkup(config)
    stack.callback(checkup.close)
    return [
        Check("credentials", checkup.credentials),
        Check("sharing", checkup.sharing, needs="credentials"),
        Check("editing", checkup.editing, needs="sharing"),
        Check("clock", checkup.clock, needs="sharing"),
        Check("tabs", checkup.tabs, needs="sharing"),
        Check("room", checkup.room, needs="tabs", stops=False),
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
