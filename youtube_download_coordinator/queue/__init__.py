"""Rules of the queue: decisions above the verbs of a Store."""

from __future__ import annotations

from youtube_download_coordinator.queue.claims import Claim
from youtube_download_coordinator.queue.queue import Queue

__all__ = ["Claim", "Queue"]
