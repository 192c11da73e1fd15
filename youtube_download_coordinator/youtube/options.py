"""The options of yt-dlp that a person may set (`yt_dlp_options`), by type; and those that are refused, by reason.

What is in neither table is refused as unknown. Names are those of yt-dlp's Python interface (`YoutubeDL.params`), which are not
always those of its command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr, TypeAdapter, ValidationError

from youtube_download_coordinator.text import did_you_mean

_Count = Annotated[StrictInt, Field(ge=0, le=100)]
_Bytes = Annotated[StrictInt, Field(gt=0)]
_Seconds = Annotated[StrictFloat | StrictInt, Field(ge=0, le=3600)]


def _no_secret(header: str) -> str:
    if header.lower() in ("cookie", "authorization", "proxy-authorization"):
        raise ValueError(f"{header} would go to every host: use the settings cookies_file and proxy")
    return header


_Header = Annotated[StrictStr, AfterValidator(_no_secret)]

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
    "extractor_args": dict[Literal["youtube", "youtubetab"], dict[StrictStr, list[StrictStr]]],
    "http_headers": dict[_Header, StrictStr],
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

_PLACE = "where files go is decided by output_dir and output_template"
_PROGRAM = "it could run a program"
_READS = "it reads other files of this machine"
_CODE = "it takes Python objects, not JSON"
_LOGIN = "YouTube takes no passwords: use the setting cookies_file"
_TOLD = "what is printed and logged is ours to decide"
_LISTS = "a row is one video; lists are sources"
_FAILS = "a failure that yt-dlp passes over would be recorded as done"
_SUBTITLES = "use the processor subtitles and its settings, subtitle_languages, subtitle_kinds and subtitle_format"
_BESIDE = "use the processor metadata; what stands beside a file is its JSON sidecar"
_QUEUE = "the queue decides what is processed and when"

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(
        ("outtmpl", "outtmpl_na_placeholder", "paths", "restrictfilenames", "windowsfilenames", "trim_file_name", "final_ext",
         "cachedir", "nopart", "overwrites", "no_overwrites", "continuedl", "keepvideo", "keep_fragments"), _PLACE),
    **dict.fromkeys(
        ("exec", "exec_cmd", "postprocessors", "postprocessor_args", "external_downloader", "external_downloader_args",
         "ffmpeg_location", "js_runtimes", "remote_components", "plugin_dirs", "netrc_cmd", "hls_prefer_native"), _PROGRAM),
    **dict.fromkeys(("enable_file_urls", "load_info_filename", "client_certificate", "client_certificate_key"), _READS),
    **dict.fromkeys(("cookiesfrombrowser", "cookiefile"), f"{_READS}: use the setting cookies_file"),
    **dict.fromkeys(
        ("logger", "progress_hooks", "postprocessor_hooks", "post_hooks", "match_filter", "download_ranges",
         "retry_sleep_functions", "impersonate", "compat_opts"), _CODE),
    **dict.fromkeys(
        ("username", "password", "twofactor", "videopassword", "usenetrc", "netrc_location", "ap_mso", "ap_username",
         "ap_password"), _LOGIN),
    **dict.fromkeys(
        ("quiet", "verbose", "no_warnings", "noprogress", "color", "no_color", "consoletitle", "logtostderr", "forceprint",
         "forcejson", "dump_single_json", "progress_template", "debug_printtraffic", "listformats", "list_thumbnails",
         "listsubtitles"), _TOLD),
    **dict.fromkeys(
        ("noplaylist", "playlist_items", "playliststart", "playlistend", "playlistreverse", "playlistrandom", "lazy_playlist",
         "extract_flat"), _LISTS),
    **dict.fromkeys(
        ("ignoreerrors", "ignore_no_formats_error", "skip_unavailable_fragments", "allow_unplayable_formats", "simulate",
         "skip_download", "min_filesize", "max_filesize", "break_on_existing", "break_on_reject", "test"), _FAILS),
    **dict.fromkeys(
        ("writesubtitles", "writeautomaticsub", "allsubtitles", "subtitleslangs", "subtitlesformat"), _SUBTITLES),
    **dict.fromkeys(
        ("print_to_file", "writeinfojson", "clean_infojson", "writedescription", "writethumbnail", "write_all_thumbnails",
         "writelink", "writeurllink", "writewebloclink", "writedesktoplink", "writecomments"), _BESIDE),
    **dict.fromkeys(
        ("download_archive", "wait_for_video", "live_from_start", "matchtitle", "rejecttitle", "mark_watched"), _QUEUE),
    **dict.fromkeys(
        ("allowed_extractors", "default_search", "force_generic_extractor"),
        "other sites are reached only with the setting allow_other_sites"),
    **dict.fromkeys(("proxy", "geo_verification_proxy"), "use the setting proxy, which is kept secret"),
    "ratelimit": "use the setting rate_limit_bytes_per_second",
    "throttledratelimit": "it asks YouTube again for ever",
    "nocheckcertificate": "certificates are always checked",
    "prefer_insecure": "connections are always encrypted",
}  # fmt: skip


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, each known and of its type. Raises ValueError, in one line that names every wrong one, and no value."""
    problems = [problem for name, value in options.items() if (problem := _problem(name, value))]
    if problems:
        raise ValueError("; ".join(problems))
    return dict(options)


def _problem(name: str, value: Any) -> str:
    if name in REFUSED:
        return f"{name} cannot be set: {REFUSED[name]}"
    if name not in ALLOWED:
        return f"yt-dlp has no option {name} that can be set here{did_you_mean(name.lstrip('-').replace('-', '_'), ALLOWED)}"
    try:
        TypeAdapter(ALLOWED[name]).validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        message = problem["msg"].removeprefix("Value error, ")
        return f"{name}: {message[0].lower()}{message[1:]}"
    return ""
