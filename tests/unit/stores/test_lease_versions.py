"""Workers of two versions on one sheet: each reads the other's leases, and none takes one that it cannot read for none."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import new_video
from tests.support.sheet import DEAD, VIDEOS, SheetDesk, a_video, video_url
from youtube_download_coordinator.models import Done, Failure, Lease, State, Verdict, with_throttles
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease, encode_lease

BOT_CHECK = Failure(verdict=Verdict.THROTTLED, reason="bot-check", message="Sign in to confirm you're not a bot")
LEASE_OF_0_1_0 = re.compile(
    r"v(?P<id>\d+)\.(?P<version>\d+) (?:"
    r"(?P<draft>draft)"
    r"|(?P<state>pending|held|done|error|dead)"
    r"(?: (?!until |try )(?P<holder>\S+))?(?: until (?P<until>\S+))?"
    r" try (?P<tries>\d+)"
    r"(?: after (?P<after>\S+))?"
    r" for (?P<key>\S+)"
    r"(?: (?:result|because) (?P<detail>.*))?"
    r") #(?P<nonce>\S+)",
)
"""As it stands in the release: what does not match it, a worker of 0.1.0 takes for no lease, and runs the row anew."""


def read_by_0_1_0(text: str) -> dict[str, Any]:
    match = LEASE_OF_0_1_0.fullmatch(text)
    assert match, f"a worker of 0.1.0 would take this row for a new one: {text}"
    return match.groupdict()


@pytest.fixture
def queue(desk: SheetDesk) -> Queue:
    return desk.queue()


@given(
    state=st.sampled_from(State),
    detail=st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300),
    throttles=st.integers(min_value=0, max_value=10_000),
    seconds=st.integers(min_value=0, max_value=10**9),
)
def test_a_worker_of_0_1_0_reads_every_lease(state: State, detail: str, throttles: int, seconds: int) -> None:
    moment = datetime(2026, 11, 28, tzinfo=UTC) + timedelta(seconds=seconds)
    held = {"holder": "host/a", "until": moment} if state is State.HELD else {"not_before": moment}
    text = detail if state is State.DONE else with_throttles(detail, throttles)
    lease = Lease(version=5, state=state, tries=2, detail=text, nonce="0a1b2c3d", **held)
    encoded = encode_lease(new_video(1, id=17, lease=lease))
    old = read_by_0_1_0(encoded)
    assert (old["id"], old["version"], old["state"], old["tries"], old["detail"] or "") == ("17", "5", state, "2", text)
    decoded = decode_lease(encoded)
    assert decoded
    assert decoded.lease == lease


def test_the_throttle_count_survives_a_worker_of_0_1_0(desk: SheetDesk, queue: Queue) -> None:
    """It claims the row, and is killed or gives it back: in both it keeps the detail."""
    queue.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, BOT_CHECK)])
    desk.show()
    old = read_by_0_1_0(desk.line(video_url(1))["Lease"])
    claimed = (
        f"v1.3 held host/old until 1970-01-01T00:00:00.000Z try 0 for {old['key']} because {old['detail']} #aaaaaaaa"
    )
    desk.person.edit(VIDEOS, 1, "Lease", claimed)
    desk.look_again(queue)
    queue.recover(VIDEO_TASKS)
    (row,) = queue.rows(VIDEO_TASKS)
    assert (row.lease.throttles, row.lease.tries, row.lease.reason) == (1, 1, "stalled")


@pytest.mark.parametrize(
    "text", ["v1.7 frozen host/new for yt:v:v0000000001 #aaaaaaaa", "v1.7 pending try 0 for", "somebody wrote here"]
)
def test_an_unreadable_lease_is_set_apart_and_not_processed(desk: SheetDesk, queue: Queue, text: str) -> None:
    queue.add(VIDEO_TASKS, [a_video(1), a_video(2)])
    desk.show()
    desk.person.edit(VIDEOS, 1, "Lease", text)
    desk.finish(queue)
    desk.look_again(queue)
    line = desk.line(video_url(1))
    assert (line["Status"], line["LastError"]) == ("error", f"unreadable-lease: {text}")
    assert line["ID"] == "1"
    assert desk.line(video_url(2))["Status"] == "done"
    desk.type_status(video_url(1), "pending")
    desk.finish(queue)
    assert desk.line(video_url(1))["Status"] == "done"


def test_an_unreadable_lease_among_the_dead_letters_stays_there(desk: SheetDesk, queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, Failure(verdict=Verdict.PERMANENT, reason="private"))])
    desk.show()
    desk.person.edit(DEAD, 1, "Lease", "v1.9 buried")
    for _ in range(2):
        desk.look_again(queue)
        queue.recover(VIDEO_TASKS)
    (row,) = queue.rows(DEAD_LETTERS)
    assert (row.id, row.lease.state, row.last_error) == (1, State.DEAD, "unreadable-lease: v1.9 buried")
    assert queue.claim(VIDEO_TASKS, 1) == []


def test_the_lease_of_a_claim_that_cannot_be_read_any_more_is_lost(desk: SheetDesk, queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.person.edit(VIDEOS, 1, "Lease", "x")
    desk.look_again(desk.queue("other"))
    assert queue.settle([(claim, Done(result="ok"))]) == [None]


def test_a_throttle_count_is_kept_by_the_sheet(desk: SheetDesk, queue: Queue) -> None:
    queue.video_policy = replace(queue.video_policy, max_throttles=5)
    queue.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    queue.settle([(claim, BOT_CHECK)])
    desk.show()
    assert desk.line(video_url(1))["LastError"].endswith(" (throttled 1 time)")
    (row,) = desk.queue("other").rows(VIDEO_TASKS)
    assert (row.lease.throttles, row.retry_count) == (1, 0)
