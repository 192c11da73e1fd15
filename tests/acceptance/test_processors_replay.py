"""The built-in processors against recorded YouTube: real yt-dlp, real deno, real ffmpeg, no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mutagen
import pytest

from tests.acceptance.conftest import Replay
from tests.support import rows
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done, Failure, Outcome, Verdict
from youtube_download_coordinator.workers.run_processor import process_video

pytestmark = pytest.mark.slow

PLAYABLE = "UKwSQSFN4Nw"
CHANNEL = "UCuLGmD72gJDBwmLw06X58SA"
"""The recordings do not say what it is called."""
WITH_CAPTIONS = "M4gD1WSo5mA"
Process = Callable[..., Outcome]


@pytest.fixture
def process(replay: Replay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Process:
    """Return a function that runs a built-in processor on one video. Its child process inherits the proxy to the recordings."""
    for name, value in replay.environment.items():
        monkeypatch.setenv(name, value)

    def run(spec: str, video_id: str, **settings: Any) -> Outcome:
        task = rows.new_video(
            1, key=f"yt:v:{video_id}", url=f"https://www.youtube.com/watch?v={video_id}", accent="Irish"
        )
        return process_video(spec, task, Config(output_dir=tmp_path, **settings))

    return run


def title(path: Path) -> str:
    tags = mutagen.File(path, easy=True)
    return str(tags["title"][0])


@pytest.mark.parametrize(("codec", "extension"), [("m4a", "m4a"), ("opus", "opus"), ("mp3", "mp3")])
def test_audio_is_there_and_is_this_videos(process: Process, tmp_path: Path, codec: str, extension: str) -> None:
    outcome = process("audio", PLAYABLE, audio_codec=codec)
    assert outcome == Done(result=f"Irish/{CHANNEL}/{PLAYABLE}.{extension}")
    assert title(tmp_path / outcome.result).startswith(f"YTKIT:{PLAYABLE}:")


def test_a_download_has_a_video(process: Process, tmp_path: Path) -> None:
    outcome = process("download", PLAYABLE)
    assert isinstance(outcome, Done), outcome
    path = tmp_path / outcome.result
    assert (path.parent, path.stem) == (tmp_path / "Irish" / CHANNEL, PLAYABLE)
    assert sorted(path.parent.iterdir()) == [path, path.with_name(f"{path.name}.json")]


def test_metadata_says_what_youtube_says(process: Process, tmp_path: Path) -> None:
    outcome = process("metadata", PLAYABLE)
    assert outcome == Done(result=f"Irish/{CHANNEL}/{PLAYABLE}.info.json")
    info = json.loads((tmp_path / outcome.result).read_text())
    assert (info["id"], info["duration"]) == (PLAYABLE, 131)
    assert info["video_task"]["Accent"] == "Irish"


def test_subtitles_are_there_in_the_language_that_is_spoken(process: Process, replay: Replay, tmp_path: Path) -> None:
    outcome = process("subtitles", WITH_CAPTIONS)
    assert isinstance(outcome, Done), outcome
    assert outcome.result.endswith(f"/{WITH_CAPTIONS}.en.vtt"), outcome
    assert (tmp_path / outcome.result).read_text().startswith("WEBVTT")
    assert json.loads((tmp_path / f"{outcome.result}.json").read_text())["made_with"]["language"] == "en"
    replay.reset()
    again = process("subtitles", WITH_CAPTIONS)
    assert again == Done(result=outcome.result, asked_youtube=False)
    assert replay.log() == []


def test_a_video_without_subtitles_is_done_unless_they_are_required(process: Process) -> None:
    assert process("subtitles", PLAYABLE) == Done(result="no subtitles in original")
    outcome = process("subtitles", PLAYABLE, subtitles_required=True)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.PERMANENT, "no-subtitles")


@pytest.mark.parametrize(
    ("fault", "verdict", "reason"),
    [
        ({"match": "videoplayback", "status": 403}, Verdict.RETRY, "media-403"),
        ({"match": "videoplayback", "status": 429}, Verdict.THROTTLED, "http-429"),
        ({"match": "/v1/player", "status": 403}, Verdict.THROTTLED, "http-403"),
        ({"match": "/v1/player", "status": 400}, Verdict.RETRY, "yt-dlp-broken"),
        ({"match": "videoplayback", "status": 503}, Verdict.RETRY, "http-503"),
        ({"match": "videoplayback", "action": "reset"}, Verdict.RETRY, "network"),
    ],
)
def test_faults_have_their_verdicts(
    process: Process, replay: Replay, fault: dict[str, Any], verdict: Verdict, reason: str
) -> None:
    replay.faults(fault)
    outcome = process("audio", PLAYABLE)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (verdict, reason), outcome


def requests_of(replay: Replay, part: str) -> int:
    return sum(part in url for _, _, url, *_ in replay.log())


@pytest.mark.parametrize("processor", ["audio", "download"])
def test_refused_media_are_extracted_afresh_once(process: Process, replay: Replay, processor: str) -> None:
    replay.faults({"match": "videoplayback", "times": 1, "status": 403})
    outcome = process(processor, PLAYABLE)
    assert isinstance(outcome, Done), outcome
    replay.reset()
    replay.faults({"match": "videoplayback", "status": 403})
    outcome = process(processor, WITH_CAPTIONS)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason, outcome.systemic) == (Verdict.RETRY, "media-403", False)
    assert requests_of(replay, "videoplayback") == 2
    extractions = requests_of(replay, "/watch?v=")
    assert extractions == 2, replay.log()


def test_a_block_of_subtitles_is_told_apart(process: Process, replay: Replay) -> None:
    replay.faults({"match": "timedtext", "status": 429})
    outcome = process("subtitles", WITH_CAPTIONS)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.THROTTLED, "subtitles-429")
    assert isinstance(process("audio", WITH_CAPTIONS), Done)


def test_all_products_cost_no_more_requests_than_yt_dlp_alone(process: Process, replay: Replay, tmp_path: Path) -> None:
    """One call of yt-dlp that writes the three is what YouTube has to answer at least."""
    options = (
        "-q -f bestaudio[ext=m4a] -x --write-subs --write-auto-subs --sub-langs en --sub-format vtt --write-info-json"
    )
    command = [sys.executable, "-m", "yt_dlp", *options.split(), "-P", str(tmp_path / "plain"), WITH_CAPTIONS]
    subprocess.run(command, env=os.environ | dict(replay.environment), check=True)
    plain = len(replay.log())
    replay.reset()
    outcome = process("audio,subtitles,metadata", WITH_CAPTIONS, subtitle_languages="en")
    assert isinstance(outcome, Done), outcome
    products = json.loads((tmp_path / f"{outcome.result}.json").read_text())["products"]
    assert [product["kind"] for product in products] == ["audio", "metadata", "subtitles"]
    assert 4 < len(replay.log()) <= 1.1 * plain, (len(replay.log()), plain)


def test_blocked_captions_are_retried_alone(process: Process, replay: Replay, tmp_path: Path) -> None:
    replay.faults({"match": "timedtext", "status": 429})
    outcome = process("audio,subtitles,metadata", WITH_CAPTIONS)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.THROTTLED, "subtitles-429")
    assert outcome.message.startswith("subtitles: ")
    made = {path.name.partition(".")[2] for path in (tmp_path / "Irish").rglob("*") if path.is_file()}
    assert made == {"m4a", "m4a.json", "info.json"}
    replay.reset()
    replay.faults()
    again = process("audio,subtitles,metadata", WITH_CAPTIONS)
    assert isinstance(again, Done), again
    assert again.result.endswith(".m4a")
    assert (requests_of(replay, "videoplayback"), requests_of(replay, "timedtext")) == (0, 1)


def unplayable(reason: str, subreason: str = "") -> dict[str, Any]:
    """Return the fault with which every player answers that the video cannot be played."""
    status: dict[str, Any] = {"status": "UNPLAYABLE", "reason": reason}
    if subreason:
        renderer = {"reason": {"simpleText": reason}, "subreason": {"simpleText": subreason}}
        status["errorScreen"] = {"playerErrorMessageRenderer": renderer}
    body = {"playabilityStatus": status, "videoDetails": {"videoId": PLAYABLE, "title": "x"}}
    return {"match": "/v1/player", "action": "json", "body": body}


@pytest.mark.parametrize(
    ("reason", "subreason", "means"),
    [
        ("The page needs to be reloaded.", "", (Verdict.RETRY, "page-reload", True)),
        ("Video unavailable", "This video is not available on this device", (Verdict.RETRY, "not-embeddable", True)),
        ("Video unavailable", "The uploader has not made this video available in your country",
            (Verdict.PERMANENT, "region", False)),
        ("Please sign in", "", (Verdict.PERMANENT, "needs-account", True)),
        ("Something that nobody has seen yet", "", (Verdict.RETRY, "error", False)),
        ("Video unavailable", "This video is on holiday", (Verdict.GONE, "gone", False)),
    ],
)  # fmt: skip
def test_what_every_player_answers_is_the_verdict(
    process: Process, replay: Replay, reason: str, subreason: str, means: tuple[Verdict, str, bool]
) -> None:
    replay.faults(unplayable(reason, subreason))
    for processor in ("audio", "metadata"):
        outcome = process(processor, PLAYABLE)
        assert isinstance(outcome, Failure)
        assert (outcome.verdict, outcome.reason, outcome.systemic) == means, outcome
        assert reason.rstrip(".") in outcome.message


def test_media_that_never_arrives_ends_with_the_deadline(process: Process, replay: Replay) -> None:
    replay.faults({"match": "videoplayback", "action": "hang"})
    outcome = process("audio", PLAYABLE, attempt_timeout_minutes=5 / 60)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, "timeout")


def test_a_premiere_says_when(process: Process, replay: Replay) -> None:
    replay.faults({"match": "/v1/player", "action": "json", "preset": "premiere"})
    outcome = process("audio", PLAYABLE)
    assert isinstance(outcome, Failure)
    assert outcome.not_before is not None  # "Premieres in 5 hours"
    assert abs(outcome.not_before - datetime.now(UTC) - timedelta(hours=5)) < timedelta(minutes=5)


OFFERED = "k0000000001"
"""A video of 60 seconds of which nothing is recorded. The media that are served have 3 seconds, and their size shows that."""
MEDIA_BYTES = "19760"


def stream(
    itag: int, mime: str, codecs: str, track: tuple[str, str, bool] | None = None, **more: Any
) -> dict[str, Any]:
    """Return a format as YouTube's player response has it; `track` is its ID, its name, and whether it is the default."""
    served = "audio/mp4" if itag == 18 else mime  # the only media with sound that are served
    url = f"https://rr1---sn-x.googlevideo.com/videoplayback?itag={itag}&mime={served.replace('/', '%2F')}&ytkitvid={OFFERED}"
    values = {
        "itag": itag, "url": url, "mimeType": f'{mime}; codecs="{codecs}"', "bitrate": 130000, "averageBitrate": 129000,
        "contentLength": MEDIA_BYTES, "quality": "tiny", "audioQuality": "AUDIO_QUALITY_MEDIUM",
        "audioSampleRate": "44100", "audioChannels": 2,
    }  # fmt: skip
    names = {"id": track[0], "displayName": track[1], "audioIsDefault": track[2]} if track else None
    return values | ({"audioTrack": names} if names else {}) | more


