"""Merged cells, protected ranges, links, developer metadata, data filters and copies of sheets on the simulated API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gspread
import pytest
from gspread.exceptions import APIError

from tests.fake_google.client import Desk, cell, desk, swap

Json = dict[str, Any]
AREA = {"sheetId": 0, "startRowIndex": 1, "endRowIndex": 3, "startColumnIndex": 1, "endColumnIndex": 2}


@pytest.fixture
def here() -> Iterator[Desk]:
    with desk() as one:
        yield one


def batch(book: gspread.Spreadsheet, *requests: Json) -> list[Json]:
    replies: list[Json] = book.batch_update({"requests": list(requests)})["replies"]
    return replies


def post(book: gspread.Spreadsheet, method: str, body: Json) -> Json:
    url = f"https://sheets.googleapis.com/v4/spreadsheets/{book.id}{method}"
    answer: Json = book.client.request("post", url, json=body).json()
    return answer


def test_merged_cells_keep_the_first_value_and_drop_what_is_written_behind_it(here: Desk) -> None:
    book = here.open()
    batch(book, {"mergeCells": {"range": AREA, "mergeType": "MERGE_ALL"}})
    assert [row[1] for row in here.book.rows("Tasks")[1:4]] == ["v1.0 pending", "", "v3.0 pending"]

    book.worksheet("Tasks").update([["lost"]], "B3")
    (reply,) = batch(book, swap("v1.0 pending", "v1.1 held"))
    assert reply["findReplace"]["occurrencesChanged"] == 1
    assert [row[1] for row in here.book.rows("Tasks")[1:4]] == ["v1.1 held", "", "v3.0 pending"]

    with pytest.raises(APIError, match="merged cells"):
        book.worksheet("Tasks").sort((1, "asc"), range="A2:D4")
    with pytest.raises(APIError, match="select all cells in a merged range"):
        batch(book, {"unmergeCells": {"range": {**AREA, "endRowIndex": 2}}})
    batch(book, {"insertDimension": {"range": {"sheetId": 0, "dimension": "ROWS", "startIndex": 0, "endIndex": 1}}})
    assert book.fetch_sheet_metadata()["sheets"][0]["merges"] == [
        {"startRowIndex": 2, "endRowIndex": 4, "startColumnIndex": 1, "endColumnIndex": 2}
    ]


@pytest.mark.parametrize(
    "change",
    [
        swap("v1.0 pending", "v1.1 held"),
        {
            "updateCells": {
                "start": {"sheetId": 0, "rowIndex": 1, "columnIndex": 1},
                "fields": "*",
                "rows": [{"values": [{}]}],
            }
        },
        {"deleteDimension": {"range": {"sheetId": 0, "dimension": "ROWS", "startIndex": 1, "endIndex": 2}}},
        {"deleteSheet": {"sheetId": 0}},
        {"copyPaste": {"source": {**AREA, "startColumnIndex": 2, "endColumnIndex": 3}, "destination": AREA}},
    ],
)
def test_a_protected_range_refuses_others_and_not_whoever_protected_it(here: Desk, change: Json) -> None:
    protector, other = here.open("worker-1"), here.open("worker-2")
    batch(protector, {"addProtectedRange": {"protectedRange": {"range": AREA}}})
    with pytest.raises(APIError, match="protected cell"):
        batch(other, change)
    batch(other, swap("v3.0 pending", "v3.1 held"))
    (shown,) = other.fetch_sheet_metadata()["sheets"][0]["protectedRanges"]
    assert "requestingUserCanEdit" not in shown
    batch(protector, change)


def test_a_warning_protects_nothing(here: Desk) -> None:
    batch(here.open(), {"addProtectedRange": {"protectedRange": {"range": AREA, "warningOnly": True}}})
    batch(here.open("worker-2"), swap("v1.0 pending", "v1.1 held"))
    assert here.book.rows("Tasks")[1][1] == "v1.1 held"


@pytest.mark.parametrize(
    ("data", "link"),
    [
        ({"userEnteredValue": {"formulaValue": '=HYPERLINK("https://youtu.be/a", "film")'}}, "https://youtu.be/a"),
        (
            {**cell("film"), "userEnteredFormat": {"textFormat": {"link": {"uri": "https://youtu.be/b"}}}},
            "https://youtu.be/b",
        ),
        (
            {**cell("film"), "textFormatRuns": [{"format": {"link": {"uri": "https://youtu.be/c"}}}]},
            "https://youtu.be/c",
        ),
        (
            {
                **cell("one two"),
                "textFormatRuns": [
                    {"format": {"link": {"uri": "https://youtu.be/d"}}},
                    {"startIndex": 4, "format": {"link": {"uri": "https://youtu.be/e"}}},
                ],
            },
            None,
        ),
    ],
)
def test_the_link_of_a_cell(here: Desk, data: Json, link: str | None) -> None:
    book = here.open()
    start = {"sheetId": 0, "rowIndex": 1, "columnIndex": 2}
    batch(book, {"updateCells": {"start": start, "rows": [{"values": [data]}], "fields": "*"}})
    answer = book.fetch_sheet_metadata(
        {"ranges": "Tasks!C2", "fields": "sheets.data.rowData.values(hyperlink,formattedValue)"}
    )
    shown = answer["sheets"][0]["data"][0]["rowData"][0]["values"][0]
    assert shown.get("hyperlink") == link


def test_data_filters_find_areas_by_sheet_id_and_each_answer_repeats_its_filter(here: Desk) -> None:
    book = here.open()
    filters = [{"gridRange": AREA}, {"a1Range": "Dead!A1:B1"}]
    book.worksheet("Tasks").update_title("Renamed")
    answer = post(book, "/values:batchGetByDataFilter", {"dataFilters": filters})
    assert [each["dataFilters"] for each in answer["valueRanges"]] == [[one] for one in filters]
    first = answer["valueRanges"][0]["valueRange"]
    assert (first["range"], first["values"]) == ("Renamed!B2:B3", [["v1.0 pending"], ["v2.0 pending"]])
    with pytest.raises(APIError, match="No grid with id: 7"):
        post(book, "/values:batchGetByDataFilter", {"dataFilters": [{"gridRange": {"sheetId": 7}}]})


def test_developer_metadata_stays_with_its_sheet_and_goes_with_it(here: Desk) -> None:
    book = here.open()
    sheet_id = here.book.tab("Dead").sheet_id
    place = {"location": {"sheetId": sheet_id}, "visibility": "DOCUMENT"}
    created = {
        "createDeveloperMetadata": {"developerMetadata": {"metadataKey": "ydc", "metadataValue": "dead", **place}}
    }
    batch(book, created)
    lookup = {"dataFilters": [{"developerMetadataLookup": {"metadataKey": "ydc"}}]}

    batch(book, {"duplicateSheet": {"sourceSheetId": sheet_id, "newSheetName": "Copy"}})
    (match,) = post(book, "/developerMetadata:search", lookup)["matchedDeveloperMetadata"]
    assert match["developerMetadata"]["location"] == {"locationType": "SHEET", "sheetId": sheet_id}
    assert match["dataFilters"] == lookup["dataFilters"]

    batch(book, {"deleteSheet": {"sheetId": sheet_id}})
    assert post(book, "/developerMetadata:search", lookup) == {}


def test_a_duplicate_has_the_contents_and_another_id(here: Desk) -> None:
    book = here.open()
    (reply,) = batch(book, {"duplicateSheet": {"sourceSheetId": 0}})
    properties = reply["duplicateSheet"]["properties"]
    assert (properties["title"], properties["index"]) == ("Copy of Tasks", 2)
    assert here.book.rows("Copy of Tasks") == here.book.rows("Tasks")
    with pytest.raises(APIError, match="already exists"):
        batch(book, {"duplicateSheet": {"sourceSheetId": 0, "newSheetName": "tasks"}})


def test_the_last_visible_sheet_can_be_neither_hidden_nor_deleted(here: Desk) -> None:
    book = here.open()
    hidden = {"updateSheetProperties": {"properties": {"sheetId": 0, "hidden": True}, "fields": "hidden"}}
    batch(book, hidden)
    last = {"sheetId": here.book.tab("Dead").sheet_id}
    with pytest.raises(APIError, match="can't hide all"):
        batch(book, {"updateSheetProperties": {"properties": {**last, "hidden": True}, "fields": "hidden"}})
    with pytest.raises(APIError, match="visible sheets"):
        batch(book, {"deleteSheet": last})


def test_names_in_snake_case_and_nested_lists_are_taken_as_google_takes_them(here: Desk) -> None:
    frozen = {
        "properties": {"sheet_id": 0, "grid_properties": {"frozen_row_count": 1}},
        "fields": "grid_properties(frozen_row_count)",
    }
    here.open().batch_update({"requests": [[{"update_sheet_properties": frozen}]]})
    assert here.book.tab("Tasks").frozen("ROWS") == 1
