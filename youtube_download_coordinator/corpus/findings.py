"""Keep the findings of checks of a corpus about its videos in the place.

    .corpus/findings/20261129T120000Z-3f2a9c01.jsonl
        {"at": "2026-11-29T12:00:00Z", "kind": "gone", "key_sha256": "5f0c...", "reason": "removed", "since": ...}

A line has a hash of the row's key, and neither an address nor a title, so that a purged video leaves no trace here.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from youtube_download_coordinator.corpus.recordings import FOLDER
from youtube_download_coordinator.queue.tombstones import key_hash
from youtube_download_coordinator.storage.place import Place

FINDINGS = f"{FOLDER}/findings"
SEGMENTS_MAX = 50
"""More segments than this are merged into one."""


class FindingKind(StrEnum):
    """A kind of finding. Findings about files are not kept, because they are found again until they are repaired."""

    GONE = "gone"
    PRIVATE = "private"
    NEEDS_ACCOUNT = "needs-account"
    """The video is now for members only, Premium, or age-restricted."""
    BACK = "back"
    LICENSE = "license-changed"
    TITLE = "title-changed"
    MISSING = "missing"
    EMPTY = "empty"
    CHANGED = "changed"
    NO_SIDECAR = "no-sidecar"
    NO_RECORD = "no-record"


UNAVAILABLE = frozenset({FindingKind.GONE, FindingKind.PRIVATE, FindingKind.NEEDS_ACCOUNT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem with a video that is done, or with one of its files."""

    kind: FindingKind
    id: int
    """The row's ID."""
    key: str
    name: str
    """The title or URL, or the path of a file."""
    at: str
    """When it was found: ISO-8601, UTC."""
    since: str = ""
    """When this was first found."""
    reason: str = ""
    """YouTube's reason, as a word of docs/reasons.md."""
    before: str = ""
    after: str = ""
    advice: str = ""
    """Advice."""

    def __str__(self) -> str:
        facts = [f"since {self.since}" if self.since else "", self.reason if self.reason != self.kind else ""]
        if self.before or self.after:
            facts.append(f"{self.before or 'none'!r} → {self.after or 'none'!r}")
        text = ", ".join(filter(None, facts))
        return f"{self.kind:<15} {self.id}  {self.name}{f'  ({text})' if text else ''}" + (
            f"  {self.advice}" if self.advice else ""
        )

    def to_json(self) -> dict[str, Any]:
        """Return the known fields, for programs."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in values.items() if value}

    def stored(self) -> dict[str, Any]:
        """Return the fields that are kept in the place. None of them names the video."""
        content = {
            "at": self.at,
            "kind": self.kind,
            "key_sha256": key_hash(self.key),
            "reason": self.reason,
            "since": self.since,
        }
        if self.kind is FindingKind.LICENSE:
            content |= {"before": self.before, "after": self.after}
        return {name: value for name, value in content.items() if value}


def keep_findings(place: Place, findings: Sequence[Finding], now: datetime) -> None:
    """Put findings into the place, and merge its files if there are many. Raises PlaceError."""
    if not findings:
        return
    _put(place, [json.dumps(finding.stored()) + "\n" for finding in findings], now)
    segments = [held.path for held in place.list(FINDINGS)]
    if len(segments) > SEGMENTS_MAX:
        lines = sorted({line for path in segments for line in _lines(place, path)})
        _put(place, lines, now)
        for path in segments:
            place.delete(path)


def unavailable(place: Place) -> dict[str, FindingKind]:
    """Return the findings of the last checks about unavailable videos, by the hash of their key. Raises PlaceError."""
    events = [event for held in place.list(FINDINGS) for event in _events(place, held.path)]
    status: dict[str, FindingKind] = {}
    for event in sorted(events, key=lambda event: str(event["at"])):
        kind = event["kind"]
        if kind in UNAVAILABLE:
            status[event["key_sha256"]] = FindingKind(kind)
        elif kind == FindingKind.BACK:
            status.pop(event["key_sha256"], None)
    return status


def _put(place: Place, lines: Sequence[str], now: datetime) -> None:
    path = f"{FINDINGS}/{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.jsonl"
    with tempfile.TemporaryDirectory(prefix="ydc-findings-") as folder:
        file = Path(folder, "segment")
        file.write_text("".join(lines), encoding="utf-8")
        place.put(path, file, content_type="application/jsonl", metadata={})


def _lines(place: Place, path: str) -> list[str]:
    """Return the lines of a segment, or none if another machine has just merged it."""
    with contextlib.suppress(FileNotFoundError):
        return place.get(path).decode("utf-8", "replace").splitlines(keepends=True)
    return []


def _events(place: Place, path: str) -> Iterator[dict[str, Any]]:
    for line in _lines(place, path):
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and {"at", "kind", "key_sha256"} <= event.keys():
                yield event
