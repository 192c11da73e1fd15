"""The line `guarantees` of Control: whether Google behaves as claiming requires. If its Value is `failed: ...`, nobody claims.

`ydc doctor` writes it, and every process that meets something that can only have happened because a guarantee does not hold. It
is written without a guarded batch, which may be what does not hold.
"""

from __future__ import annotations

from youtube_download_coordinator.errors import ConfigError, StoreError
from youtube_download_coordinator.stores.sheets.api import Connection, Json
from youtube_download_coordinator.stores.sheets.batch_requests import append_lines
from youtube_download_coordinator.stores.sheets.layout import GUARANTEES, LayoutProblem, Tab, text_cell

OK, FAILED = "ok", "failed: "


class GuaranteesFailed(ConfigError, StoreError):
    """Claiming is not safe on this spreadsheet. The message says what to do."""


def not_safe(failed: str) -> GuaranteesFailed:
    """Return the error of whoever would claim or add rows while guarantees are known not to hold."""
    return GuaranteesFailed(
        "claiming is not safe on this spreadsheet, so a video could be processed twice:"
        f" {failed} (run `ydc doctor`, which lets the workers go on if all is well; or use another spreadsheet or database_url)"
    )


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
