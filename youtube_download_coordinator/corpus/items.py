"""Join the rows of a queue that are done with the facts about their files, to get recordings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from youtube_download_coordinator.corpus.facts_table import FactsTable, RowFacts, facts_table
from youtube_download_coordinator.corpus.findings import unavailable
from youtube_download_coordinator.corpus.index import Index
from youtube_download_coordinator.corpus.place_reader import PlaceReader
from youtube_download_coordinator.corpus.recordings import Recording, Segment
from youtube_download_coordinator.models import State, Status, VideoTask
from youtube_download_coordinator.processors.archive import Record
from youtube_download_coordinator.processors.facts import CheckedRow, FileFacts, ProductFacts
from youtube_download_coordinator.processors.output_paths import video_id
from youtube_download_coordinator.processors.production import names_files_of
from youtube_download_coordinator.queue.maintenance import Maintenance, batches
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Where
from youtube_download_coordinator.queue.tombstones import is_purged, key_hash
from youtube_download_coordinator.storage.place import Place

_log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 200
"""The most rows whose facts are in memory, with captions."""
_MEDIA = ("audio", "download")
"""The kinds of products that are recordings, in order of preference."""


def recordings(
    queue: Maintenance, place: Place, state_dir: Path, *, product: str = "", selection: Selection | None = None
) -> Iterator[Recording]:
    """Yield the recordings of all rows that are done, in the order of the rows' IDs. Memory does not grow with their number.

    The recording of a row is its product of the kind `audio`, or else `download`. With `product`, a kind or the name of a product
    (`audio-wav`), it is the files of that product, which may be several. A row without such files has no recording. The values of
    columns are current. `selection` limits the rows further.

    Facts that are missing in the index are read from the place and added to the index. `state_dir` is the setting. Raises
    PlaceError and StoreError.
    """
    why = unavailable(place)
    for row, facts in rows_with_facts(queue, place, state_dir, selection=selection):
        availability = why.get(key_hash(row.key), "") if why else ""
        yield from _of_row(row, facts, product, availability)


def rows_with_facts(
    queue: Maintenance, place: Place, state_dir: Path, *, selection: Selection | None = None
) -> Iterator[tuple[VideoTask, RowFacts]]:
    """Yield the rows that are done with all known facts about their products, which may be empty."""
    index = Index(place, state_dir, queue.buried_keys)
    index.flush()
    with facts_table(index.folder) as table:
        table.load(index.lines())
        join = _Join(index, table, PlaceReader(place, table))
        kept = (row for row in _rows(queue, selection) if not is_purged(row))
        for rows in batches(kept, _ROWS_AT_ONCE):
            yield from join.facts(rows)
    if join.has_read and index.flush():
        _log.info("the facts about %d rows were read from %s and added to its index", join.has_read, place.address)
    index.merge()


def _rows(queue: Maintenance, selection: Selection | None) -> Iterator[VideoTask]:
    if selection is None:
        return queue.rows(VIDEO_TASKS, Where(state=State.DONE))
    return queue.select(VIDEO_TASKS, replace(selection, status=Status.DONE))


@dataclass(slots=True)
class _Join:
    """A join of rows with their facts."""

    index: Index
    table: FactsTable
    reader: PlaceReader
    has_read: int = 0
    """The number of rows that were read from the place."""

    def facts(self, rows: Sequence[VideoTask]) -> Iterator[tuple[VideoTask, RowFacts]]:
        """Yield these rows with their facts."""
        known = self.table.of([row.key for row in rows])
        unknown = [row for row in rows if not _is_known(row, known.get(row.key, _NOTHING))]
        found = self._read(unknown) if unknown else {}
        for row in rows:
            yield row, found.get(row.key) or known.get(row.key) or _NOTHING

    def _read(self, rows: Sequence[VideoTask]) -> dict[str, RowFacts]:
        """Read rows from the place. Remember the facts, and that there are no others."""
        found = self.reader.read(rows, self.table.products(), _is_whole)
        lines: list[ProductFacts | CheckedRow] = []
        for row, facts in zip(rows, found, strict=True):
            lines += facts.products.values()
            if not _is_whole(row, facts):
                lines.append(CheckedRow(key=row.key, version=row.lease.version))
        self.index.add(lines)
        self.has_read += len(rows)
        return {row.key: facts for row, facts in zip(rows, found, strict=True)}


_NOTHING = RowFacts()


def _is_known(row: VideoTask, facts: RowFacts) -> bool:
    """Return whether the place need not be read for this row."""
    return _is_whole(row, facts) or row.lease.version in facts.checked or not row.lease.is_processed


def _is_whole(row: VideoTask, facts: RowFacts) -> bool:
    """Return whether the row's result names the files of a product among the facts."""
    return any(_names(row.result, product) for product in facts.products.values())


