"""The simulated Sheets API: transport, accounts, sharing, the discovery document and the values API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import gspread
import pytest
import requests
from google.auth.exceptions import RefreshError
from gspread.exceptions import APIError
from gspread.utils import ValueInputOption, ValueRenderOption

from tests.fake_google import Clock, ManualClock, Simulator
from tests.fake_google.client import HEADER, SCOPES, Desk, OfflineCredentials, desk


@pytest.fixture
def here() -> Iterator[Desk]:
    with desk() as opened:
        yield opened


def methods_called(here: Desk) -> list[str]:
    return [entry.method for entry in here.simulator.log]


# Transport, accounts, sharing


def test_opening_a_spreadsheet_and_a_tab_costs_a_token_and_two_reads(here: Desk) -> None:
    here.open().worksheet("Tasks")

    assert methods_called(here) == ["/token", "spreadsheets.get", "spreadsheets.get"]


def test_every_answer_has_the_date_of_the_servers_clock_in_whole_seconds() -> None:
    with desk(clock=ManualClock(1_795_000_000.75)) as here:
        here.simulator.clock.offset_seconds = 3600
        address = f"{here.server.address}/v4/spreadsheets/{here.book.spreadsheet_id}"
        answer = here.client().http_client.request("get", address)

        assert parsedate_to_datetime(answer.headers["Date"]) == datetime.fromtimestamp(1_795_003_600, UTC)


def test_connections_are_kept_alive(here: Desk) -> None:
    sheet = here.open()
    for _ in range(3):
        sheet.fetch_sheet_metadata()

    assert len(here.server._http.connections) == 2  # one of the session, one of its token requests


def test_a_key_that_is_not_the_accounts_own_gets_no_token(here: Desk) -> None:
    mine, other = (here.simulator.accounts.add(name) for name in ("mine", "other"))
    forged = other.key_info(here.simulator.token_uri) | {"client_email": mine.email}
    credentials = OfflineCredentials.from_service_account_info(forged, scopes=SCOPES)  # type: ignore[no-untyped-call]
    client = gspread.Client(credentials)
    here.clients.append(client)

    with pytest.raises(RefreshError, match="invalid_grant"):
        client.http_client.request("get", f"{here.server.address}/v4/spreadsheets/{here.book.spreadsheet_id}")


def test_a_token_that_was_revoked_is_a_401_and_google_auth_gets_a_new_one_by_itself(here: Desk) -> None:
    sheet = here.open()
    here.simulator.accounts.revoke_all()

    sheet.fetch_sheet_metadata()

    assert [(entry.method, entry.status) for entry in here.simulator.log][-3:] == [
        ("/v4/spreadsheets/" + here.book.spreadsheet_id, 401),
        ("/token", 200),
        ("spreadsheets.get", 200),
    ]


def test_without_a_token_the_answer_is_401(here: Desk) -> None:
    answer = requests.get(f"{here.server.address}/v4/spreadsheets/{here.book.spreadsheet_id}", timeout=20)

    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_an_unknown_spreadsheet_is_not_found(here: Desk) -> None:
    with pytest.raises(gspread.SpreadsheetNotFound):
        here.client().open_by_key("unknown")


def test_a_spreadsheet_that_is_not_shared_is_a_permission_error_whose_cause_has_googles_words(here: Desk) -> None:
    client = here.client()
    here.book.share("worker-1@simulated.iam.gserviceaccount.com", "nobody")

    with pytest.raises(PermissionError) as refused:
        client.open_by_key(here.book.spreadsheet_id)

    assert isinstance(refused.value.__cause__, APIError)
    assert refused.value.__cause__.error["message"] == "The caller does not have permission"


def test_a_reader_may_read_and_not_write(here: Desk) -> None:
    tab = here.open(role="reader").worksheet("Tasks")
    assert tab.acell("A1").value == "ID"

    with pytest.raises(APIError) as refused:
        tab.update_acell("A1", "x")

    assert (refused.value.code, refused.value.error["status"]) == (403, "PERMISSION_DENIED")


def test_the_api_can_be_switched_off_as_in_the_cloud_console(here: Desk) -> None:
    client = here.client()
    here.simulator.enabled = False

    with pytest.raises(PermissionError) as refused:
        client.open_by_key(here.book.spreadsheet_id)

    error = refused.value.__cause__.error  # type: ignore[union-attr]
    assert error["message"].startswith(
        "Google Sheets API has not been used in project 577600123456 before or it is dis"
    )
    assert error["details"][0]["reason"] == "SERVICE_DISABLED"


def test_the_same_answers_come_without_sockets() -> None:
    simulator = Simulator(clock=Clock())
    account = simulator.accounts.add("worker-1")
    book = simulator.create_spreadsheet({"Tasks": [["a"]]}, (account,))
    headers = {"Authorization": f"Bearer {simulator.accounts.token(account, simulator.clock.now())}"}

    path = f"/v4/spreadsheets/{book.spreadsheet_id}/values/Tasks"
    status, answered, payload = simulator.handle("GET", path, "", headers, b"")

    assert (status, payload) == (200, b'{"range":"Tasks!A1:Z1000","majorDimension":"ROWS","values":[["a"]]}')
    assert answered["Date"].endswith("GMT")


def test_requests_and_bytes_are_counted_exactly(here: Desk) -> None:
    tab = here.open().worksheet("Tasks")
    before = here.simulator.stats()["last"]

    tab.update([["x"]], "D2")
    tab.get("A1:D2")

    stats = here.simulator.stats(since=before)
    assert (stats["requests"], stats["reads"], stats["writes"]) == (2, 1, 1)
    assert stats["by_account"] == {
        "worker-1@simulated.iam.gserviceaccount.com write": 1,
        "worker-1@simulated.iam.gserviceaccount.com read": 1,
    }
    assert stats["by_method"] == {"spreadsheets.values.update": 1, "spreadsheets.values.get": 1}
    assert stats["bytes_in"] == len(here.simulator.log[-2].body)
    assert stats["bytes_out"] == sum(entry.bytes_out for entry in list(here.simulator.log)[-2:])


def test_a_spreadsheet_can_be_created_through_the_api(here: Desk) -> None:
    client = here.client()
    url = f"{here.server.address}/v4/spreadsheets"

    made = client.http_client.request("post", url, json={"properties": {"title": "Mine"}}).json()

    assert made["properties"]["title"] == "Mine"
    assert client.open_by_key(made["spreadsheetId"]).worksheet("Sheet1").row_count == 1000


# The discovery document


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"requests": [{"findReplace": {"find": "a", "x": 1}}]},
            "Invalid JSON payload received. Unknown name \"x\" at 'requests[0].find_replace': Cannot find field.",
        ),
        (
            {"requests": [{"doMagic": {}}]},
            "Invalid JSON payload received. Unknown name \"doMagic\" at 'requests[0]': Cannot find field.",
        ),
        (
            {"requests": [{"findReplace": {"matchCase": "yes"}}]},
            "Invalid value at 'requests[0].find_replace.match_case' (TYPE_BOOL), \"yes\"",
        ),
        (
            {"requests": [{"clearBasicFilter": {}, "deleteSheet": {}}]},
            "Invalid value at 'requests[0]' (oneof), oneof field 'kind' is already set. Cannot set 'delete_sheet'",
        ),
        ({"requests": [{}]}, "Invalid requests[0]: No request set."),
        ({"requests": []}, "Must specify at least one request."),
    ],
)
def test_a_body_that_does_not_fit_googles_schema_is_refused(here: Desk, body: Any, message: str) -> None:
    with pytest.raises(APIError) as refused:
        here.open().batch_update(body)

    assert (refused.value.code, refused.value.error["status"]) == (400, "INVALID_ARGUMENT")
    assert refused.value.error["message"] == message


def test_an_enum_value_that_does_not_exist_is_refused(here: Desk) -> None:
    with pytest.raises(APIError, match="paste_type"):
        here.open().batch_update({"requests": [{"copyPaste": {"pasteType": "PASTE_ALL"}}]})


@pytest.mark.parametrize("query", [{"valueRender": "FORMULA"}, {"valueRenderOption": "RAW"}])
def test_query_parameters_are_checked_too(here: Desk, query: Any) -> None:
    with pytest.raises(APIError) as refused:
        here.open().values_get("Tasks!A1", params=query)

    assert refused.value.code == 400


def test_what_google_documents_and_this_does_not_simulate_is_refused_and_noted(here: Desk) -> None:
    with pytest.raises(APIError, match="not simulated"):
        here.open().batch_update({"requests": [{"trimWhitespace": {"range": {"sheetId": 0}}}]})

    assert here.simulator.misses == ["requests[0].trimWhitespace"]


# Field masks and grid data


def test_a_field_mask_selects_parts_of_the_answer(here: Desk) -> None:
    metadata = here.open().fetch_sheet_metadata({"fields": "sheets(properties(title,sheetId)),namedRanges.name"})

    assert metadata["sheets"][0] == {"properties": {"sheetId": 0, "title": "Tasks"}}
    assert list(metadata) == ["sheets"]


def test_grid_data_comes_with_the_flag_or_with_a_mask_that_selects_it(here: Desk) -> None:
    sheet = here.open()
    assert "data" not in sheet.fetch_sheet_metadata()["sheets"][0]

    flagged = sheet.fetch_sheet_metadata({"includeGridData": "true", "ranges": ["Tasks!B2:C2"]})
    assert flagged["sheets"][0]["data"][0]["rowData"][0]["values"][0]["formattedValue"] == "v1.0 pending"
    assert (flagged["sheets"][0]["data"][0]["startRow"], flagged["sheets"][0]["data"][0]["startColumn"]) == (1, 1)

    mask = "sheets.data.rowData.values.userEnteredValue"
    masked = sheet.fetch_sheet_metadata({"fields": mask, "ranges": ["Tasks!A2", "Dead!A1:B1"]})
    data = [each["data"] for each in masked["sheets"]]
    assert data[0] == [{"rowData": [{"values": [{"userEnteredValue": {"stringValue": "1"}}]}]}]
    assert len(data[1][0]["rowData"][0]["values"]) == 2


@pytest.mark.parametrize("mask", ["sheets.nothing", "sheets, properties", "sheets("])
def test_a_mask_that_selects_nothing_that_exists_is_refused(here: Desk, mask: str) -> None:
    client = here.client()

    with pytest.raises(APIError):
        client.http_client.spreadsheets_get(here.book.spreadsheet_id, {"fields": mask})


# Values


def test_reading_leaves_out_empty_tails_and_keeps_holes(here: Desk) -> None:
    tab = here.open().worksheet("Tasks")
    tab.update([["x", "", "y", ""], ["", "", "", ""]], "A5:D6")

    answer = tab.spreadsheet.values_get("Tasks!A4:D8")

    assert answer["values"] == [["3", "v3.0 pending", "https://youtu.be/3"], ["x", "", "y"]]
    assert answer["range"] == "Tasks!A4:D8"
    assert "values" not in tab.spreadsheet.values_get("Tasks!A10:D12")


def test_reading_by_columns(here: Desk) -> None:
    columns = here.open().values_get("Tasks!A1:B3", params={"majorDimension": "COLUMNS"})["values"]

    assert columns == [["ID", "1", "2"], ["Lease", "v1.0 pending", "v2.0 pending"]]


@pytest.mark.parametrize(
    ("written", "top_left", "size"),
    [
        ("Tasks", "ID", (4, 4)),
        ("'Tasks'!B2:B", "v1.0 pending", (3, 1)),
        ("Tasks!A:A", "ID", (4, 1)),
        ("Tasks!2:3", "1", (2, 3)),
        ("C2", "https://youtu.be/1", (1, 1)),
        ("Tasks!C3:A2", "1", (2, 3)),
    ],
)
def test_ranges_are_read_in_a1_notation(here: Desk, written: str, top_left: str, size: tuple[int, int]) -> None:
    values = here.open().values_get(written)["values"]

    assert values[0][0] == top_left
    assert (len(values), max(map(len, values))) == size


def test_a_range_of_no_tab_cannot_be_parsed(here: Desk) -> None:
    with pytest.raises(APIError, match="Unable to parse range: Nothing!A1"):
        here.open().values_get("Nothing!A1")


def test_a_range_that_starts_beyond_the_grid_is_refused_with_the_limits(here: Desk) -> None:
    sheet = here.open()
    message = r"Range \(Tasks!A21\) exceeds grid limits. Max rows: 20, max columns: 6"

    with pytest.raises(APIError, match=message):
        sheet.values_get("Tasks!A21")
    with pytest.raises(APIError, match=message):
        sheet.values_update("Tasks!A21", {"valueInputOption": "RAW"}, {"values": [["x"]]})
    with pytest.raises(APIError, match="exceeds grid limits"):
        sheet.values_update("Tasks!F20", {"valueInputOption": "RAW"}, {"values": [["x"], ["y"]]})
    assert sheet.values_get("Tasks!A1:Z99")["range"] == "Tasks!A1:F20"


def test_raw_keeps_strings_as_they_are(here: Desk) -> None:
    tab = here.open().worksheet("Tasks")
    given = ["=1+1", "0012", "1/2", "TRUE", "'x", "2026-11-22T12:00:00Z"]

    tab.update([given], "A9:F9", raw=True)

    assert tab.row_values(9) == given
    assert here.book.rows("Tasks")[8] == given
    assert here.book.formulas() == []


@pytest.mark.parametrize(
    ("typed", "unformatted", "formatted"),
    [
        ("12", 12, "12"),
        ("1,234.5", 1234.5, "1,234.50"),
        ("50%", 0.5, "50.00%"),
        ("TRUE", True, "TRUE"),
        ("'0012", "0012", "0012"),
        ("1/2/2026", 46024, "1/2/2026"),
        ("2026-01-02", 46024, "2026-01-02"),
        ("= 1 / 1024", 0.0009765625, "0.0009765625"),
        ("=4/2", 2, "2"),
        ("=1/0", "#DIV/0!", "#DIV/0!"),
        ('=HYPERLINK("https://youtu.be/x", "a ""film""")', 'a "film"', 'a "film"'),
        ("=A1", "#SIMULATED!", "#SIMULATED!"),
        ("v17.4 pending", "v17.4 pending", "v17.4 pending"),
        ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z"),
    ],
)
def test_user_entered_is_parsed_as_typed(here: Desk, typed: str, unformatted: Any, formatted: str) -> None:
    tab = here.open().worksheet("Tasks")
    tab.update([[typed]], "D2", value_input_option=ValueInputOption.user_entered)

    assert tab.get("D2", value_render_option=ValueRenderOption.unformatted) == [[unformatted]]
    assert tab.get("D2") == [[formatted]]


