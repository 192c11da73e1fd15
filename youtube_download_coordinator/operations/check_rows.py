"""Read every row and every line of Control for `ydc doctor`, and list what is set apart or ignored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from youtube_download_coordinator.errors import BadFilter
from youtube_download_coordinator.models import Control, Row, Source
from youtube_download_coordinator.queue.claims import describe
from youtube_download_coordinator.queue.cooldown import COOLDOWN, FLEET, MINIMUM_VERSION, is_understood
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.reasons import UNREADABLE_LEASE, UNREADABLE_ROW
from youtube_download_coordinator.sources.filters import Filters
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.wiring import open_queue

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config

PROBLEMS_SHOWN = 20


def check_rows(config: Config, contents: Iterable[Row | Control | str]) -> Iterator[tuple[bool, str]]:
    """Yield a finding for each problem, or one finding for all rows. A text in `contents` describes something unreadable."""
    count, problems = 0, []
    for content in contents:
        count += 1
        if problem := content if isinstance(content, str) else _problem(config, content):
            problems.append(truncate(problem))
    for problem in problems[:PROBLEMS_SHOWN]:
        yield False, problem
    if len(problems) > PROBLEMS_SHOWN:
        yield False, f"{len(problems) - PROBLEMS_SHOWN} more rows have such problems"
    if not problems:
        yield True, f"{count} rows and lines of Control can be read"


def read_database(config: Config) -> Iterator[Row | Control]:
    """Yield every row and every line of control. Reading sets unreadable rows apart."""
    queue = open_queue(config)
    yield from queue.rows(SOURCES)
    yield from queue.rows(VIDEO_TASKS)
    yield from queue.rows(DEAD_LETTERS)
    yield from queue.store.controls()


def _problem(config: Config, content: Row | Control) -> str:
    if isinstance(content, Control):
        name, has_value = content.name, bool(content.value.strip())
        steers = name == FLEET or name.startswith(COOLDOWN) or (name == MINIMUM_VERSION and has_value)
        is_known = not steers or is_understood(content)
        return "" if is_known else f"Control, {content.name}: {content.value!r} is not understood, so it stops workers"
    if content.lease.reason in {UNREADABLE_LEASE, UNREADABLE_ROW}:
        return f"{describe(content)} is set apart: {content.lease.detail}"
    if not isinstance(content, Source):
        return ""
    try:
        Filters.of(content, config.filters)
    except BadFilter as error:
        return f"{describe(content)}: {error}"
    return ""