def _names(result: str, product: ProductFacts) -> bool:
    paths = [file.path for file in product.files]
    if len(paths) == 1 and result == paths[0]:  # nearly always
        return True
    return names_files_of(result, Record(kind=product.kind, name=product.product, files=paths))


def _of_row(row: VideoTask, facts: RowFacts, product: str, availability: str) -> Iterator[Recording]:
    chosen = _chosen(row, facts, product)
    if chosen is None:
        return
    described = chosen if chosen.channel_id or chosen.title else _described(facts) or chosen
    language, segments = _captions(facts, described.language)
    for file in chosen.files:
        yield Recording(
            id=row.id,
            key=row.key,
            url=row.url,
            video_id=video_id(row),
            path=file.path,
            product=chosen.product,
            bytes=file.bytes,
            sha256=file.sha256,
            seconds=_seconds(row, file, chosen),
            codec=file.codec,
            sample_rate_hz=file.sample_rate_hz,
            channels=file.channels,
            title=row.title or described.title,
            accent=row.accent,
            type=row.type,
            source_id=row.source_id,
            channel=described.channel,
            channel_id=described.channel_id,
            upload_date=described.upload_date,
            language=described.language,
            track=described.track,
            license=described.license,
            trainable=described.trainable,
            degraded=", ".join(chosen.degraded),
            availability=availability,
            collected_at=chosen.made_at,
            caption_language=language,
            segments=segments,
            columns=row.extra,
        )


def _chosen(row: VideoTask, facts: RowFacts, product: str) -> ProductFacts | None:
    """Return the product whose files are the recordings. Of several, prefer the one in the row's result, then the latest."""
    kinds = (product,) if product else _MEDIA
    for kind in kinds:
        chosen = [each for each in facts.products.values() if each.files and kind in (each.kind, each.product)]
        if len(chosen) == 1:  # nearly always
            return chosen[0]
        if chosen:
            return max(chosen, key=lambda each: (_names(row.result, each), each.made_at, each.product))
    return None


def _described(facts: RowFacts) -> ProductFacts | None:
    """Return the product whose sidecar describes the video best: one with sound."""
    products = [each for each in facts.products.values() if each.channel_id or each.title]
    return max(products, key=lambda each: (bool(each.track), each.made_at, each.product), default=None)


def _seconds(row: VideoTask, file: FileFacts, product: ProductFacts) -> float | None:
    measured = file.seconds if file.seconds is not None else product.media_seconds
    stated = product.stated_seconds if product.stated_seconds is not None else row.duration_seconds
    return measured if measured is not None else stated


def _captions(facts: RowFacts, language: str) -> tuple[str, tuple[Segment, ...]]:
    """Return the captions that a person wrote in the spoken language, with the language of their file.

    Captions in another language are translations. If the spoken language is not known, use the first captions.
    """
    products = sorted(facts.products.values(), key=lambda each: each.product)  # the order of lines in the index varies
    files = [file for each in products for file in each.files if file.captions]
    spoken = [file for file in files if not language or _base(file.language) == _base(language)]
    if not spoken:
        return "", ()
    file = next((file for file in spoken if file.language == language), spoken[0])
    return file.language, tuple(Segment(*caption) for caption in file.captions)


def _base(language: str) -> str:
    return language.partition("-")[0].lower()
