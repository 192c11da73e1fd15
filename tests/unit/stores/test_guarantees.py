"""The guarantees that claims need: if one is missing, `ydc doctor` and every machine find it, and clean up."""

from __future__ import annotations

import copy
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fake_google import ApiError, methods, requests, requests_cells, requests_objects, resource
from tests.fake_google.grid import Contents
from tests.fake_google.requests import apply_requests
from tests.support.rows import make_queue
from tests.support.sheet import a_video
from tests.support.sheets_setting import Setting, control_line, findings, nothing_is_left, problems
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.operations.doctor import repeat_proof
from youtube_download_coordinator.operations.examine import Finding
from youtube_download_coordinator.queue import Claim
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.stores.sheets.guarantee_line import is_proof_due
from youtube_download_coordinator.stores.sheets.setup import guarantees
from youtube_download_coordinator.stores.sheets.setup.checks import SpreadsheetChecks
from youtube_download_coordinator.stores.sheets.setup.prepare import init_spreadsheet
from youtube_download_coordinator.stores.sheets.snapshot import ControlSnapshot

Json = dict[str, Any]


def add_and_claim(here: Setting) -> list[Claim[VideoTask]]:
    """Add a video and claim it, as a worker that has just started."""
    with closing(SheetsStore(here.config())) as store:
        queue = make_queue(store)
        queue.add(VIDEO_TASKS, [a_video(1)])
        return queue.claim(VIDEO_TASKS, 1)


def test_the_scratch_tab_and_its_named_ranges_are_removed_and_nothing_else_changes(here: Setting) -> None:
    init_spreadsheet(here.config())
    before = {sheet.title: here.book.rows(sheet.title) for sheet in here.book.contents.sheets}

    findings(here)

    after = {sheet.title: here.book.rows(sheet.title) for sheet in here.book.contents.sheets}
    assert control_line(here)[:2] == ["guarantees", "ok"]
    assert here.book.spreadsheet_id in control_line(here)[3]
    after["Control"] = [row for row in after["Control"] if row[:1] != ["guarantees"]]
    assert after == before
    assert nothing_is_left(here)


def test_the_result_has_one_line_however_often_it_is_asked_for(here: Setting) -> None:
    init_spreadsheet(here.config())
    for _ in range(3):
        assert problems(here) == {}
    assert Counter(row[0] for row in here.book.rows("Control") if row)["guarantees"] == 1


# --- guarantees that do not hold -------------------------------------------------------------------------------------


def every_rival_wins(break_in: Callable[..., None]) -> None:
    """Report a swap as won if its lease was in the cell a moment ago."""
    real, seen = requests_cells.find_replace, set()

    def find_replace(draft: Contents, request: Json) -> Json:
        answer = real(draft, request)
        if answer["findReplace"]:
            seen.add(request["find"])
        elif request["find"] in seen and "held by" in request["replacement"]:
            return {"findReplace": {"occurrencesChanged": 1}}
        return answer

    break_in(requests.REQUESTS, "findReplace", find_replace)


def no_rival_wins(break_in: Callable[..., None]) -> None:
    real = requests_cells.find_replace

    def find_replace(draft: Contents, request: Json) -> Json:
        answer = real(draft, request)
        return {"findReplace": {}} if "held by" in request["replacement"] else answer

    break_in(requests.REQUESTS, "findReplace", find_replace)


def batches_are_applied_in_part(break_in: Callable[..., None]) -> None:
    """Keep what comes before the bad request."""
    real = methods.METHODS["sheets.spreadsheets.batchUpdate"]

    def batch_update(book: Any, call: Any) -> Json:
        contents = copy.copy(book.contents)
        for request in call.body["requests"]:
            draft = contents.copy()
            try:
                apply_requests(draft, [request])
            except ApiError:
                book.contents = contents
                break
            contents = draft
        return real(book, call)

    break_in(methods.METHODS, "sheets.spreadsheets.batchUpdate", batch_update)


def ids_may_be_taken_twice(break_in: Callable[..., None]) -> None:
    def add_named_range(draft: Contents, request: Json) -> Json:
        draft.named_ranges.pop(request["namedRange"]["namedRangeId"], None)
        return requests_objects.add_named_range(draft, request)

    break_in(requests.REQUESTS, "addNamedRange", add_named_range)


