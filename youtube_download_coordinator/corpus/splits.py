"""Split a corpus by channel into train, dev and test (90, 5 and 5 percent), so that no speaker is in two splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from youtube_download_coordinator.corpus.recordings import Recording

SPLITS: Sequence[str] = ("train", "dev", "test")
DEV_FROM, TEST_FROM = 90, 95
"""Percent."""


def split_of(recording: Recording) -> str:
    """Return the split of a recording's channel. It depends only on the channel, so it does not change as the corpus grows.

    If the channel is not known, it depends on the source, and without a source on the recording itself.
    """
    source = f"source {recording.source_id}" if recording.source_id else recording.key
    return _split(recording.channel_id or source)


@lru_cache(maxsize=4096)
def _split(speaker: str) -> str:
    digest = hashlib.sha256(speaker.encode("utf-8", "replace")).digest()
    percent = int.from_bytes(digest[:8]) % 100
    return "test" if percent >= TEST_FROM else "dev" if percent >= DEV_FROM else "train"
