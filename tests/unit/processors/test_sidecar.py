"""A sidecar tells the truth about its file, in the form that its schema documents."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.support.clip_site import Site, task
from tests.support.rows import new_video
from tests.unit.processors.test_tracks import DUB, NO_TRACK, ORIGINAL, Format, drc, m4a, video
from youtube_download_coordinator.processors.built_in import Settings, audio
from youtube_download_coordinator.processors.media_check import Media
from youtube_download_coordinator.processors.sidecar import sidecar_content, sidecar_text, source_facts
from youtube_download_coordinator.processors.sidecar_schema import Sidecar, document

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sidecar.schema.json"
MEDIA = Media(container="mp4", seconds=131.0716, audio_codec="aac", sample_rate_hz=44100, channels=2, audio_kbps=128.4)


def read(sidecar: Path) -> Sidecar:
    """Return a sidecar. Fails if it has a field that the schema does not have, or a value of another type."""
    content = Sidecar.model_validate_json(sidecar.read_text(), strict=True)
    parts = [content, *(value for _, value in content if isinstance(value, BaseModel))]
    assert [part.model_extra for part in parts if part.model_extra] == []
    return content


def test_the_schema_in_the_docs_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), (
        "python -m youtube_download_coordinator.processors.sidecar_schema > docs/sidecar.schema.json"
    )


def test_what_an_attempt_writes_fits_the_schema(site: Site, settings: Settings) -> None:
    path = settings.output_dir / audio(task(site), replace(settings, audio_codec="mp3")).result
    sidecar = read(path.with_name(f"{path.name}.json"))
    assert sidecar.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (sidecar.version, sidecar.bytes, sidecar.degraded) == (1, path.stat().st_size, None)
    assert sidecar.media
    assert sidecar.source
    assert sidecar.media.duration_seconds == pytest.approx(1, abs=0.1)
    assert (sidecar.media.sample_rate_hz, sidecar.media.channels) == (44100, 2)
    assert (sidecar.source.track, sidecar.source.drc) == ("unknown", False)
    assert [product.name for product in sidecar.products or ()] == ["audio-mp3"]


def info_of(*formats: Format, chosen: Format) -> dict[str, Any]:
    facts = {
        "id": "x", "title": "A title", "channel": "C", "upload_date": "20260101", "license": "Creative Commons", "duration": 131,
    }  # fmt: skip
    return {**chosen, **facts, "formats": [*formats, chosen]}


def write_sidecar(path: Path, *about: Any, **more: Any) -> None:
    """Write the sidecar of a file beside it, as an archive does."""
    content = sidecar_content(path, path.name, *about, **more)
    path.with_name(f"{path.name}.json").write_text(sidecar_text(content))


def test_a_sidecar_has_what_a_corpus_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "x.m4a"
    path.write_bytes(b"sound")
    chosen = drc(m4a("140", ORIGINAL, asr=44100, abr=129.5))
    info = info_of(m4a("140-1", DUB), chosen=chosen)
    write_sidecar(path, new_video(1), "audio", info, {}, media=MEDIA, degraded=["low-bit-rate"])
    sidecar = read(tmp_path / "x.m4a.json")
    assert sidecar.source is not None
    assert sidecar.source.model_dump(exclude_none=True) == {
        "track": "original", "language": "en", "language_preference": 10, "format_id": "140-drc", "drc": True,
        "format_note": "English original (default), medium, DRC", "codec": "mp4a.40.2", "bit_rate_kbps": 129.5,
        "sample_rate_hz": 44100, "channels": 2,
    }  # fmt: skip
    assert sidecar.media is not None
    assert sidecar.media.model_dump() == {
        "codec": "aac", "bit_rate_kbps": 128.4, "sample_rate_hz": 44100, "channels": 2, "duration_seconds": 131.072,
    }  # fmt: skip
    youtube = sidecar.youtube
    assert (youtube.license, youtube.channel, youtube.upload_date) == ("Creative Commons", "C", "20260101")
    assert sidecar.degraded == ["low-bit-rate"]


def test_values_of_other_types_are_written_as_they_are(tmp_path: Path) -> None:
    """Another site, or another version of yt-dlp, must not make an attempt fail after its download."""
    path = tmp_path / "x.m4a"
    path.write_bytes(b"sound")
    info = info_of(chosen=m4a("140", NO_TRACK)) | {"age_limit": "18+", "categories": "Music", "timestamp": Path("x")}
    write_sidecar(path, new_video(1), "audio", info, {}, media=MEDIA)
    youtube = json.loads((tmp_path / "x.m4a.json").read_text())["youtube"]
    assert (youtube["age_limit"], youtube["categories"], youtube["timestamp"]) == ("18+", "Music", "x")


def test_subtitles_have_no_media(tmp_path: Path) -> None:
    path = tmp_path / "x.en.vtt"
    path.write_text("WEBVTT")
    write_sidecar(path, new_video(1), "subtitles", info_of(chosen=m4a("140", NO_TRACK)), {"language": "en"})
    sidecar = read(tmp_path / "x.en.vtt.json")
    assert (sidecar.media, sidecar.source, sidecar.made_with["language"]) == (None, None, "en")


def test_the_source_of_merged_media_is_the_part_with_sound() -> None:
    info = {"requested_formats": [video("137", 1080), m4a("140", ORIGINAL)], "formats": [m4a("140", ORIGINAL)]}
    facts = source_facts(info)
    assert (facts["format_id"], facts["track"], facts["codec"]) == ("140", "original", "mp4a.40.2")
