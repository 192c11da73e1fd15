"""Mark a pause by a named range, in case the line of Control gets lost.

People delete lines, empty Control, or delete the tab. The mark keeps a paused fleet paused until somebody resumes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from youtube_download_coordinator.stores.sheets.api import Json

_PREFIX = "ydc_paused_"
REASON = "the fleet was paused, and its line in Control is gone: continue with `ydc resume`"


def pause_mark_of(properties: Mapping[str, Any]) -> str:
    """Return the ID of the mark, or an empty text if the fleet is not paused. The copy on a duplicated tab is ignored."""
    marks = [
        str(named_range["namedRangeId"])
        for named_range in properties.get("namedRanges", [])
        if str(named_range.get("name", "")).startswith(_PREFIX)
        and str(named_range["namedRangeId"]) == str(named_range["name"]).replace("_", "-")
    ]
    return min(marks, default="")


def set_mark(present: str, sheet_id: int, nonce: str, *, is_paused: bool) -> list[Json]:
    """Return the requests that add or delete the mark, if that is needed."""
    if is_paused and not present:
        name = f"{_PREFIX}{nonce}"
        added = {"namedRangeId": name.replace("_", "-"), "name": name, "range": {"sheetId": sheet_id}}
        return [{"addNamedRange": {"namedRange": added}}]
    return [{"deleteNamedRange": {"namedRangeId": present}}] if present and not is_paused else []
