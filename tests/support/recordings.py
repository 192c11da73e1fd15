"""Recordings for tests, and places that have them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from youtube_download_coordinator.corpus.recordings import RECORDINGS, Recording, write
from youtube_download_coordinator.storage.place import Place

NASTY = (
    "| # <script>alert(1)</script> {{ 7*7 }} {% x %}",
    "\u202egnp.exe ~~x~~ **bold** [a](javascript:alert(1)) ![](http://evil.example/x.png)",
    "شركة ‏العربية‎",
    "two\nlines\n---\nlicense: cc0-1.0\n",
    "!!python/object/apply:os.system ['id']",
    "&amp; ]]> <!-- owner: end --> www.evil.example @somebody \x1b[31m \x00",
)
"""Names that people may give to their channels and accents."""


def recording(number: int, **fields: Any) -> Recording:
    base = Recording(
        id=number,
        key=f"yt:v:{number:011}",
        url=f"https://www.youtube.com/watch?v={number:011}",
        video_id=f"{number:011}",
        path=f"Irish/{number:011}.m4a",
        product="audio-m4a",
        bytes=1000,
        sha256=f"{number:064x}",
        seconds=60.0,
        codec="aac",
        sample_rate_hz=44100,
        channels=2,
        accent="Irish",
        channel="A channel",
        channel_id="UCaaaaaaaaaaaaaaaaaaaaaa",
        upload_date="20250102",
        collected_at="2026-11-01T08:00:00Z",
    )
    changed: Recording = msgspec.structs.replace(base, **fields)
    return changed


def publish(place: Place, folder: Path, recordings: Iterable[Recording]) -> None:
    """Put the file with all recordings into a place, as `ydc manifest` does."""
    write(folder / "recordings", recordings)
    place.put(RECORDINGS, folder / "recordings", content_type="application/gzip", metadata={})
