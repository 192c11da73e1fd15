"""The speaker's own voice is chosen, by yt-dlp's own selection, from whatever YouTube offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yt_dlp import YoutubeDL

from youtube_download_coordinator.errors import AttemptError, PermanentError, TransientError
from youtube_download_coordinator.models import Verdict
from youtube_download_coordinator.processors import tracks
from youtube_download_coordinator.processors.availability import check_whole
from youtube_download_coordinator.processors.media import choose_format
from youtube_download_coordinator.processors.tracks import ANY, Track
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.youtube.network import Network

Format = dict[str, Any]

ORIGINAL: Format = {"language": "en", "language_preference": 10, "format_note": "English original (default), medium"}
DEFAULT: Format = {"language": "en", "language_preference": 5, "format_note": "English (default), medium"}
DUB: Format = {"language": "de", "language_preference": -1, "format_note": "German, medium"}
DESCRIPTION: Format = {"language": "en-desc", "language_preference": -10, "format_note": "English descriptive, medium"}
NO_TRACK: Format = {"language": None, "language_preference": -1, "format_note": "medium"}
FROM_CAPTIONS: Format = NO_TRACK | {"language": "en"}
"""yt-dlp takes the language from the captions where YouTube names no track."""
LOW, MEDIUM = 2, 3


def m4a(format_id: str, track: Format, *, quality: float = MEDIUM, xtags: str = "", **more: Any) -> Format:
    """Return a format with sound alone, as yt-dlp makes it of YouTube's player response."""
    kbps = {LOW: 48.8, MEDIUM: 129.5}.get(int(quality + 0.5), 129.5)
    url = f"https://rr1---sn-x.googlevideo.com/videoplayback?itag={format_id}&xtags={xtags}"
    return {
        "format_id": format_id, "url": url, "ext": "m4a", "acodec": "mp4a.40.2", "vcodec": "none", "quality": quality,
        "tbr": kbps, "protocol": "https", "container": "m4a_dash", "audio_channels": 2, **track, **more,
    }  # fmt: skip


def opus(format_id: str, track: Format, **more: Any) -> Format:
    return m4a(format_id, track, **{"ext": "webm", "acodec": "opus", "container": "webm_dash", "tbr": 135.0, **more})


def drc(format: Format) -> Format:
    note = f"{format['format_note']}, DRC"
    changes = {"format_id": f"{format['format_id']}-drc", "format_note": note, "quality": format["quality"] - 0.5}
    return format | changes


def video(format_id: str, height: int, **more: Any) -> Format:
    picture: Format = {"ext": "mp4", "acodec": "none", "vcodec": "avc1.4d401f", "height": height, "tbr": 900}
    return m4a(format_id, NO_TRACK, quality={360: 6, 1080: 9}[height], **{**picture, **more})


SMALL: Format = {"ext": "mp4", "vcodec": "avc1.42001E", "height": 360, "width": 640}
FORMAT_18 = m4a("18", NO_TRACK | {"format_note": "360p"}, quality=6, **SMALL)


def hls(format_id: str, language: str | None = None, **more: Any) -> Format:
    """Return a stream of picture and sound; a manifest names no tracks."""
    stream: Format = {"ext": "mp4", "vcodec": "avc1.4D401F", "protocol": "m3u8_native", "height": 720, "width": 1280}
    track = {"language": language, "format_note": None, "language_preference": None}
    return m4a(format_id, track, quality=8, **{**stream, **more})


VIDEOS = [video("134", 360), video("137", 1080)]


def choose(
    formats: list[Format], processor: str = "audio", *, options: dict[str, Any] | None = None, **settings: Any
) -> Any:
    """Return what yt-dlp chooses of the formats. Raises AttemptError as an attempt does."""
    network = Network(yt_dlp_options=options or {})
    chosen_settings = Settings(output_dir=Path("media"), network=network, **settings)
    messages: list[str] = []
    with YoutubeDL({"quiet": True, "no_warnings": True, "ignore_no_formats_error": True}, auto_init=False) as ydl:
        ydl.report_warning = lambda message, *_, **__: messages.append(message)
        choose_format(ydl, chosen_settings, for_audio=processor == "audio")
        info = {"id": "x", "title": "x", "extractor": "youtube", "extractor_key": "Youtube", "duration": 60}
        info["formats"] = [dict(format) for format in formats]
        info = ydl.process_video_result(info, download=False)
    tracks.check_offer(info, messages, chosen_settings.audio_track)
    check_whole(info, messages)
    return info


def sound(info: Any) -> str:
    return str(tracks.sound_of(info)["format_id"])