def test_a_formula_is_shown_as_itself_when_asked_for(here: Desk) -> None:
    tab = here.open().worksheet("Tasks")
    tab.update_acell("D2", "=A1&B1")

    assert tab.get("D2", value_render_option=ValueRenderOption.formula) == [["=A1&B1"]]
    assert here.book.formulas() == [("Tasks", 1, 3, "=A1&B1")]


def test_null_is_skipped_and_an_empty_string_empties(here: Desk) -> None:
    answer = here.open().values_update("Tasks!A2:C2", {"valueInputOption": "RAW"}, {"values": [[None, "", "new"]]})

    assert here.book.rows("Tasks")[1] == ["1", "", "new"]
    assert (answer["updatedRange"], answer["updatedCells"]) == ("Tasks!A2:C2", 2)


def test_data_may_not_reach_beyond_the_range_that_is_written(here: Desk) -> None:
    with pytest.raises(
        APIError, match=r"Requested writing within range \[Tasks!A2:B2\], but tried writing to column \[C\]"
    ):
        here.open().values_update("Tasks!A2:B2", {"valueInputOption": "RAW"}, {"values": [["a", "b", "c"]]})


def test_a_write_needs_its_value_input_option(here: Desk) -> None:
    with pytest.raises(APIError, match="valueInputOption"):
        here.open().values_update("Tasks!A2", {}, {"values": [["a"]]})


