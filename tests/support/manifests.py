"""Recordings made by hand, and manifests of them in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from youtube_download_coordinator.corpus.manifest import Manifest, ManifestCounts, ManifestOptions, writing
from youtube_download_coordinator.corpus.recordings import Recording, Segment


def recording(number: int, **values: Any) -> Recording:
    """Return a recording of ten seconds with captions, on one of seven channels."""
    some: dict[str, Any] = {
        "id": number,
        "key": f"yt:v:{number:011d}",
        "url": f"https://www.youtube.com/watch?v={number:011d}",
        "video_id": f"{number:011d}",
        "path": f"Irish/{number:011d}.m4a",
        "product": "audio-m4a",
        "bytes": 4000 + number,
        "sha256": f"{number:064x}",
        "seconds": 10.0 + number / 4,
        "codec": "mp4a.40.2",
        "sample_rate_hz": 48000,
        "channels": 2,
        "title": f"Talk {number}",
        "accent": "Irish",
        "type": "talk",
        "source_id": 1,
        "channel": f"Channel {number % 7}",
        "channel_id": f"UC{number % 7}",
        "upload_date": "20260105",
        "language": "en",
        "track": "original",
        "license": "Creative Commons Attribution license (reuse allowed)",
        "collected_at": "2026-11-29T10:00:00Z",
        "caption_language": "en-IE",
        "segments": (Segment(0.5, 2.0, "good morning"), Segment(2.0, 4.25, "everybody")),
        "columns": {"Speaker": f"S{number % 7}"},
    }
    return Recording(**some | values)


def write_in(
    folder: Path, recordings: Iterable[Recording], columns: Sequence[str] = ("Speaker",), **options: Any
) -> ManifestCounts:
    """Write a manifest of a format into a folder, under the names of its files."""
    chosen = ManifestOptions(**options)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files = [stack.enter_context((folder / name).open("wb")) for name in chosen.names()]
        manifest = Manifest(chosen, columns, lambda path: path, files)
        with writing([manifest]):
            for each in recordings:
                manifest.add(each)
    return manifest.counts


def make_files(folder: Path, recordings: Iterable[Recording]) -> None:
    """Make the files of recordings, which contain no sound, with a sidecar beside each."""
    for each in recordings:
        path = folder / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no sound")
        path.with_suffix(".m4a.json").write_text("{}", encoding="utf-8")


def offline_datasets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return Hugging Face's `datasets`, which asks no server, keeps its cache in a folder, and decodes nothing.

    Even a path is given to torchcodec, and so to PyTorch, which the tests do without: as older versions did, the path is kept.
    """
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(folder))
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "datasets")
    monkeypatch.setattr(datasets.Audio, "encode_example", lambda self, value: {"bytes": None, "path": value})
    datasets.disable_progress_bars()
    return datasets
