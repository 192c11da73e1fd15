"""The mark of a pause: a named range that is there while the fleet is paused, in case the line of Control gets lost.

People delete lines, empty Control, or delete the tab. A fleet that was paused stays paused until somebody resumes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from youtube_download_coordinator.stores.sheets.api import Json

_PREFIX = "ydc_paused_"
REASON = "it was paused, and its line in Control is gone: `ydc resume` lets it go on"


def pause_mark_of(properties: Mapping[str, Any]) -> str:
    """Return the ID of the mark; empty if the fleet is not paused. A duplicated tab has a copy of it, which does not count."""
    marks = [
        str(named_range["namedRangeId"])
        for named_range in properties.get("namedRanges", [])
        if str(named_range.get("name", "")).startswith(_PREFIX)
        and str(named_range["namedRangeId"]) == str(named_range["name"]).replace("_", "-")
    ]
    return min(marks, default="")


def set_mark(present: str, sheet_id: int, nonce: str, *, is_paused: bool) -> list[Json]:
    """Return the requests that add or delete the mark; none if it is as it should be."""
    if is_paused and not present:
        name = f"{_PREFIX}{nonce}"
        added = {"namedRangeId": name.replace("_", "-"), "name": name, "range": {"sheetId": sheet_id}}
        return [{"addNamedRange": {"namedRange": added}}]
    return [{"deleteNamedRange": {"namedRangeId": present}}] if present and not is_paused else []
