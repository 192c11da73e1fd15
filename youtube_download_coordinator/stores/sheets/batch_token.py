"""Guard batches by a token, a named range whose ID, `ydc-<n>`, is the version of the spreadsheet's rows.

A guarded batch deletes the token that it has read and adds the next one. Google refuses the whole batch if the token to delete
is missing, or if the ID or the name of the new token exists. Of two batches that read the same token, one is refused and reads
again. Nothing expires, and a batch that arrives late is refused as well.

The number never starts again, even if a person has deleted the named range.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from youtube_download_coordinator.stores.sheets.api import Json

_ID, _NAME = re.compile(r"ydc-(\d+)"), re.compile(r"ydc_change_(\d+)(?:_[0-9a-f]+)?")


class Token(NamedTuple):
    """A version of the spreadsheet's rows."""

    number: int = 0
    range_id: str = ""
    """The ID of the named range; empty if there is none."""

    @property
    def next(self) -> Token:
        """Return the token that replaces this one."""
        return Token(self.number + 1, f"ydc-{self.number + 1}")


def token_of(properties: Mapping[str, Any]) -> Token:
    """Return the token. Of several (a person may have added one), return the highest. A copied file may have another ID."""
    tokens = [
        Token(int(match[1]), range_id)
        for named_range in properties.get("namedRanges", [])
        if (range_id := str(named_range.get("namedRangeId", "")))
        and (match := _ID.fullmatch(range_id) or _NAME.fullmatch(str(named_range.get("name", ""))))
    ]
    return max(tokens, key=lambda token: (token.number, token.range_id == f"ydc-{token.number}"), default=Token())


def restarted(control_number: int, now: datetime) -> Token:
    """Return the token from which to continue after a person has deleted the last one.

    `control_number` is the last number in Control, or 0 if that is lost too. Then return a number that no batch can have reached,
    and that is the same for all processes within the hour, so that only one of them adds the next token.
    """
    return Token(control_number or int(now.timestamp()) // 3600 * 10**6)


def advance_token(token: Token, control_sheet_id: int, *, keep: bool = False) -> list[Json]:
    """Return the requests that guard a batch, so that Google refuses it unless `token` is the current one.

    `keep`: the tab of the named range is gone, and Google cannot delete a range without a tab.
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
