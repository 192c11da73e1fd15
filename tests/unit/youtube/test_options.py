"""The options of yt-dlp: which may be set, and the line that refuses the others."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from yt_dlp import YoutubeDL, parse_options

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.youtube.options import ALLOWED, check_options


def test_options_are_taken_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_YT_DLP_OPTIONS", '{"format_sort": ["res:720"], "retries": 7}')
    assert Config().yt_dlp_options == {"format_sort": ["res:720"], "retries": 7}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formt": "best"}, "yt_dlp_options: formt is not an option of yt-dlp that can be set here; did you mean format?"),
        ({"--socket-timeout": 3}, "is not an option of yt-dlp that can be set here; did you mean socket_timeout?"),
        ({"zzzz": 1}, "yt_dlp_options: zzzz is not an option of yt-dlp that can be set here"),
        ({"retries": "7"}, "retries: input should be a valid integer"),
        ({"retries": True}, "retries: input should be a valid integer"),
        ({"retries": -1}, "retries: input should be greater than or equal to 0"),
        ({"format": ["best"]}, "format: input should be a valid string"),
        ({"outtmpl": "/etc/%(id)s"}, "can be set here: use the setting output_dir and output_template"),
        ({"cookiesfrombrowser": ["firefox"]}, "use the setting cookies_file"),
        ({"password": "hush"}, "use the setting cookies_file"),
        ({"proxy": "http://me:hush@h"}, "use the setting proxy, which is kept secret"),
        ({"ratelimit": 5}, "use the setting rate_limit_bytes_per_second"),
        ({"allowed_extractors": [".*"]}, "use the setting allow_other_sites"),
        ({"subtitleslangs": ["en"]}, "use the setting subtitle_languages"),
        ({"logger": 1, "retries": "x"}, "logger is not an option of yt-dlp that can be set here; retries: "),
        ({"extractor_args": {"generic": {"x": ["1"]}}}, "extractor_args: generic is not one of youtube, youtubetab, youtube-ejs"),
        ({"http_headers": {"Cookie": "hush"}}, "http_headers: Cookie would be sent to every host"),
        ({"http_headers": {"Ytdl-Request-Proxy": "http://hush"}}, "http_headers: only these headers can be set: Accept, "),
        ({"http_headers": {"ytdl-file-mode": "hush"}}, "http_headers: only these headers can be set"),
        ({"http_headers": {"X-Goog-AuthUser": "hush"}}, "http_headers: only these headers can be set"),
        ({"http_headers": {"User-Agent ": "hush"}}, "http_headers: only these headers can be set"),
        ({"http_headers": {"User-Agent\r\nCookie": "hush"}}, "http_headers: only these headers can be set"),
        ({"http_headers": {"Host": "hush"}}, "http_headers: only these headers can be set"),
        ({"http_headers": {"Referer": "hush\r\nCookie: hush"}}, "the value of a header is one line of ASCII"),
        ({"http_headers": {"Referer": "hush\n"}}, "the value of a header is one line of ASCII"),
        ({"http_headers": {"Referer": "hush "}}, "the value of a header is one line of ASCII"),
        ({"http_headers": {"Referer": "\thush"}}, "the value of a header is one line of ASCII"),
        ({"http_headers": {"Referer": "húsh"}}, "the value of a header is one line of ASCII"),
        ({"http_headers": {"Referer": ""}}, "the value of a header is one line of ASCII"),
        ({"http_headers": {"Referer": 1}}, "input should be a valid string"),
        ({"extractor_args": {"youtube": {"innertube_host": ["hush"]}}}, "innertube_host cannot be set"),
        ({"extractor_args": {"youtubetab": {"innertube_host": ["hush"]}}}, "innertube_host cannot be set"),
        ({"extractor_args": {"youtube": {"innertube-host": ["hush"]}}}, "innertube-host must be written innertube_host"),
        ({"extractor_args": {"youtube": {"api_url": ["hush"]}}}, "api_url cannot be set"),
        ({"geo_bypass_country": "hush"}, "geo_bypass_country: string should match pattern"),
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(yt_dlp_options=options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", ["User-Agent", "accept-language", "Referer", "Origin"])
def test_headers_of_a_browser_may_be_set(name: str) -> None:
    assert Config(yt_dlp_options={"http_headers": {name: "pt-BR,pt; q=0.9"}}).yt_dlp_options["http_headers"][name]


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


@pytest.mark.parametrize(
    "name",
    [
        "exec", "exec_cmd", "postprocessors", "postprocessor_args", "external_downloader", "external_downloader_args",
        "ffmpeg_location", "js_runtimes", "remote_components", "plugin_dirs", "netrc_cmd", "enable_file_urls",
        "load_info_filename", "client_certificate", "cachedir", "paths", "outtmpl", "logger", "progress_hooks", "verbose",
        "debug_printtraffic", "ignoreerrors", "skip_unavailable_fragments", "test", "simulate", "noplaylist", "playlist_items",
        "download_archive", "nocheckcertificate", "prefer_insecure", "throttledratelimit", "usenetrc", "print_to_file",
    ],
)  # fmt: skip
def test_an_option_that_runs_programs_reads_files_or_hides_failures_cannot_be_set(name: str) -> None:
    with pytest.raises(ConfigError, match=f"yt_dlp_options: {name} is not an option of yt-dlp that can be set here"):
        Config(yt_dlp_options={name: True})


@pytest.mark.parametrize(
    "arguments",
    [
        {"youtube": {"player_client": ["mweb"], "po_token": ["mweb.gvs+TOKEN"]}},
        {"youtubetab": {"skip": ["webpage"]}},
        {"youtubepot-bgutilhttp": {"base_url": ["http://127.0.0.1:4416"]}},
        {"youtubepot-bgutilhttp": {"base_url": ["https://tokens.example/bgutil"]}},
        {"youtubepot-bgutilhttp": {"base_url": ["http://[::1]:8080"]}},
        {"youtubepot-bgutilhttp": {}},
        {"youtubepot-bgutilhttp": {"patience": ["5"]}},
        {"youtubepot-bgutilscript": {"server_home": ["/opt/bgutil/server"]}},
        {"youtubepot-bgutilscript": {"script_path": ["~/server/build/generate_once.js"]}},
        {"youtubepot-wpc": {"browser_path": ["/usr/bin/chromium"]}},
        {"youtubepot-webpo": {"bind_to_visitor_id": ["false"]}},
        {"youtube-ejs": {"dev": ["true"], "repo": ["me/ejs"], "script_version": ["0.8.0"]}},
        {"youtubejsc-deno": {"anything": ["1"]}},
    ],
)
def test_arguments_of_token_providers_and_of_ejs_may_be_set(arguments: dict[str, dict[str, list[str]]]) -> None:
    assert check_options({"extractor_args": arguments}) == {"extractor_args": arguments}
    assert Config(yt_dlp_options={"extractor_args": arguments}).yt_dlp_options["extractor_args"] == arguments


BASE_URL = "youtubepot-bgutilhttp: base_url must be a list of one value, an address like http://127.0.0.1:4416"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("youtubepot-bgutilhttp:base_url=http://hush", "input should be a valid dictionary"),
        ({"youtubepot-bgutilhttp": "base_url=http://hush"}, "input should be a valid dictionary"),
        ({"youtubepot-bgutilhttp": {"base_url": "http://hush"}}, "input should be a valid list"),
        ({"youtubepot-bgutilhttp": {"base_url": []}}, "list should have at least 1 item"),
        ({"youtubepot-bgutilhttp": {"base_url": [4416]}}, "input should be a valid string"),
        ({"youtubepot-bgutilhttp": {"base_url": ["http://a", "http://b"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"base_url": ["hush:4416"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"base_url": ["http://hush:0"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"base_url": ["http://hush:port"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"base_url": ["http://hush:99999"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"base_url": ["http://[hush"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"base_url": ["http://"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"base_url": ["ftp://hush"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"base_url": ["http://me:hush@host"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"base_url": ["http://host:4416/"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"base_url": ["http://host?x=hush"]}}, BASE_URL),
        ({"youtubepot-bgutilhttp": {"baseurl": ["http://hush"]}}, "has no argument baseurl; did you mean base_url?"),
        ({"youtubepot-bgutilscript": {"server_home": ["server"]}}, "server_home must be a list of one value, the absolute path"),
        ({"youtubepot-": {}}, "youtubepot- is not one of"),
        ({"youtubepot-BgUtilHTTP": {}}, "did you mean youtubepot-bgutilhttp?"),
        ({"youtubepot:bgutilhttp": {}}, "did you mean youtubepot-bgutilhttp?"),
        ({"youtube-ejs": {"dev": ["yes"]}}, "youtube-ejs: dev must be a list of one value, true or false"),
        ({"youtube-ejs": {"repo": ["https://hush"]}}, "youtube-ejs: repo must be a list of one value, owner/name"),
        ({"youtube": {"player-client": ["web"]}}, "youtube: player-client must be written player_client"),
    ],
)  # fmt: skip
def test_arguments_that_yt_dlp_would_ignore_are_one_line(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(yt_dlp_options={"extractor_args": arguments})
    assert message in str(caught.value)
    assert str(caught.value).startswith("yt_dlp_options: extractor_args: ")
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_yt_dlp_reads_the_arguments_of_providers_and_of_ejs_by_these_names() -> None:
    from yt_dlp.extractor.youtube.jsc import _director as runtimes
    from yt_dlp.extractor.youtube.jsc._builtin import ejs
    from yt_dlp.extractor.youtube.pot import _director as tokens

    assert (tokens.EXTRACTOR_ARG_PREFIX, runtimes.EXTRACTOR_ARG_PREFIX) == ("youtubepot", "youtubejsc")
    source = inspect.getsource(ejs)
    assert [name for name in ("youtube-ejs", "dev", "repo", "script_version") if f"'{name}'" not in source] == []


def test_the_documentation_names_every_option() -> None:
    page = (Path(__file__).parents[3] / "docs" / "processors.md").read_text()
    assert [name for name in ALLOWED if f"`{name}`" not in page] == []
