"""Read and write the line `guarantees` of Control. If its Value is `failed: ...`, nobody claims.

`ydc doctor` writes the line, and so does every process that detects a broken guarantee. It is written without a guarded batch,
because that may be the broken guarantee.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from youtube_download_coordinator.errors import ConfigError, StoreError
from youtube_download_coordinator.stores.sheets.api import Connection, Json
from youtube_download_coordinator.stores.sheets.batch_requests import append_lines
from youtube_download_coordinator.stores.sheets.layout import CONTROL, GUARANTEES, Layout, LayoutProblem, Tab, text_cell
from youtube_download_coordinator.stores.sheets.snapshot import ControlSnapshot
from youtube_download_coordinator.text import format_utc, parse_time

OK, FAILED = "ok", "failed: "
TRIED = "; tried "
"""The text in Reason between the last test and the time of a later, inconclusive one."""
REPEAT_AFTER, TRY_AGAIN_AFTER = timedelta(days=30), timedelta(days=1)


class GuaranteesFailed(ConfigError, StoreError):
    """Raised when claiming is not safe on this spreadsheet. The message contains advice."""


def not_safe(failed: str) -> GuaranteesFailed:
    """Return the error for claiming or adding rows while guarantees are known not to hold."""
    return GuaranteesFailed(
        "claiming is not safe on this spreadsheet, so a video could be processed twice:"
        f" {failed} (run `ydc doctor`, which lets the workers continue if all guarantees hold; or use"
        " another spreadsheet or database_url)"
    )


def is_proof_due(control: ControlSnapshot, spreadsheet_id: str, now: datetime) -> bool:
    """Return whether to test the guarantees again. If they were never tested, or one does not hold, a person decides."""
    value, reason = _cells(control)
    if not value or value.startswith(FAILED):
        return False
    proof, _, tried = reason.partition(TRIED)
    match = re.fullmatch(rf"ydc doctor, (\S+), on {re.escape(spreadsheet_id)}", proof)
    proved_at = parse_time(match[1]) if match and value == OK else None
    tried_at = parse_time(tried)
    is_recent = proved_at is not None and now - proved_at < REPEAT_AFTER
    was_tried = tried_at is not None and now - tried_at < TRY_AGAIN_AFTER
    return not (is_recent or was_tried)


def note_attempt(connection: Connection, layout: Layout) -> None:
    """Record that the guarantees could not be tested, so that the test is not repeated at once."""
    control = ControlSnapshot(lambda: 0.0)
    control.load(layout.control, 0.0)
    value, reason = _cells(control)
    now = format_utc(connection.now().replace(microsecond=0))
    write_guarantees(connection, layout.tabs[CONTROL], value, f"{reason.partition(TRIED)[0]}{TRIED}{now}")


def _cells(control: ControlSnapshot) -> tuple[str, str]:
    """Return the line's Value and Reason, or empty texts if it does not exist."""
    lines = zip(control.column("Name"), control.column("Value"), control.column("Reason"), strict=True)
    return next(((value, reason) for name, value, reason in lines if name == GUARANTEES), ("", ""))


def write_guarantees(connection: Connection, control: Tab, value: str, reason: str) -> None:
    """Write the line, or add it. Raises LayoutProblem if Control lacks a column."""
    if control.missing:
        raise LayoutProblem(
            f"the tab {control.title!r} lacks {', '.join(control.missing)}: run `ydc init`, then this again"
        )
    ((rows, _),) = connection.values([{"sheetId": control.sheet_id}])
    name = control.column("Name")
    lines = [position for position, row in enumerate(rows) if position and row[name : name + 1] == [GUARANTEES]]
    texts = {"Name": GUARANTEES, "Value": value, "Reason": reason}
    new_line: Json = {"values": [text_cell(texts.get(column, "")) for column in control.header]}
    changes = [_cell(control, position, column, texts[column]) for position in lines for column in ("Value", "Reason")]
    connection.write(changes or [append_lines(control.sheet_id, [new_line])])


def _cell(control: Tab, row: int, column: str, text: str) -> Json:
    start = {"sheetId": control.sheet_id, "rowIndex": row, "columnIndex": control.column(column)}
    return {"updateCells": {"start": start, "rows": [{"values": [text_cell(text)]}], "fields": "userEnteredValue"}}
