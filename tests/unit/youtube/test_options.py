"""A person's options for yt-dlp: which may be set, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest
from yt_dlp import YoutubeDL, parse_options

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.youtube.options import ALLOWED, REFUSED


def test_options_are_taken_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_YT_DLP_OPTIONS", '{"format_sort": ["res:720"], "retries": 7}')
    assert Config().yt_dlp_options == {"format_sort": ["res:720"], "retries": 7}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formt": "best"}, "yt_dlp_options: yt-dlp has no option formt that can be set here; did you mean format?"),
        ({"--socket-timeout": 3}, "yt-dlp has no option --socket-timeout that can be set here; did you mean socket_timeout?"),
        ({"zzzz": 1}, "yt_dlp_options: yt-dlp has no option zzzz that can be set here"),
        ({"retries": "7"}, "retries: input should be a valid integer"),
        ({"retries": True}, "retries: input should be a valid integer"),
        ({"retries": -1}, "retries: input should be greater than or equal to 0"),
        ({"format": ["best"]}, "format: input should be a valid string"),
        ({"outtmpl": "/etc/%(id)s"}, "outtmpl cannot be set: where files go is decided by output_dir"),
        ({"exec": "rm"}, "exec cannot be set: it could run a program"),
        ({"postprocessors": []}, "postprocessors cannot be set: it could run a program"),
        ({"external_downloader": "aria2c"}, "external_downloader cannot be set: it could run a program"),
        ({"enable_file_urls": True}, "enable_file_urls cannot be set: it reads other files of this machine"),
        ({"cookiesfrombrowser": ["firefox"]}, "use the setting cookies_file"),
        ({"proxy": "http://me:hush@h"}, "proxy cannot be set: use the setting proxy"),
        ({"allowed_extractors": [".*"]}, "other sites are reached only with the setting allow_other_sites"),
        ({"logger": 1, "retries": "x"}, "logger cannot be set: it takes Python objects, not JSON; retries: "),
        ({"extractor_args": {"generic": {"x": ["1"]}}}, "extractor_args: input should be 'youtube' or 'youtubetab'"),
        ({"http_headers": {"Cookie": "hush"}}, "http_headers: cookie would go to every host"),
        ({"geo_bypass_country": "hush"}, "geo_bypass_country: string should match pattern"),
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(yt_dlp_options=options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "format=best"])
def test_what_is_no_json_is_said(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("YDC_YT_DLP_OPTIONS", text)
    with pytest.raises(ConfigError, match=r"yt_dlp_options.*must be JSON"):
        Config()


def test_what_may_be_set_exists_in_yt_dlp() -> None:
    """Else a name here does nothing, silently."""
    known = set(parse_options([]).ydl_opts) | {"geo_bypass_country", "geo_bypass_ip_block"}
    documented = YoutubeDL.__doc__ or ""
    assert [name for name in ALLOWED if name not in known and f"{name}:" not in documented] == []


def test_nothing_is_both() -> None:
    assert set(ALLOWED) & set(REFUSED) == set()
