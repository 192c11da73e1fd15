"""Rows for tests, as an ingest or an expansion would insert them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from youtube_download_coordinator.models import Lease, Source, VideoTask
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.admission import Admission
from youtube_download_coordinator.queue.cooldown import Pauses, cooldown_name
from youtube_download_coordinator.queue.lifecycle import RetryPolicy
from youtube_download_coordinator.queue.store import Store

POLICY = RetryPolicy(
    lease=timedelta(minutes=10), max_retries=3, backoff=timedelta(seconds=60), backoff_max=timedelta(seconds=3600)
)


def new_video(number: int, **fields: Any) -> VideoTask:
    name = f"video-{number:05}"
    base = VideoTask(url=f"https://example.org/{name}", key=f"url:{name}", title=name, lease=Lease(nonce=f"n{number}"))
    return replace(base, **fields)


def new_source(number: int, **fields: Any) -> Source:
    name = f"source-{number:05}"
    base = Source(url=f"https://example.org/{name}", key=f"url:{name}", lease=Lease(nonce=f"s{number}"))
    return replace(base, **fields)


class Clock:
    """A monotonic clock that a test turns by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


PAUSES = Pauses(first_seconds=900, longest_seconds=21_600)


def make_admission(store: Store, worker: str = "host/a", **more: Any) -> Admission:
    """Return a machine's admission, without a machine state unless one is given."""
    name = cooldown_name("machine", worker.partition("/")[0])
    given: dict[str, Any] = {"pauses": PAUSES, "lease": POLICY.lease, "cooldown_name": name} | more
    return Admission(store=store, worker=worker, **given)


def make_queue(
    store: Store, worker: str = "host/a", policy: RetryPolicy = POLICY, seed: int = 1, clock: Clock | None = None
) -> Queue:
    return Queue(
        admission=make_admission(store, worker),
        store=store,
        worker=worker,
        video_policy=policy,
        source_policy=replace(policy, max_retries=None),
        monotonic=clock or Clock(),
        random=Random(f"{seed} {worker}"),
    )
