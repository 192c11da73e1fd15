"""`ydc copy`: copy a queue from one store to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.application import WORK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, QueueOptions
from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import UserError

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config

LEFT_OUT_LINES_MAX = 20


@app.command(group=WORK)
def copy(*, to: str, queue: QueueOptions = AS_SET) -> int:
    """Copy the queue to another store, and compare the two row by row.

    Each store may be a sheet, a SQLite file, or PostgreSQL. Stop the workers first: a queue with claimed rows cannot be copied.
    If the copy is interrupted, run the command again. The original queue is not changed.

    ```
    ydc copy --to sqlite:///queue.db
    ydc copy --to postgresql+psycopg://user@host/name
    ydc copy --database-url sqlite:///queue.db --to 1AbC...xyz
    ```

    Parameters
    ----------
    to
        The new queue: a database URL, or the ID or address of a Google Sheet. It must be empty, or contain a part of this queue.
    """
    from youtube_download_coordinator.operations.copy_queue import copy_queue
    from youtube_download_coordinator.wiring import open_queue

    config, target = queue.config(), _target(to, queue)
    if _identity(config) == _identity(target):
        raise UserError("--to names the queue that would be copied: name another one")
    report = copy_queue(open_queue(config), open_queue(target), say)
    for row in report.left_out[:LEFT_OUT_LINES_MAX]:
        say(f"left out: line {row.id} ({row.url}), {row.last_error}", problem=True)
    say(f"copied, and compared row by row: {report}")
    return 0


def _target(to: str, queue: QueueOptions) -> Config:
    """Return the settings of the queue that `--to` names. Raises UserError."""
    if not to.strip():
        raise UserError("--to is empty: name the queue to copy to, a database URL or a Google Sheet")
    if "://" not in to and ("/" in to or to.endswith((".db", ".sqlite", ".sqlite3"))):
        raise UserError(f"--to {to} is neither a database URL nor a Google Sheet; a SQLite file is sqlite:///{to}")
    is_database = "://" in to and "/spreadsheets/d/" not in to
    options = QueueOptions(
        spreadsheet_id=None if is_database else to,
        database_url=to if is_database else None,
        credentials_file=queue.credentials_file,
    )
    return options.config()


def _identity(config: Config) -> tuple[str | None, str]:
    """Return the settings that distinguish one queue from another."""
    return (config.spreadsheet_id, config.sheets_api_url) if config.spreadsheet_id else (None, config.database_url)