MATRIX: dict[str, tuple[list[Format], dict[str, str], Track]] = {
    # formats, the format with the sound by codec or processor, what it is
    "the original has the wanted container": (
        [m4a("140-0", DUB), m4a("140-1", ORIGINAL), opus("251-0", DUB), opus("251-1", ORIGINAL)],
        {"m4a": "140-1", "opus": "251-1", "best": "251-1", "wav": "251-1", "download": "251-1"}, Track.ORIGINAL),
    "the original is there as opus alone": (
        [m4a("140", DUB), opus("251-0", DUB), opus("251-1", ORIGINAL)],
        {"m4a": "251-1", "opus": "251-1", "download": "251-1"}, Track.ORIGINAL),
    "the original is there as m4a alone": (
        [opus("251", DUB), m4a("140", ORIGINAL)], {"m4a": "140", "opus": "140", "best": "140"}, Track.ORIGINAL),
    "the original has a lower quality than the dub": (
        [m4a("140", DUB), opus("251", DUB), m4a("139", ORIGINAL, quality=LOW)],
        {"m4a": "139", "opus": "139", "mp3": "139", "download": "139"}, Track.ORIGINAL),
    "the original is possibly damaged": (
        [m4a("140", DUB), m4a("139", ORIGINAL, quality=LOW, preference=-10)], {"m4a": "139", "download": "139"}, Track.ORIGINAL),
    "the original has DRC alone": (
        [m4a("140", DUB), drc(m4a("140", ORIGINAL))], {"m4a": "140-drc", "opus": "140-drc"}, Track.ORIGINAL),
    "DRC is there in the wanted container alone": (
        [drc(m4a("140", ORIGINAL)), opus("251", ORIGINAL), drc(opus("251", ORIGINAL))],
        {"m4a": "251", "opus": "251"}, Track.ORIGINAL),
    "the same with and without DRC": (
        [m4a("140", ORIGINAL), drc(m4a("140", ORIGINAL))], {"m4a": "140", "opus": "140", "download": "140"}, Track.ORIGINAL),
    "low and medium quality in one track": (
        [m4a("139", ORIGINAL, quality=LOW), opus("251", ORIGINAL)], {"m4a": "251", "opus": "251"}, Track.ORIGINAL),
    "an audio description beside the original": (
        [m4a("140-0", DESCRIPTION), m4a("140-1", ORIGINAL), opus("251", DESCRIPTION)],
        {"m4a": "140-1", "opus": "140-1", "download": "140-1"}, Track.ORIGINAL),
    "no original, but a default": (
        [m4a("140-0", DUB), opus("251", DEFAULT)], {"m4a": "251", "opus": "251"}, Track.DEFAULT),
    "the default is a dub, by YouTube's mark": (
        [m4a("140-0", DEFAULT, xtags="acont%3Ddubbed-auto%3Alang%3Den"), opus("251", DUB, xtags="acont%3Doriginal%3Alang%3Dde")],
        {"m4a": "251", "opus": "251", "download": "251"}, Track.ORIGINAL),
    "the original has sound with a picture alone": (
        [m4a("140", DUB), opus("251", DUB), *VIDEOS, hls("96", "en", language_preference=10)],
        {"m4a": "96", "download": "96"}, Track.ORIGINAL),
    "format 18 alone": ([FORMAT_18], {"m4a": "18", "opus": "18", "best": "18", "download": "18"}, Track.UNKNOWN),
    "format 18 and dubs": ([FORMAT_18, m4a("140", DUB), opus("251", DUB)], {"m4a": "18", "download": "18"}, Track.UNKNOWN),
    "HLS alone": ([hls("93", height=360), hls("95")], {"m4a": "95", "download": "95"}, Track.UNKNOWN),
    "HLS in several languages, and none is marked": ([hls("95", "en"), hls("96", "de")], {"m4a": "96"}, Track.UNKNOWN),
    "HLS with a dub beside the original": (
        [hls("96-0", "de"), m4a("140", ORIGINAL)], {"m4a": "140", "download": "140"}, Track.ORIGINAL),
    "no track is named": (
        [m4a("140", NO_TRACK), opus("251", NO_TRACK)], {"m4a": "140", "opus": "251", "download": "251"}, Track.UNKNOWN),
    "the language is known from captions": (
        [m4a("140", FROM_CAPTIONS), opus("251", FROM_CAPTIONS)], {"m4a": "140", "opus": "251"}, Track.UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize(
    ("situation", "how"), [(situation, how) for situation, (_, choices, _) in MATRIX.items() for how in choices]
)
def test_the_speakers_own_voice_is_chosen(situation: str, how: str) -> None:
    formats, choices, track = MATRIX[situation]
    for order in (formats, formats[::-1]):
        info = choose([*VIDEOS, *order], "download") if how == "download" else choose(order, audio_codec=how)
        assert (sound(info), tracks.track_of(tracks.sound_of(info), info["formats"])) == (choices[how], track)


def test_the_picture_does_not_suffer_from_the_track() -> None:
    """A small file that has the original sound too, and is preferred by yt-dlp, does not displace a large picture."""
    small = FORMAT_18 | {"language": "en", "language_preference": 10}
    info = choose([*VIDEOS, small, m4a("140", ORIGINAL), opus("251", DUB)], "download")
    assert info["format_id"] == "137+140"


ONLY_DUBS = [m4a("140-0", DUB), m4a("140-1", DESCRIPTION), opus("251", DUB | {"language": "fr"})]


@pytest.mark.parametrize("processor", ["audio", "download"])
def test_dubs_alone_are_refused_unless_any_track_will_do(processor: str) -> None:
    with pytest.raises(PermanentError) as caught:
        choose([*VIDEOS, *ONLY_DUBS], processor)
    assert caught.value.reason == "dubbed"
    assert "de, en-desc, fr" in str(caught.value)
    assert sound(choose([*VIDEOS, *ONLY_DUBS], processor, audio_track=ANY)) in {"140-0", "251"}
    best = choose([*VIDEOS, *ONLY_DUBS, m4a("139", ORIGINAL, quality=LOW)], processor, audio_track=ANY)
    assert sound(best) == "139"


def test_dubs_that_are_left_after_formats_were_skipped_may_not_be_all() -> None:
    info = {"formats": ONLY_DUBS}
    skipped = ["Some android client https formats have been skipped as they are missing a URL. SABR-only streaming"]
    with pytest.raises(TransientError) as caught:
        tracks.check_offer(info, skipped, "original")
    assert (caught.value.reason, "sabr" in str(caught.value)) == ("dubbed", True)


def test_formats_without_sound_are_refused_before_they_are_downloaded() -> None:
    with pytest.raises(PermanentError) as caught:
        choose(VIDEOS)
    assert caught.value.reason == "no-audio"
    tracks.check_offer({"formats": VIDEOS}, [], "original", needs_sound=False)


@pytest.mark.parametrize(
    ("messages", "verdict", "reason"),
    [
        ([], Verdict.PERMANENT, "drm"),
        (["x: Some tv client https formats have been skipped as they are DRM protected. "], Verdict.PERMANENT, "drm"),
        (
            ["Some ios client https formats have been skipped as they are missing a URL. SABR"],
            Verdict.RETRY,
            "no-formats",
        ),
    ],
)
def test_nothing_but_drm_is_permanent(messages: list[str], verdict: Verdict, reason: str) -> None:
    with YoutubeDL({"quiet": True, "no_warnings": True, "ignore_no_formats_error": True}, auto_init=False) as ydl:
        formats = [m4a("140", ORIGINAL, has_drm=True), video("137", 1080, has_drm=True)]
        info = {"id": "x", "title": "x", "extractor": "youtube", "extractor_key": "Youtube", "formats": formats}
        info = ydl.process_video_result(info, download=False)
    with pytest.raises(AttemptError) as caught:
        check_whole(info, messages)
    assert (caught.value.verdict, caught.value.reason, caught.value.systemic) == (verdict, reason, True)


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({"format": "bestaudio[ext=m4a]/bestaudio"}, "251-1"),
        ({"format_sort": ["+size", "+br"]}, "249"),
        ({"format": "140"}, None),
    ],
)
def test_the_operators_own_format_is_applied_within_the_track(options: dict[str, Any], chosen: str | None) -> None:
    low = opus("249", ORIGINAL, quality=LOW, tbr=50.0, filesize=1000)
    formats = [m4a("140", DUB), opus("251-0", DUB), low, opus("251-1", ORIGINAL, filesize=9000)]
    if chosen is None:
        with pytest.raises(AttemptError):
            choose(formats, options=options)
    else:
        assert sound(choose(formats, options=options)) == chosen


def test_other_sites_mean_something_else_by_a_language() -> None:
    """Only YouTube names dubs so; elsewhere a language that is not preferred says nothing."""
    format = m4a("a", DUB) | {"url": "https://example.org/a.m4a"}
    assert tracks.track_of(format, [format]) is Track.UNKNOWN
    assert sound(choose([format])) == "a"
