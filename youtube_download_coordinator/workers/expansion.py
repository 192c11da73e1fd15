"""Expand sources: insert a row for each video of a source, while the rest is still being listed."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import (
    AttemptError,
    BadFilter,
    BadUrl,
    CoordinatorError,
    LaterError,
    PermanentError,
    StoreFull,
    TransientError,
)
from youtube_download_coordinator.models import IS_SOURCE, Done, Failure, Outcome, Source, Verdict, VideoTask
from youtube_download_coordinator.processes import parent
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.admission import Blocked
from youtube_download_coordinator.queue.priority import PRIORITY, is_priority
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.reasons import is_machine_wide
from youtube_download_coordinator.sources.filters import Filters, column_texts, filter_column
from youtube_download_coordinator.sources.sources_file import NO_LEASE
from youtube_download_coordinator.text import sanitize
from youtube_download_coordinator.workers.attempts import Attempts
from youtube_download_coordinator.workers.heartbeat import Heartbeat
from youtube_download_coordinator.workers.rescan import Rescan
from youtube_download_coordinator.youtube.listing import (
    ENOUGH,
    GO_ON,
    Listed,
    ListedChannel,
    ListedPage,
    ListedSource,
    ListedTitle,
    ListedVideo,
    parse_item,
)

log = logging.getLogger(__name__)

FIRST_BATCH_VIDEOS = 20
"""The first videos are inserted as soon as this many are listed, so that workers can begin."""
BATCH_VIDEOS = 500
BATCH_SECONDS = 5.0
"""A slow listing inserts its videos at least this often, when the next entry arrives."""
FULL = "queue-full"
"""The reason of a failure when the store has no room for a source's videos."""
DURATION_MAX_SECONDS = 2**31 - 1
"""The largest value of the database's column. Another site may send any number."""

Listing = Callable[[Source, Config], Generator[Listed, None, None]]
Expand = Callable[[Queue, Config, Claim[Source], Listing], "Expansion"]


@dataclass(slots=True, kw_only=True)
class Expansion:
    """The result of expanding one source."""

    source: Source
    listed: int = 0
    """Distinct videos that were listed."""
    new: int = 0
    """Listed videos that had no row yet."""
    new_sources: int = 0
    """Playlists in the source that became separate sources."""
    left_out: int = 0
    """Videos that a filter left out."""
    is_source: int | None = None
    """The ID of the source that is listed instead, if this one is an alias."""
    failure: Failure | None = None
    """The failure that ended the listing early. The videos listed before it are kept."""
    seconds: float = 0.0

    @property
    def stops(self) -> bool:
        """Return whether every other source would now fail in the same way on this machine."""
        if self.failure is None:
            return False
        return self.failure.verdict is Verdict.THROTTLED or is_machine_wide(self.failure) or self.failure.reason == FULL

    def __str__(self) -> str:
        name = self.source.name
        left_out = f", {self.left_out} left out by filters" if self.left_out else ""
        listed = f"{self.listed} {'video' if self.listed == 1 else 'videos'} listed, {self.new} new{left_out}"
        text = f"{name}: {listed if self.is_source is None else f'{IS_SOURCE}{self.is_source}'}"
        return f"{text}; {self.failure}" if self.failure else text


def list_in_child(source: Source, config: Config) -> Generator[Listed, None, None]:
    """List a source in a child process, with an enforced deadline.

    Raises BadFilter, or the AttemptError of the failure.
    """
    again = is_listed_with(source, Filters.of(source, config.filters))
    payload = {
        "url": source.url,
        "network": config.network.to_json(),
        "mix_max_videos": config.mix_max_videos,
        "filters": column_texts(source, config.filters),
    }
    target = "youtube_download_coordinator.youtube.listing:list_in_child"
    deadline_seconds = config.listing_timeout.total_seconds()
    name = f"listing of {source.url}"
    limits = config.child_limits()
    with parent.run(
        target, payload, deadline_seconds=deadline_seconds, name=name, answered=again, limits=limits
    ) as child:
        for message in child:
            item = parse_item(message)
            if isinstance(item, ListedPage) and item.asks:
                item = replace(item, answer=lambda more: child.answer(GO_ON if more else ENOUGH))
            yield item
        child.result()


def is_listed_with(source: Source, filters: Filters) -> bool:
    """Return whether a source was listed with these filters before. Then only new videos are listed."""
    return source.listed_with == filters.text


