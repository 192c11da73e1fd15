"""spreadsheets.batchUpdate: the table of requests, and a batch that is applied in order and as a whole.

"Each request is validated before being applied. If any request is not valid then the entire request will fail and
nothing will be applied." "The updates in the request will be applied together atomically." (reference of
spreadsheets.batchUpdate). Here the requests change a draft, and the draft becomes the spreadsheet when all went well.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.fake_google import merging, metadata
from tests.fake_google import requests_cells as cells
from tests.fake_google import requests_grid as grid
from tests.fake_google import requests_objects as objects
from tests.fake_google.errors import ApiError, Json, NotSimulatedError, invalid
from tests.fake_google.grid import Contents
from tests.fake_google.protection import guard
from tests.fake_google.weaknesses import Stale

REQUESTS: dict[str, Callable[[Contents, Json], Json]] = {
    "addDimensionGroup": grid.add_dimension_group,
    "addChart": objects.add_chart,
    "addConditionalFormatRule": objects.add_conditional_format_rule,
    "addNamedRange": objects.add_named_range,
    "addProtectedRange": objects.add_protected_range,
    "addSheet": grid.add_sheet,
    "appendCells": cells.append_cells,
    "appendDimension": grid.append_dimension,
    "autoResizeDimensions": grid.auto_resize_dimensions,
    "clearBasicFilter": objects.clear_basic_filter,
    "copyPaste": cells.copy_paste,
    "createDeveloperMetadata": metadata.create,
    "cutPaste": cells.cut_paste,
    "deleteConditionalFormatRule": objects.delete_conditional_format_rule,
    "deleteDeveloperMetadata": metadata.delete,
    "deleteDimension": grid.delete_dimension,
    "deleteDimensionGroup": grid.delete_dimension_group,
    "deleteEmbeddedObject": objects.delete_embedded_object,
    "deleteNamedRange": objects.delete_named_range,
    "deleteProtectedRange": objects.delete_protected_range,
    "deleteSheet": grid.delete_sheet,
    "duplicateSheet": grid.duplicate_sheet,
    "findReplace": cells.find_replace,
    "insertDimension": grid.insert_dimension,
    "mergeCells": merging.merge_cells,
    "moveDimension": grid.move_dimension,
    "repeatCell": cells.repeat_cell,
    "setBasicFilter": objects.set_basic_filter,
    "setDataValidation": cells.set_data_validation,
    "sortRange": cells.sort_range,
    "unmergeCells": merging.unmerge_cells,
    "updateCells": cells.update_cells,
    "updateChartSpec": objects.update_chart_spec,
    "updateDeveloperMetadata": metadata.update,
    "updateDimensionProperties": grid.update_dimension_properties,
    "updateNamedRange": objects.update_named_range,
    "updateProtectedRange": objects.update_protected_range,
    "updateSheetProperties": grid.update_sheet_properties,
    "updateSpreadsheetProperties": grid.update_spreadsheet_properties,
}
"""Every request that is simulated; any other one of the discovery document is answered 400 "not simulated"."""


def apply_requests(draft: Contents, requests: list[Json], stale: Stale | None = None) -> list[Json]:
    """Apply the requests to a draft and give their replies, one for each ("some replies may be empty")."""
    if not requests:
        raise invalid("Must specify at least one request.")
    return [_apply(draft, index, request, stale) for index, request in enumerate(requests)]


def _apply(draft: Contents, index: int, request: Json, stale: Stale | None) -> Json:
    if not request:
        raise invalid(f"Invalid requests[{index}]: No request set.")
    kind, body = next(iter(request.items()))
    if kind not in REQUESTS:
        raise NotSimulatedError(f"requests[{index}].{kind}")
    try:
        guard(draft, request)
        return stale.apply(draft, kind, body, REQUESTS[kind]) if stale else REQUESTS[kind](draft, body)
    except NotSimulatedError:
        raise
    except ApiError as error:
        raise ApiError(error.code, error.status, f"Invalid requests[{index}].{kind}: {error.message}") from error
