"""The choice of subtitles. test_processors_replay.py checks the files."""

from __future__ import annotations

from typing import Any

import pytest

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.processors.subtitles import choose


def tracks(language: str, translated: bool = False) -> list[dict[str, str]]:
    into = f"&tlang={language}" if translated else ""
    return [
        {"ext": ext, "url": f"https://a.org/api/timedtext?lang={language}&fmt={ext}{into}"}
        for ext in ("json3", "srt", "vtt")
    ]


def info(manual: str = "", recognised: str = "", translated: str = "", **more: Any) -> dict[str, Any]:
    automatic = {each: tracks(each) for each in recognised.split()}
    automatic |= {each: tracks(each, translated=True) for each in translated.split()}
    return {"subtitles": {each: tracks(each) for each in manual.split()}, "automatic_captions": automatic, **more}


ENGLISH = {"recognised": "en-orig en", "translated": "de fr ja"}


@pytest.mark.parametrize(
    ("languages", "kinds", "video", "chosen"),
    [
        ("original", "both", info(**ENGLISH), ["en*"]),
        ("original", "both", info("de en fr", **ENGLISH), ["en"]),
        ("original", "both", info("en-GB", **ENGLISH), ["en-GB"]),
        ("original", "both", info("de fr", **ENGLISH), ["en*"]),
        ("original", "both", info("de en", language="de"), ["de"]),
        ("original", "both", info("pt-BR pt-PT", language="pt-BR"), ["pt-BR", "pt-PT"]),
        ("original", "both", info("de fr"), ["de", "fr"]),
        ("original", "manual", info("de", **ENGLISH), []),
        ("original", "automatic", info("en", **ENGLISH), ["en*"]),
        ("en", "manual", info("en-GB de"), ["en-GB"]),
        ("en", "both", info("enm eng"), []),
        ("de,en", "both", info("en", **ENGLISH), ["en"]),
        ("de", "both", info(**ENGLISH), []),
        ("all", "both", info("de fr", **ENGLISH), ["de", "fr", "en*"]),
        ("all", "manual", info("de live_chat"), ["de"]),
        ("all", "both", {}, []),
        ("all", "both", {"subtitles": None, "automatic_captions": {"en": []}}, []),
    ],
)
def test_languages_and_kinds(languages: str, kinds: str, video: dict[str, Any], chosen: list[str]) -> None:
    """A star: YouTube recognised it."""
    found = choose(video, languages.split(","), kinds, "vtt")
    assert [f"{each.language}{'*' * each.automatic}" for each in found] == chosen
    assert all("tlang" not in each.track["url"] for each in found)


@pytest.mark.parametrize(("wanted", "got"), [("srt", "srt"), ("json3", "json3"), ("ttml", "vtt")])
def test_a_format_that_is_not_there_is_replaced(wanted: str, got: str) -> None:
    (choice,) = choose(info("en"), ["en"], "both", wanted)
    assert choice.track["ext"] == got


def test_languages_are_set_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_SUBTITLE_LANGUAGES", "en, pt-BR,original")
    assert Config().subtitle_languages == ("en", "pt-BR", "original")


@pytest.mark.parametrize(
    ("languages", "says"),
    [("e", "e is not a language"), ("en,.*", "\\.\\* is not a language"), (",", "nothing is not a language")],
)
def test_what_is_no_language_is_said(languages: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"subtitle_languages=.*{says}"):
        Config(subtitle_languages=languages)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"audio_codec": "opus", "audio_sample_rate_hz": 44100},
            "audio_sample_rate_hz=44100: opus supports only 8000, 12000, 16000",
        ),
        ({"audio_codec": "best", "audio_mono": True}, "audio_codec=best does not convert"),
        ({"audio_sample_rate_hz": 16001}, "audio_sample_rate_hz=16001: input should be 8000"),
    ],
)
def test_audio_that_cannot_be_made_is_said_before(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{says}"):
        Config(**settings)
