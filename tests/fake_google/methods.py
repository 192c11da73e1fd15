"""The methods of the API: which path is which, and what each does to a spreadsheet."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fake_google import metadata, values
from tests.fake_google.discovery import check_body, check_mask, check_query, normalized
from tests.fake_google.discovery import methods as documented
from tests.fake_google.errors import ApiError, Json, NotSimulatedError, invalid
from tests.fake_google.faults import Kind
from tests.fake_google.grid import Spreadsheet
from tests.fake_google.masks import Mask, parse_mask, select
from tests.fake_google.ranges import a1
from tests.fake_google.requests import apply_requests
from tests.fake_google.requests_grid import duplicate_sheet
from tests.fake_google.resource import grid_mask_of, spreadsheet_resource
from tests.fake_google.weaknesses import Stale

PREFIX = "sheets.spreadsheets."
_ID = r"/v4/spreadsheets/(?P<spreadsheetId>[^/:]+)"
_ROUTES: tuple[tuple[str, str, str, Kind], ...] = (
    ("POST", r"/v4/spreadsheets", "create", "write"),
    ("GET", _ID, "get", "read"),
    ("POST", rf"{_ID}:batchUpdate", "batchUpdate", "write"),
    ("POST", rf"{_ID}:getByDataFilter", "getByDataFilter", "read"),
    ("POST", rf"{_ID}/values:batchGetByDataFilter", "values.batchGetByDataFilter", "read"),
    ("POST", rf"{_ID}/values:batchClearByDataFilter", "values.batchClearByDataFilter", "write"),
    ("POST", rf"{_ID}/values:batchUpdateByDataFilter", "values.batchUpdateByDataFilter", "write"),
    ("POST", rf"{_ID}/developerMetadata:search", "developerMetadata.search", "read"),
    ("GET", rf"{_ID}/developerMetadata/(?P<metadataId>\d+)", "developerMetadata.get", "read"),
    ("GET", rf"{_ID}/values:batchGet", "values.batchGet", "read"),
    ("POST", rf"{_ID}/values:batchUpdate", "values.batchUpdate", "write"),
    ("POST", rf"{_ID}/values:batchClear", "values.batchClear", "write"),
    ("POST", rf"{_ID}/values/(?P<range>.+):append", "values.append", "write"),
    ("POST", rf"{_ID}/values/(?P<range>.+):clear", "values.clear", "write"),
    ("GET", rf"{_ID}/values/(?P<range>.+)", "values.get", "read"),
    ("PUT", rf"{_ID}/values/(?P<range>.+)", "values.update", "write"),
    ("POST", rf"{_ID}/sheets/(?P<sheetId>\d+):copyTo", "sheets.copyTo", "write"),
)


@dataclass(frozen=True)
class Route:
    """A method that a request calls, with the parameters of the path."""

    method: str
    kind: Kind
    path: dict[str, str]


@dataclass(frozen=True)
class Arguments:
    """A checked call: parameters of the path, of the query (booleans as such, lists where repeated), body and mask."""

    path: dict[str, str]
    query: Json
    body: Json
    mask: Mask | None
    account: str = ""
    """The email address of whoever calls."""
    stale: Stale | None = None
    """The older state that the requests of a batch see."""


def route_of(http_method: str, path: str) -> Route:
    """Find the method of a path, or raise 404."""
    for verb, pattern, method, kind in _ROUTES:
        found = re.fullmatch(pattern, path)
        if found and verb == http_method.upper():
            parts = {name: urllib.parse.unquote(part) for name, part in found.groupdict().items()}
            return Route(PREFIX + method, kind, parts)
    raise ApiError(404, "NOT_FOUND", f"The requested URL {path} was not found on this server.")


def read_arguments(
    route: Route, query: str, body: bytes, parse: Callable[[bytes], Any], account: str = ""
) -> Arguments:
    """Check query, body and field mask against the discovery document."""
    given = urllib.parse.parse_qs(query, keep_blank_values=True)
    check_query(route.method, given)
    schema = documented()[route.method].get("request", {}).get("$ref")
    content = _parsed(body, parse) if body and schema else {}
    if schema:
        content = normalized(schema, content)
        check_body(schema, content, under="data" if schema == "ValueRange" else "")
    mask = parse_mask(given["fields"][0]) if given.get("fields") else None
    if mask is not None:
        check_mask(documented()[route.method]["response"]["$ref"], mask)
    return Arguments(route.path, _plain_query(route.method, given), _without_nulls(content), mask, account)


def _parsed(body: bytes, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(body)
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error


def _plain_query(method: str, given: dict[str, list[str]]) -> Json:
    plain: Json = {}
    for name, parameter in documented()[method].get("parameters", {}).items():
        if name in given and parameter["location"] == "query":
            last = given[name][-1]
            value = last.lower() == "true" if parameter["type"] == "boolean" else last
            plain[name] = given[name] if parameter.get("repeated") else value
    return plain


def _without_nulls(item: Any) -> Any:
    """Leave out members that are null, which in JSON of protocol buffers is the same; nulls in lists stay."""
    if isinstance(item, dict):
        return {name: _without_nulls(member) for name, member in item.items() if member is not None}
    return [_without_nulls(member) for member in item] if isinstance(item, list) else item


def masked(answer: Json, mask: Mask | None) -> Json:
    """Give the part of an answer that `fields` selects ("partial responses")."""
    selected: Json = answer if mask is None else select(mask, answer)
    return selected


def _get(book: Spreadsheet, call: Arguments) -> Json:
    grid_mask = grid_mask_of(call.mask, "sheets", "data", include=call.query.get("includeGridData", False))
    return spreadsheet_resource(book, book.contents, call.query.get("ranges", []), grid_mask, call.account)


def _get_by_data_filter(book: Spreadsheet, call: Arguments) -> Json:
    filters = call.body.get("dataFilters", [])
    include = call.body.get("includeGridData", False)
    grid_mask = grid_mask_of(call.mask, "sheets", "data", include=include)
    areas = [area for one in filters for area in metadata.areas_of(book.contents, one)]
    ranges = [a1(sheet.title, area) for sheet, area in areas]
    answer = spreadsheet_resource(book, book.contents, ranges, grid_mask, call.account)
    return answer if areas or not filters else {**answer, "sheets": []}


def _values_by_data_filter(book: Spreadsheet, call: Arguments) -> Json:
    """Give the values of each filter's ranges. An answer repeats the filters that found it."""
    rendering = values.reading_of(call.body)
    found = [
        {"valueRange": values.get(book.contents, a1(sheet.title, area), rendering), "dataFilters": [one]}
        for one in call.body.get("dataFilters", [])
        for sheet, area in metadata.areas_of(book.contents, one)
    ]
    return {"spreadsheetId": book.spreadsheet_id} | ({"valueRanges": found} if found else {})


