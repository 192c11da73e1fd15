"""Tombstones: hashes that prevent purged videos from being collected again (`ydc purge`).

A tombstone is the SHA-256 of the row's key in hexadecimal digits. With a video's ID one can check whether it was purged, but an
ID cannot be read from a tombstone without trying all of them. `Store.insert` treats a video with a tombstone as known. The row
is kept without anything that names the video: its key is `purged:` and the tombstone, which serves as a second copy.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from youtube_download_coordinator.models import DUPLICATE, NEVER, Lease, Row, Source, State, VideoTask
from youtube_download_coordinator.reasons import PURGED
from youtube_download_coordinator.text import format_utc

R = TypeVar("R", bound=Row)

PURGED_KEY = "purged:"
PURGED_URL = "purged"
"""The URL of a row whose video was purged. A line without a URL would look damaged."""
PURGED_RESULT = "purged "
"""The start of such a row's Result, before the day."""
PURGED_ADVICE = "this video was purged: it was removed from the corpus and is never fetched again (ydc purge --help)"
TOMBSTONE = re.compile("[0-9a-f]{64}")


def tombstone(key: str) -> str:
    """Return the tombstone of the video with this key. The key of a purged row contains its tombstone."""
    if key.startswith(PURGED_KEY):
        return key.removeprefix(PURGED_KEY)[:64]
    return key_hash(key)


def key_hash(key: str) -> str:
    """Return the SHA-256 of a row's key in hexadecimal digits. It identifies the video without naming it."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def is_purged(row: Row) -> bool:
    """Return whether the row's video was purged. Such a row never becomes pending again."""
    return row.key.startswith(PURGED_KEY)


def is_erased(row: Row) -> bool:
    """Return whether a purged row is completely erased. An erasure may have been interrupted."""
    return is_purged(row) and row.url == PURGED_URL and not (row.title or row.accent or row.type or row.extra)


def purged(row: R, now: datetime, nonce: str, taken_keys: Collection[str] = ()) -> R:
    """Return the row without anything that names or describes its video. `taken_keys`: keys of other rows of purged videos.

    A second row of one video, which only a worker of an older version can add, has its ID at the end of its key.
    """
    key = row.key if is_purged(row) else f"{PURGED_KEY}{tombstone(row.key)}"
    key = f"{key}.{row.id}" if key in taken_keys and not is_purged(row) else key
    state, detail = State.DONE, f"{PURGED_RESULT}{format_utc(now)[:10]}"
    if row.lease.state is State.DEAD:  # it stays among the dead letters
        state, detail = State.DEAD, f"{PURGED}: {detail}"
    is_duplicate = row.lease.state is State.ERROR and row.lease.detail.startswith(DUPLICATE)
    if is_purged(row) or is_duplicate:
        state, detail = row.lease.state, row.lease.detail
    not_before = NEVER if isinstance(row, Source) and state is State.DONE else None  # it is not listed again
    lease = Lease(version=row.lease.version + 1, state=state, detail=detail, nonce=nonce, not_before=not_before)
    emptied = replace(row, url=PURGED_URL, key=key, accent="", type="", title="", extra={}, claimed_by="")
    emptied = replace(emptied, claimed_at=None, requested_status=None, lease=lease)
    return replace(emptied, duration_seconds=None) if isinstance(emptied, VideoTask) else emptied
