"""Estimate the disk space of an hour of video: docs/files.md, "How much space"."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

BYTES_AN_HOUR: Mapping[str, tuple[float, float]] = {
    "m4a": (58e6, 31e6),
    "best": (72e6, 72e6),
    "opus": (43e6, 31e6),
    "mp3": (58e6, 11e6),
    "vorbis": (34e6, 15e6),
    "flac": (235e6, 86e6),
    "alac": (236e6, 85e6),
}
"""The largest measured size for each codec: unchanged, and as one channel of at most SPEECH_HZ."""
SPEECH_HZ = 16_000
WAV_HZ, WAV_CHANNELS, WAV_SAMPLE_BYTES = 48_000, 2, 2
"""The format of a wav file without a chosen rate."""
DOWNLOAD_BYTES_AN_HOUR = 900e6
"""The size at 2,000 kbit/s."""


class SizeRate(NamedTuple):
    """The bytes of the products of a second of video."""

    bytes_per_second: float
    basis: str
    """The basis of the number, in a few words."""


def usual_size(
    processors: Collection[str], codec: str, sample_rate_hz: int | None, *, is_mono: bool
) -> SizeRate | None:
    """Return the usual rate of these processors, or None if they make no media, or only the user knows their files."""
    if "download" in processors:
        return SizeRate(DOWNLOAD_BYTES_AN_HOUR / 3600, "assumed for video")
    if "audio" not in processors:
        return None
    if codec == "wav":
        channels = 1 if is_mono else WAV_CHANNELS
        return SizeRate(float((sample_rate_hz or WAV_HZ) * channels * WAV_SAMPLE_BYTES), "computed for wav")
    is_speech = is_mono and sample_rate_hz is not None and sample_rate_hz <= SPEECH_HZ
    return SizeRate(BYTES_AN_HOUR[codec][is_speech] / 3600, f"usual for {codec}")
