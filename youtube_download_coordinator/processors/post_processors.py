"""Post-processors that yt-dlp runs on a downloaded file. This is a separate module because it imports yt-dlp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yt_dlp.postprocessor.ffmpeg import FFmpegExtractAudioPP

from youtube_download_coordinator.processors.media_check import Media, check_media, measure


class FFmpegCheckedAudioPP(FFmpegExtractAudioPP):  # type: ignore[misc]  # yt-dlp has no types
    """A post-processor that measures and checks the downloaded file, and then extracts the audio if a codec is given.

    The check comes first, because a conversion would hide defects. With a sample rate, or for one channel, audio is always
    converted, although yt-dlp's own processor copies audio that already has the wanted codec.
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
        """Return the codec that was already measured. yt-dlp would call ffprobe."""
        if not self.available:  # this also detects ffmpeg's features, which the conversion needs
            return None
        return "to be converted" if self._arguments else self.media.audio_codec

    def run_ffmpeg(self, path: str, out_path: str, codec: str | None, more_opts: list[str]) -> None:
        super().run_ffmpeg(path, out_path, codec, [*more_opts, *self._arguments])
