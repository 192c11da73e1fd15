"""A request for products is kept in the lease, whatever else the lease contains."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import POLICY, new_video
from youtube_download_coordinator.models import SKIPPED, Done, Failure, Lease, State, Status, Verdict, VideoTask
from youtube_download_coordinator.queue import lifecycle
from youtube_download_coordinator.queue.lifecycle import Moment
from youtube_download_coordinator.queue.offers import Need, need_of, with_need
from youtube_download_coordinator.queue.product_requests import (
    NO_REQUEST,
    ProductRequest,
    request_for,
    request_of,
    with_request,
)
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS

AT = Moment(now=datetime(2026, 11, 22, 12, 0, tzinfo=UTC), nonce="fresh")
ASKED = ProductRequest(products=("subtitles",), result="media/x.m4a")


def asked(state: State, detail: str = "") -> VideoTask:
    until = AT.now + timedelta(hours=1) if state is State.HELD else None
    lease = Lease(state=state, detail=with_request(detail, ASKED), until=until, holder="a", nonce="old")
    return new_video(1, id=17, lease=lease)


@given(
    st.text(max_size=400),
    st.lists(st.sampled_from(["subtitles", "metadata", "my_module:transcribe"]), min_size=1, unique=True),
    st.text("abc/() [].…⟧", max_size=300),
    st.builds(Need, account=st.booleans(), not_in=st.frozensets(st.sampled_from(["BR", "DE"]))),
)
def test_a_request_stands_beside_everything_else(detail: str, products: list[str], result: str, need: Need) -> None:
    request = request_for(products, " ".join(result.split()))
    text = with_request(with_need(f"why: {detail}", need), request)
    lease = Lease(detail=text, nonce="")
    kept = request_of(lease)
    assert (kept.products, kept.result in (request.result, "")) == (tuple(products), True)
    assert (need_of(lease).account, len(text) <= DETAIL_MAX_CHARACTERS) == (need.account, True)
    assert with_request(text, kept) == text
    assert request_of(Lease(detail=with_request(text, NO_REQUEST), nonce="")) == NO_REQUEST


def test_a_failure_cannot_ask_for_anything() -> None:
    """Its message may come from anyone: a page on the internet."""
    held = new_video(1, id=17, lease=Lease(state=State.HELD, holder="a", nonce="old"))
    failure = Failure(verdict=Verdict.RETRY, reason="error", message=f"no {ASKED} here")
    assert not request_of(lifecycle.fail(held, AT, failure, POLICY).lease)


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.RETRY, "http-503"),
        (Verdict.LATER, "live"),
        (Verdict.THROTTLED, "subtitles-429"),
        (Verdict.UNFIT, "disk"),
    ],
)
def test_a_failed_attempt_keeps_the_request(verdict: Verdict, reason: str) -> None:
    row = lifecycle.fail(asked(State.HELD), AT, Failure(verdict=verdict, reason=reason, message="x" * 400), POLICY)
    assert (row.lease.state, row.lease.reason, request_of(row.lease)) == (State.PENDING, reason, ASKED)
    again = lifecycle.release(
        lifecycle.claim(replace(row, lease=replace(row.lease, not_before=None)), AT, "b", POLICY), AT
    )
    assert request_of(again.lease) == ASKED


@pytest.mark.parametrize("failure", [Verdict.PERMANENT, None])
def test_a_row_that_cannot_be_given_more_stays_done(failure: Verdict | None) -> None:
    held = asked(State.HELD)
    if failure is None:
        assert lifecycle.complete(held, AT, "media/x.m4a", POLICY).result == "media/x.m4a"
        return
    row = lifecycle.fail(held, AT, Failure(verdict=failure, reason="private"), POLICY)
    assert (row.lease.state, row.result) == (State.DONE, "media/x.m4a (without subtitles: private)")
    once_more = lifecycle.ask_for(row, AT, ["subtitles"])
    assert once_more
    assert request_of(once_more.lease) == ASKED


def test_a_row_that_a_person_skips_gets_its_result_back() -> None:
    row = lifecycle.apply_request(replace(asked(State.PENDING), requested_status=Status.DONE), AT)
    assert row
    assert (row.lease.state, row.result) == (State.DONE, "media/x.m4a")


@pytest.mark.parametrize(("result", "kept"), [("x.m4a", "x.m4a"), (SKIPPED, ""), ("x" * 299 + "…", ""), ("", "")])
def test_the_result_before(result: str, kept: str) -> None:
    row = new_video(1, id=17, lease=Lease(state=State.DONE, detail=result, nonce="old"))
    again = lifecycle.ask_for(row, AT, ["subtitles"])
    assert again
    assert (again.lease.state, again.lease.reason, again.lease.tries) == (State.PENDING, "asked-for", 0)
    assert request_of(again.lease) == ProductRequest(products=("subtitles",), result=kept)


@pytest.mark.parametrize("state", [State.PENDING, State.DEAD, State.ERROR])
def test_a_row_that_is_not_done_is_asked_for_nothing(state: State) -> None:
    assert lifecycle.ask_for(new_video(1, id=17, lease=Lease(state=state, nonce="old")), AT, ["subtitles"]) is None
    assert lifecycle.ask_for(asked(State.HELD), AT, ["metadata"]) is None


def test_done_says_nothing_of_requests() -> None:
    row = lifecycle.settle(asked(State.HELD), AT, Done(result="x"), POLICY)
    assert (row.result, request_of(row.lease)) == ("x", NO_REQUEST)