def _update_by_data_filter(book: Spreadsheet, call: Arguments) -> Json:
    with book.edit(call.account) as draft:
        data = [
            {**{name: item for name, item in given.items() if name != "dataFilter"}, "range": a1(sheet.title, area)}
            for given in call.body.get("data", [])
            for sheet, area in metadata.areas_of(draft, given.get("dataFilter", {}))
        ]
        answer = values.batch_update(draft, book.spreadsheet_id, {**call.body, "data": data})
    filters = [
        given.get("dataFilter", {})
        for given in call.body.get("data", [])
        for _area in metadata.areas_of(book.contents, given.get("dataFilter", {}))
    ]
    responses = [
        {name: item for name, item in response.items() if name != "spreadsheetId"} | {"dataFilter": one}
        for response, one in zip(answer["responses"], filters, strict=True)
    ]
    return {**answer, "responses": responses}


def _clear_by_data_filter(book: Spreadsheet, call: Arguments) -> Json:
    with book.edit(call.account) as draft:
        areas = [area for one in call.body.get("dataFilters", []) for area in metadata.areas_of(draft, one)]
        ranges = [a1(sheet.title, area) for sheet, area in areas]
        cleared = [values.clear(draft, book.spreadsheet_id, written)["clearedRange"] for written in ranges]
    return {"spreadsheetId": book.spreadsheet_id} | ({"clearedRanges": cleared} if cleared else {})


def _metadata_search(book: Spreadsheet, call: Arguments) -> Json:
    return metadata.search(book.contents, call.body.get("dataFilters", []))


