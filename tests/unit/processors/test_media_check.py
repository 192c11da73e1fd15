"""Media that are not what they seem, with the real yt-dlp and ffmpeg, against a media site on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from tests.support.clip_site import Site, files, task, with_sidecar
from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.models import Verdict
from youtube_download_coordinator.processors.built_in import Settings, audio, download
from youtube_download_coordinator.processors.media_check import Media, degradations, expected_seconds, measure

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning"
)  # yt-dlp drops failed connections without closing them

PICTURE, TONE = "testsrc=size=160x120:rate=10:duration={0}", "sine=sample_rate=48000:duration={0}"
SILENCE = "anullsrc=r=48000:cl=stereo:duration={0}"
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-PLAYLIST-TYPE:VOD\n{}#EXT-X-ENDLIST\n"
PAGE = """<html><head><title>x</title><script type="application/ld+json">{{"@context": "https://schema.org",
"@type": "VideoObject", "name": "x", "contentUrl": "{url}", "duration": "{duration}", "uploadDate": "2026-01-01"}}</script>
</head></html>"""

Encode = Callable[..., bytes]


@pytest.fixture(scope="module")
def encode(tmp_path_factory: pytest.TempPathFactory) -> Encode:
    """Return a function that makes a file of lavfi sources with ffmpeg's options."""
    folder = tmp_path_factory.mktemp("encoded")
    made: dict[tuple[tuple[str, ...], str, int], bytes] = {}

    def run(sources: tuple[str, ...], options: str, *, seconds: int = 9) -> bytes:
        if (sources, options, seconds) not in made:
            inputs = [part for source in sources for part in ("-f", "lavfi", "-i", source.format(seconds))]
            path = folder / str(len(made))
            command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, *options.split(), str(path)]
            subprocess.run(command, check=True)
            made[sources, options, seconds] = path.read_bytes()
        return made[sources, options, seconds]

    return run


FASTSTART = "-c:a aac -shortest -movflags +faststart -f mp4"
TRANSPORT_STREAM = "-c:a aac -shortest -f mpegts"


def serve_hls(site: Site, *segments: bytes | None) -> str:
    """Put a stream on the site; None is a segment that is missing. Returns the playlist's path."""
    names = [f"segment{number}.ts" for number in range(len(segments))]
    for name, content in zip(names, segments, strict=True):
        if content is not None:
            site.files[f"/{name}"] = ("video/mp2t", content)
    playlist = PLAYLIST.format("".join(f"#EXTINF:9,\n{name}\n" for name in names))
    site.files["/vod.m3u8"] = ("application/vnd.apple.mpegurl", playlist.encode())
    return "/vod.m3u8"


def fails(site: Site, settings: Settings, path: str, processor: Any = download) -> tuple[Verdict, str]:
    with pytest.raises(AttemptError) as caught:
        processor(task(site, path), settings)
    assert [name for name in files(settings) if ".parts" not in name] == []
    return caught.value.verdict, caught.value.reason


# -- streams


@pytest.mark.slow
def test_a_stream_becomes_a_real_mp4(site: Site, settings: Settings, encode: Encode) -> None:
    stream = encode((PICTURE, TONE), TRANSPORT_STREAM)
    done = download(task(site, serve_hls(site, stream)), settings)
    assert done.result.endswith(".mp4")
    assert "mp4" in measure(settings.output_dir / done.result).container
    assert done.media_seconds == pytest.approx(9, abs=0.2)


def test_a_stream_that_cannot_be_repaired_is_a_counted_failure_each_time(
    site: Site, settings: Settings, encode: Encode
) -> None:
    """The second attempt once took the raw stream of the first for a finished file."""
    path = serve_hls(site, encode((PICTURE, TONE), "-c:a s302m -strict -2 -ac 2 -shortest -f mpegts", seconds=1))
    for _ in range(2):
        assert fails(site, settings, path) == (Verdict.RETRY, "bad-media")
        assert files(settings) == []


