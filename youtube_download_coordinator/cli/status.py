"""`ydc status`: how the queue is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.application import app
from youtube_download_coordinator.cli.options import Database, open_coordinator

if TYPE_CHECKING:
    from youtube_download_coordinator.coordinator import Coordinator


@app.command
def status(*, database_url: Database = None) -> int:
    """Show how many sources, videos and dead letters there are in each state."""
    print_counts(open_coordinator(None, database_url, None))
    return 0


def print_counts(coordinator: Coordinator) -> None:
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
