"""The options of yt-dlp that an operator may set (`yt_dlp_options`), each with its type. Every other option is refused.

The names are those of yt-dlp's Python interface (`YoutubeDL.params`), which sometimes differ from its command line. An option
is not allowed if it would move files, run a program, read other files, contact other sites, print secrets, hide a failure, or
split one video into several.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr, TypeAdapter, ValidationError

from youtube_download_coordinator.text import did_you_mean
from youtube_download_coordinator.youtube.token_provider import DEFAULT_URL, HTTP_PROVIDER, is_provider_url

_Count = Annotated[StrictInt, Field(ge=0, le=100)]
_Bytes = Annotated[StrictInt, Field(gt=0)]
_Seconds = Annotated[StrictFloat | StrictInt, Field(ge=0, le=3600)]


_HEADERS = (
    "Accept", "Accept-Language", "DNT", "Origin", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "User-Agent",
)  # fmt: skip
"""Headers that describe a browser. Others would send secrets to every host, or control yt-dlp, like `Ytdl-Request-Proxy`."""
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]{0,998}[!-~])?")


def _header_name(header: str) -> str:
    if header.lower() in ("cookie", "authorization", "proxy-authorization"):
        raise ValueError(f"{header} would be sent to every host: use the settings cookies_file and proxy")
    if header.lower() not in {known.lower() for known in _HEADERS}:
        raise ValueError(f"only these headers can be set: {', '.join(_HEADERS)}")
    return header


def _header_value(value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError("the value of a header is one line of ASCII, without blanks at its ends")
    return value


_Header = Annotated[StrictStr, AfterValidator(_header_name)]
_HeaderValue = Annotated[StrictStr, AfterValidator(_header_value)]

# -- the arguments of yt-dlp's YouTube extractor, of token providers and of the scripts that solve its player's challenges

_EXTRACTOR = re.compile(r"youtube|youtubetab|youtube-ejs|youtube(?:pot|jsc)-[a-z0-9_]+")
"""The names that yt-dlp uses: `youtubepot-` and a token provider, or `youtubejsc-` and a JavaScript runtime."""
_ARGUMENT = re.compile(r"[a-z0-9_]+")
_REROUTES = re.compile("host|url|proxy|server|endpoint")
"""A part of the name of arguments of yt-dlp's extractors that set a host, such as `innertube_host`."""


def _is_path(text: str) -> bool:
    return text.startswith(("/", "~", "$"))


_SHAPES: Mapping[str, Mapping[str, tuple[Callable[[str], object], str]]] = {
    HTTP_PROVIDER: {"base_url": (is_provider_url, f"an address like {DEFAULT_URL}, without a slash at its end")},
    "youtubepot-bgutilscript": {
        "server_home": (_is_path, "the absolute path of the folder `server`"),
        "script_path": (_is_path, "the absolute path of the script"),
    },
    "youtube-ejs": {
        "dev": (re.compile("true|false").fullmatch, "true or false"),
        "repo": (re.compile(r"[\w.-]+/[\w.-]+").fullmatch, "owner/name"),
        "script_version": (re.compile(r"\d+(?:\.\w+)+").fullmatch, "a version like 0.8.0"),
    },
}
"""The known arguments, each a list of one value. Others are allowed, because a newer provider may have more."""


