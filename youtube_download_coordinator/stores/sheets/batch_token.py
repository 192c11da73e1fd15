"""The token of guarded batches: a named range whose ID, `ydc-<n>`, is the version of the spreadsheet's rows.

A guarded batch deletes the token that it has read and adds the next one. Google refuses the whole batch when the token to delete
is missing or the one to add exists. Of two batches that read the same token, one is refused and reads again. Nothing expires, and
a batch that arrives late is refused as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from youtube_download_coordinator.stores.sheets.api import Json


def token_of(properties: Mapping[str, Any]) -> str:
    """Return the token's ID, or "" if there is none. If a person has added another by hand, the highest counts."""
    ids = [str(named_range.get("namedRangeId", "")) for named_range in properties.get("namedRanges", [])]
    return max((text for text in ids if re.fullmatch(r"ydc-\d+", text)), key=_number, default="")


def token_name_of(properties: Mapping[str, Any], token: str) -> str:
    """Return the name of the token's range, which contains the nonce of the batch that added it."""
    named_ranges = properties.get("namedRanges", [])
    return next((str(each["name"]) for each in named_ranges if each["namedRangeId"] == token), "")


def next_token(token: str) -> str:
    """Return the ID of the token that takes this one's place."""
    return f"ydc-{_number(token) + 1}"


def next_token_name(token: str, nonce: str) -> str:
    """Return the name of the next token: letters, digits and underscores, and nothing that could be a cell's address."""
    return f"ydc_change_{_number(token) + 1}_{nonce}"


def advance_token(token: str, control_sheet_id: int, nonce: str) -> list[Json]:
    """Return the requests that guard a batch: it is refused unless `token` is the current one."""
    added = {
        "namedRangeId": next_token(token),
        "name": next_token_name(token, nonce),
        "range": {"sheetId": control_sheet_id},
    }
    requests: list[Json] = [{"addNamedRange": {"namedRange": added}}]
    return [{"deleteNamedRange": {"namedRangeId": token}}, *requests] if token else requests


def _number(token: str) -> int:
    return int(token.partition("-")[2] or 0)
