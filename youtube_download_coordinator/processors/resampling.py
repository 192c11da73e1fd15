"""Converts audio to a sample rate, or to one channel. It is a module of its own because it imports yt-dlp."""

from __future__ import annotations

from typing import Any

from yt_dlp.postprocessor.ffmpeg import FFmpegExtractAudioPP


class FFmpegResampleAudioPP(FFmpegExtractAudioPP):  # type: ignore[misc]  # yt-dlp has no types
    """Extracts the audio and always converts it. yt-dlp's own processor copies audio that has the wanted codec already."""

    def __init__(self, downloader: Any, codec: str, *, sample_rate_hz: int | None, mono: bool) -> None:
        super().__init__(downloader, preferredcodec=codec)
        rate = ["-ar", str(sample_rate_hz)] if sample_rate_hz else []
        self._arguments = [*rate, *(["-ac", "1"] if mono else [])]

    def get_audio_codec(self, path: str) -> str | None:
        return super().get_audio_codec(path) and "to be converted"

    def run_ffmpeg(self, path: str, out_path: str, codec: str | None, more_opts: list[str]) -> None:
        super().run_ffmpeg(path, out_path, codec, [*more_opts, *self._arguments])
