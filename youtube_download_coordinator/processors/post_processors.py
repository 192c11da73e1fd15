"""What yt-dlp runs on a downloaded file. It is a module of its own because it imports yt-dlp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yt_dlp.postprocessor.ffmpeg import FFmpegExtractAudioPP

from youtube_download_coordinator.processors.media_check import Media, check_media, measure


class FFmpegCheckedAudioPP(FFmpegExtractAudioPP):  # type: ignore[misc]  # yt-dlp has no types
    """Measures and checks the file as it was downloaded, then extracts the audio if a codec is given.

    A conversion would hide what was wrong with the file. With a sample rate, or for one channel, audio is always converted:
    yt-dlp's own processor copies audio that has the wanted codec already.
    """

    media: Media
    path: Path

    def __init__(
        self,
        downloader: Any,
        *,
        needs_sound: bool,
        codec: str = "",
        sample_rate_hz: int | None = None,
        mono: bool = False,
    ) -> None:
        super().__init__(downloader, preferredcodec=codec)
        self._needs_sound = needs_sound
        self._extracts = bool(codec)
        rate = ["-ar", str(sample_rate_hz)] if sample_rate_hz else []
        self._arguments = [*rate, *(["-ac", "1"] if mono else [])]

    def run(self, information: dict[str, Any]) -> Any:
        self.path = Path(information["filepath"])
        self.media = measure(self.path)
        check_media(self.media, information, needs_sound=self._needs_sound)
        return super().run(information) if self._extracts else ([], information)

    def get_audio_codec(self, path: str) -> str | None:
        """Return the codec, which was measured already; yt-dlp would ask ffprobe."""
        if not self.available:  # it also looks what this ffmpeg can do, which the conversion asks
            return None
        return "to be converted" if self._arguments else self.media.audio_codec

    def run_ffmpeg(self, path: str, out_path: str, codec: str | None, more_opts: list[str]) -> None:
        super().run_ffmpeg(path, out_path, codec, [*more_opts, *self._arguments])
