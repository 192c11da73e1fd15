"""Rivals at the same time: a Google that does not apply batches one after the other is found, and a sound one is not blamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doctor_power import WEAKNESSES, examine
from tests.support.sheets_setting import Setting, control_line, google, nothing_is_left, problems
from youtube_download_coordinator.stores.sheets.setup.guarantees import ProofResult
from youtube_download_coordinator.stores.sheets.setup.prepare import init_spreadsheet


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Setting]:
    with google(tmp_path) as setting:
        yield setting


@pytest.mark.parametrize(
    ("weakness", "guarantee", "outcome"),
    [
        ({"stale_tokens_seconds": 0.03}, "one token", ProofResult.FAILS),
        ({"stale_swaps_seconds": 0.03}, "one winner", ProofResult.FAILS),
        ({"colliding_swaps": 1.0}, "one winner", ProofResult.FAILS),
        ({"merged_appends_seconds": 0.03}, "appends", ProofResult.NOTED),
    ],
)
def test_a_weakness_that_only_rivals_can_see_is_found(
    here: Setting, weakness: dict[str, float], guarantee: str, outcome: ProofResult
) -> None:
    thorough = guarantee == "appends"
    proofs = {proof.name: proof for proof in examine(here.config(), here.simulator, weakness, 1, thorough=thorough)}
    assert proofs[guarantee].outcome is outcome
    others = {name for name, proof in proofs.items() if proof.outcome is not ProofResult.HOLDS}
    assert others == {guarantee}
    assert nothing_is_left(here)


def test_a_sound_google_passes_the_thorough_test(here: Setting) -> None:
    since = here.simulator.stats()["last"]
    proofs = examine(here.config(), here.simulator, WEAKNESSES["nothing"], 1, thorough=True)
    assert [proof.name for proof in proofs if proof.outcome is not ProofResult.HOLDS] == []
    assert here.simulator.stats(since)["writes"] < 240


def test_a_token_that_is_validated_late_stops_the_fleet(here: Setting) -> None:
    init_spreadsheet(here.config())
    here.simulator.weaknesses.stale_tokens_seconds = 0.03
    assert "does NOT hold" in problems(here)["guarantees"]
    assert control_line(here)[1] == "failed: one token"


def test_an_ordinary_doctor_fits_into_a_minute_of_googles_quota(here: Setting) -> None:
    here.simulator.quota.set()
    here.simulator.quota.minute_seconds = 600.0
    assert problems(here) == {}
    assert here.simulator.quota.denied == 0
