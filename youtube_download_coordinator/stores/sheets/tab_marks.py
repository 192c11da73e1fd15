"""Mark each tab by a named range, whose name contains the table and the sheetId of the tab.

People rename, duplicate, hide and move tabs, but a tab always keeps its sheetId. The mark identifies the tab of each table. If a
tab is duplicated together with its mark, the copy of the mark still names the sheetId of the original.

A person may delete a named range, so Control contains the sheetIds as well, and each of the two is restored from the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from youtube_download_coordinator.stores.sheets.api import Json

_NAME = re.compile(r"ydc_tab_(?P<table>[a-z_]+?)_(?P<sheet_id>\d+)_[0-9a-f]{8}")


def sheet_number(table: str) -> str:
    """Return the name under which Control contains the sheetId of a table's tab."""
    return f"tab {table}"


def marked_sheets(properties: Mapping[str, Any]) -> dict[str, set[int]]:
    """Return the sheetIds in the marks of a spreadsheet, by table. Their tabs may be gone."""
    marked: dict[str, set[int]] = {}
    for named_range in properties.get("namedRanges", []):
        if match := _NAME.fullmatch(str(named_range.get("name", ""))):
            sheet_ids = marked.setdefault(match["table"], set())
            sheet_ids.add(int(match["sheet_id"]))
    return marked


def add_mark(table: str, sheet_id: int, nonce: str, *, is_first: bool) -> Json:
    """Return the request that marks a tab. It needs a nonce, because the name of a broken mark stays in use.

    `is_first`: as far as known, no process has prepared the spreadsheet. If one has, even long ago, Google refuses the ID, so of
    two processes that prepare it at the same time, only one creates the tabs.
    """
    named_range: Json = {"name": f"ydc_tab_{table}_{sheet_id}_{nonce}", "range": {"sheetId": sheet_id}}
    if is_first:
        named_range["namedRangeId"] = f"ydc-tab-{table}"
    return {"addNamedRange": {"namedRange": named_range}}
