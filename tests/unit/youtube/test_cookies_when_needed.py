"""Cookies that are kept for what needs an account: each video is extracted without them, and at most once more with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yt_dlp
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError

from tests.support.rows import new_video
from tests.unit.youtube.test_cookies import LOGIN, write
from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.processors.built_in import Settings, audio, metadata, subtitles
from youtube_download_coordinator.youtube.error_rules import classify
from youtube_download_coordinator.youtube.listing import ListedVideo, listing
from youtube_download_coordinator.youtube.network import Network

AGE = "Sign in to confirm your age. This video may be inappropriate for some users."
BOT = "Sign in to confirm you're not a bot."
MEMBERS = "This video is available to this channel's members on level: Level 1"
PRIVATE = "Private video. Sign in if you've been granted access to this video"
VIDEO = {"id": "x", "title": "x", "url": "https://example.org/x", "ext": "mp4", "subtitles": {}, "extractor": "youtube"}
LIST_URL = "https://www.youtube.com/playlist?list=PL00000000000000001"


class FakeYoutubeDL:
    """Answers as YouTube does for a video that needs an account; counts extractions."""

    refusal = ""
    refuses_accounts = False
    extractions: list[bool]
    """Each with whether it had cookies."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params

    def __enter__(self) -> FakeYoutubeDL:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        pass

    def get_info_extractor(self, name: str) -> Any:
        return type("Extractor", (), {"raise_geo_restricted": lambda *given: None})()

    def sanitize_info(self, info: Any, remove_private_keys: bool) -> Any:
        return info

    def extract_info(self, url: str, **more: Any) -> Mapping[str, Any]:
        has_cookies = "cookiefile" in self.params
        self.extractions.append(has_cookies)
        if self.refusal and (self.refuses_accounts or not has_cookies):
            error = ExtractorError(self.refusal, expected=True)
            raise DownloadError(str(error), (type(error), error, None))
        if url == LIST_URL:
            entries = [
                {"_type": "url", "ie_key": "Youtube", "id": "UKwSQSFN4Nw", "url": "https://youtu.be/UKwSQSFN4Nw"}
            ]
            return {"_type": "playlist", "extractor_key": "YoutubeTab", "id": "PL", "title": "x", "entries": entries}
        return VIDEO


@pytest.fixture
def youtube(monkeypatch: pytest.MonkeyPatch) -> type[FakeYoutubeDL]:
    fake = type("Fake", (FakeYoutubeDL,), {"extractions": []})
    monkeypatch.setattr(yt_dlp, "YoutubeDL", fake)
    return fake


@pytest.fixture
def network(tmp_path: Path) -> Network:
    path = write(tmp_path / "cookies.txt", *LOGIN)
    return Network(cookies_file=str(path), cookies_when_needed=True)


@pytest.mark.parametrize(
    ("refusal", "extractions"),
    [("", [False]), (AGE, [False, True]), (MEMBERS, [False, True]), (PRIVATE, [False, True])],
)
@pytest.mark.parametrize("processor", [metadata, subtitles])
def test_cookies_are_sent_only_when_an_account_is_asked_for(
    youtube: type[FakeYoutubeDL],
    network: Network,
    tmp_path: Path,
    processor: Any,
    refusal: str,
    extractions: list[bool],
) -> None:
    youtube.refusal = refusal
    processor(new_video(1), Settings(output_dir=tmp_path / "media", network=network))
    assert youtube.extractions == extractions


@pytest.mark.parametrize(
    ("refusal", "reason", "extractions"),
    [(AGE, "needs-account", [False, True]), (BOT, "bot-check", [False]), ("Video unavailable", "gone", [False])],
)
def test_what_an_account_does_not_cure_is_not_tried_for_ever(
    youtube: type[FakeYoutubeDL], network: Network, tmp_path: Path, refusal: str, reason: str, extractions: list[bool]
) -> None:
    youtube.refusal, youtube.refuses_accounts = refusal, True
    with pytest.raises(AttemptError) as raised:
        audio(new_video(1), Settings(output_dir=tmp_path / "media", network=network))
    assert (raised.value.reason, youtube.extractions) == (reason, extractions)
    assert "secret" not in str(raised.value)


def test_without_the_setting_cookies_are_always_sent(
    youtube: type[FakeYoutubeDL], network: Network, tmp_path: Path
) -> None:
    always = Network(cookies_file=network.cookies_file)
    metadata(new_video(1), Settings(output_dir=tmp_path / "media", network=always))
    assert youtube.extractions == [True]


@pytest.mark.parametrize(("refusal", "extractions"), [("", [False]), (PRIVATE, [False, True])])
def test_a_source_is_listed_with_cookies_only_when_it_needs_them(
    youtube: type[FakeYoutubeDL], network: Network, refusal: str, extractions: list[bool]
) -> None:
    youtube.refusal = refusal
    items = list(listing(LIST_URL, network=network, mix_max_videos=10))
    assert [item.key for item in items if isinstance(item, ListedVideo)] == ["yt:v:UKwSQSFN4Nw"]
    assert youtube.extractions == extractions


# --- countries -------------------------------------------------------------------------------------------------------

GEO = "The uploader has not made this video available in your country"


@pytest.mark.parametrize("warns", [False, True])
def test_the_countries_that_yt_dlp_knows_reach_the_failure(warns: bool) -> None:
    """Where formats may be missing, yt-dlp only warns of a region, without its countries."""
    from youtube_download_coordinator.processors.availability import check_whole
    from youtube_download_coordinator.youtube.error_rules import MessageKeeper

    keeper = MessageKeeper()
    with Network().youtube_dl({"ignore_no_formats_error": warns}, keeper) as ydl:
        extractor = ydl.get_info_extractor("Youtube")
        try:
            extractor.raise_geo_restricted(GEO, ["BR", "PT"], metadata_available=True)
            check_whole({"id": "x"}, keeper.messages)
        except Exception as error:
            failure = classify(error, keeper.messages).failure
    assert (failure.reason, failure.regions) == ("region", ("BR", "PT"))
    assert failure.message.rstrip(".") == GEO


def test_a_processor_of_ones_own_passes_them_on_too() -> None:
    error = GeoRestrictedError(GEO, countries=["BR"])
    assert classify(DownloadError(str(error), (type(error), error, None))).failure.regions == ("BR",)
