"""Read facts about rows that are missing in the index from the place itself: records, sidecars and captions."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from youtube_download_coordinator.corpus.facts_table import FactsTable, RecordName, RowFacts
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.archive import FOLDER, record_path
from youtube_download_coordinator.processors.captions import captions_in
from youtube_download_coordinator.processors.facts import (
    FileFacts,
    ProductFacts,
    extension_of,
    file_facts,
    has_captions,
    product_facts,
)
from youtube_download_coordinator.processors.output_paths import video_id
from youtube_download_coordinator.processors.place_archive import generation_path, read_record
from youtube_download_coordinator.processors.sidecar import SUFFIX
from youtube_download_coordinator.storage.place import Held, Place, check_path
from youtube_download_coordinator.text import format_utc

_log = logging.getLogger(__name__)

AT_ONCE = 16
PROBED_AT_MOST = 500
"""The most rows that are searched for by the names of known products. For more rows, all records are listed."""
_RECORD = re.compile(
    rf"{re.escape(FOLDER)}/(?P<product>[^/]+)/(?P<name>.+\.[0-9a-f]{{8}})(?:\.(?P<generation>\d+))?\.json"
)

IsWhole = Callable[[VideoTask, RowFacts], bool]


class PlaceReader:
    """A reader of facts that are missing in the index. It makes no request before the first read."""

    def __init__(self, place: Place, table: FactsTable) -> None:
        self._place = place
        self._table = table
        self._is_listed = False
        self._probed = 0

    def read(self, rows: Sequence[VideoTask], products: Sequence[str], is_whole: IsWhole) -> list[RowFacts]:
        """Return the facts in the place for each row. `products`: likely names. Raises PlaceError.

        `is_whole` returns whether facts are complete, which means that they explain the row's result.
        """
        found: dict[int, RowFacts] = {}
        with ThreadPoolExecutor(AT_ONCE, "corpus") as pool:
            if products and not self._is_listed and self._probed + len(rows) <= PROBED_AT_MOST:
                self._probed += len(rows)
                probed = pool.map(lambda row: self._facts(row, self._probe(row, products)), rows)
                found = {row.id: facts for row, facts in zip(rows, probed, strict=True) if is_whole(row, facts)}
            rest = [row for row in rows if row.id not in found]
            if rest:
                self._list()
            named = [self._listed(row) for row in rest]
            found |= {row.id: facts for row, facts in zip(rest, pool.map(self._facts, rest, named), strict=True)}
        return [found[row.id] for row in rows]

    def _list(self) -> None:
        """List all records, once."""
        if not self._is_listed:
            self._table.load_records(filter(None, map(_record_name, self._place.list(FOLDER))))
            self._is_listed = True

    def _listed(self, row: VideoTask) -> list[RecordName]:
        return self._table.records([_name_of(path) for path in _record_paths(row, "-")])

    def _probe(self, row: VideoTask, products: Sequence[str]) -> list[RecordName]:
        """Return the last records of these products that exist."""
        return [record for product in products if (record := self._last(record_path(row, product), product))]

    def _last(self, base: str, product: str) -> RecordName | None:
        last = None
        while held := self._place.head(generation_path(base, last.generation + 1 if last else 1)):
            last = RecordName(product, last.generation + 1 if last else 1, format_utc(held.modified))
        return last

    def _facts(self, row: VideoTask, records: Sequence[RecordName]) -> RowFacts:
        found = RowFacts()
        for record in records:
            if facts := self._product(row, record):
                found.add(facts)
        return found

    def _product(self, row: VideoTask, record: RecordName) -> ProductFacts | None:
        """Return the facts about a product, or None if the record belongs to another row, or one of its files is gone."""
        paths = (generation_path(base, record.generation) for base in _record_paths(row, record.product))
        content = next((content for path in paths if (content := read_record(self._place, path))), {})
        names = content.get("files")
        if content.get("key") != row.key or not isinstance(names, list):
            return None
        kind = str(content.get("kind") or record.product.partition("-")[0])
        files, sidecars = [], []
        for name in names:
            path = self._inside(name)
            sidecar = self._sidecar(path) if path and kind != "metadata" else None
            facts = self._file(path, sidecar) if path else None
            if facts is None:
                return None
            files.append(facts)
            sidecars.append(sidecar)
        return product_facts(
            row.key,
            kind,
            record.product,
            content,
            files,
            sidecars,
            generation=record.generation,
            put_at=record.modified,
        )

    def _inside(self, name: object) -> str | None:
        """Return the path of a recorded file below the place. Version 0.1.0 recorded absolute paths."""
        try:
            return check_path(name.removeprefix(f"{self._place.address}/")) if isinstance(name, str) else None
        except ValueError:
            return None

    def _sidecar(self, path: str) -> Mapping[str, Any] | None:
        content = read_record(self._place, f"{path}{SUFFIX}") or {}
        return content if "sha256" in content and "bytes" in content else None

    def _file(self, path: str, sidecar: Mapping[str, Any] | None) -> FileFacts | None:
        try:
            captions = captions_in(self._place.get(path), extension_of(path), path) if has_captions(sidecar) else ()
        except FileNotFoundError:
            return None
        if sidecar is not None:
            return file_facts(path, sidecar, captions=captions)
        held = self._place.head(path)
        return file_facts(path, None, size=held.size, sha256=held.sha256 or self._sum(path)) if held else None

    def _sum(self, path: str) -> str:
        """Return the SHA-256 of a file without a sidecar in a local folder. Elsewhere reading the file would be too expensive."""
        if not self._place.is_local:
            return ""
        with self._place.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _record_paths(row: VideoTask, product: str) -> list[str]:
    """Return the possible paths of a product's record. Version 0.1.0 used the ID as the name, even if it begins with `-`."""
    return list(dict.fromkeys((record_path(row, product), record_path(row, product, video_id(row)))))


def _record_name(held: Held) -> tuple[str, RecordName] | None:
    match = _RECORD.fullmatch(held.path)
    if not match:
        return None
    return match["name"], RecordName(match["product"], int(match["generation"] or 1), format_utc(held.modified))


def _name_of(path: str) -> str:
    """Return the part of a record's path that does not depend on the product and the generation."""
    return path.partition("/")[2].partition("/")[2].removesuffix(".json")
