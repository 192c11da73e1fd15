"""The command `ydc`: the embedded queue from a terminal.

Exit codes: 0 all is well; 1 something failed and is told (a video, a source, a line of the file); 2 a mistake that the message
says how to mend; 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from youtube_download_coordinator.errors import ConfigError, CoordinatorError, UserError

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.doctor import Check
    from youtube_download_coordinator.expansion import Expansion
    from youtube_download_coordinator.ingest import Ingested
    from youtube_download_coordinator.worker import Attempt, Summary

app = App(
    name="ydc",
    help="List and process YouTube videos on a fleet of workers, never one of them twice.",
    suppress_keyboard_interrupt=False,  # we say what became of the claims
)

EXIT_FAILED = 1
EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130

Sources = Annotated[Path | None, Parameter(name=["--sources", "-s"])]
Database = Annotated[str | None, Parameter(name="--database-url")]
Spreadsheet = Annotated[str | None, Parameter(name="--spreadsheet-id")]
Credentials = Annotated[Path | None, Parameter(name="--credentials-file")]
OtherSites = Annotated[bool | None, Parameter(name="--allow-other-sites")]


@app.command
def run(
    *,
    sources: Sources = None,
    processor: Annotated[str, Parameter(name=["--processor", "-p"])] = "audio",
    max_videos: int | None = None,
    max_minutes: float | None = None,
    concurrency: int | None = None,
    database_url: Database = None,
    allow_other_sites: OtherSites = None,
) -> int:
    """Import the sources, list their videos and process them, until nothing is left to do.

    Parameters
    ----------
    sources
        A file of sources, a line each: URL|Accent|Type.
    processor
        download, audio, metadata, or module:function of your own.
    max_videos
        Claim no more than this many videos.
    max_minutes
        Claim none after this many minutes; what runs then is finished.
    concurrency
        Videos processed at a time.
    database_url
        The queue; sqlite:///coordinator.db unless YDC_DATABASE_URL says otherwise.
    allow_other_sites
        Take sources that are not YouTube's.
    """
    from youtube_download_coordinator.processing import check_processor
    from youtube_download_coordinator.worker import Limits, Summary

    _check_positive(max_videos=max_videos, max_minutes=max_minutes)
    check_processor(processor)
    coordinator = _coordinator(sources, database_url, allow_other_sites, concurrency=concurrency)
    failed = _tell_ingested(coordinator.ingest())
    limits = Limits(
        concurrency=coordinator.config.concurrency,
        max_videos=max_videos,
        max_seconds=None if max_minutes is None else max_minutes * 60,
    )
    summary = Summary()
    try:
        for left in coordinator.rounds(limits, summary):
            failed += sum(_tell_expansion(expansion) for expansion in coordinator.expand())
            summary.add(coordinator.process(processor, left, on_attempt=_tell_attempt))
    except KeyboardInterrupt:
        coordinator.give_back()
        raise
    return _tell_end(coordinator, summary, failed)


@app.command
def add(
    source: str,
    accent: str = "",
    type: str = "",
    *,
    database_url: Database = None,
    allow_other_sites: OtherSites = None,
) -> int:
    """Add a source: a URL, or a file with a line for each, URL|Accent|Type.

    Parameters
    ----------
    source
        A channel, playlist or video of YouTube, or the path of a file.
    accent
        Copied to each of its videos.
    type
        Copied to each of its videos.
    database_url
        The queue; sqlite:///coordinator.db unless YDC_DATABASE_URL says otherwise.
    allow_other_sites
        Take sources that are not YouTube's.
    """
    if _is_file(source) and (accent or type):
        raise UserError(f"{source} is a file, whose lines say Accent and Type themselves: URL|Accent|Type")
    if _is_file(source):
        return (
            EXIT_FAILED if _tell_ingested(_coordinator(Path(source), database_url, allow_other_sites).ingest()) else 0
        )
    row_id = _coordinator(None, database_url, allow_other_sites).client.add_source(source, accent, type)
    print(f"source {row_id}: {source}")
    return 0


@app.command
def status(*, database_url: Database = None) -> int:
    """Show how many sources, videos and dead letters there are in each state."""
    _print_counts(_coordinator(None, database_url, None))
    return 0


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

    config = _config(spreadsheet_id=spreadsheet_id, credentials_file=credentials_file)
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
        config = _config(spreadsheet_id=spreadsheet_id, credentials_file=credentials_file, database_url=database_url)
        for finding in examine(_checks(config, stack)):
            print(finding, flush=True)
            problems += not finding.ok
    print(f"\n{problems or 'no'} problem{'' if problems == 1 else 's'}")
    return EXIT_FAILED if problems else 0


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; every error is one line on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("youtube_download_coordinator").setLevel(logging.ERROR)  # what matters is told below
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(arguments, result_action="return_value", print_error=False, exit_on_error=False)
    except CycloptsError as error:
        _stop(" ".join(str(error).split()), EXIT_MISTAKE)
    except UserError as error:
        _stop(f"{error}", EXIT_MISTAKE)
    except CoordinatorError as error:
        _stop(f"{type(error).__name__}: {error}", EXIT_FAILED)
    except KeyboardInterrupt:
        _stop("interrupted; what was claimed has been given back", EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python itself would complain when it ends
        _stop("nobody reads the output any more; what was claimed has been given back", EXIT_FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _stop(message: str, code: int) -> NoReturn:
    print(f"ydc: {message}", file=sys.stderr)
    sys.exit(code)


def _check_positive(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not value > 0:
            raise ConfigError(f"--{name.replace('_', '-')}={value}: it must be greater than 0")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # an address may be longer than any name of a file
        return False


def _coordinator(sources: Path | None, database_url: str | None, other_sites: bool | None, **more: Any) -> Coordinator:
    from youtube_download_coordinator.coordinator import Coordinator

    given = {"sources_file_path": sources, "database_url": database_url, "allow_other_sites": other_sites, **more}
    return Coordinator(_config(**given))


def _config(**given: Any) -> Config:
    """The settings; what is not given comes from the environment."""
    from youtube_download_coordinator.config import Config

    return Config(**{name: value for name, value in given.items() if value is not None})


def _checks(config: Config, stack: ExitStack) -> list[Check]:
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


def _tell_ingested(ingested: Ingested) -> int:
    """Say what became of the file; how many of its lines were not understood."""
    for problem in ingested.problems:
        print(problem, file=sys.stderr)
    if ingested.added or ingested.known or ingested.bad:
        print(f"sources: {ingested}", flush=True)
    return ingested.bad


def _tell_expansion(expansion: Expansion) -> int:
    """Say what was listed; 1 when the source could not be listed to its end."""
    print(f"listed   {expansion}", file=sys.stderr if expansion.failure else sys.stdout, flush=True)
    return 1 if expansion.failure else 0


def _tell_attempt(attempt: Attempt) -> None:
    name = attempt.task.title or attempt.task.url
    print(f"{attempt.ending:<8} {name} ({attempt.seconds:.1f} s): {attempt.detail}", flush=True)


def _tell_end(coordinator: Coordinator, summary: Summary, failed: int) -> int:
    print(f"\nThis run: {summary}.")
    _print_counts(coordinator)
    return EXIT_FAILED if failed or summary.failed or summary.stopped_by else 0


def _print_counts(coordinator: Coordinator) -> None:
    from rich.console import Console
    from rich.table import Table

    from youtube_download_coordinator.models import State
    from youtube_download_coordinator.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS

    shown = Table(title="The queue")
    shown.add_column("")
    for state in State:
        shown.add_column(state.value, justify="right")
    for table, name in ((SOURCES, "sources"), (VIDEO_TASKS, "videos"), (DEAD_LETTERS, "dead letters")):
        counts = coordinator.queue.counts(table)
        shown.add_row(name, *(str(counts.get(state, 0)) for state in State))
    Console().print(shown)


if __name__ == "__main__":
    main()