def missing_ids_may_be_deleted(break_in: Callable[..., None]) -> None:
    def delete_named_range(draft: Contents, request: Json) -> Json:
        draft.named_ranges.pop(request["namedRangeId"], None)
        return {}

    break_in(requests.REQUESTS, "deleteNamedRange", delete_named_range)


def hidden_columns_are_passed_over(break_in: Callable[..., None]) -> None:
    def find_replace(draft: Contents, request: Json) -> Json:
        area = request.get("range", {})
        sheet = draft.sheet(area["sheetId"]) if area else draft.sheets[0]
        column = sheet.dimensions["COLUMNS"].get(area.get("startColumnIndex", 0), 0) or {}
        if column.get("hiddenByUser"):
            return {"findReplace": {}}
        return requests_cells.find_replace(draft, request)

    break_in(requests.REQUESTS, "findReplace", find_replace)


def filtered_lines_are_passed_over(break_in: Callable[..., None]) -> None:
    real = requests_cells._replace_in_column

    def replace_in_column(draft: Any, sheet: Any, area: Any, column: int, search: Any, counts: Any) -> list[int]:
        hidden = {
            row: sheet.values.get(row, column) for row in range(1, sheet.values.height) if sheet.hidden_by_filter(row)
        }
        for row in hidden:
            sheet.values.put(row, column, None)
        changed = real(draft, sheet, area, column, search, counts)
        for row, value in hidden.items():
            sheet.values.put(row, column, value)
        return changed

    break_in(requests_cells, "_replace_in_column", replace_in_column)


def a_single_cell_is_replaced_unseen(break_in: Callable[..., None]) -> None:
    def find_replace(draft: Contents, request: Json) -> Json:
        area = request.get("range", {})
        if area.get("endRowIndex") == area.get("startRowIndex", 0) + 1:
            sheet = draft.sheet(area["sheetId"])
            sheet.values.put(area["startRowIndex"], area["startColumnIndex"], request["replacement"])
            return {"findReplace": {"occurrencesChanged": 1}}
        return requests_cells.find_replace(draft, request)

    break_in(requests.REQUESTS, "findReplace", find_replace)


def replacements_are_changed(break_in: Callable[..., None]) -> None:
    """Break findReplace: treat $1 as a group of a regular expression."""

    def find_replace(draft: Contents, request: Json) -> Json:
        changed = {**request, "replacement": request["replacement"].replace("$1", "")}
        return requests_cells.find_replace(draft, changed)

    break_in(requests.REQUESTS, "findReplace", find_replace)


def letter_case_is_ignored(break_in: Callable[..., None]) -> None:
    def find_replace(draft: Contents, request: Json) -> Json:
        return requests_cells.find_replace(draft, {**request, "matchCase": False})

    break_in(requests.REQUESTS, "findReplace", find_replace)


def patterns_are_taken_literally(break_in: Callable[..., None]) -> None:
    def find_replace(draft: Contents, request: Json) -> Json:
        return requests_cells.find_replace(draft, {**request, "searchByRegex": False})

    break_in(requests.REQUESTS, "findReplace", find_replace)


def patterns_match_parts_of_cells(break_in: Callable[..., None]) -> None:
    def find_replace(draft: Contents, request: Json) -> Json:
        entire = request.get("matchEntireCell", False) and not request.get("searchByRegex", False)
        return requests_cells.find_replace(draft, {**request, "matchEntireCell": entire})

    break_in(requests.REQUESTS, "findReplace", find_replace)


def answers_do_not_count(break_in: Callable[..., None]) -> None:
    def find_replace(draft: Contents, request: Json) -> Json:
        answer = requests_cells.find_replace(draft, request)["findReplace"]
        return {"findReplace": {"occurrencesChanged": 1} if answer else {}}

    break_in(requests.REQUESTS, "findReplace", find_replace)


def answers_show_the_cells_before(break_in: Callable[..., None]) -> None:
    real = resource.spreadsheet_resource

    def spreadsheet_resource(book: Any, contents: Any, ranges: Any, grid_mask: Any, account: Any) -> Json:
        return real(book, book.contents, ranges, grid_mask, account)

    break_in(methods, "spreadsheet_resource", spreadsheet_resource)