def expand_sources(
    queue: Queue,
    config: Config,
    listing: Listing = list_in_child,
    *,
    expand_one: Expand | None = None,
    max_seconds: float | None = None,
) -> Iterator[Expansion]:
    """Expand every due source, one after the other.

    Stop when the time is up, YouTube throttles, the store is full, or this machine cannot list anything (no network). No source
    is expanded twice, although some may be due again before the others are listed. `expand_one` may run each expansion as a
    Prefect task.
    """
    ends_at = time.monotonic() + max_seconds if max_seconds is not None else float("inf")
    expanded: set[int] = set()
    while time.monotonic() < ends_at and (claims := queue.claim(SOURCES, 1, except_ids=expanded)):
        expanded.add(claims[0].row.id)
        expansion = (expand_one or expand)(queue, config, claims[0], listing)
        yield expansion
        if expansion.stops:
            return


def expand_next(queue: Queue, config: Config, listing: Listing = list_in_child) -> Expansion | None:
    """Claim a source and expand it. Return None when none is due."""
    return next(expand_sources(queue, config, listing), None)


def expand(
    queue: Queue,
    config: Config,
    claim: Claim[Source],
    listing: Listing = list_in_child,
    *,
    on_insert: Callable[[Expansion], None] = lambda expansion: None,
) -> Expansion:
    """Expand a claimed source. Release it if the expansion is interrupted.

    `on_insert` receives the progress when the expansion begins and whenever videos were inserted.
    """
    return _Expander(queue, config, claim, on_insert).expand(listing)


@contextmanager
def _postponing_when_full() -> Iterator[None]:
    """Turn StoreFull into LaterError, so that no attempt is counted and the whole source is listed again later."""
    try:
        yield
    except StoreFull as error:
        raise LaterError(str(error), reason=FULL) from error


