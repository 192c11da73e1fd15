"""Offers of machines and needs of rows: how both are written, and which machine is suitable."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import POLICY, new_source, new_video
from youtube_download_coordinator.models import Control, Failure, Lease, State, Verdict, with_throttles
from youtube_download_coordinator.queue import cooldown, lifecycle
from youtube_download_coordinator.queue.lifecycle import Moment
from youtube_download_coordinator.queue.offers import (
    COUNTRIES,
    NO_NEED,
    NO_OFFER,
    Need,
    Offer,
    Offers,
    is_wait,
    need_of,
    offer_of,
    parse_offer,
    renewed,
    waits,
    with_need,
)
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
AT = Moment(now=NOW, nonce="n")
BRAZIL, PORTUGAL, ACCOUNT = parse_offer(["region:BR"]), parse_offer(["region:PT"]), parse_offer(["account"])
REGION = Failure(verdict=Verdict.PERMANENT, reason="region", message="not in your country")

codes = st.sets(st.sampled_from(sorted(COUNTRIES)), max_size=6)
needs = st.builds(
    Need,
    account=st.booleans(),
    waits_for=codes.map(lambda found: tuple(sorted(found))),
    not_in=codes.map(frozenset),
    only_in=codes.map(frozenset),
)


# --- what is offered -------------------------------------------------------------------------------------------------


def test_letter_case_and_order_do_not_matter() -> None:
    offer = parse_offer(["Region:pt", "ACCOUNT", "region:BR"])
    assert (offer.regions, offer.account) == (frozenset({"BR", "PT"}), True)
    assert (str(offer), offer.line_name) == ("account, region:BR, region:PT", "offers account region:br region:pt")


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("region:UK", "not an offer: region:UK; did you mean region:GB?"),
        ("BR", "not an offer: BR; did you mean region:BR?"),
        ("country:BR", "not an offer: country:BR; did you mean region:BR?"),
        ("region:Brazil", "not an offer: region:Brazil; a country is an ISO code of two letters, as in region:BR"),
        ("region:", "not an offer: region:; a country is an ISO code of two letters, as in region:BR"),
        ("region:XX", "not an offer: region:XX; a country is an ISO code of two letters, as in region:BR"),
        ("acount", "not an offer: acount; did you mean account?"),
        ("fast", "not an offer: fast; write account, or region: and an ISO code (region:BR)"),
    ],
)
def test_a_mistake_says_what_to_write(word: str, problem: str) -> None:
    with pytest.raises(ValueError, match="not an offer") as raised:
        parse_offer(["account", word])
    assert str(raised.value) == problem


def test_a_machine_offers_a_few_countries_at_most() -> None:
    with pytest.raises(ValueError, match="at most 10 countries"):
        parse_offer([f"region:{code}" for code in sorted(COUNTRIES)[:11]])


@pytest.mark.parametrize(
    ("name", "value", "hours", "offer"),
    [
        ("offers region:br", "offered", 1, BRAZIL),
        ("offers account, region:br", "", 24, Offer(regions=frozenset({"BR"}), account=True)),
        ("offers region:br", "offered", 0, NO_OFFER),
        ("offers region:br", "offered", None, NO_OFFER),
        ("offers region:br", "off", 1, NO_OFFER),
        ("offers region:xx", "offered", 1, NO_OFFER),
        ("offers host-a", "offered", 1, NO_OFFER),
        ("offers ", "offered", 1, NO_OFFER),
        ("cooldown host-a", "cooling", 1, NO_OFFER),
    ],
)
def test_lines_that_are_over_or_garbled_offer_nothing(name: str, value: str, hours: int | None, offer: Offer) -> None:
    until = None if hours is None else NOW + timedelta(hours=hours)
    assert offer_of(Control(name=name, value=value, until=until), NOW) == offer


def test_a_line_is_renewed_a_few_times_a_day_unless_a_person_withdrew_it() -> None:
    line = renewed(None, BRAZIL, NOW, "host-a")
    assert line is not None
    assert (line.name, line.until) == ("offers region:br", NOW + timedelta(hours=24))
    assert renewed(line, BRAZIL, NOW + timedelta(hours=5), "host-b") is None
    assert renewed(line, BRAZIL, NOW + timedelta(hours=6), "host-b") is not None
    assert renewed(replace(line, value="off"), BRAZIL, NOW + timedelta(hours=30), "host-b") is None
    assert line in cooldown.shown([line])


# --- what is needed --------------------------------------------------------------------------------------------------


@given(need=needs, text=st.text(max_size=400), throttles=st.integers(0, 999), state=st.sampled_from(State))
def test_a_need_survives_in_the_detail_beside_the_throttle_count(
    need: Need, text: str, throttles: int, state: State
) -> None:
    detail = with_throttles(with_need(f"region: {text}", need), throttles)
    lease = Lease(state=state, detail=detail, nonce="n")
    assert len(detail) <= DETAIL_MAX_CHARACTERS
    assert need_of(lease) == (NO_NEED if state is State.DONE else need)
    assert lease.throttles == (0 if state is State.DONE else throttles)
    other = replace(lease, detail=with_need(detail, NO_NEED))
    assert (need_of(other), other.throttles) == (NO_NEED, lease.throttles)
    assert is_wait(need.not_before)


@pytest.mark.parametrize("text", ["(waits for account)", "it (waits for region:BR; not in DE) (throttled 3 times)"])
def test_the_words_of_an_error_are_no_need(text: str) -> None:
    held = lifecycle.claim(new_video(1), AT, "a/1", POLICY)
    row = lifecycle.fail(held, AT, Failure(verdict=Verdict.RETRY, reason="error", message=text), POLICY)
    assert (need_of(row.lease), row.lease.throttles) == (NO_NEED, 0)


@given(need=needs, offer=st.builds(Offer, regions=codes.map(frozenset), account=st.booleans()))
def test_only_a_suitable_machine_may_claim_what_waits(need: Need, offer: Offer) -> None:
    lease = Lease(detail=with_need("region: no", need), not_before=need.not_before if need else None, nonce="n")
    row = new_video(1, lease=lease)
    suits = (offer.account or not need.account) and (not need.waits_for or bool(need.suitable(offer.regions)))
    assert lifecycle.is_due(row, NOW, offer) is suits is need.is_met_by(offer)
    assert lifecycle.lacks_machine(row, NOW, offer) is False or not need


@pytest.mark.parametrize(
    ("available", "need"),
    [
        ((), "waits for region:BR or region:PT"),
        (("PT", "AO"), "waits for region:PT; only in AO PT"),
        (tuple(COUNTRIES - {"BR", "DE"}), "waits for region:PT; not in BR DE"),
        (tuple(sorted(COUNTRIES - {"BR"})[:200]), "waits for region:PT; only in PT"),
        (("JP", "KR"), "only in JP KR"),
    ],
)
def test_the_countries_that_youtube_names_decide(available: tuple[str, ...], need: str) -> None:
    new = Offers(all=[BRAZIL, PORTUGAL, ACCOUNT]).need_after(NO_NEED, replace(REGION, regions=available))
    assert with_need("region: no", new) == f"region: no ({need})"


@given(st.lists(st.sampled_from(["BR", "PT", "AO", "account"]), max_size=12))
def test_nothing_is_tried_for_ever(cures: list[str]) -> None:
    """Whatever fails where, a row is given up once each machine has had its turn."""
    offers = [parse_offer(["account"]), *(parse_offer([f"region:{code}", "account"]) for code in ("BR", "PT", "AO"))]
    row = new_video(1)
    for turn in range(20):
        able = [offer for offer in offers if lifecycle.is_due(row, NOW, offer)]
        if row.lease.state is not State.PENDING:
            break
        own = able[turn % len(able)]
        reason = "needs-account" if (cures or ["BR"])[turn % max(len(cures), 1)] == "account" else "region"
        held = lifecycle.claim(row, AT, "a/1", POLICY, own)
        failure = Failure(verdict=Verdict.PERMANENT, reason=reason)
        row = lifecycle.fail(held, AT, failure, POLICY, offers=Offers(own=own, all=offers))
    assert row.lease.state is State.DEAD


def test_a_source_waits_as_a_video_does() -> None:
    held = lifecycle.claim(new_source(1), AT, "a/1", POLICY)
    row = lifecycle.fail(held, AT, REGION, POLICY, offers=Offers(all=[BRAZIL]))
    assert waits(row.lease)
    assert lifecycle.reconsider(row, AT, Offers(all=[PORTUGAL])).last_error.endswith("(waits for region:PT)")
    assert lifecycle.reconsider(row, AT, Offers()).lease.state is State.ERROR
