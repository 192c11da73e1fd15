"""Keep copies of the tombstones in the place. The queue's tombstones are authoritative.

.corpus/tombstones/<hash>.json    the tombstones of one `ydc purge`
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterator

from youtube_download_coordinator.corpus.recordings import FOLDER
from youtube_download_coordinator.queue.tombstones import TOMBSTONE
from youtube_download_coordinator.storage.place import Place

_log = logging.getLogger(__name__)

COPIES = f"{FOLDER}/tombstones"


def put_copy(place: Place, tombstones: Collection[str]) -> None:
    """Put a copy of tombstones into the place. The same tombstones are never put twice. Raises the errors of Place."""
    texts = sorted(tombstones)
    name = hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
    content = json.dumps({"tombstones": texts}).encode()
    place.put_if_absent(f"{COPIES}/{name}.json", content, content_type="application/json", metadata={})


def copies(place: Place) -> Iterator[str]:
    """Yield the tombstones in the place, some of them twice. A damaged file is skipped. Raises what Place raises."""
    for held in place.list(COPIES):
        try:
            content = json.loads(place.get(held.path))
            yield from (each for each in content["tombstones"] if TOMBSTONE.fullmatch(each))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            _log.warning("%s is not a list of tombstones", held.path)
