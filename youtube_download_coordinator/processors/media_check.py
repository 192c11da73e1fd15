"""Measure and check media files. Only ffmpeg is used, because no Python package ships ffprobe.

A container's header contains the intended length only. So the length is measured by reading every packet, without decoding.
Half a minute of sound is decoded, or all of it if that half minute is silent.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import AttemptError, PermanentError, TransientError
from youtube_download_coordinator.processors.ffmpeg import ffmpeg_program
from youtube_download_coordinator.processors.tracks import Format, is_fallback, is_format_18, sound_of
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.youtube.error_rules import skipped_formats

SILENT_DB = -80.0
"""A file whose loudest sample is at most this is silent. Digital silence is at -91 dB."""
LISTEN_SECONDS = 30
TOLERANCE_SECONDS, TOLERANCE_SHARE = 2.0, 0.005
"""How much longer or shorter a file may be than YouTube states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """The measured content of a file."""

    container: str
    """ffmpeg's names, separated by commas."""
    seconds: float
    """The length up to the end of the last packet."""
    header_seconds: float | None = None
    """The length that the container states."""
    audio_codec: str = ""
    """The codec of the first track with sound; empty: there is none."""
    sample_rate_hz: int | None = None
    channels: int | None = None
    audio_kbps: float | None = None
    is_silent: bool = False


# -- measuring


def measure(path: Path) -> Media:
    """Measure a file. Raises TransientError, reason `short-file` or `bad-media`, if ffmpeg cannot read it."""
    progress, log = _ffmpeg(path, "-map", "0:a:0?", "-map", "0:v:0?", "-c", "copy", "-f", "null", "-")
    container = _CONTAINER.search(log)
    if container is None or not _STREAM.search(log):
        lines = [line for line in log.splitlines() if line.strip()]
        unreadable = f"ffmpeg cannot read the file: {truncate(' / '.join(lines[-3:]), 150)}"
        if _CUT_OFF.search(log) and "misdetection possible" not in log:
            raise TransientError(unreadable, reason="short-file")
        raise TransientError(unreadable, reason="bad-media")
    ends = _END.findall(progress)
    seconds = int(ends[-1]) / 1e6 if ends else 0.0
    sound, size = _AUDIO.search(log), _AUDIO_SIZE.search(log)
    header = None if "Estimating duration" in log else _DURATION.search(log)
    facts = sound["facts"] if sound else ""
    return Media(
        container=container[1],
        seconds=seconds,
        header_seconds=_seconds(header) if header else None,
        audio_codec=sound["codec"] if sound else "",
        sample_rate_hz=int(rate[1]) if (rate := re.search(r"(\d+) Hz", facts)) else None,
        channels=_channels(facts) if sound else None,
        audio_kbps=round(int(size[1]) * 1024 * 8 / seconds / 1000, 1) if sound and size and seconds else None,
        is_silent=bool(sound) and _is_silent(path),
    )


_CONTAINER = re.compile(r"^Input #0, (\S+), from ", re.M)
# Two blanks at the start of a line: the file's tags, which ffmpeg also prints, are indented further.
_STREAM = re.compile(r"^  Stream #0:\d+.*?: (?:Audio|Video): ", re.M)
_AUDIO = re.compile(r"^  Stream #0:\d+.*?: Audio: (?P<codec>[a-z0-9_]+)(?P<facts>.*)$", re.M)
_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", re.M)
_AUDIO_SIZE = re.compile(r"^\[out#0/null @ \S+\] video:.*? audio:(\d+)Ki?B", re.M | re.I)
_END = re.compile(r"^out_time_us=(\d+)", re.M)
_CUT_OFF = re.compile(r"moov atom not found|end of file|partial file|truncat", re.I)
_LAYOUTS = {"mono": 1, "stereo": 2, "downmix": 2, "quad": 4, "hexagonal": 6, "octagonal": 8}


def _channels(facts: str) -> int | None:
    """Return the number of channels in ffmpeg's description of a track: `, 44100 Hz, 5.1(side), fltp`."""
    layout = re.search(r"Hz, (?:(\d+) channels|(\d)\.(\d)(?:\.(\d))?|([a-z]+))", facts)
    if layout is None:
        return None
    if layout[5]:
        return _LAYOUTS.get(layout[5])
    return int(layout[1]) if layout[1] else sum(int(part) for part in layout.groups()[1:4] if part)