@pytest.mark.parametrize(
    ("break_it", "name"),
    [
        (every_rival_wins, "one winner"),
        (no_rival_wins, "one winner"),
        (batches_are_applied_in_part, "all or nothing"),
        (ids_may_be_taken_twice, "tokens"),
        (missing_ids_may_be_deleted, "tokens"),
        (hidden_columns_are_passed_over, "hidden cells"),
        (filtered_lines_are_passed_over, "hidden cells"),
        (a_single_cell_is_replaced_unseen, "single cell"),
        (replacements_are_changed, "plain text"),
        (letter_case_is_ignored, "plain text"),
        (patterns_are_taken_literally, "drafts"),
        (patterns_match_parts_of_cells, "drafts"),
        (answers_do_not_count, "answers"),
        (answers_show_the_cells_before, "answers"),
    ],
)
def test_a_guarantee_that_does_not_hold_is_found_and_no_store_starts(
    here: Setting, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[Callable[..., None]], None], name: str
) -> None:
    init_spreadsheet(here.config())

    def break_in(place: Any, what: str, new: Any) -> None:
        (broken.setitem if isinstance(place, dict) else broken.setattr)(place, what, new)

    with monkeypatch.context() as broken:
        break_it(break_in)
        text = problems(here)["guarantees"]
    assert "this does NOT hold" in text
    assert name in control_line(here)[1]
    assert control_line(here)[1].startswith("failed: ")
    assert nothing_is_left(here)
    with pytest.raises(ConfigError, match=f"claiming is not safe on this spreadsheet.*{name}"):
        add_and_claim(here)

    assert problems(here) == {}  # Google has fixed it
    assert control_line(here)[1] == "ok"
    assert len(add_and_claim(here)) == 1


