"""Secrets: none in a command line, in what an error says, or in what is told with --debug."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rows import new_video
from tests.support.sample_processors import READY_FOLDER
from tests.unit.cli.test_terminal import ydc
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.workers.run_processor import process_video

SECRET = "hush-hush"


def test_no_secret_of_a_setting_is_in_a_command_line_or_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user of a machine sees the command lines of all; and what a child does not need it is not told."""
    monkeypatch.setenv(READY_FOLDER, str(tmp_path))
    config = Config(
        proxy=f"http://me:{SECRET}@127.0.0.1:9",
        database_url=f"postgresql+psycopg://me:{SECRET}@127.0.0.1:9/queue",
        service_account={"private_key": SECRET},
        yt_dlp_options={"http_headers": {"Referer": SECRET}},
    )
    outcome = process_video("tests.support.sample_processors:notes_what_others_may_see", new_video(1), config)
    assert isinstance(outcome, Done)
    (seen,) = (path.read_text() for path in tmp_path.iterdir() if path.is_file())
    assert "youtube_download_coordinator" in seen
    assert SECRET not in seen


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("YDC_DATABASE_URL", f"postgresql+psycopg://me:{SECRET}@127.0.0.1:9/queue"),
        ("YDC_DATABASE_URL", f"postgresql+psycopg://127.0.0.1:9/queue?user=me&password={SECRET}"),
        ("YDC_DATABASE_URL", f"postgresql+psycopg://me:p@{SECRET}@127.0.0.1:9/queue"),
        ("YDC_DATABASE_URL", f"nosuch://me:{SECRET}@127.0.0.1:9/queue"),
        ("YDC_DATABASE_URL", f"://me:{SECRET}@"),
        ("YDC_PROXY", f"me:{SECRET}@127.0.0.1"),
        ("YDC_SERVICE_ACCOUNT", f'{{"private_key": "{SECRET}"'),
        ("YDC_YT_DLP_OPTIONS", f'{{"http_headers": {{"Cookie": "{SECRET}"}}}}'),
        ("YDC_YT_DLP_OPTIONS", f"{{{SECRET}"),
    ],
)
def test_no_secret_is_in_what_a_command_says_of_it(tmp_path: Path, name: str, value: str) -> None:
    sheet = {"YDC_SPREADSHEET_ID": "1AbC"} if name == "YDC_SERVICE_ACCOUNT" else {}
    code, out, said = ydc(tmp_path, "status", "--debug", more={name: value, **sheet})
    assert code != 0
    assert said
    assert SECRET not in out + said
