"""`ydc doctor`: every problem is one line with what to do, and a guarantee that does not hold is found and remembered."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest

from tests.support.sheets_setting import Setting, findings, names_of, problems
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.operations.examine import Check, examine
from youtube_download_coordinator.queue.store import SOURCES
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.stores.sheets.setup.prepare import init_spreadsheet

Json = dict[str, Any]
PROMISES = 10


# --- all is well -----------------------------------------------------------------------------------------------------


def test_a_spreadsheet_that_is_ready_passes_every_check(here: Setting) -> None:
    init_spreadsheet(here.config())

    found = findings(here)

    assert [finding for finding in found if not finding.ok] == []
    assert names_of(found) == ["credentials", "sharing", "editing", "clock", "tabs", "room", "rows", "guarantees"]
    assert sum(finding.name == "guarantees" for finding in found) == PROMISES
    assert here.account.email in found[0].text


def test_a_check_by_one_account_stays_well_within_the_quota_of_a_minute(here: Setting) -> None:
    init_spreadsheet(here.config())
    since = here.simulator.stats()["last"]
    findings(here)
    seen = here.simulator.stats(since)
    assert seen["reads"] <= 56
    assert seen["writes"] <= 56


def test_a_quota_that_is_used_up_is_waited_for_and_blames_nothing(here: Setting) -> None:
    init_spreadsheet(here.config())
    here.simulator.quota.set(per_user=20, per_project=None, minute_seconds=2)
    assert problems(here, sheets_patience_seconds=60) == {}
    assert here.simulator.quota.denied


def test_workers_may_go_on_while_it_runs(here: Setting) -> None:
    store = SheetsStore(here.config())
    assert problems(here) == {}
    assert store.scan(SOURCES) == []
    store.close()


# --- credentials and sharing -----------------------------------------------------------------------------------------


def test_no_credentials_file(here: Setting) -> None:
    found = findings(here, credentials_file="nowhere.json")
    assert [(each.name, each.ok) for each in found] == [("credentials", False)]
    assert "'nowhere.json' does not exist; it is the JSON key of a service account" in found[0].text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("\x00\xff", "cannot be read as JSON"),
        ("[]", "not the key of a service account; create one"),
        ('{"installed": {"client_secret": "SECRET"}}', "not the key of a service account; create one"),
        ('{"type": "authorized_user", "refresh_token": "SECRET"}', "not the key of a service account; create one"),
        ('{"type": "service_account", "private_key": "SECRET"}', "not the JSON key of a service account"),
        (
            '{"type": "service_account", "private_key": "SECRET", "client_email": "a@b", "token_uri": "http://x"}',
            "not the JSON key of a service account",
        ),
    ],
)
def test_a_file_that_is_no_key_is_said_without_its_contents(here: Setting, content: str, said: str) -> None:
    path = here.folder / "other.json"
    path.write_text(content, encoding="latin-1")
    text = problems(here, credentials_file=path)["credentials"]
    assert said in text
    assert "SECRET" not in text
    value = problems(here, service_account=path.read_text(encoding="utf-8", errors="replace"))["credentials"]
    assert said in value
    assert "SECRET" not in value


def test_a_key_that_is_no_file(here: Setting) -> None:
    """It goes before the file, and nothing shows it."""
    init_spreadsheet(here.config())
    key = here.key_file.read_text()
    for given in (key, json.loads(key)):
        assert problems(here, service_account=given, credentials_file="nowhere.json") == {}
        assert json.loads(key)["private_key"].splitlines()[1] not in repr(here.config(service_account=given))


def test_credentials_of_the_environment(here: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(here.key_file))
    init_spreadsheet(here.config())
    assert problems(here, credentials_file=None) == {}

    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "nowhere.json")
    text = problems(here, credentials_file=None)["credentials"]
    assert "GOOGLE_APPLICATION_CREDENTIALS='nowhere.json' does not exist" in text


def test_no_credentials_at_all(here: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(here.folder))
    text = problems(here, credentials_file=None)["credentials"]
    assert "set credentials_file or GOOGLE_APPLICATION_CREDENTIALS" in text


def test_a_key_that_google_does_not_know(here: Setting) -> None:
    key_info = here.account.key_info(here.simulator.token_uri) | {"client_email": "gone@nowhere.example"}
    here.key_file.write_text(json.dumps(key_info))
    assert "Google does not accept the credentials" in problems(here)["sharing"]


def test_the_api_is_not_enabled(here: Setting) -> None:
    here.simulator.enabled = False
    found = problems(here)
    assert list(found) == ["sharing"]
    assert "the Google Sheets API is not enabled" in found["sharing"]
    assert "https://console.developers.google.com/apis/api/sheets.googleapis.com" in found["sharing"]


def test_a_spreadsheet_that_is_not_there_names_the_account(here: Setting) -> None:
    text = problems(here, spreadsheet_id="1nowhere")["sharing"]
    assert "the spreadsheet 1nowhere was not found" in text
    assert f"share it with {here.account.email}" in text


def test_a_spreadsheet_that_is_not_shared_names_the_account(here: Setting) -> None:
    here.book.share(here.account.email, "nobody")
    assert f"is not shared with {here.account.email} as an editor" in problems(here)["sharing"]


def test_a_spreadsheet_that_may_only_be_read(here: Setting) -> None:
    here.book.share(here.account.email, "reader")
    found = findings(here)
    bad = {finding.name: finding.text for finding in found if not finding.ok}
    assert f"can be read, but not edited: share it with {here.account.email} as Editor" in bad["editing"]
    assert "run `ydc init`" in bad["tabs"]
    assert names_of(found) == ["credentials", "sharing", "editing", "clock", "tabs"]


def test_a_tab_that_is_protected_against_the_workers(here: Setting) -> None:
    init_spreadsheet(here.config())
    locked = {"protectedRangeId": 7, "range": {"sheetId": here.book.tab("Sources").sheet_id}}
    here.book.tab("Sources").protected_ranges.append(locked)
    assert "may not edit parts of 'Sources'" in problems(here)["editing"]


def test_google_does_not_answer(here: Setting) -> None:
    here.simulator.faults.add("status", status=503, times=None)
    assert "503" in problems(here, sheets_patience_seconds=0)["sharing"]


def test_what_google_auth_looks_up_in_vain_is_kept_off_the_terminal_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    urllib3 = logging.getLogger("urllib3.connectionpool")
    caplog.set_level("WARNING", "urllib3")  # yt-dlp, if another test has used it here, lets only errors through
    told = "Retrying (%r) after connection broken by '%r': %s"
    urllib3.warning(
        told, 2, "timeout", "/v1/projects/-/serviceAccounts/worker@x.iam.gserviceaccount.com/allowedLocations"
    )
    urllib3.warning(told, 2, "timeout", "/token")
    assert [record.getMessage() for record in caplog.records] == [told % (2, "timeout", "/token")]


# --- tabs, clock -----------------------------------------------------------------------------------------------------


def test_missing_tabs_and_columns_are_named_and_the_guarantees_proved_all_the_same(here: Setting) -> None:
    here.new_book({"Sources": [["ID", "URL"]]})
    found = findings(here)
    (bad,) = [finding for finding in found if not finding.ok]
    assert "there is no tab 'Video Tasks', 'Dead-Letter Queue', 'Control'" in bad.text
    assert "the tab 'Sources' lacks Status, ClaimedBy" in bad.text
    assert bad.text.endswith("run `ydc init`")
    assert sum(finding.name == "guarantees" for finding in found) == PROMISES
    assert [sheet.title for sheet in here.book.contents.sheets] == ["Sources"]


def test_own_columns_that_the_dead_letters_would_lose(here: Setting) -> None:
    init_spreadsheet(here.config())
    sheet = here.book.tab("Video Tasks")
    with here.book.edit() as draft:
        grown = draft.titled("Video Tasks")
        assert grown
        draft.insert(grown, "COLUMNS", sheet.columns, 1, inherit_from_before=True)
        grown.values.put(0, grown.columns - 1, "Gender")
    assert "your own columns Gender are not in the dead letters" in problems(here)["tabs"]
    init_spreadsheet(here.config())
    assert problems(here) == {}


def test_a_column_that_is_there_twice(here: Setting) -> None:
    here.new_book({"Sources": [["URL", "Status", "URL"]]})
    assert "two columns are named URL, A and C of the tab 'Sources'" in problems(here)["tabs"]


@pytest.mark.parametrize(("offset_seconds", "said"), [(-21600, "ahead of"), (21600, "behind")])
def test_a_clock_that_is_hours_off_is_said_and_is_no_problem(here: Setting, offset_seconds: float, said: str) -> None:
    init_spreadsheet(here.config())
    here.simulator.clock.offset_seconds = offset_seconds
    found = {finding.name: finding for finding in findings(here)}
    assert found["clock"].ok
    assert re.search(rf"this machine's is 21\d\d\d s {said} Google's; this is harmless", found["clock"].text)


# --- the list --------------------------------------------------------------------------------------------------------


def test_a_check_that_fails_stops_only_those_that_need_it() -> None:
    def fails() -> str:
        raise StoreUnavailable("in\ntwo lines")

    checks = [
        Check("a", fails),
        Check("b", lambda: "well", needs="a"),
        Check("c", lambda: "well", needs="b"),
        Check("d", lambda: [(True, "one"), (False, "two")]),
        Check("e", lambda: "well", needs="d"),
        Check("f", lambda: "well"),
        Check("g", fails, stops=False),
    ]
    assert [str(finding) for finding in examine(checks)] == [
        "PROBLEM  a: in two lines",
        "ok       d: one",
        "PROBLEM  d: two",
        "ok       f: well",
        "warning  g: in two lines",
    ]


# --- from a terminal -------------------------------------------------------------------------------------------------


def test_ydc_doctor_tells_all_problems_at_once(here: Setting) -> None:
    here.book.share(here.account.email, "reader")
    done = here.run("doctor")
    assert (done.returncode, done.stderr) == (1, "")
    told = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert {"PROBLEM  editing", "PROBLEM  tabs", "ok       clock", "ok       JavaScript"} <= set(told)


def test_ydc_doctor_without_a_spreadsheet_opens_the_database(here: Setting) -> None:
    done = here.run("doctor", spreadsheet_id=None)
    assert "which is empty, although YDC_CREDENTIALS_FILE is set: set YDC_SPREADSHEET_ID too" in done.stderr
    assert "ok       database: sqlite opens (no spreadsheet_id is set)" in done.stdout

    done = here.run("doctor", spreadsheet_id=None, database_url="sqlite:////nowhere/at/all.db")
    assert (done.returncode, done.stderr) == (1, "")
    assert "PROBLEM  database: " in done.stdout
