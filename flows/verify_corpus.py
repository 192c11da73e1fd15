"""Check whether videos that are done are still on YouTube."""

from __future__ import annotations

import time
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import fail_with_message
from tasks.forms import MaxMinutes, MaxVideos, OlderThanDays, PerHour
from tasks.machine import alone_on_machine
from tasks.reports import finished, report_findings, skipped
from youtube_download_coordinator.corpus.findings import Finding
from youtube_download_coordinator.corpus.verify_videos import VideoVerifier, open_verifier
from youtube_download_coordinator.prefect.flow_run import host, open_coordinator
from youtube_download_coordinator.queue.selection import Selection


@flow(name="verify-corpus", flow_run_name=f"verify the corpus on {host()}", persist_result=False)
@fail_with_message
def verify_corpus(
    max_videos: MaxVideos = 500,
    max_minutes: MaxMinutes = None,
    per_hour: PerHour = None,
    older_than_days: OlderThanDays = 30,
) -> State[Any]:
    """Check whether videos that are done are still on YouTube. Videos that were checked longest ago come first (docs/verify.md).

    Args:
        max_videos: Check at most this many videos. None: all that are due.
        max_minutes: Check no further video after this many minutes.
        per_hour: Check at most this many videos an hour. None: a quarter of YDC_VIDEOS_PER_HOUR.
        older_than_days: Leave out videos that were checked in this many days.
    """
    coordinator = open_coordinator()
    ends_at = None if max_minutes is None else time.monotonic() + max_minutes * 60
    verifier = open_verifier(
        coordinator.queue,
        coordinator.config,
        per_hour=per_hour,
        is_over=lambda: ends_at is not None and time.monotonic() >= ends_at,
    )
    return alone_on_machine(
        coordinator, "verify", lambda _: _verify(verifier, max_videos, older_than_days), spreads=False
    )


def _verify(verifier: VideoVerifier, max_videos: int | None, older_than_days: float) -> State[Any]:
    findings: list[Finding] = list(verifier.run(Selection(), limit=max_videos, older_than_days=older_than_days))
    report_findings(f"Videos that are done: {verifier.summary}.", findings)
    if verifier.summary.stopped_by and not verifier.summary.asked:
        return skipped(verifier.summary.stopped_by, findings)
    return finished(f"{verifier.summary}", failed=bool(findings), data=findings)