def test_appended_rows_come_after_the_table_and_the_grid_grows(here: Desk) -> None:
    tab = here.open().worksheet("Tasks")

    answer = tab.append_rows([[str(i), "new"] for i in range(20)])

    assert answer["tableRange"] == "Tasks!A1:D4"
    assert answer["updates"]["updatedRange"] == "Tasks!A5:B24"
    assert here.book.tab("Tasks").rows == 24


def test_several_ranges_are_written_together_or_not_at_all(here: Desk) -> None:
    tab = here.open().worksheet("Tasks")
    tab.batch_update([{"range": "D2", "values": [["a"]]}, {"range": "D3", "values": [["b"]]}])
    assert tab.col_values(4) == ["Notes", "a", "b"]

    with pytest.raises(APIError, match=r"Invalid data\[1\]"):
        tab.batch_update([{"range": "D2", "values": [["lost"]]}, {"range": "D99", "values": [["b"]]}])

    assert tab.acell("D2").value == "a"


def test_several_ranges_are_read_in_one_request(here: Desk) -> None:
    values = here.open().worksheet("Tasks").batch_get(["A1:B1", "B3", "A10"])

    assert values == [[["ID", "Lease"]], [["v2.0 pending"]], []]


def test_clearing_leaves_notes_and_validation(here: Desk) -> None:
    tab = here.open().worksheet("Tasks")
    tab.update_note("A2", "mine")

    tab.batch_clear(["A2:C2"])

    assert here.book.rows("Tasks")[1] == []
    assert tab.get_note("A2") == "mine"


def test_a_cell_holds_fifty_thousand_characters(here: Desk) -> None:
    tab = here.open().worksheet("Tasks")
    tab.update([["x" * 50_000]], "D2")

    with pytest.raises(APIError, match="maximum of 50000 characters in a single cell"):
        tab.update([["x" * 50_001]], "D2")


def test_gspreads_own_searches_work(here: Desk) -> None:
    tab = here.open().worksheet("Tasks")

    found = tab.find("v2.0 pending")

    assert found is not None
    assert (found.row, found.col) == (3, 2)
    assert tab.get_all_records()[0] == dict(zip(HEADER, [1, "v1.0 pending", "https://youtu.be/1", ""], strict=True))