def test_where_nothing_is_ready_the_control_tab_is_made_to_remember_it(
    here: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        letter_case_is_ignored(broken.setitem)
        findings(here)
    assert control_line(here)[1] == "failed: plain text"
    with pytest.raises(ConfigError, match="plain text"):
        add_and_claim(here)
    init_spreadsheet(here.config())
    assert control_line(here)[1] == "failed: plain text"


def test_every_worker_that_starts_sees_it_with_no_request_more(here: Setting) -> None:
    SheetsStore(here.config()).close()
    since = here.simulator.stats()["last"]
    SheetsStore(here.config()).close()
    assert here.simulator.stats(since)["requests"] == 2


def test_what_could_not_be_tried_is_said_and_changes_no_result(here: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    init_spreadsheet(here.config())
    assert problems(here) == {}
    before = control_line(here)
    with monkeypatch.context() as broken:
        broken.setitem(requests.REQUESTS, "setBasicFilter", lambda draft, request: {})
        text = problems(here)["guarantees"]
    assert "not tested, run" in text
    assert control_line(here) == before


# --- once a month ----------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
PROVED = "ydc doctor, {}, on abc"


@pytest.mark.parametrize(
    ("value", "reason", "is_due"),
    [
        ("ok", PROVED.format("2026-11-28T12:00:00Z"), False),
        ("ok", PROVED.format("2026-10-30T12:00:01Z"), False),
        ("ok", PROVED.format("2026-10-30T12:00:00Z"), True),
        (
            "ok",
            PROVED.format("2026-11-28T12:00:00Z").replace("abc", "the spreadsheet that this one is a copy of"),
            True,
        ),
        ("ok", "typed by hand", True),
        ("", "", False),
        ("failed: one winner", PROVED.format("2026-09-01T12:00:00Z"), False),
        ("ok", PROVED.format("2026-09-01T12:00:00Z") + "; tried 2026-11-29T11:00:00Z", False),
        ("ok", PROVED.format("2026-09-01T12:00:00Z") + "; tried 2026-11-28T11:00:00Z", True),
    ],
)
def test_a_proof_is_repeated_after_a_month(value: str, reason: str, *, is_due: bool) -> None:
    control = [["Name", "Value", "Until", "Reason"], ["Fleet", "", "", ""], ["guarantees", value, "", reason]]
    snapshot = ControlSnapshot(lambda: 0.0)
    snapshot.load(control, 0.0)
    assert is_proof_due(snapshot, "abc", NOW) is is_due


def test_the_monthly_proof_is_made_once_and_one_that_cannot_be_made_waits_a_day(
    here: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_spreadsheet(here.config())
    assert repeat(here) == [], "nobody has run `ydc doctor` yet"
    assert problems(here) == {}
    assert repeat(here) == []
    age_proof(here)
    with monkeypatch.context() as broken:
        broken.setitem(requests.REQUESTS, "setBasicFilter", lambda draft, request: {})
        assert [finding.ok for finding in repeat(here)].count(False) == 1
        assert "2026-01-01T00:00:00Z" in control_line(here)[3]
        assert "; tried 20" in control_line(here)[3]
        assert repeat(here) == []
    age_proof(here)
    assert {finding.ok for finding in repeat(here)} == {True}
    assert (control_line(here)[1], "2026-01-01" in control_line(here)[3]) == ("ok", False)
    assert repeat(here) == []


def repeat(here: Setting) -> list[Finding]:
    """Do what recover-stalled does."""
    with closing(SheetsStore(here.config())) as store:
        return repeat_proof(here.config(), store)


def age_proof(here: Setting) -> None:
    with here.book.edit() as draft:
        sheet = draft.titled("Control")
        assert sheet is not None
        row = next(at for at, line in enumerate(here.book.rows("Control")) if line[:1] == ["guarantees"])
        sheet.values.put(row, 3, f"ydc doctor, 2026-01-01T00:00:00Z, on {here.book.spreadsheet_id}")


# --- nothing is left behind ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skip", range(0, 45, 4))
def test_a_request_that_fails_at_any_point_leaves_nothing_behind_and_blames_no_guarantee(
    here: Setting, skip: int
) -> None:
    here.simulator.faults.add("apply_then_reset", path="batchUpdate", skip=skip)
    found = problems(here)
    assert "NOT hold" not in found.get("guarantees", "")
    assert here.book.contents.titled("Control") is None
    assert nothing_is_left(here)


def test_an_interruption_leaves_nothing_behind(here: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(scratch: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(guarantees, "ALL", (*guarantees.ALL[:3], guarantees.Guarantee("x", "y", interrupted)))
    checkup = SpreadsheetChecks(here.config())
    with pytest.raises(KeyboardInterrupt):
        list(checkup.guarantees())
    checkup.close()
    assert nothing_is_left(here)


def test_a_tab_that_cannot_be_removed_is_named(here: Setting) -> None:
    here.simulator.faults.add("status", body="deleteSheet", status=400, times=None)
    assert "could not be removed" in problems(here)["guarantees"]
    assert "delete it by hand" in problems(here)["guarantees"]


def test_what_a_killed_doctor_left_is_removed_by_the_next_an_hour_later(here: Setting) -> None:
    fault = here.simulator.faults.add("status", body="deleteSheet", status=400, times=None)
    findings(here)
    assert not nothing_is_left(here)
    here.simulator.faults.clear()
    assert fault.fired

    findings(here)
    assert not nothing_is_left(here)  # another doctor may be at work there
    here.simulator.clock.offset_seconds = 3700
    here.simulator.accounts.revoke_all()
    findings(here)
    assert nothing_is_left(here)


# --- from a terminal --------------------------------------------------------------------------------------------------


def test_ydc_doctor_and_a_worker_on_a_spreadsheet_that_fails(here: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    init_spreadsheet(here.config())
    with monkeypatch.context() as broken:
        ids_may_be_taken_twice(broken.setitem)
        done = here.run("doctor")
    assert done.stderr == ""
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM  guarantees")]
    assert "does NOT hold" in line

    refused = here.run("add", "https://youtu.be/v0000000001")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("ydc: claiming is not safe on this spreadsheet")


def test_ydc_doctor_that_is_interrupted_removes_its_tab(here: Setting) -> None:
    reached = threading.Event()

    def in_the_middle(method: str, path: str, body: bytes) -> bool:
        if b"held by" in body:
            reached.set()
        return b"held by" in body

    fault = here.simulator.faults.add("slow", predicate=in_the_middle)
    with subprocess.Popen(
        **here.command("doctor"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert reached.wait(60)
        process.send_signal(signal.SIGINT)
        fault.release.set()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert nothing_is_left(here)
