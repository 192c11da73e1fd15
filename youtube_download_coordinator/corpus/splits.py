"""Train, dev and test: 90, 5 and 5 percent of the channels, so that no speaker of one is heard in another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from youtube_download_coordinator.corpus.recordings import Recording

SPLITS: Sequence[str] = ("train", "dev", "test")
DEV_FROM, TEST_FROM = 90, 95
"""Percent."""


def split_of(recording: Recording) -> str:
    """Return the split of a recording's channel. It depends on nothing else, so it is the same in a corpus that has grown.

    A recording whose channel is not known goes with its source, and one without a source by itself.
    """
    source = f"source {recording.source_id}" if recording.source_id else recording.key
    return _split(recording.channel_id or source)


@lru_cache(maxsize=4096)
def _split(speaker: str) -> str:
    digest = hashlib.sha256(speaker.encode("utf-8", "replace")).digest()
    percent = int.from_bytes(digest[:8]) % 100
    return "test" if percent >= TEST_FROM else "dev" if percent >= DEV_FROM else "train"
