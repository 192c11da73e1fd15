"""The simulated Sheets API: quotas, faults, people at the sheet, and the simulator as a process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gspread
import pytest
import requests
from gspread.exceptions import APIError

from tests.fake_google import ManualClock, NoAnswer, Person, Simulator, Spreadsheet
from tests.fake_google.client import SCOPES, Desk, Json, LoopbackClient, OfflineCredentials, desk, swap

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def here() -> Iterator[Desk]:
    with desk(clock=ManualClock()) as opened:
        yield opened


def claim(sheet: gspread.Spreadsheet, find: str = "v1.0 pending", replacement: str = "v1.1 held") -> int:
    answer = sheet.batch_update({"requests": [swap(find, replacement)]})
    return int(answer["replies"][0]["findReplace"].get("occurrencesChanged", 0))


def lease(here: Desk, row: int = 1) -> str:
    return str(here.book.rows("Tasks")[row][1])


# Quotas


def test_sixty_reads_a_minute_per_account_and_then_429_until_the_next_minute(here: Desk) -> None:
    sheet = here.open()
    here.simulator.quota.set(per_user=3)
    for _ in range(3):
        sheet.fetch_sheet_metadata()

    with pytest.raises(APIError) as refused:
        sheet.fetch_sheet_metadata()

    error = refused.value.error
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["message"] == (
        "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute per user' of service "
        "'sheets.googleapis.com' for consumer 'project_number:577600123456'."
    )
    assert error["details"][0]["metadata"]["quota_limit"] == "ReadRequestsPerMinutePerUser"
    assert claim(sheet) == 1  # writes are counted apart
    here.simulator.clock.advance(60)  # type: ignore[attr-defined]
    sheet.fetch_sheet_metadata()
    assert here.simulator.stats()["quota_denied"] == 1


def test_a_project_has_a_quota_over_all_its_accounts(here: Desk) -> None:
    sheets = [here.open(f"worker-{i}") for i in range(2)]
    here.simulator.quota.set(per_user=60, per_project=3)
    for sheet in (*sheets, sheets[0]):
        sheet.fetch_sheet_metadata()

    with pytest.raises(APIError, match="limit 'Read requests per minute' of service"):
        sheets[1].fetch_sheet_metadata()


def test_a_batch_is_one_request_of_the_quota_however_large(here: Desk) -> None:
    sheet = here.open()
    here.simulator.quota.set(per_user=1)

    sheet.batch_update({"requests": [swap(f"v{i}.0 pending", f"v{i}.1 held") for i in (1, 2, 3)]})

    with pytest.raises(APIError, match="Write requests per minute per user"):
        claim(sheet)


# Faults


@pytest.mark.parametrize(("status", "name"), [(429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL"), (503, "UNAVAILABLE")])
def test_an_error_before_anything_is_applied(here: Desk, status: int, name: str) -> None:
    sheet = here.open()
    here.simulator.faults.add("status", path=":batchUpdate", status=status)

    with pytest.raises(APIError) as refused:
        claim(sheet)

    assert (refused.value.code, refused.value.error["status"]) == (status, name)
    assert lease(here) == "v1.0 pending"
    assert claim(sheet) == 1


def test_a_reset_before_anything_is_applied_is_not_repeated_by_gspread(here: Desk) -> None:
    sheet = here.open()
    here.simulator.faults.add("reset", method="POST", times=1)

    with pytest.raises(requests.ConnectionError):
        claim(sheet)

    assert lease(here) == "v1.0 pending"
    assert here.simulator.stats()["writes"] == 1


def test_a_lost_answer_the_change_is_applied_and_the_connection_reset(here: Desk) -> None:
    sheet = here.open()
    here.simulator.faults.add("apply_then_reset", path=":batchUpdate")

    with pytest.raises(requests.ConnectionError):
        claim(sheet)

    assert lease(here) == "v1.1 held"
    assert here.simulator.log[-1].fault == "apply_then_reset"


def test_a_late_change_is_applied_when_it_is_released(here: Desk) -> None:
    sheet = here.open()
    here.simulator.faults.add("apply_late", path=":batchUpdate")
    with pytest.raises(requests.ConnectionError):
        claim(sheet)

    assert (lease(here), here.simulator.faults.late_count) == ("v1.0 pending", 1)
    assert here.simulator.faults.release_late() == 1
    assert lease(here) == "v1.1 held"


def test_a_late_change_is_applied_right_before_a_later_request(here: Desk) -> None:
    sheet = here.open()
    here.simulator.faults.add("apply_late", path=":batchUpdate", after_requests=2)
    with pytest.raises(requests.ConnectionError):
        claim(sheet)

    read = [sheet.values_get("Tasks!B2")["values"][0][0] for _ in range(2)]

    assert read == ["v1.0 pending", "v1.1 held"]


def test_a_late_change_comes_too_late_for_a_swap_that_somebody_else_won(here: Desk) -> None:
    sheet = here.open()
    here.simulator.faults.add("apply_late", path=":batchUpdate")
    with pytest.raises(requests.ConnectionError):
        claim(sheet)

    assert claim(here.open("worker-2"), replacement="v1.1 held by another") == 1
    here.simulator.faults.release_late()
    assert lease(here) == "v1.1 held by another"


def test_a_late_batch_that_is_refused_disturbs_nobody(here: Desk) -> None:
    sheet = here.open()
    here.simulator.faults.add("apply_late", path=":batchUpdate", after_requests=2)
    named = {"namedRangeId": "ydc-1", "name": "ydc_1", "range": {"sheetId": 0}}
    take_token = {"requests": [{"addNamedRange": {"namedRange": named}}, swap("v1.0 pending", "v1.1 held late")]}
    with pytest.raises(requests.ConnectionError):
        sheet.batch_update(take_token)

    sheet.batch_update({"requests": [take_token["requests"][0]]})

    assert sheet.values_get("Tasks!B2")["values"] == [["v1.0 pending"]]
    (refusal,) = here.simulator.faults.late_refusals
    assert refusal.startswith("Invalid requests[0].addNamedRange: Cannot add named range with ID: ydc-1")


def test_a_request_may_hang_until_the_client_gives_up(here: Desk) -> None:
    sheet = here.open(timeout=0.2)
    here.simulator.faults.add("apply_late", path=":batchUpdate", hang=True)

    with pytest.raises(requests.ReadTimeout):
        claim(sheet)

    here.simulator.faults.release_late()
    assert lease(here) == "v1.1 held"


def test_a_slow_answer_beyond_the_clients_timeout_was_applied(here: Desk) -> None:
    sheet = here.open(timeout=0.2)
    fault = here.simulator.faults.add("slow", path=":batchUpdate")

    with pytest.raises(requests.ReadTimeout):
        claim(sheet)

    assert lease(here) == "v1.1 held"
    fault.release.set()


def test_a_slow_answer_comes_when_it_is_let_go(here: Desk) -> None:
    sheet = here.open()
    fault = here.simulator.faults.add("slow", path=":batchUpdate")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(claim, sheet)
        other = here.open("worker-2")  # nobody else has to wait
        fault.release.set()
        assert answer.result() == 1
    assert other.worksheet("Tasks").acell("B2").value == "v1.1 held"


def test_an_answer_that_is_no_json(here: Desk) -> None:
    sheet = here.open()
    here.simulator.faults.add("garbage", path=":batchUpdate")

    with pytest.raises(requests.exceptions.JSONDecodeError):
        claim(sheet)

    assert lease(here) == "v1.1 held"


def test_rules_can_skip_look_into_the_body_and_depend_on_chance(here: Desk) -> None:
    sheet, faults = here.open(), here.simulator.faults
    picky = faults.add("status", body="addNamedRange", times=None)
    second = faults.add("status", predicate=lambda _method, _path, body: b"findReplace" in body, skip=1)
    assert claim(sheet) == 1
    with pytest.raises(APIError):
        claim(sheet)
    assert (picky.fired, second.fired) == (0, 1)

    faults.clear()
    sometimes = faults.add("status", probability=0.5, times=None)
    outcomes = []
    for _ in range(20):
        try:
            sheet.fetch_sheet_metadata()
            outcomes.append(True)
        except APIError:
            outcomes.append(False)
    assert outcomes.count(False) == sometimes.fired
    assert 0 < sometimes.fired < 20


def test_without_sockets_a_fault_is_an_exception() -> None:
    simulator = Simulator(ManualClock())
    account = simulator.accounts.add("worker-1")
    book = simulator.create_spreadsheet({"Tasks": [["ID", "Lease"], ["1", "v1.0 pending"]]}, (account,))
    headers = {"Authorization": f"Bearer {simulator.accounts.token(account, simulator.clock.now())}"}
    body = json.dumps({"requests": [swap("v1.0 pending", "v1.1 held")]}).encode()
    simulator.faults.add("apply_then_reset")

    with pytest.raises(NoAnswer):
        simulator.handle("POST", f"/v4/spreadsheets/{book.spreadsheet_id}:batchUpdate", "", headers, body)

    assert book.rows("Tasks")[1][1] == "v1.1 held"
    assert simulator.log[-1].status == 0


# People


def test_a_person_acts_between_any_two_requests(here: Desk) -> None:
    sheet = here.open()
    seen: list[str] = []

    def sort_first(_simulator: Simulator, method: str, book: Spreadsheet) -> None:
        seen.append(method)
        Person(book).sort("Tasks", "ID", descending=True)

    here.simulator.between_requests = sort_first

    assert claim(sheet, "v3.0 pending", "v3.1 held") == 1
    assert seen == ["sheets.spreadsheets.batchUpdate"]
    assert [row[1] for row in here.book.rows("Tasks")[1:]] == ["v3.1 held", "v2.0 pending", "v1.0 pending"]


def test_what_a_person_can_do(here: Desk) -> None:
    person = Person(here.book)
    person.insert_row("Tasks", 1, {"URL": "https://youtu.be/new"})
    person.duplicate_row("Tasks", 2)
    person.delete_row("Tasks", 5)
    person.edit("Tasks", 1, "Notes", "0012")
    person.move_row("Tasks", 1, 5)
    person.move_column("Tasks", "URL", 0)
    person.insert_column("Tasks", 1, "Gender")
    person.rename_tab("Tasks", "Videos")

    assert here.book.rows("Videos") == [
        ["URL", "Gender", "ID", "Lease", "Notes"],
        ["https://youtu.be/1", "", "1", "v1.0 pending"],
        ["https://youtu.be/1", "", "1", "v1.0 pending"],
        ["https://youtu.be/2", "", "2", "v2.0 pending"],
        ["https://youtu.be/new", "", "", "", 12],
    ]


# A process


@pytest.fixture
def process(tmp_path: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "tests.fake_google",
        "--port",
        "0",
        "--state",
        str(tmp_path),
        "--account",
        "worker-1",
    ]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()
    assert server.returncode == 0


def test_as_a_process_with_a_control_plane(process: str, tmp_path: Path) -> None:
    def kit(verb: str, body: Json | None = None) -> Any:
        ask = requests.get if body is None else requests.post
        answer = ask(f"{process}/__kit/{verb}", json=body, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert (tmp_path / "address").read_text() == process
    key = json.loads((tmp_path / "worker-1.json").read_text())
    assert kit("accounts", {"name": "worker-1"})["key"] == key
    tabs = {"Tasks": [["ID", "Lease"], ["1", "v1.0 pending"]]}
    book = kit("spreadsheet", {"tabs": tabs, "share_with": [key["client_email"]]})["spreadsheetId"]
    kit("faults", {"action": "apply_late", "path": ":batchUpdate"})
    kit("person", {"spreadsheetId": book, "action": "edit", "tab": "Tasks", "row": 1, "column": "ID", "text": "7"})

    credentials = OfflineCredentials.from_service_account_info(key, scopes=SCOPES)  # type: ignore[no-untyped-call]
    client = gspread.Client(credentials, http_client=LoopbackClient)
    client.http_client.address = process  # type: ignore[attr-defined]
    with client.http_client.session, client.http_client.session._auth_request_session:  # type: ignore[attr-defined]
        with pytest.raises(requests.ConnectionError):
            claim(client.open_by_key(book))
        assert kit("release_late", {}) == {"released": 1}
        kit("quota", {"per_user": 0})
        with pytest.raises(APIError, match="Quota exceeded"):
            client.open_by_key(book)

    assert kit(f"spreadsheet/{book}")["tabs"] == {"Tasks": [["ID", "Lease"], [7, "v1.1 held"]]}
    assert kit("stats")["by_status"] == {"200": 1, "0": 1, "429": 1}
    assert [entry["status"] for entry in kit("log?since=2")["entries"]] == [0, 429]


def claim_in_vain(sheet: gspread.Spreadsheet) -> None:
    with pytest.raises(requests.ConnectionError):
        claim(sheet)


def test_closing_the_server_ends_what_hangs() -> None:
    with desk() as here:
        sheet = here.open(timeout=None)
        fault = here.simulator.faults.add("reset", path=":batchUpdate", hang=True)
        caller = threading.Thread(target=claim_in_vain, args=(sheet,))
        caller.start()
        while not fault.fired:
            threading.Event().wait(0.001)
    caller.join(timeout=20)
    assert not caller.is_alive()
