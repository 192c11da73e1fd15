"""Marks of tabs: a named range on each tab, whose name contains the table and the sheetId of the tab.

People rename, duplicate, hide and move tabs; a tab keeps its sheetId through all of that. The mark says which tab is which. A
duplicate of a tab may take a duplicate of the mark with it, but that still names the sheetId of the original.

A person may delete a named range, so Control contains the sheetIds as well, and each of the two is restored from the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from youtube_download_coordinator.stores.sheets.api import Json

_NAME = re.compile(r"ydc_tab_(?P<table>[a-z_]+?)_(?P<sheet_id>\d+)_[0-9a-f]{8}")


def sheet_number(table: str) -> str:
    """Return the name of the number in Control that is the sheetId of a table's tab."""
    return f"tab {table}"


def marked_sheets(properties: Mapping[str, Any]) -> dict[str, set[int]]:
    """Return the sheetIds that the marks of a spreadsheet contain, by table. A tab may be gone."""
    marked: dict[str, set[int]] = {}
    for named_range in properties.get("namedRanges", []):
        if match := _NAME.fullmatch(str(named_range.get("name", ""))):
            sheet_ids = marked.setdefault(match["table"], set())
            sheet_ids.add(int(match["sheet_id"]))
    return marked


def add_mark(table: str, sheet_id: int, nonce: str, *, is_first: bool) -> Json:
    """Return the request that marks a tab. The nonce is needed because the name of a mark stays taken after it was broken.

    `is_first`: nobody has prepared the spreadsheet, so far as is known. Google refuses the ID if somebody has, also long ago: of
    two processes that prepare it at the same time, only one makes the tabs.
    """
    named_range: Json = {"name": f"ydc_tab_{table}_{sheet_id}_{nonce}", "range": {"sheetId": sheet_id}}
    if is_first:
        named_range["namedRangeId"] = f"ydc-tab-{table}"
    return {"addNamedRange": {"namedRange": named_range}}
