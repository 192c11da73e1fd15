"""Select videos to purge: by ID or address, by channel, by source, or by a list in a file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from youtube_download_coordinator.corpus.index import Index
from youtube_download_coordinator.errors import BadUrl, UserError
from youtube_download_coordinator.processors.facts import ProductFacts
from youtube_download_coordinator.queue.maintenance import Maintenance
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Where
from youtube_download_coordinator.queue.tombstones import tombstone
from youtube_download_coordinator.sources.urls import Kind, source_target, video_target

LIST_MAX_BYTES = 100_000_000
_PROBLEMS_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeSelection:
    """A selection of the videos that meet any of the conditions."""

    keys: Sequence[str] = ()
    """Canonical keys of videos. They need not be in the queue."""
    channels: Sequence[str] = ()
    """Canonical keys of channels or of their names."""
    sources: Sequence[int] = ()
    """IDs of sources."""

    def find_keys(self, queue: Maintenance, index: Index) -> Iterator[str]:
        """Yield the keys of the selected videos. Raises UserError for an unknown source or channel."""
        yield from self.keys
        for source_id in self.sources:
            if not queue.store.scan(SOURCES, Where(ids=[source_id]), limit=1) and not _has_videos(queue, source_id):
                raise UserError(f"there is no source with the ID {source_id}: ydc list --table sources")
            yield from _of_source(queue, source_id)
        if self.channels:
            products = (facts for facts in index.entries() if isinstance(facts, ProductFacts) and facts.channel_id)
            keys: dict[str, set[str]] = {}
            for facts in products:
                keys.setdefault(facts.channel_id, set()).add(facts.key)
            for channel in self.channels:
                yield from _of_channel(queue, channel, keys)


def _of_source(queue: Maintenance, source_id: int) -> Iterator[str]:
    for table in (VIDEO_TASKS, DEAD_LETTERS):
        for row in queue.select(table, Selection(source_id=source_id)):
            yield row.key


def _has_videos(queue: Maintenance, source_id: int) -> bool:
    return next(_of_source(queue, source_id), None) is not None


def _of_channel(queue: Maintenance, channel: str, keys: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield the keys of a channel's videos: videos of its sources, and videos whose sidecars name the channel.

    `keys`: the keys in the index, by channel.
    """
    sources = [row for row in queue.rows(SOURCES) if _is_of(row.key, channel)]
    by_source = {each for row in sources for each in _of_source(queue, row.id)}
    channel_ids = {row.key.removeprefix("yt:c:").partition("/")[0] for row in sources if row.key.startswith("yt:c:")}
    channel_ids |= {channel.removeprefix("yt:c:")} if channel.startswith("yt:c:") else set()
    if not channel_ids:  # a name: find the channel's ID in its videos
        listed = set(map(tombstone, by_source))  # rows that are erased already have no other key
        channel_ids = {each for each in keys if any(tombstone(key) in listed for key in keys[each])}
    by_channel = {key for each in channel_ids for key in keys.get(each, ())}
    if not sources and not by_channel:
        raise UserError(
            f"there are no videos of the channel {channel.partition(':')[2].partition(':')[2]}: give its ID (UC...), or the ID of"
            " a source (ydc list --table sources)"
        )
    yield from by_source | by_channel


def _is_of(key: str, channel: str) -> bool:
    """Return whether a source is the channel, or a tab of it."""
    return key == channel or key.startswith(f"{channel}/")


def video_key(text: str, *, allow_other_sites: bool) -> str:
    """Return the key of a video by its ID or address. Raises UserError."""
    try:
        target = video_target(text.strip(), allow_other_sites=allow_other_sites)
    except BadUrl as error:
        raise UserError(f"{text.strip()!r} is not a video's ID or address: {error}") from None
    return target.key


def channel_key(text: str) -> str:
    """Return the key of a channel by its ID, address or @handle, without a tab. Raises UserError."""
    try:
        target = source_target(text.strip())
    except BadUrl as error:
        raise UserError(f"{text.strip()!r} is not a channel: {error}") from None
    if target.kind not in {Kind.CHANNEL, Kind.ALIAS}:
        raise UserError(
            f"{text.strip()!r} is a {target.kind}, not a channel: write UC..., @handle, or the channel's address"
        )
    return target.key.partition("/")[0]


def read_list(path: Path, *, allow_other_sites: bool) -> list[str]:
    """Return the keys of the videos in a file, one ID or address a line; `#` begins a comment. Raises UserError."""
    try:
        if path.stat().st_size > LIST_MAX_BYTES:
            raise UserError(f"{path} is larger than {LIST_MAX_BYTES // 10**6} MB: split it")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    keys, problems = dict[str, None](), list[str]()
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            keys[video_key(text, allow_other_sites=allow_other_sites)] = None
        except UserError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        more = f"; and {len(problems) - _PROBLEMS_MAX} more" if len(problems) > _PROBLEMS_MAX else ""
        raise UserError(f"{path}: nothing was changed; {'; '.join(problems[:_PROBLEMS_MAX])}{more}")
    if not keys:
        raise UserError(f"{path} contains no video: write one ID or address on each line")
    return list(keys)
