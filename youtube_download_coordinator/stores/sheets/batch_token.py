"""The token of guarded batches: a named range whose ID, `ydc-<n>`, is the version of the spreadsheet's rows.

A guarded batch deletes the token that it has read and adds the next one. Google refuses the whole batch when the token to delete
is missing, or when the ID or the name of the one to add exists. Of two batches that read the same token, one is refused and reads
again. Nothing expires, and a batch that arrives late is refused as well.

The number never begins anew, also when a person has deleted the named range.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from youtube_download_coordinator.stores.sheets.api import Json

_ID, _NAME = re.compile(r"ydc-(\d+)"), re.compile(r"ydc_change_(\d+)(?:_[0-9a-f]+)?")


class Token(NamedTuple):
    """The version of the spreadsheet's rows."""

    number: int = 0
    range_id: str = ""
    """Of the named range; empty if there is none."""

    @property
    def next(self) -> Token:
        """The token that takes this one's place."""
        return Token(self.number + 1, f"ydc-{self.number + 1}")


def token_of(properties: Mapping[str, Any]) -> Token:
    """Return the token. Of several (a person may have added one) it is the highest; in a copy of a file the ID may differ."""
    tokens = [
        Token(int(match[1]), range_id)
        for named_range in properties.get("namedRanges", [])
        if (range_id := str(named_range.get("namedRangeId", "")))
        and (match := _ID.fullmatch(range_id) or _NAME.fullmatch(str(named_range.get("name", ""))))
    ]
    return max(tokens, key=lambda token: (token.number, token.range_id == f"ydc-{token.number}"), default=Token())


def restarted(control_number: int, now: datetime) -> Token:
    """Return what the first token follows where a person has deleted the last one.

    `control_number` is the last one by Control; 0: that is lost, too. Then it is greater than every number that could be reached,
    and the same for all who ask within the hour, so that only one of them adds it.
    """
    return Token(control_number or int(now.timestamp()) // 3600 * 10**6)


def advance_token(token: Token, control_sheet_id: int, *, keep: bool = False) -> list[Json]:
    """Return the requests that guard a batch: it is refused unless `token` is the current one.

    `keep`: the tab of the named range is gone, and Google does not delete a range without a tab.
    """
    added = {
        "namedRangeId": token.next.range_id,
        "name": f"ydc_change_{token.next.number}",
        "range": {"sheetId": control_sheet_id},
    }
    requests: list[Json] = [{"addNamedRange": {"namedRange": added}}]
    return (
        requests if keep or not token.range_id else [{"deleteNamedRange": {"namedRangeId": token.range_id}}, *requests]
    )