def _extractor_args(arguments: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    """Return the arguments. Raises ValueError for arguments that yt-dlp would ignore or not understand."""
    for extractor, values in arguments.items():
        if not _EXTRACTOR.fullmatch(extractor):
            raise ValueError(
                f"{extractor} is not one of youtube, youtubetab, youtube-ejs, youtubepot-PROVIDER, youtubejsc-RUNTIME"
                f"{did_you_mean(extractor, ('youtube', 'youtubetab', *_SHAPES))}"
            )
        for name, texts in values.items():
            _check_argument(extractor, name, texts)
    return arguments


def _check_argument(extractor: str, name: str, texts: list[str]) -> None:
    if not _ARGUMENT.fullmatch(name):
        raise ValueError(f"{extractor}: {name} must be written {name.strip().lower().replace('-', '_')}")
    if _REROUTES.search(name) and not extractor.startswith(("youtubepot-", "youtubejsc-")):
        raise ValueError(f"{extractor}: {name} cannot be set: it would send requests for YouTube to another host")
    shapes = _SHAPES.get(extractor, {})
    if name in shapes:
        is_well_formed, shape = shapes[name]
        if len(texts) != 1 or not is_well_formed(texts[0]):
            raise ValueError(f"{extractor}: {name} must be a list of one value, {shape}")
    elif meant := did_you_mean(name, shapes):
        raise ValueError(f"{extractor} has no argument {name}{meant}")


ALLOWED: Mapping[str, Any] = {
    # what is fetched
    "format": StrictStr,
    "format_sort": list[StrictStr],
    "prefer_free_formats": StrictBool,
    "merge_output_format": Annotated[
        StrictStr, Field(pattern=r"^(?:mp4|mkv|webm|mov|avi|flv)(?:/(?:mp4|mkv|webm|mov|avi|flv))*$")
    ],
    "check_formats": StrictBool | Literal["selected"],
    "fixup": Literal["never", "warn", "detect_or_warn"],
    "getcomments": StrictBool,
    "updatetime": StrictBool,
    # how it is asked for
    "extractor_args": Annotated[
        dict[StrictStr, dict[StrictStr, Annotated[list[StrictStr], Field(min_length=1)]]],
        AfterValidator(_extractor_args),
    ],
    "http_headers": dict[_Header, _HeaderValue],
    "source_address": StrictStr,
    "geo_bypass": StrictBool,
    "geo_bypass_country": Annotated[StrictStr, Field(pattern="^[A-Z]{2}$")],
    "geo_bypass_ip_block": StrictStr,
    "socket_timeout": Annotated[StrictFloat | StrictInt, Field(gt=0, le=3600)],
    "dynamic_mpd": StrictBool,
    "hls_split_discontinuity": StrictBool,
    "hls_use_mpegts": StrictBool,
    # how often, how fast
    "retries": _Count,
    "fragment_retries": _Count,
    "extractor_retries": _Count,
    "file_access_retries": _Count,
    "sleep_interval": _Seconds,
    "max_sleep_interval": _Seconds,
    "sleep_interval_requests": _Seconds,
    "sleep_interval_subtitles": _Seconds,
    "concurrent_fragment_downloads": Annotated[StrictInt, Field(ge=1, le=32)],
    "http_chunk_size": _Bytes,
    "buffersize": _Bytes,
}

_INSTEAD: Mapping[str, tuple[str, ...]] = {
    "output_dir and output_template": ("outtmpl", "paths", "restrictfilenames", "trim_file_name"),
    "cookies_file": ("cookiefile", "cookiesfrombrowser", "username", "password"),
    "proxy, which is kept secret": ("proxy", "geo_verification_proxy"),
    "rate_limit_bytes_per_second": ("ratelimit",),
    "allow_other_sites": ("allowed_extractors",),
    "subtitle_languages, subtitle_kinds and subtitle_format": (
        "writesubtitles", "writeautomaticsub", "allsubtitles", "subtitleslangs", "subtitlesformat",
    ),
}  # fmt: skip
"""The settings that replace options."""


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options if each is allowed and has its type.

    Raises ValueError, with one line that names every wrong option. It repeats no value, which may be a secret.
    """
    problems = [problem for name, value in options.items() if (problem := _problem(name, value))]
    if problems:
        raise ValueError("; ".join(problems))
    return dict(options)


def _problem(name: str, value: Any) -> str:
    if name not in ALLOWED:
        settings = next((settings for settings, names in _INSTEAD.items() if name in names), "")
        python_name = name.lstrip("-").replace("-", "_")  # as if it were an option of the command line
        hint = f": use the setting {settings}" if settings else did_you_mean(python_name, ALLOWED)
        return f"{name} is not an option of yt-dlp that can be set here{hint}"
    try:
        TypeAdapter(ALLOWED[name]).validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        message = problem["msg"]
        if problem["type"] == "value_error":
            return f"{name}: {message.removeprefix('Value error, ')}"
        return f"{name}: {message[0].lower()}{message[1:]}"
    return ""
