"""What was published to a hub: which commit has the files of which videos.

    .corpus/hub/<time>-<batch>.json.gz    a batch, written before its commit, and again with the commit's ID after it

Keys are kept as hashes, so that a place from which a video was removed does not name it.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from youtube_download_coordinator.corpus.recordings import FOLDER
from youtube_download_coordinator.storage.place import Place

BATCHES = f"{FOLDER}/hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Files that were added by one commit."""

    id: str
    """Part of the commit's title, by which it is found if the hub's answer was lost."""
    repo: str
    revision: str
    began_at: str
    """ISO-8601, UTC."""
    commit: str = ""
    """Empty: not known, because the process was killed."""
    hashes: tuple[str, ...] = ()
    """Of the videos' keys (`queue.tombstones.tombstone`). Empty: the commit has the manifests and the card, which name all."""

    @property
    def path(self) -> str:
        """Return where the batch is kept in a place."""
        return f"{BATCHES}/{self.began_at.replace(':', '')}-{self.id}.json.gz"


class HubCommit(NamedTuple):
    """A commit that has to be reverted to take videos out of a hub."""

    repo: str
    revision: str
    commit: str
    """Empty: the process was killed before it knew; the commit's title contains `batch`."""
    batch: str
    at: str
    contains: str
    """`media`; `descriptions`: the manifests and the card."""


def commits_with(place: Place, tombstones: Iterable[str]) -> list[HubCommit]:
    """Return the commits that added files of these videos to a hub, and those that describe them, the oldest first.

    A repository describes a video from the first commit with its files on. Raises what Place raises.
    """
    wanted = set(tombstones)
    published: set[tuple[str, str]] = set()
    commits = []
    for batch in batches(place):
        branch = (batch.repo, batch.revision)
        if not wanted.isdisjoint(batch.hashes):
            published.add(branch)
        elif batch.hashes or branch not in published:
            continue
        contains = "media" if batch.hashes else "descriptions"
        commits.append(HubCommit(*branch, batch.commit, batch.id, batch.began_at, contains))
    return commits


def batches(place: Place) -> Iterator[Batch]:
    """Yield every batch, the oldest first. Raises what Place raises."""
    for path in sorted(held.path for held in place.list(BATCHES)):
        content = json.loads(gzip.decompress(place.get(path)))
        yield Batch(**{**content, "hashes": tuple(content["hashes"])})


def keep(place: Place, batch: Batch, commit: str = "") -> None:
    """Write a batch, also over what was known about it before."""
    known = replace(batch, commit=commit)
    with tempfile.TemporaryDirectory(prefix="ydc-hub-") as folder:
        file = Path(folder) / "batch"
        file.write_bytes(gzip.compress(json.dumps(asdict(known)).encode(), mtime=0))
        place.put(batch.path, file, content_type="application/gzip", metadata={})
