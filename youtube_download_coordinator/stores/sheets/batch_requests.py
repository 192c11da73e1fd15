"""Build the requests of a batchUpdate that several modules use."""

from __future__ import annotations

from collections.abc import Sequence

from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.lease_codec import DRAFT_PATTERN


def find_replace(find: str, replacement: str, area: Json) -> Json:
    """Return the request that replaces every cell in the area whose whole text is `find`."""
    return {
        "findReplace": {
            "find": find,
            "replacement": replacement,
            "matchEntireCell": True,
            "matchCase": True,
            "range": area,
        }
    }


def settle_drafts(area: Json) -> Json:
    """Return the request that replaces every draft in a column by its lease."""
    request = find_replace(DRAFT_PATTERN, "$1", area)
    return {"findReplace": {**request["findReplace"], "searchByRegex": True}}


def replaced_cells(reply: Json) -> int:
    """Return how many cells a findReplace has changed. Google omits a count of zero."""
    return int(reply.get("findReplace", {}).get("occurrencesChanged", 0))


def append_lines(sheet_id: int, lines: Sequence[Json]) -> Json:
    """Return the request that adds lines below the last one with content."""
    return {"appendCells": {"sheetId": sheet_id, "rows": list(lines), "fields": "userEnteredValue"}}
