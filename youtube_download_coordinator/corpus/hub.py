"""Record publications to a hub: the commit that contains the files of each video.

    .corpus/hub/<time>-<batch>.json.gz    a batch, written before its commit, and again with the commit's ID after it

Keys are kept as hashes, so that a place does not name a video that was removed from it.
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
    """The part of the commit's title by which it is found if the hub's answer was lost."""
    repo: str
    revision: str
    began_at: str
    """ISO-8601, UTC."""
    commit: str = ""
    """The commit's ID; empty if the process was killed before it was known."""
    hashes: tuple[str, ...] = ()
    """The hashes of the videos' keys (`queue.tombstones.tombstone`). Empty for a commit of the manifests and the card."""

    @property
    def path(self) -> str:
        """Return the path of the batch in a place."""
        return f"{BATCHES}/{self.began_at.replace(':', '')}-{self.id}.json.gz"


class HubCommit(NamedTuple):
    """A commit that must be reverted to remove videos from a hub."""

    repo: str
    revision: str
    commit: str
    """Empty if the process was killed before it was known. The commit's title contains `batch`."""
    batch: str
    at: str
    contains: str
    """`media`; `descriptions`: the manifests and the card."""


def commits_with(place: Place, tombstones: Iterable[str]) -> list[HubCommit]:
    """Return the commits that added files or descriptions of these videos to a hub, the oldest first.

    A repository describes a video from the first commit with its files on. Raises the errors of Place.
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
    """Yield every batch, the oldest first. Raises the errors of Place."""
    for path in sorted(held.path for held in place.list(BATCHES)):
        content = json.loads(gzip.decompress(place.get(path)))
        yield Batch(**{**content, "hashes": tuple(content["hashes"])})


def keep(place: Place, batch: Batch, commit: str = "") -> None:
    """Write a batch, replacing an earlier version of it."""
    known = replace(batch, commit=commit)
    with tempfile.TemporaryDirectory(prefix="ydc-hub-") as folder:
        file = Path(folder) / "batch"
        file.write_bytes(gzip.compress(json.dumps(asdict(known)).encode(), mtime=0))
        place.put(batch.path, file, content_type="application/gzip", metadata={})
