"""A story as text: what happened to the row that it is about, and everything that failed meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.simulation.oracle import describe
from tests.simulation.world import Event, Request
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease

_SUBJECT = re.compile(r"v\d+(?=\.\d+ )|(?:yt|url):\S+")
_WORKER = re.compile(r"host\d/")
LINES_MAX = 60
"""Only the end of a longer story is shown."""


def describe_story(events: Sequence[Event], wrong: str) -> str:
    """Return the story line by line. `wrong` is how it ended."""
    subjects = set(_SUBJECT.findall(wrong)) | set(re.findall(r"v\d{10}", wrong))
    subjects |= {f"v{encoded.row_id}." for encoded in _leases_of(events) if encoded.key in subjects}
    lines = [f"{event.at:8.1f} s  {text}" for event in events for text in _lines(event.what, subjects)]
    left_out = [f"          ... {len(lines) - LINES_MAX} lines before ..."] if len(lines) > LINES_MAX else []
    return "\n".join([*left_out, *lines[-LINES_MAX:], f"            {wrong}"])


def _leases_of(events: Iterable[Event]) -> Iterator[Any]:
    """Yield every lease that was written."""
    for event in events:
        if isinstance(event.what, Request) and event.what.path.endswith(":batchUpdate"):
            for text in re.findall(rb'"(v\d+\.\d+ [^"]*)"', event.what.body):
                if (encoded := decode_lease(text.decode())) is not None:
                    yield encoded


def _lines(what: Request | str, subjects: set[str]) -> Iterator[str]:
    if isinstance(what, str):
        if not _WORKER.match(what) or any(subject in what for subject in subjects):
            yield what
    elif what.path.endswith(":batchUpdate"):
        yield from _written(what, subjects)


def _written(request: Request, subjects: set[str]) -> Iterator[str]:
    changes = json.loads(request.body)["requests"]
    understood = request.status == 200 and request.answer[:1] == b"{"
    replies = json.loads(request.answer).get("replies", []) if understood else []
    heard = {0: "no answer", 200: "", 400: "refused, another process was first"}.get(
        request.status, f"answered {request.status}"
    )
    if any("addNamedRange" in change for change in changes):
        yield f"{request.process}: guarded batch: {_summary(changes)}{'; ' + heard if heard else ''}"
    for at, change in enumerate(changes):
        swap = change.get("findReplace")
        if swap and any(subject in swap["find"] + swap["replacement"] for subject in subjects):
            count = replies[at].get("findReplace", {}).get("occurrencesChanged", 0) if at < len(replies) else None
            ending = heard or ("lost" if not count else "won" if count == 1 else f"won, {count} lines")
            yield f"{request.process} swaps {_lease(swap['find'])} for {_lease(swap['replacement'])}: {ending}"


def _lease(text: str) -> str:
    encoded = decode_lease(text)
    return describe(encoded) if encoded else text


def _summary(changes: Sequence[dict[str, Any]]) -> str:
    """Describe what a guarded batch does to rows."""
    parts = []
    for change in changes:
        rows = [row for row in change.get("appendCells", {}).get("rows", []) if _has_lease(row)]
        if rows:
            parts.append(f"adds {len(rows)} line{'s' if len(rows) > 1 else ''}")
        if gone := change.get("deleteDimension"):
            parts.append(f"moves line {gone['range']['startIndex'] + 1} to another tab")
        if "draft" in json.dumps(change.get("updateCells", {})):
            parts.append(f"drafts line {change['updateCells']['start']['rowIndex'] + 1}")
    return ", ".join(parts) or "prepares the tabs, or repairs rows"


def _has_lease(row: dict[str, Any]) -> bool:
    texts = [cell.get("userEnteredValue", {}).get("stringValue", "") for cell in row["values"]]
    return any(decode_lease(text) is not None for text in texts)
