"""Rivals at the same time: a Google that does not apply batches one after the other is found, and a sound one is not blamed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fake_google import ApiError, methods
from tests.fake_google.replaying import replay
from tests.support.doctor_power import WEAKNESSES, examine
from tests.support.sheets_setting import Setting, control_line, nothing_is_left, problems
from youtube_download_coordinator.stores.sheets.api import Connection, Refused
from youtube_download_coordinator.stores.sheets.setup.guarantees import ProofResult
from youtube_download_coordinator.stores.sheets.setup.prepare import init_spreadsheet


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
    assert others - {"drafts"} == {guarantee}  # drafts are settled by swaps: those may collide too
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


# --- recordings -------------------------------------------------------------------------------------------------------


def test_a_recording_has_no_secrets_and_can_be_replayed(here: Setting, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    done = here.run("doctor", "--record", str(folder))
    assert "does NOT hold" not in done.stdout, done.stdout
    (path,) = folder.iterdir()

    text = path.read_text(encoding="utf-8")
    secrets = [here.account.email, here.book.spreadsheet_id, "Bearer", "Authorization", "access_token", "PRIVATE KEY"]
    assert [secret for secret in secrets if secret in text] == []
    agreement = replay(folder)
    assert agreement.differences == []
    assert agreement.compared > 50
    assert nothing_is_left(here)


def test_a_folder_that_cannot_be_written_is_named(here: Setting, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = here.run("doctor", "--record", str(tmp_path / "file" / "folder"))
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM  guarantees")]
    assert "could not be written" in line
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("details", "text"),
    [
        (
            [{"fieldViolations": [{"description": "Invalid value at 'x'"}]}],
            "Request contains an invalid argument. Invalid value at 'x'",
        ),
        ([{"reason": "X"}], "Request contains an invalid argument."),
        ([], "Request contains an invalid argument."),
    ],
)
def test_a_refusal_is_shown_with_its_details(
    here: Setting, monkeypatch: pytest.MonkeyPatch, details: list[Any], text: str
) -> None:
    def refuse(_draft: object, _request: object) -> None:
        raise ApiError(400, "INVALID_ARGUMENT", "Request contains an invalid argument.", details)

    monkeypatch.setitem(methods.METHODS, "sheets.spreadsheets.batchUpdate", refuse)
    with closing(Connection(here.config())) as connection, pytest.raises(Refused) as refused:
        connection.write([{"addSheet": {}}])
    assert str(refused.value) == text
