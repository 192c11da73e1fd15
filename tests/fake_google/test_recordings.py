"""The simulated API against recorded answers of the real one.

The recordings are other people's and not part of this repository. They are looked for beside it, in `../shared`, or where
YDC_TEST_SHARED says; the test is skipped when they are not there.
"""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.fake_google.replaying import Agreement, replay

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("YDC_TEST_SHARED") or ROOT.parent / "shared")
RECORDINGS = SHARED / "sheets-recordings" / "recordings.tar.xz"


@pytest.mark.slow
@pytest.mark.parametrize(("project", "least"), [("gspread", 1400), ("pandas", 280)])
def test_answers_agree_with_recordings_of_the_real_api(
    tmp_path: Path, project: str, least: int, record_property: object
) -> None:
    if not RECORDINGS.exists():
        pytest.skip(f"recordings of the real API are not here ({RECORDINGS}); YDC_TEST_SHARED may say where they are")
    with tarfile.open(RECORDINGS) as archive:
        archive.extractall(tmp_path, filter="data")

    agreement = replay(tmp_path / project)

    print(f"{project}: {agreement}")
    assert agreement.compared >= least
    assert not agreement.unsupported
    assert agreement.percent >= 98, agreement.differences[:20]


def cassette(folder: Path, answer: dict[str, object]) -> Agreement:
    """Replay one recorded read of a new spreadsheet."""
    made = {"id": "x" * 40, "name": "Test", "mimeType": "application/vnd.google-apps.spreadsheet"}
    turns = [
        ("POST", "https://www.googleapis.com/drive/v3/files", json.dumps(made)),
        ("GET", f"https://sheets.googleapis.com/v4/spreadsheets/{'x' * 40}/values/A1:B2", json.dumps(answer)),
    ]
    interactions = [
        {
            "request": {"method": method, "uri": url, "body": None},
            "response": {"status": {"code": 200}, "body": {"string": text}},
        }
        for method, url, text in turns
    ]
    (folder / "one.json").write_text(json.dumps({"interactions": interactions}), encoding="utf-8")
    return replay(folder)


def test_an_answer_that_differs_is_counted_and_named(tmp_path: Path) -> None:
    agreeing = cassette(tmp_path, {"range": "Sheet1!A1:B2", "majorDimension": "ROWS"})
    differing = cassette(tmp_path, {"range": "Sheet1!A1:B2", "majorDimension": "ROWS", "values": [["1"]]})
    assert (agreeing.compared, agreeing.percent) == (1, 100)
    assert (differing.compared, differing.percent) == (1, 0)
    assert differing.differences == ["one: values: [['1']], not None"]