@pytest.mark.slow
def test_a_stream_whose_repair_was_cut_off_is_repaired(
    site: Site, settings: Settings, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yt_dlp.postprocessor.ffmpeg import FFmpegFixupM3u8PP

    path = serve_hls(site, encode((PICTURE, TONE), TRANSPORT_STREAM))
    with monkeypatch.context() as patch:
        patch.setattr(FFmpegFixupM3u8PP, "run", lambda self, information: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            download(task(site, path), settings)
    assert any(name.endswith(".mp4") for name in files(settings))
    site.log.clear()
    done = download(task(site, path), settings)
    assert "mp4" in measure(settings.output_dir / done.result).container
    assert "/segment0.ts" not in {path for path, _ in site.log}


@pytest.mark.slow
def test_a_stream_that_nobody_wants_repaired_is_called_what_it_is(
    site: Site, settings: Settings, encode: Encode
) -> None:
    path = serve_hls(site, encode((PICTURE, TONE), TRANSPORT_STREAM))
    raw = replace(settings, network=replace(settings.network, yt_dlp_options={"fixup": "never"}))
    assert download(task(site, path), raw).result.endswith(".ts")


def test_a_missing_segment_is_transient(site: Site, settings: Settings, encode: Encode) -> None:
    stream = encode((PICTURE, TONE), TRANSPORT_STREAM)
    path = serve_hls(site, stream, None, stream)
    for _ in range(2):
        assert fails(site, settings, path) == (Verdict.RETRY, "http-404")


# -- files


@pytest.mark.slow
def test_a_truncated_file_is_not_kept(site: Site, settings: Settings, encode: Encode) -> None:
    whole = encode((PICTURE, TONE), FASTSTART)
    site.files["/cut.mp4"] = ("video/mp4", whole[: len(whole) // 2])
    for processor in (download, audio):
        assert fails(site, settings, "/cut.mp4", processor) == (Verdict.RETRY, "short-file")
    assert files(settings) == []
    site.files["/cut.mp4"] = ("video/mp4", whole)
    assert download(task(site, "/cut.mp4"), settings).media_seconds == pytest.approx(9, abs=0.2)


@pytest.mark.slow
def test_what_is_no_media_is_not_kept(site: Site, settings: Settings) -> None:
    site.files["/junk.mp4"] = ("video/mp4", bytes(range(256)) * 400)
    assert fails(site, settings, "/junk.mp4") == (Verdict.RETRY, "bad-media")
    assert files(settings) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sources", "options"),
    [((PICTURE,), "-f mp4"), ((PICTURE, SILENCE), FASTSTART), ((SILENCE,), "-c:a libopus -f webm")],
    ids=["no track", "silence", "silent opus"],
)
def test_a_soundless_file_is_permanent(
    site: Site, settings: Settings, encode: Encode, sources: tuple[str, ...], options: str
) -> None:
    site.files["/mute.mp4"] = ("video/mp4", encode(sources, options, seconds=1))
    for processor in (download, audio):
        assert fails(site, settings, "/mute.mp4", processor) == (Verdict.PERMANENT, "no-audio")
    assert files(settings) == []
    pictures = replace(settings, network=replace(settings.network, yt_dlp_options={"format": "best"}))
    assert (settings.output_dir / download(task(site, "/mute.mp4"), pictures).result).is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stated", "is_kept"), [("PT9S", True), ("PT11S", True), ("PT12S", False), ("PT1H", False), ("PT6S", False)]
)
def test_a_length_that_lies_is_a_short_file(
    site: Site, settings: Settings, encode: Encode, stated: str, is_kept: bool
) -> None:
    site.files["/tone.mp4"] = ("video/mp4", encode((PICTURE, TONE), FASTSTART))
    page = PAGE.format(url=f"{site.url}/tone.mp4", duration=stated)
    site.files["/page.html"] = ("text/html", page.encode())
    if is_kept:
        assert audio(task(site, "/page.html"), settings).media_seconds == pytest.approx(9, abs=0.2)
    else:
        assert fails(site, settings, "/page.html", audio) == (Verdict.RETRY, "short-file")
        assert files(settings) == []


# -- degraded


@pytest.mark.slow
def test_a_low_bit_rate_is_marked_counted_and_can_be_refused(site: Site, settings: Settings, encode: Encode) -> None:
    site.files["/low.mp4"] = ("video/mp4", encode((PICTURE, TONE), f"-b:a 16k -ac 1 {FASTSTART}", seconds=3))
    row = task(site, "/low.mp4")
    done = audio(row, settings)
    assert done.degraded == "low-bit-rate"
    assert files(settings) == with_sidecar(settings.output_dir / done.result, settings)
    assert audio(row, settings) == replace(done, asked_youtube=False)
    choosy = replace(settings, accept_degraded=False)
    with pytest.raises(AttemptError) as caught:
        audio(row, choosy)
    assert (caught.value.verdict, caught.value.reason) == (Verdict.RETRY, "degraded")
    assert audio(row, replace(choosy, audio_min_kbps=0)).degraded == ""


CHOSEN: dict[str, Any] = {
    "format_id": "140", "url": "https://rr1.googlevideo.com/videoplayback", "acodec": "mp4a.40.2", "vcodec": "none",
    "abr": 129.0, "quality": 3, "protocol": "https",
}  # fmt: skip
SABR = "Some ios client https formats have been skipped as they are missing a URL. SABR-only"
CHALLENGE = "x: n challenge solving failed: Some formats may be missing. Ensure you have a supported runtime"
DRM = "x: Some tv client https formats have been skipped as they are DRM protected. "
TOKEN = "x: web_safari client hls formats require a GVS PO Token which was not provided."


@pytest.mark.parametrize(
    ("changes", "messages", "reasons"),
    [
        ({}, [], []),
        ({}, [SABR, CHALLENGE, DRM, TOKEN], []),
        ({"abr": 47.9}, [], ["low-bit-rate"]),
        ({"abr": 48}, [], []),
        ({"abr": None, "tbr": 31.0}, [], ["low-bit-rate"]),
        ({"abr": None, "tbr": None}, [], ["low-bit-rate"]),
        ({"format_id": "18", "vcodec": "avc1", "abr": 96}, [], ["format-18"]),
        ({"format_id": "18", "vcodec": "avc1", "abr": 96}, [SABR], ["format-18", "skipped-sabr"]),
        ({"format_id": "139", "abr": 48.8, "quality": 2}, [DRM, CHALLENGE], ["skipped-challenge", "skipped-drm"]),
        ({"format_id": "96", "vcodec": "avc1", "abr": 128, "protocol": "m3u8_native"}, [TOKEN], ["skipped-token"]),
        ({"format_id": "96", "vcodec": "avc1", "abr": 128, "protocol": "m3u8_native"}, [], []),
        ({"format_id": "18", "vcodec": "avc1", "abr": 96, "url": "https://example.org/x"}, [SABR], []),
    ],
)
def test_what_is_worse_than_usual_has_its_reasons(
    changes: dict[str, Any], messages: list[str], reasons: list[str]
) -> None:
    media = Media(container="mp4", seconds=60.0, audio_codec="aac", audio_kbps=40.0)
    assert degradations(CHOSEN | changes, messages, media, min_kbps=48, for_audio=True) == reasons
    merged = {"requested_formats": [{"acodec": "none", "vcodec": "vp9"}, CHOSEN | changes]}
    assert set(degradations(merged, messages, media, min_kbps=48, for_audio=False)) <= set(reasons)


@pytest.mark.parametrize(
    ("info", "measured", "expected"),
    [
        ({"duration": 131}, 3, 131.0),
        ({"duration": None}, 3, None),
        ({"duration": 131, "filesize": 2_110_000, "tbr": 129.0}, 3, 131.0),
        ({"duration": 131, "filesize": 2_110_000, "tbr": 160.0}, 3, 131.0),
        ({"duration": 131, "filesize": 19_760, "tbr": 129.0}, 3, None),
        ({"duration": 131, "filesize": 3_000_000, "tbr": 129.0}, 3, None),
        ({"duration": 131, "filesize": 19_760, "tbr": 52.7}, 3, 131.0),
        ({"duration": 131, "filesize": 19_760, "tbr": 129.0}, 0, None),
        ({"duration": 131, "requested_formats": [{"filesize": 19_760, "tbr": 900.0}, {}]}, 3, None),
        ({"duration": 131, "filesize": None, "tbr": 129.0}, 3, 131.0),
    ],
)
def test_figures_that_contradict_each_other_are_no_evidence(
    info: dict[str, Any], measured: float, expected: float | None
) -> None:
    assert expected_seconds(info, measured) == expected


@pytest.mark.parametrize(
    ("options", "codec", "rate", "channels"),
    [
        ("-c:a aac -ac 2 -f mp4", "aac", 48000, 2),
        ("-c:a libopus -ac 1 -f webm", "opus", 48000, 1),
        ("-ar 16000 -ac 1 -f wav", "pcm_s16le", 16000, 1),
        ("-c:a aac -ac 6 -f mp4", "aac", 48000, 6),
        ("-c:a libmp3lame -q:a 9 -metadata title=Stream_#0:9:_Audio:_fake -f mp3", "mp3", 48000, 1),
    ],
)
def test_a_file_is_measured(tmp_path: Path, encode: Encode, options: str, codec: str, rate: int, channels: int) -> None:
    path = tmp_path / "a file: -i [x].bin"
    path.write_bytes(encode((TONE,), options, seconds=2))
    media = measure(path)
    assert (media.audio_codec, media.sample_rate_hz, media.channels, media.is_silent) == (codec, rate, channels, False)
    assert media.seconds == pytest.approx(2, abs=0.1)
    assert media.audio_kbps == pytest.approx(path.stat().st_size * 8 / 2000, rel=0.2)


def test_sound_that_begins_late_is_no_silence(tmp_path: Path, encode: Encode) -> None:
    path = tmp_path / "late.wav"
    path.write_bytes(encode((SILENCE, TONE), "-filter_complex concat=v=0:a=1 -ar 8000 -ac 1 -f wav", seconds=31))
    assert not measure(path).is_silent
