"""Rows that are done and are asked for a further product, on every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.support.rows import POLICY, make_queue, new_video
from youtube_download_coordinator.models import Done, Failure, State, Status, Verdict
from youtube_download_coordinator.queue.product_requests import ProductRequest, request_of
from youtube_download_coordinator.queue.selection import ChangeResult, Selection
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Store

RESULT = "media/Irish/A title (official) [UKwSQSFN4Nw].m4a"
BUSY = Failure(verdict=Verdict.RETRY, reason="http-503", message="subtitles: Service Unavailable")
NO_WAIT = replace(POLICY, backoff=timedelta(0), backoff_max=timedelta(0))


def test_a_request_holds_until_the_row_is_done_again(store: Store) -> None:
    queue = make_queue(store, policy=NO_WAIT)
    queue.add(VIDEO_TASKS, [new_video(1), new_video(2)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, Done(result=RESULT, degraded="low-bit-rate"))])
    asked_id = claim.row.id
    is_done = Selection(status=Status.DONE)
    assert queue.ask_for(VIDEO_TASKS, is_done, ["subtitles"]) == {ChangeResult.CHANGED: 1}
    assert queue.ask_for(VIDEO_TASKS, Selection(), ["metadata"]) == {ChangeResult.CHANGED: 1, ChangeResult.ALREADY: 1}
    asked = ProductRequest(products=("subtitles", "metadata"), result=f"{RESULT} (degraded: low-bit-rate)")
    for attempt in range(3):
        claims = queue.claim(VIDEO_TASKS, 2)
        row = next(claim.row for claim in claims if claim.row.id == asked_id)
        assert (request_of(row.lease), row.retry_count) == (asked, attempt)
        queue.settle([(claim, BUSY) for claim in claims if claim.row.id == asked_id])
        queue.release([claim for claim in claims if claim.row.id != asked_id])
    row = next(row for row in queue.rows(VIDEO_TASKS) if row.id == asked_id)
    assert row.lease.state is State.DONE  # never a dead letter: what was made before is still there
    assert row.result == f"{RESULT} (without subtitles,metadata: http-503) (degraded: low-bit-rate)"