M4A, OPUS = ("audio/mp4", "mp4a.40.2"), ("audio/webm", "opus")
ORIGINAL, DUB = ("en.4", "English original", True), ("de.10", "German", False)
SMALL = stream(18, "video/mp4", "avc1.42001E, mp4a.40.2", quality="medium", qualityLabel="360p", width=640, height=360)


def offers(*formats: dict[str, Any], merged: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Return the fault with which every player answers with these formats."""
    details = {"videoId": OFFERED, "title": "x", "lengthSeconds": "60", "channelId": CHANNEL, "author": "A"}
    streams = {"expiresInSeconds": "21540", "adaptiveFormats": list(formats), "formats": list(merged)}
    body = {"playabilityStatus": {"status": "OK"}, "videoDetails": details, "streamingData": streams}
    return {"match": "/v1/player", "action": "json", "body": body}


@pytest.mark.parametrize("processor", ["audio", "download"])
def test_the_speakers_own_voice_is_what_is_downloaded(
    process: Process, replay: Replay, processor: str, tmp_path: Path
) -> None:
    picture = stream(137, "video/mp4", "avc1.640028", quality="hd1080", qualityLabel="1080p", width=1920, height=1080)
    replay.faults(offers(picture, stream(140, *M4A, DUB), stream(251, *OPUS, DUB), stream(250, *OPUS, ORIGINAL)))
    outcome = process(processor, OFFERED)
    assert isinstance(outcome, Done), outcome
    sidecar = json.loads((tmp_path / f"{outcome.result}.json").read_text())
    source = sidecar["source"]
    assert (source["track"], source["language"], source["language_preference"]) == ("original", "en", 10)
    assert source["format_note"] == "English original (default), medium"
    assert {
        url
        for _, _, url, *_ in replay.log()
        if "videoplayback" in url and "mime=audio" in url and "itag=250" not in url
    } == set()
    assert outcome.degraded == ""
    assert outcome.media_seconds == pytest.approx(3, abs=0.1)


def test_dubs_alone_are_not_downloaded(process: Process, replay: Replay) -> None:
    replay.faults(offers(stream(140, *M4A, DUB), stream(251, *OPUS, DUB)))
    outcome = process("audio", OFFERED)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.PERMANENT, "dubbed")
    assert requests_of(replay, "videoplayback") == 0
    assert isinstance(process("audio", OFFERED, audio_track="any"), Done)


def test_what_youtube_serves_instead_is_marked(process: Process, replay: Replay, tmp_path: Path) -> None:
    """The better formats have no address: YouTube serves them by a protocol of its own."""
    without_address = {name: value for name, value in stream(140, *M4A).items() if name != "url"}
    replay.faults(offers(without_address, merged=(SMALL,)))
    outcome = process("audio", OFFERED)
    assert isinstance(outcome, Done), outcome
    assert outcome.degraded == "format-18, skipped-sabr"
    sidecar = json.loads((tmp_path / f"{outcome.result}.json").read_text())
    assert (sidecar["degraded"], sidecar["source"]["track"]) == (["format-18", "skipped-sabr"], "unknown")
    refused = process("audio", OFFERED, accept_degraded=False)
    assert isinstance(refused, Failure)
    assert (refused.verdict, refused.reason) == (Verdict.RETRY, "degraded")


def test_media_that_are_shorter_than_youtube_says_are_not_kept(
    process: Process, replay: Replay, tmp_path: Path
) -> None:
    replay.faults(offers(stream(140, *M4A, ORIGINAL, contentLength=None)))
    outcome = process("audio", OFFERED)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, "short-file")
    assert "3.0 s, YouTube says 60.0 s" in outcome.message
    assert not list(tmp_path.rglob("*.m4a*"))
