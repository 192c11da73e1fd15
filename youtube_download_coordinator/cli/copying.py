"""`ydc copy`: a queue moves from one store to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.application import WORK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, QueueOptions
from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import UserError

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config

LEFT_OUT_SHOWN = 20


@app.command(group=WORK)
def copy(*, to: str, queue: QueueOptions = AS_SET) -> int:
    """Copy the queue to another store, and compare the two row by row.

    From a sheet to a SQLite file, to PostgreSQL, and back. Stop the workers first: a queue that somebody works on is not copied.
    It may be interrupted and done again. The queue that is copied stays as it is.

    ```
    ydc copy --to sqlite:///queue.db
    ydc copy --to postgresql+psycopg://user@host/name
    ydc copy --database-url sqlite:///queue.db --to 1AbC...xyz
    ```

    Parameters
    ----------
    to
        A database's URL, or a Google Sheet: its ID, or its address. It is empty, or has a part of this queue already.
    """
    from youtube_download_coordinator.operations.copy_queue import copy_queue
    from youtube_download_coordinator.wiring import open_queue

    config, target = queue.config(), _target(to, queue)
    if _queue_named(config) == _queue_named(target):
        raise UserError("--to names the queue that is to be copied: name another")
    copied = copy_queue(open_queue(config), open_queue(target), say)
    for row in copied.left_out[:LEFT_OUT_SHOWN]:
        say(f"left out: line {row.id} ({row.url}), {row.last_error}", problem=True)
    say(f"copied, and compared row by row: {copied}")
    return 0


def _target(to: str, queue: QueueOptions) -> Config:
    """A database has a scheme; an address of a sheet has one too. Raises UserError."""
    if not to.strip():
        raise UserError("--to is empty: name the queue to copy to, a database's URL or a Google Sheet")
    if "://" not in to and ("/" in to or to.endswith((".db", ".sqlite", ".sqlite3"))):
        raise UserError(f"--to {to} is neither a database's URL nor a Google Sheet; a SQLite file is sqlite:///{to}")
    is_database = "://" in to and "/spreadsheets/d/" not in to
    place = QueueOptions(
        spreadsheet_id=None if is_database else to,
        database_url=to if is_database else None,
        credentials_file=queue.credentials_file,
    )
    return place.config()


def _queue_named(config: Config) -> tuple[str | None, str]:
    """What tells one queue from another."""
    return (config.spreadsheet_id, config.sheets_api_url) if config.spreadsheet_id else (None, config.database_url)
