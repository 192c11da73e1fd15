"""Add, read and change rows of the queue from a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any, TypedDict, Unpack

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.models import STATUS, Source, State, Status, VideoTask
from youtube_download_coordinator.processors.names import processor_names
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.selection import ChangeResult, Selection, parse_status
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Where
from youtube_download_coordinator.sources.sources_file import NO_LEASE, labels, new_source, with_columns
from youtube_download_coordinator.sources.urls import video_target
from youtube_download_coordinator.text import did_you_mean
from youtube_download_coordinator.workers.find_processor import check_processor

_Change = Callable[[Queue, Any, Selection], Counter[ChangeResult]]


class Conditions(TypedDict, total=False):
    """Conditions that select videos. A video must meet all of them; letter case does not matter."""

    ids: Sequence[int] | None
    status: Status | str | None
    """`pending`, `in-progress`, `done` or `error`; or `dead letters` for videos that failed for good."""
    accent: str | None
    type: str | None
    source_id: int | None
    reason: str | None
    """The first word of LastError."""
    text: str | None
    """Text that any column of the row contains."""


def selection(conditions: Conditions) -> Selection:
    """Convert conditions to a selection. Raises UserError for an unknown condition or status."""
    if unknown := conditions.keys() - Conditions.__annotations__.keys():
        names = sorted(Conditions.__annotations__)
        raise UserError(f"{min(unknown)} is not a condition{did_you_mean(min(unknown), names, 3)}: {', '.join(names)}")
    status = parse_status(str(conditions["status"])) if conditions.get("status") else None
    others: Any = {name: value for name, value in conditions.items() if name != "status"}
    return Selection(status=status, **others)


def _describe_column(name: str, texts: Mapping[str, str]) -> str:
    text = texts.get(name.casefold(), "")
    return f"{name} {text!r}" if text else f"no {name}"


class Client:
    """A program's access to the rows of the queue: add, read and change them, and pause the fleet."""

    def __init__(self, config: Config, queue: Callable[[], Queue], on_change: Callable[[], None]) -> None:
        """Create a client. `queue` returns this process's view of the queue; a forked process gets another one."""
        self._config = config
        self._queue = queue
        self._on_change = on_change

    def add_source(
        self, url: str, accent: str = "", source_type: str = "", columns: Mapping[str, str] | None = None
    ) -> int:
        """Add a source unless it exists. Return its ID.

        `columns` are custom columns by name: filters, RefreshHours and Priority, which are added to a sheet, or other existing
        columns. Raises BadUrl, BadFilter, or UserError if a column cannot be set or an existing source has other values in them.
        """
        source = self._source(url, accent, source_type, columns or {})
        row_id, is_new = self._find_or_add(source)
        if not is_new:
            self._check_columns(row_id, source.extra)
        return row_id

    def find_or_add_source(
        self, url: str, accent: str = "", source_type: str = "", columns: Mapping[str, str] | None = None
    ) -> tuple[int, bool]:
        """Add a source as `add_source` does. Return its ID and whether it is new.

        Also raises UserError if an existing source has another accent or type.
        """
        source = self._source(url, accent, source_type, columns or {})
        row_id, is_new = self._find_or_add(source)
        if not is_new:
            given = {"Accent": source.accent, "Type": source.type}
            self._check_columns(row_id, {name: text for name, text in given.items() if text} | dict(source.extra))
        return row_id, is_new

    def _source(self, url: str, accent: str, source_type: str, columns: Mapping[str, str]) -> Source:
        source = new_source(url, accent, source_type, allow_other_sites=self._config.allow_other_sites)
        return with_columns(source, columns, self._queue().store) if columns else source

    def _find_or_add(self, source: Source) -> tuple[int, bool]:
        id_and_is_new = self._queue().find_or_add(SOURCES, source)
        self._on_change()
        return id_and_is_new

    def _check_columns(self, row_id: int, wanted: Mapping[str, str]) -> None:
        for row in self._queue().rows(SOURCES, Where(ids=[row_id])) if wanted else ():
            texts = {name.strip().casefold(): str(text or "").strip() for name, text in row.columns().items()}
            if others := [name for name, text in wanted.items() if texts.get(name.casefold(), "") != text]:
                difference = " and ".join(_describe_column(name, texts) for name in others)
                raise UserError(f"{row.url} is source {row_id} already, with {difference}; it was not changed")

    def add_video(self, url: str, accent: str = "", video_type: str = "") -> int:
        """Add a video without a source unless it exists. Return its ID. Raises BadUrl."""
        target = video_target(url, allow_other_sites=self._config.allow_other_sites)
        accent, video_type = labels(accent, video_type)
        video = VideoTask(url=target.url, key=target.key, accent=accent, type=video_type, lease=NO_LEASE)
        row_id, _ = self._queue().find_or_add(VIDEO_TASKS, video)
        self._on_change()
        return row_id

    # --- reading -----------------------------------------------------------------------------------------------------

    def get_sources(self) -> list[dict[str, Any]]:
        """Return every source as a mapping by column name, including custom columns."""
        return [row.columns() for row in self._queue().rows(SOURCES)]

    def get_video_tasks(self) -> list[dict[str, Any]]:
        """Return every video except dead letters as a mapping by column name. `videos` streams typed rows instead."""
        return [row.columns() for row in self._queue().rows(VIDEO_TASKS)]

    def videos(self, **conditions: Unpack[Conditions]) -> Iterator[VideoTask]:
        """Yield the videos that meet the conditions, ordered by ID and read page by page.

        Dead letters are left out, except with `status="dead letters"`. Raises UserError for an unknown condition.
        """
        selected, queue = selection(conditions), self._queue()
        tables = (VIDEO_TASKS, DEAD_LETTERS) if selected.status is State.DEAD else (VIDEO_TASKS,)
        return chain.from_iterable(queue.select(table, selected) for table in tables)

    def dead_letters(self, **conditions: Unpack[Conditions]) -> Iterator[VideoTask]:
        """Yield the dead letters that meet the conditions, as `videos` does."""
        return self._queue().select(DEAD_LETTERS, selection(conditions))

    def counts(self) -> dict[str, int]:
        """Return the number of videos by the words of the Status column, and the number of dead letters as `dead-letters`."""
        by_state = self._queue().counts(VIDEO_TASKS)
        counts = dict.fromkeys((status.value for status in Status), 0)
        for state, number in by_state.items():
            counts[STATUS[state].value] += number
        return counts | {"dead-letters": sum(self._queue().counts(DEAD_LETTERS).values())}

    # --- changing ----------------------------------------------------------------------------------------------------

    def retry(self, *, product: str = "", **conditions: Unpack[Conditions]) -> int:
        """Make videos due now, including dead letters and videos that are done. Return how many were changed.

        Videos that a worker holds are not changed. With `product`, make further products of videos that are done (`subtitles`, or
        several, separated by commas) and keep the existing ones. Raises UserError without any condition, and ProcessorError for
        an invalid product.
        """
        if not product:
            return self._change(Queue.retry, conditions)
        check_processor(product)
        return self._change(
            partial(Queue.ask_for, products=processor_names(product)), {"status": Status.DONE, **conditions}
        )

    def skip(self, **conditions: Unpack[Conditions]) -> int:
        """Mark videos as done without processing them. Return how many were changed. Raises UserError without any condition."""
        return self._change(Queue.skip, conditions)

    def _change(self, change: _Change, conditions: Conditions) -> int:
        if not any(value is not None for value in conditions.values()):
            raise UserError("without a condition every video would be changed: give ids, a status, an accent ...")
        selected, queue = selection(conditions), self._queue()
        changed = sum(change(queue, table, selected)[ChangeResult.CHANGED] for table in (VIDEO_TASKS, DEAD_LETTERS))
        self._on_change()
        return changed

    def pause(self, minutes: float | None = None, reason: str = "") -> None:
        """Pause the whole fleet, for some minutes or until `resume`. Running attempts are finished."""
        queue = self._queue()
        until = None if minutes is None else queue.store.now() + timedelta(minutes=minutes)
        queue.admission.pause(until, reason or f"paused by {queue.worker}")

    def resume(self, reason: str = "") -> bool:
        """Resume the fleet. Return whether it was paused."""
        queue = self._queue()
        return queue.admission.resume(reason or f"resumed by {queue.worker}") is not None
