"""The probe of tests/unit/test_columns.py: uses columns that only its copy of the library declares, and prints what it saw."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import youtube_download_coordinator
from tests.support.rows import make_queue, new_source, new_video
from tests.support.sheet import SOURCE_TAB, VIDEOS, SheetDesk, sheet_desk
from youtube_download_coordinator.models import Done, Source, VideoTask, video_task_from_json, video_task_to_json
from youtube_download_coordinator.processors.sidecar import video_task_columns
from youtube_download_coordinator.queue.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS, Table
from youtube_download_coordinator.stores.sql.store import SqlStore

TESTED_AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


def work(queue: Queue) -> None:
    """Insert a video with the new columns, and settle a source with its new column."""
    new: dict[str, Any] = {"channel": "A channel", "tested_at": TESTED_AT}
    queue.add(VIDEO_TASKS, [new_video(2, **new)])
    queue.add(SOURCES, [new_source(2)])
    claims = queue.claim(SOURCES, 2)
    queue.settle([(claim, Done()) for claim in claims], views=7)


def rows(queue: Queue) -> dict[str, list[dict[str, object]]]:
    """Return the rows as people see them, without what is not new."""
    new = {"URL", "Views", "Channel", "TestedAt", "Tries"}
    tables: dict[str, Table[Any]] = {"sources": SOURCES, "videos": VIDEO_TASKS}
    return {
        name: [{column: value for column, value in row.columns().items() if column in new} for row in queue.rows(table)]
        for name, table in tables.items()
    }


def on_a_sheet(desk: SheetDesk) -> dict[str, Any]:
    queue = desk.queue()
    work(queue)
    desk.show()
    seen = rows(desk.queue("another"))
    return {
        "rows": seen,
        "headers": {tab: desk.book.rows(tab)[0] for tab in (SOURCE_TAB, VIDEOS)},
        "cells": [desk.lines(SOURCE_TAB)[0]["Views"], desk.lines()[0]["Channel"], desk.lines()[0]["TestedAt"]],
    }


def main(database_url: str) -> None:
    queue = make_queue(SqlStore(database_url))
    work(queue)
    with sheet_desk() as desk:
        sheet = on_a_sheet(desk)
    task = new_video(3, channel="Another", tested_at=TESTED_AT)
    seen = {
        "library": youtube_download_coordinator.__file__,
        "names": {"sources": [*Source.column_names()], "videos": [*VideoTask.column_names()]},
        "database": rows(queue),
        "sheet": sheet,
        "sidecar": video_task_columns(task),
        "survives JSON": video_task_from_json(json.loads(json.dumps(video_task_to_json(task)))) == task,
    }
    queue.store.close()
    print(json.dumps(seen, default=str))


if __name__ == "__main__":
    main(sys.argv[1])
