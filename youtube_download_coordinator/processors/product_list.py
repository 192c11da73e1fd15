"""Keep a list of a video's products in each sidecar, so that one file leads to all others.

    "products": [{"kind": "audio", "name": "audio-m4a", "files": ["Irish/x.m4a"]},
                 {"kind": "subtitles", "name": "subtitles-vtt", "files": [], "result": "no subtitles in original"}]

Paths are below the output folder. A product that is made later is added to the sidecars that exist.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.archive import Archive, Record
from youtube_download_coordinator.processors.names import BUILT_INS
from youtube_download_coordinator.processors.sidecar import SUFFIX
from youtube_download_coordinator.storage.files import read_json, write_text


def list_products(archive: Archive, task: VideoTask) -> None:
    """Update the list of all recorded products in each sidecar. Files of users' processors have no sidecar."""
    records = archive.records(task)
    products = [product_entry(record) for record in records]
    names = {name for record in records if record.kind in BUILT_INS for name in record.files}
    for path in (archive.output_dir / name for name in names):
        _set_products(path.with_name(path.name + SUFFIX), archive.output_dir, products)


def product_entry(record: Record) -> dict[str, Any]:
    """Return the entry of a record in the list."""
    return {"kind": record.kind, "name": record.name, "files": list(record.files)} | (
        {"result": record.result} if record.result else {}
    )


def _set_products(sidecar: Path, output_dir: Path, products: Sequence[dict[str, Any]]) -> None:
    """Set the list in a sidecar, if the file has one."""
    try:
        content = read_json(sidecar, output_dir)
    except (FileNotFoundError, ValueError):
        return
    if isinstance(content, dict) and content.get("products") != products:
        write_text(sidecar, json.dumps({**content, "products": products}, indent=1) + "\n")