def _seconds(duration: re.Match[str]) -> float:
    return int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3])


def _is_silent(path: Path) -> bool:
    """Return whether no sample is louder than SILENT_DB. A track that cannot be decoded does not count as silent."""
    for limit in (["-t", str(LISTEN_SECONDS)], []):
        _, log = _ffmpeg(path, "-map", "0:a:0", "-vn", *limit, "-af", "volumedetect", "-f", "null", "-")
        loudest = _LOUDEST.findall(log)
        if not loudest or float(loudest[-1]) > SILENT_DB:
            return False
    return True


_LOUDEST = re.compile(r"^\[Parsed_volumedetect_0 @ \S+\] max_volume: (-?\d+(?:\.\d+)?|-inf) dB", re.M)


def _ffmpeg(path: Path, *arguments: str) -> tuple[str, str]:
    """Run ffmpeg. Return its machine-readable progress and its log."""
    command = [ffmpeg_program(), "-hide_banner", "-nostdin", "-nostats", "-progress", "pipe:1", "-i", f"file:{path}"]
    done = subprocess.run([*command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


# -- judging


def check_media(media: Media, info: Mapping[str, Any], *, needs_sound: bool = True) -> None:
    """Raise an AttemptError for media that are too short or too long, or that have no sound."""
    if needs_sound and not media.audio_codec:
        raise PermanentError("the video has no sound", reason="no-audio")
    if needs_sound and media.is_silent:
        raise PermanentError("the video is silent from start to end", reason="no-audio")
    if not media.seconds:
        raise TransientError("the file contains nothing that can be played", reason="short-file")
    for expected, source in (
        (expected_seconds(info, media.seconds), "YouTube says"),
        (media.header_seconds, "its header says"),
    ):
        if expected and not has_length(media.seconds, expected):
            raise TransientError(f"the file has {media.seconds:.1f} s, {source} {expected:.1f} s", reason="short-file")


def has_length(seconds: float, expected: float) -> bool:
    return abs(seconds - expected) <= TOLERANCE_SECONDS + TOLERANCE_SHARE * expected


def expected_seconds(info: Mapping[str, Any], measured: float) -> float | None:
    """Return the length that YouTube or another site states, or None if it is not reliable.

    The size of a format that YouTube states, divided by its bit rate, is a second statement of the length. If the two contradict
    each other and the file has neither length, the length is unknown. If the file has the second length, YouTube's own file is
    damaged.
    """
    expected = info.get("duration")
    if not expected:
        return None
    for part in info.get("requested_formats") or [info]:
        size, kbps = part.get("filesize"), part.get("tbr")
        implied = size * 8 / 1000 / kbps if size and kbps else expected
        # The bit rate may be the nominal one, which is higher than the average.
        if not 0.6 < implied / expected < 1.2 and not 0.95 < implied / (measured or 1) < 1.05:
            return None
    return float(expected)


def degradations(
    info: Mapping[str, Any], messages: Sequence[str], media: Media, *, min_kbps: int, for_audio: bool
) -> list[str]:
    """Return the reasons for which the media are worse than usual on YouTube, or an empty list.

    The reasons are `format-18`, `low-bit-rate`, and `skipped-` with the cause for missing better formats: sabr, challenge,
    token, drm.
    """
    sound = sound_of(info)
    reasons = ["format-18"] if is_format_18(sound) else []
    kbps = stated_kbps(sound) or media.audio_kbps
    if kbps is not None and kbps < min_kbps:
        reasons.append("low-bit-rate")
    if is_fallback(sound, for_audio=for_audio):
        reasons += [f"skipped-{cause}" for cause in sorted(skipped_formats(messages))]
    return reasons


def stated_kbps(sound: Format) -> float | None:
    """Return the bit rate of the sound that YouTube states."""
    stated = sound.get("abr") or (sound.get("tbr") if sound.get("vcodec") == "none" else None)
    return float(stated) if stated else None


def refusal(reasons: Sequence[str]) -> AttemptError:
    """Return the failure of an attempt with degraded media, for an operator who does not accept them."""
    return TransientError(f"{', '.join(reasons)} (YDC_ACCEPT_DEGRADED=false)", reason="degraded")
