"""The settings of the built-in processors that a worker sends to the child process of an attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from youtube_download_coordinator.youtube.network import Network
from youtube_download_coordinator.youtube.trainability import API_URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a built-in processor; config.py documents them."""

    output_dir: Path
    """The folder in which files are made. They stay in it, unless `place` is set."""
    place: str = ""
    """The address of the object storage in which files are published."""
    output_template: str = "{accent}/{channel}/{id}"
    audio_codec: str = "m4a"
    audio_sample_rate_hz: int | None = None
    audio_mono: bool = False
    audio_track: str = "original"
    audio_min_kbps: int = 48
    accept_degraded: bool = True
    subtitle_languages: Sequence[str] = ("original",)
    subtitle_kinds: str = "both"
    subtitle_format: str = "vtt"
    subtitles_required: bool = False
    min_free_disk_bytes: int = 0
    max_file_bytes: int | None = None
    licenses: Sequence[str] = ()
    trainable: str = ""
    trainability: str = "off"
    trainability_url: str = API_URL
    network: Network = field(default_factory=Network)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Settings:
        return cls(**{**fields, "output_dir": Path(fields["output_dir"]), "network": Network(**fields["network"])})