def _metadata_get(book: Spreadsheet, call: Arguments) -> Json:
    return metadata.get(book.contents, int(call.path["metadataId"]))


def _copy_to(book: Spreadsheet, call: Arguments) -> Json:
    """Copy a sheet; only into the spreadsheet that it is in."""
    if call.body.get("destinationSpreadsheetId") != book.spreadsheet_id:
        raise NotSimulatedError("sheets.copyTo another spreadsheet")
    with book.edit(call.account) as draft:
        answer = duplicate_sheet(draft, {"sourceSheetId": int(call.path["sheetId"])})
    properties: Json = answer["duplicateSheet"]["properties"]
    return properties


def _batch_update(book: Spreadsheet, call: Arguments) -> Json:
    body = call.body
    with book.edit(call.account) as draft:
        replies = apply_requests(draft, body.get("requests", []), call.stale)
        answer: Json = {"spreadsheetId": book.spreadsheet_id, "replies": replies}
        if body.get("includeSpreadsheetInResponse"):
            path = ("updatedSpreadsheet", "sheets", "data")
            grid_mask = grid_mask_of(call.mask, *path, include=body.get("responseIncludeGridData", False))
            ranges = body.get("responseRanges", [])
            answer["updatedSpreadsheet"] = spreadsheet_resource(book, draft, ranges, grid_mask, call.account)
    return answer


def _values_get(book: Spreadsheet, call: Arguments) -> Json:
    return values.get(book.contents, call.path["range"], values.reading_of(call.query))


def _values_batch_get(book: Spreadsheet, call: Arguments) -> Json:
    rendering = values.reading_of(call.query)
    ranges = [values.get(book.contents, written, rendering) for written in call.query.get("ranges", [])]
    return {"spreadsheetId": book.spreadsheet_id, "valueRanges": ranges}


def _values_update(book: Spreadsheet, call: Arguments) -> Json:
    with book.edit(call.account) as draft:
        writing = values.writing_of(call.query)
        return values.update(draft, book.spreadsheet_id, call.path["range"], call.body, writing)


def _values_append(book: Spreadsheet, call: Arguments) -> Json:
    with book.edit(call.account) as draft:
        return values.append(draft, book.spreadsheet_id, call.path["range"], call.body, call.query)


def _values_clear(book: Spreadsheet, call: Arguments) -> Json:
    with book.edit(call.account) as draft:
        return values.clear(draft, book.spreadsheet_id, call.path["range"])


def _values_batch_update(book: Spreadsheet, call: Arguments) -> Json:
    with book.edit(call.account) as draft:
        return values.batch_update(draft, book.spreadsheet_id, call.body)


def _values_batch_clear(book: Spreadsheet, call: Arguments) -> Json:
    with book.edit(call.account) as draft:
        cleared = [values.clear(draft, book.spreadsheet_id, written) for written in call.body.get("ranges", [])]
    ranges = [answer["clearedRange"] for answer in cleared]
    return {"spreadsheetId": book.spreadsheet_id, "clearedRanges": ranges}


METHODS: dict[str, Callable[[Spreadsheet, Arguments], Json]] = {
    f"{PREFIX}get": _get,
    f"{PREFIX}getByDataFilter": _get_by_data_filter,
    f"{PREFIX}developerMetadata.get": _metadata_get,
    f"{PREFIX}developerMetadata.search": _metadata_search,
    f"{PREFIX}sheets.copyTo": _copy_to,
    f"{PREFIX}values.batchGetByDataFilter": _values_by_data_filter,
    f"{PREFIX}values.batchUpdateByDataFilter": _update_by_data_filter,
    f"{PREFIX}values.batchClearByDataFilter": _clear_by_data_filter,
    f"{PREFIX}batchUpdate": _batch_update,
    f"{PREFIX}values.get": _values_get,
    f"{PREFIX}values.batchGet": _values_batch_get,
    f"{PREFIX}values.update": _values_update,
    f"{PREFIX}values.append": _values_append,
    f"{PREFIX}values.clear": _values_clear,
    f"{PREFIX}values.batchUpdate": _values_batch_update,
    f"{PREFIX}values.batchClear": _values_batch_clear,
}
"""The methods of an existing spreadsheet; each runs under the spreadsheet's lock."""