@dataclass(slots=True)
class _Expander:
    queue: Queue
    config: Config
    claim: Claim[Source]
    on_insert: Callable[[Expansion], None]
    _attempts: Attempts[Source] = field(init=False)
    _videos: list[VideoTask] = field(default_factory=list)
    _extra: Mapping[str, str] = field(init=False)
    _filters: Filters = field(default_factory=Filters)
    _rescan: Rescan | None = None
    _expected: int | None = None
    _inserted: int = 0
    _inserted_at: float = 0.0
    _title: str = ""
    _result: Expansion = field(init=False)

    def __post_init__(self) -> None:
        self._extra = self.claim.row.extra
        self._result = Expansion(source=self.claim.row)
        self._attempts = Attempts(
            queue=self.queue, table=SOURCES, timeout=self.config.listing_timeout, backlog=deque([self.claim])
        )

    def expand(self, listing: Listing) -> Expansion:
        began = self._inserted_at = time.monotonic()
        self.on_insert(self._result)
        with Heartbeat(self.queue):
            try:
                if not self._attempts.wait_to_begin():
                    return self._not_begun(self._attempts.blocked)
                with closing(listing(self.claim.row, self.config)) as items:
                    outcome = self._list(items)
                self._settle(outcome)
            finally:
                self._attempts.close()
        self._result.seconds = time.monotonic() - began
        log.log(logging.WARNING if self._result.failure else logging.INFO, "%s", self._result)
        return self._result

    def _not_begun(self, blocked: Blocked | None) -> Expansion:
        if blocked:
            self._result.failure = Failure(verdict=Verdict.THROTTLED, reason="closed", message=blocked.why)
        else:
            self._result.failure = _lost("the claim expired before the listing began")
        return self._result

    def _list(self, items: Iterator[Listed]) -> Outcome:
        """Insert the listed videos. Videos listed before an error are kept."""
        try:
            with _postponing_when_full():
                self._begin()
                for item in items:
                    self._receive(item)
                    if self.claim.lost:
                        break
                else:
                    self._end()
        except AttemptError as error:
            self._result.failure = error.failure
        except BadUrl as error:
            self._result.failure = PermanentError(str(error), reason="bad-url").failure
        except BadFilter as error:
            self._result.failure = PermanentError(str(error), reason="bad-filter").failure
        except CoordinatorError:
            raise
        except Exception as error:  # an error of one source must not stop the others
            log.exception("%s cannot be listed", self.claim.row.name)
            self._result.failure = TransientError(f"{type(error).__name__}: {error}", reason="error").failure
        self._insert_rest()
        if self._result.failure:
            return self._result.failure
        return Done() if self._result.is_source is None else Done(result=f"{IS_SOURCE}{self._result.is_source}")

    def _insert_rest(self) -> None:
        try:
            with _postponing_when_full():
                self._insert()
        except LaterError as error:
            self._result.failure = error.failure

    def _begin(self) -> None:
        """Read the source's filters. If it was listed with them before, list only new videos. Raises BadFilter."""
        source = self.claim.row
        self._filters = Filters.of(source, self.config.filters)
        existing = self.queue.store.custom_columns(VIDEO_TASKS)
        if existing is None:  # the tab has no columns for filters
            kept = (name for name in source.extra if is_priority(name) or not filter_column(name))
            self._extra = {name: source.extra[name] for name in kept}
        elif text := source.custom_column(PRIORITY):
            spelled = next((name for name in existing if is_priority(name)), "")
            if not spelled:  # it would silently have no effect
                spelled = PRIORITY
                self.queue.store.add_columns(VIDEO_TASKS, [spelled])
            self._extra = {**source.extra, spelled: text}
        if is_listed_with(source, self._filters):
            self._rescan = Rescan(known=self.queue.known_videos, is_capped=self._filters.first_videos is not None)

    def _end(self) -> None:
        """Insert the last videos of a complete listing. Raises TransientError if the listing of a source with videos is empty."""
        if self._rescan:
            self._videos += self._rescan.rest()
        result, known_videos = self._result, self.claim.row.videos
        is_anything_listed = result.listed or result.left_out or result.new_sources or result.is_source
        if known_videos and not is_anything_listed and self._expected != 0:
            message = f"the listing is empty, but {known_videos} of its videos are known"
            raise TransientError(message, reason="nothing-listed")

    def _receive(self, item: Listed) -> None:
        match item:
            case ListedVideo():
                self._result.listed += 1
                if self._rescan:
                    self._rescan.take(self._video(item))
                else:
                    self._stream([self._video(item)])
            case ListedPage():
                self._result.left_out += item.left_out
                if self._rescan:
                    self._stream(self._rescan.end_of_page(item))
            case ListedSource():
                ids = self.queue.add(SOURCES, [self._source(item)])
                self._result.new_sources += sum(row_id is not None for row_id in ids)
            case ListedTitle():
                self._title, self._expected = sanitize(item.title), item.expected
            case ListedChannel():
                self._title = sanitize(item.title)
                self._result.is_source, _ = self.queue.find_or_add(SOURCES, self._source(item))

    def _video(self, item: ListedVideo) -> VideoTask:
        """Return a row with the source's custom columns, which its videos inherit."""
        source = self.claim.row
        return VideoTask(
            url=item.url,
            key=item.key,
            title=sanitize(item.title),
            duration_seconds=item.duration_seconds and min(item.duration_seconds, DURATION_MAX_SECONDS),
            source_id=source.id,
            accent=source.accent,
            type=source.type,
            extra=self._extra,
            lease=NO_LEASE,
        )

    def _stream(self, videos: Sequence[VideoTask]) -> None:
        """Insert the first videos early, so that workers can begin, and the others in batches."""
        self._videos += videos
        is_first_batch = not self._inserted and len(self._videos) >= FIRST_BATCH_VIDEOS
        is_slow = time.monotonic() - self._inserted_at >= BATCH_SECONDS
        if is_first_batch or is_slow or len(self._videos) >= BATCH_VIDEOS:
            self._insert()

    def _insert(self) -> None:
        ids = self.queue.add(VIDEO_TASKS, self._videos)
        self._inserted += len(ids)
        self._result.new += sum(row_id is not None for row_id in ids)
        self._videos.clear()
        self._inserted_at = time.monotonic()
        self.on_insert(self._result)

    def _known_videos(self) -> int | None:
        """Return the number of distinct known videos of the source. A rescan that stopped early adds its new ones."""
        result, before = self._result, self.claim.row.videos
        if self._rescan and (self._rescan.stopped_early or result.failure):
            return (before or 0) + result.new
        nothing_listed = result.is_source is not None or (result.failure and not result.listed)
        return before if nothing_listed else result.listed

    def _listed_with(self) -> str:
        """Return the filters with which the whole source was listed, or none after an incomplete first listing."""
        result, before = self._result, self.claim.row.listed_with
        if result.failure is None:
            return self._filters.text if result.is_source is None else ""
        return before if self._rescan or not result.listed else ""

    def _source(self, item: ListedSource | ListedChannel) -> Source:
        """Return a source that was found in this source or replaces it, with the same custom columns."""
        origin = self.claim.row
        return Source(
            url=item.url,
            key=item.key,
            title=sanitize(item.title),
            accent=origin.accent,
            type=origin.type,
            extra=origin.extra,
            lease=NO_LEASE,
        )

    def _settle(self, outcome: Outcome) -> None:
        result, before = self._result, self.claim.row
        facts = {
            "title": self._title or before.title,
            "videos": self._known_videos(),
            "checked_at": self.queue.store.now(),
            "listed_with": self._listed_with(),
        }
        row = self._attempts.settle(self.claim, outcome, **facts)
        result.source = row or result.source
        if row is None:
            result.failure = _lost("another worker is listing this source")


def _lost(message: str) -> Failure:
    return Failure(verdict=Verdict.RETRY, reason="lost", message=message)
