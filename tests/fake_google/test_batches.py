"""The simulated Sheets API: batches, one documented behaviour a test."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gspread
import pytest
from gspread.exceptions import APIError

from tests.fake_google import Person
from tests.fake_google.client import HEADER, Desk, Json, cell, desk, rows_of, swap


@pytest.fixture
def here() -> Iterator[Desk]:
    with desk() as opened:
        yield opened


def batch(sheet: gspread.Spreadsheet, *requests: Json, **options: Any) -> Json:
    answer: Json = sheet.batch_update({"requests": list(requests), **options})
    return answer


def leases(here: Desk) -> list[str]:
    return [row[1] if len(row) > 1 else "" for row in here.book.rows("Tasks")[1:]]


def token(number: int, name: str | None = None) -> Json:
    named = {
        "namedRangeId": f"ydc-{number}",
        "name": name or f"ydc_{number}",
        "range": {"sheetId": 0, "endRowIndex": 1},
    }
    return {"addNamedRange": {"namedRange": named}}


def drop_token(number: int) -> Json:
    return {"deleteNamedRange": {"namedRangeId": f"ydc-{number}"}}


# The batch


def test_one_invalid_request_and_nothing_of_the_batch_is_applied(here: Desk) -> None:
    sheet, before = here.open(), here.book.rows("Tasks")
    good = [
        swap("v1.0 pending", "v1.1 held"),
        {"deleteDimension": {"range": rows_of(0, 2, 3)}},
        {"addSheet": {"properties": {"title": "New"}}},
        token(1),
        {"updateCells": {"start": {}, "rows": [{"values": [cell("x")]}], "fields": "userEnteredValue"}},
    ]

    with pytest.raises(APIError, match=r"Invalid requests\[5\]\.deleteNamedRange: No named range with id: ydc-9"):
        batch(sheet, *good, drop_token(9))

    assert here.book.rows("Tasks") == before
    assert [each.title for each in here.book.contents.sheets] == ["Tasks", "Dead"]
    assert here.book.contents.named_ranges == {}


def test_requests_are_applied_in_order_and_answered_one_by_one(here: Desk) -> None:
    answer = batch(
        here.open(),
        swap("v1.0 pending", "v1.1 held"),
        {"clearBasicFilter": {"sheetId": 0}},
        swap("v1.0 pending", "v1.2 stolen"),
        swap("v1.1 held", "v1.2 done"),
    )

    changed = [reply.get("findReplace", {}).get("occurrencesChanged") for reply in answer["replies"]]
    assert changed == [1, None, None, 1]
    assert answer["replies"][1:3] == [{}, {"findReplace": {}}]  # a count of zero is left out
    assert leases(here)[0] == "v1.2 done"


def test_the_answer_can_have_the_spreadsheet_as_it_is_after_the_batch(here: Desk) -> None:
    answer = batch(
        here.open(),
        swap("v2.0 pending", "v2.1 held"),
        includeSpreadsheetInResponse=True,
        responseIncludeGridData=True,
        responseRanges=["Tasks!B3:B3", "Tasks!A1:A1"],
    )

    (tasks,) = answer["updatedSpreadsheet"]["sheets"]
    assert [data.get("startRow", 0) for data in tasks["data"]] == [2, 0]
    assert tasks["data"][0]["rowData"][0]["values"][0]["formattedValue"] == "v2.1 held"


def test_a_field_mask_on_a_batch_decides_over_the_grid_data(here: Desk) -> None:
    sheet = here.open()
    body = {
        "requests": [swap("v2.0 pending", "v2.1 held")],
        "includeSpreadsheetInResponse": True,
        "responseRanges": ["Tasks!B3"],
    }
    mask = "replies,updatedSpreadsheet.sheets.data.rowData.values.userEnteredValue"
    url = f"{here.server.address}/v4/spreadsheets/{here.book.spreadsheet_id}:batchUpdate"

    answer = sheet.client.request("post", url, params={"fields": mask}, json=body).json()

    cells = answer["updatedSpreadsheet"]["sheets"][0]["data"][0]["rowData"]
    assert cells == [{"values": [{"userEnteredValue": {"stringValue": "v2.1 held"}}]}]
    assert set(answer) == {"replies", "updatedSpreadsheet"}


# findReplace


def test_find_replace_counts_what_it_changed(here: Desk) -> None:
    answer = batch(here.open(), {"findReplace": {"find": "e", "replacement": "o", "sheetId": 0, "matchCase": True}})

    counts = answer["replies"][0]["findReplace"]
    assert counts == {"occurrencesChanged": 9, "valuesChanged": 8, "rowsChanged": 4, "sheetsChanged": 1}


def test_a_whole_cell_must_match_when_asked_for(here: Desk) -> None:
    sheet = here.open()
    partly, other_case = swap("v1.0", "x"), swap("V1.0 PENDING", "x")

    assert [reply["findReplace"] for reply in batch(sheet, partly, other_case)["replies"]] == [{}, {}]
    other_case["findReplace"]["matchCase"] = False
    assert batch(sheet, other_case)["replies"][0]["findReplace"]["occurrencesChanged"] == 1


def test_find_replace_stays_in_its_range(here: Desk) -> None:
    sheet = here.open()
    sheet.worksheet("Tasks").update([["v1.0 pending"]], "D2")

    assert batch(sheet, swap("v1.0 pending", "x"))["replies"][0]["findReplace"]["occurrencesChanged"] == 1
    assert here.book.rows("Tasks")[1][3] == "v1.0 pending"


def test_find_replace_sees_hidden_columns_and_filtered_rows(here: Desk) -> None:
    person = Person(here.book)
    person.hide_column("Tasks", "Lease")
    person.filter("Tasks", "ID", ["1"])
    sheet = here.open()
    mask = "sheets.data(rowMetadata.hiddenByFilter,columnMetadata.hiddenByUser)"
    shown = sheet.fetch_sheet_metadata({"ranges": ["Tasks!A1:B3"], "fields": mask})["sheets"][0]["data"][0]
    assert shown == {"rowMetadata": [{}, {"hiddenByFilter": True}, {}], "columnMetadata": [{}, {"hiddenByUser": True}]}

    assert batch(sheet, swap("v1.0 pending", "v1.1 held"))["replies"][0]["findReplace"]["occurrencesChanged"] == 1


def test_find_replace_understands_javas_regular_expressions_with_groups(here: Desk) -> None:
    batch(
        here.open(),
        {
            "findReplace": {
                "find": r"v(\d)\.0 (.*)",
                "replacement": "v$1.1 $2!",
                "searchByRegex": True,
                "allSheets": True,
            }
        },
    )

    assert leases(here) == ["v1.1 pending!", "v2.1 pending!", "v3.1 pending!"]


def test_a_replacement_is_parsed_as_if_typed_the_worst_case(here: Desk) -> None:
    batch(here.open(), *(swap(f"v{i}.0 pending", text) for i, text in enumerate(["123", "=A1", "1/2/2026"], 1)))

    column = [row[1] for row in here.book.rows("Tasks")[1:]]
    assert column == [123, "=A1", 46024]


def test_formulas_are_searched_only_when_asked_for(here: Desk) -> None:
    sheet = here.open()
    sheet.worksheet("Tasks").update_acell("B5", '="v9"')
    request = {"find": "v9", "replacement": "v8", "sheetId": 0}

    assert batch(sheet, {"findReplace": request})["replies"] == [{"findReplace": {}}]
    answer = batch(sheet, {"findReplace": {**request, "includeFormulas": True}})
    assert answer["replies"][0]["findReplace"]["formulasChanged"] == 1


def test_of_many_swaps_of_one_word_exactly_one_wins(here: Desk) -> None:
    sheets = [here.open(f"worker-{i}") for i in range(8)]

    def won(number: int) -> list[int]:
        requests = [swap(f"v{row}.0 pending", f"v{row}.1 held by {number}") for row in (1, 2, 3)]
        replies = batch(sheets[number], *requests)["replies"]
        return [reply["findReplace"].get("occurrencesChanged", 0) for reply in replies]

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(won, range(8)))

    assert [sum(column) for column in zip(*outcomes, strict=True)] == [1, 1, 1]
    for row, column in enumerate(zip(*outcomes, strict=True)):
        assert leases(here)[row] == f"v{row + 1}.1 held by {column.index(1)}"


# Named ranges


def test_a_named_range_with_an_id_that_exists_refuses_the_batch(here: Desk) -> None:
    sheet = here.open()
    batch(sheet, token(1))

    with pytest.raises(APIError, match=r"requests\[1\]\.addNamedRange: .* a named range with that ID already exists"):
        batch(sheet, swap("v1.0 pending", "lost"), token(1, "another_name"))
    with pytest.raises(APIError, match="Cannot add named range with name: YDC_1, a named range with that name already"):
        batch(sheet, token(2, "YDC_1"))
    assert leases(here)[0] == "v1.0 pending"


def test_of_rivals_with_the_same_token_exactly_one_batch_is_applied(here: Desk) -> None:
    sheets = [here.open(f"worker-{i}") for i in range(4)]
    batch(sheets[0], token(0))

    def tried(number: int) -> bool:
        append = {"sheetId": 0, "rows": [{"values": [cell(f"new {number}")]}], "fields": "userEnteredValue"}
        try:
            batch(sheets[number], token(1), drop_token(0), {"appendCells": append})
        except APIError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(tried, range(4)))

    assert outcomes.count(True) == 1
    assert [row[0] for row in here.book.rows("Tasks")[4:]] == [f"new {outcomes.index(True)}"]
    assert [named["namedRangeId"] for named in sheets[0].list_named_ranges()] == ["ydc-1"]


def test_an_id_can_be_used_again_in_the_batch_that_deletes_it(here: Desk) -> None:
    sheet = here.open()
    batch(sheet, token(1))

    batch(sheet, drop_token(1), token(1))


@pytest.mark.parametrize("name", ["ydc-1", "ydc1", "R1C1", "1st", "true_one", "", "a b"])
def test_a_name_must_be_no_reference_and_of_letters_numbers_and_underscores(here: Desk, name: str) -> None:
    named = {"name": name, "range": {"sheetId": 0}}

    with pytest.raises(APIError, match="name of the named range is invalid"):
        batch(here.open(), {"addNamedRange": {"namedRange": named}})


def test_named_ranges_move_with_their_cells_and_break_without_them(here: Desk) -> None:
    sheet = here.open()
    tab = sheet.worksheet("Tasks")
    tab.define_named_range("A3:B3", "second")
    key = sheet.list_named_ranges()[0]["namedRangeId"]

    tab.insert_row(["inserted"], 2)
    moved = sheet.list_named_ranges()[0]["range"]
    assert (moved["startRowIndex"], moved["endRowIndex"]) == (3, 4)
    assert "sheetId" not in moved  # an ID of 0 is left out of answers
    assert sheet.values_get("second")["values"] == [["2", "v2.0 pending"]]

    tab.delete_rows(4)
    assert sheet.list_named_ranges() == []
    with pytest.raises(APIError, match="No named range with id"):
        tab.delete_named_range(key)
    with pytest.raises(APIError, match="already exists"):
        tab.define_named_range("A1", "second")


# Rows and columns


def test_a_row_is_moved_to_another_tab_in_one_batch(here: Desk) -> None:
    sheet = here.open()
    dead = sheet.worksheet("Dead").id
    source = {"sheetId": 0, "startRowIndex": 2, "endRowIndex": 3, "startColumnIndex": 0, "endColumnIndex": 3}
    target = {"sheetId": dead, "startRowIndex": 1, "endRowIndex": 2, "startColumnIndex": 0, "endColumnIndex": 3}

    batch(
        sheet,
        {"insertDimension": {"range": rows_of(dead, 1, 2)}},
        {"copyPaste": {"source": source, "destination": target, "pasteType": "PASTE_NORMAL"}},
        {"deleteDimension": {"range": rows_of(0, 2, 3)}},
    )

    assert here.book.rows("Dead") == [HEADER, ["2", "v2.0 pending", "https://youtu.be/2"]]
    assert [row[0] for row in here.book.rows("Tasks")] == ["ID", "1", "3"]


def test_pasting_repeats_the_source_where_the_destination_is_a_multiple(here: Desk) -> None:
    source = {"sheetId": 0, "startRowIndex": 1, "endRowIndex": 2, "startColumnIndex": 0, "endColumnIndex": 2}
    target = {"sheetId": 0, "startRowIndex": 9, "endRowIndex": 11, "startColumnIndex": 0, "endColumnIndex": 4}
    batch(here.open(), {"copyPaste": {"source": source, "destination": target}})

    assert here.book.rows("Tasks")[9:] == [["1", "v1.0 pending"] * 2] * 2


def test_pasting_values_leaves_formats_where_they_were(here: Desk) -> None:
    sheet = here.open()
    sheet.worksheet("Tasks").format("A2", {"textFormat": {"bold": True}})
    areas = [{"sheetId": 0, "startRowIndex": r, "endRowIndex": r + 1, "endColumnIndex": 1} for r in (1, 9, 10)]
    batch(
        sheet,
        {"copyPaste": {"source": areas[0], "destination": areas[1], "pasteType": "PASTE_VALUES"}},
        {"copyPaste": {"source": areas[0], "destination": areas[2], "pasteType": "PASTE_FORMAT"}},
    )

    tab = here.book.tab("Tasks")
    assert (tab.values.get(9, 0), tab.formats.get(9, 0)) == ("1", None)
    assert (tab.values.get(10, 0), tab.formats.get(10, 0)) == (None, {"textFormat": {"bold": True}})


def test_inserted_rows_inherit_from_before_or_after(here: Desk) -> None:
    sheet = here.open()
    sheet.worksheet("Tasks").format("A1", {"textFormat": {"bold": True}})

    batch(sheet, {"insertDimension": {"range": rows_of(0, 1, 2), "inheritFromBefore": True}})
    assert here.book.tab("Tasks").formats.get(1, 0) == {"textFormat": {"bold": True}}

    batch(sheet, {"insertDimension": {"range": rows_of(0, 2, 3), "inheritFromBefore": False}})
    assert here.book.tab("Tasks").formats.get(2, 0) is None
    assert here.book.tab("Tasks").rows == 22


def test_a_row_at_the_very_end_can_only_be_inserted_inheriting_from_before(here: Desk) -> None:
    with pytest.raises(APIError, match=r"startIndex\[20\] must be less than the grid size\[20\]"):
        batch(here.open(), {"insertDimension": {"range": rows_of(0, 20, 21)}})

    batch(here.open(), {"insertDimension": {"range": rows_of(0, 20, 21), "inheritFromBefore": True}})


def test_rows_that_must_stay_cannot_be_deleted(here: Desk) -> None:
    sheet = here.open()
    with pytest.raises(APIError, match="You can't delete all the rows on the sheet"):
        batch(sheet, {"deleteDimension": {"range": rows_of(0, 0, 20)}})
    with pytest.raises(APIError, match="Tried to delete row index 20 but there are only 20 rows"):
        batch(sheet, {"deleteDimension": {"range": rows_of(0, 20, 21)}})

    sheet.worksheet("Tasks").freeze(rows=1)
    with pytest.raises(APIError, match="not possible to delete all non-frozen rows"):
        batch(sheet, {"deleteDimension": {"range": rows_of(0, 1, 20)}})


def test_columns_move_with_their_cells(here: Desk) -> None:
    source = rows_of(0, 1, 2, "COLUMNS")
    batch(here.open(), {"moveDimension": {"source": source, "destinationIndex": 4}})

    assert here.book.rows("Tasks")[0] == ["ID", "URL", "Notes", "Lease"]


def test_rows_and_columns_are_appended_and_sized(here: Desk) -> None:
    tab = here.open().worksheet("Tasks")
    tab.add_cols(2)
    tab.resize(rows=30)
    batch(tab.spreadsheet, {"appendDimension": {"sheetId": 0, "dimension": "ROWS", "length": 5}})

    assert (here.book.tab("Tasks").rows, here.book.tab("Tasks").columns) == (35, 8)


def test_the_workbook_holds_ten_million_cells(here: Desk) -> None:
    with pytest.raises(APIError, match="above the limit of 10000000 cells"):
        here.open().add_worksheet("Large", rows=1_000_000, cols=10)


# Cells


def test_appended_cells_come_after_the_last_row_with_data_and_add_rows_but_never_columns(here: Desk) -> None:
    sheet = here.open()
    rows = [{"values": [cell(f"={i}"), cell("")]} for i in range(18)]
    batch(sheet, {"appendCells": {"sheetId": 0, "rows": rows, "fields": "userEnteredValue"}})

    assert here.book.rows("Tasks")[4] == ["=0"]
    assert (here.book.tab("Tasks").rows, here.book.formulas()) == (22, [])
    wide = {"sheetId": 0, "rows": [{"values": [cell("x")] * 7}], "fields": "userEnteredValue"}
    with pytest.raises(APIError, match="Attempting to write column: 6, beyond the last requested column of: 5"):
        batch(sheet, {"appendCells": wide})


def test_update_cells_writes_from_a_start_or_fills_a_range(here: Desk) -> None:
    sheet = here.open()
    row = {"values": [cell("a"), {}, cell("c")]}
    start = {"sheetId": 0, "rowIndex": 1, "columnIndex": 0}
    batch(sheet, {"updateCells": {"start": start, "rows": [row], "fields": "userEnteredValue"}})
    assert here.book.rows("Tasks")[1] == ["a", "", "c"]

    area = {"sheetId": 0, "startRowIndex": 1, "endRowIndex": 4, "startColumnIndex": 0, "endColumnIndex": 4}
    batch(sheet, {"updateCells": {"range": area, "rows": [row], "fields": "userEnteredValue"}})
    assert here.book.rows("Tasks") == [HEADER, ["a", "", "c"]]

    beyond = {"start": {"sheetId": 0, "rowIndex": 20}, "rows": [row], "fields": "userEnteredValue"}
    with pytest.raises(APIError, match="Attempting to write row: 20, beyond the last requested row of: 19"):
        batch(sheet, {"updateCells": beyond})


def test_only_the_fields_of_the_mask_are_written(here: Desk) -> None:
    sheet = here.open()
    both = {**cell("new"), "note": "a note", "userEnteredFormat": {"textFormat": {"bold": True, "italic": True}}}
    start = {"sheetId": 0, "rowIndex": 1, "columnIndex": 0}
    fields = "note,userEnteredFormat.textFormat.bold"
    batch(sheet, {"updateCells": {"start": start, "rows": [{"values": [both]}], "fields": fields}})

    tab = here.book.tab("Tasks")
    assert (tab.values.get(1, 0), tab.notes.get(1, 0)) == ("1", "a note")
    assert tab.formats.get(1, 0) == {"textFormat": {"bold": True}}
    with pytest.raises(APIError, match="At least one field must be listed"):
        batch(sheet, {"updateCells": {"start": start, "rows": []}})


def test_rows_are_sorted_with_later_specifications_for_equal_cells(here: Desk) -> None:
    sheet = here.open()
    sheet.worksheet("Tasks").update([["b", 2], ["", 1], ["a", 3], ["b", 1]], "A2:B5")
    area = {"sheetId": 0, "startRowIndex": 1, "endRowIndex": 5}
    specs = [{"dimensionIndex": 0, "sortOrder": "DESCENDING"}, {"dimensionIndex": 1, "sortOrder": "ASCENDING"}]
    batch(sheet, {"sortRange": {"range": area, "sortSpecs": specs}})

    assert [row[:2] for row in here.book.rows("Tasks")[1:]] == [["b", 1], ["b", 2], ["a", 3], ["", 1]]


# Sheets and what hangs on them


def test_sheets_are_added_renamed_hidden_frozen_and_deleted(here: Desk) -> None:
    sheet = here.open()
    made = sheet.add_worksheet("New", rows=5, cols=3, index=0)
    made.update_title("Newer")
    made.freeze(rows=1)
    made.hide()
    made.update_tab_color("#ff0000")

    found = sheet.worksheets()[0]
    assert (found.title, found.isSheetHidden, found.frozen_row_count, found.row_count) == ("Newer", True, 1, 5)
    sheet.del_worksheet(found)
    assert [each.title for each in sheet.worksheets()] == ["Tasks", "Dead"]


def test_titles_are_unique(here: Desk) -> None:
    sheet = here.open()
    with pytest.raises(APIError, match=r'A sheet with the name "dead" already exists\.'):
        sheet.add_worksheet("dead", rows=1, cols=1)
    with pytest.raises(APIError, match="already exists"):
        sheet.worksheet("Tasks").update_title("Dead")


def test_an_unknown_sheet_is_no_grid(here: Desk) -> None:
    with pytest.raises(APIError, match=r"Invalid requests\[0\]\.appendCells: No grid with id: 77"):
        batch(here.open(), {"appendCells": {"sheetId": 77, "rows": [], "fields": "*"}})


def test_what_decorates_a_sheet_is_kept_and_given_back(here: Desk) -> None:
    sheet = here.open()
    tab = sheet.worksheet("Tasks")
    tab.set_basic_filter("A1:D4")
    tab.add_protected_range("B1:B4", ["me@example.org"])
    tab.hide_columns(1, 2)
    rule = {
        "ranges": [{"sheetId": 0, "startRowIndex": 1, "endRowIndex": 4}],
        "booleanRule": {"condition": {"type": "NOT_BLANK"}, "format": {"textFormat": {"bold": True}}},
    }
    validation = {"condition": {"type": "ONE_OF_LIST", "values": [{"userEnteredValue": "pending"}]}}
    area = {"sheetId": 0, "startRowIndex": 1, "endRowIndex": 4, "startColumnIndex": 3, "endColumnIndex": 4}
    chart = {"spec": {"title": "Progress"}, "position": {"overlayPosition": {"anchorCell": {"sheetId": 0}}}}
    answer = batch(
        sheet,
        {"addConditionalFormatRule": {"rule": rule}},
        {"setDataValidation": {"range": area, "rule": validation}},
        {"addChart": {"chart": chart}},
    )

    found = sheet.fetch_sheet_metadata({"includeGridData": True})["sheets"][0]
    assert found["conditionalFormats"] == [rule]
    assert found["basicFilter"]["range"]["endRowIndex"] == 4
    assert found["protectedRanges"][0]["range"]["startColumnIndex"] == 1
    assert found["charts"][0]["chartId"] == answer["replies"][2]["addChart"]["chart"]["chartId"]
    assert found["data"][0]["rowData"][1]["values"][3]["dataValidation"] == validation
    assert found["data"][0]["columnMetadata"][1]["hiddenByUser"] is True

    tab.delete_protected_range(found["protectedRanges"][0]["protectedRangeId"])
    batch(
        sheet,
        {"deleteConditionalFormatRule": {"sheetId": 0}},
        {"deleteEmbeddedObject": {"objectId": found["charts"][0]["chartId"]}},
        {"clearBasicFilter": {"sheetId": 0}},
    )
    assert set(sheet.fetch_sheet_metadata()["sheets"][0]) == {"properties"}
