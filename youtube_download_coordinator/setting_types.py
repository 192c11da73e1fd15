"""Define the types of settings, and check their values. A check raises ValueError with a text to append to the setting's name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr

from youtube_download_coordinator.errors import BadUrl, ConfigError, ProcessorError
from youtube_download_coordinator.models import LICENSES
from youtube_download_coordinator.processors.names import processor_names
from youtube_download_coordinator.processors.output_paths import Template
from youtube_download_coordinator.queue.offers import parse_offer
from youtube_download_coordinator.sources.urls import video_target
from youtube_download_coordinator.storage.address import SCHEMES, place_address
from youtube_download_coordinator.text import did_you_mean, is_loopback
from youtube_download_coordinator.youtube.trainability import ALL

YEAR_MINUTES = 366 * 24 * 60
"""The longest duration of a setting. It is limited, so that adding it to a date never overflows."""
Seconds = Annotated[float, Field(ge=0, le=YEAR_MINUTES * 60, allow_inf_nan=False)]
Minutes = Annotated[float, Field(gt=0, le=YEAR_MINUTES, allow_inf_nan=False)]
MEMORY_LIMIT_LEAST_BYTES = 100_000_000
"""The lowest memory limit. A child process that has imported yt-dlp uses half of it."""
PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def proxy_address(proxy: SecretStr) -> SecretStr:
    try:
        address = urlsplit(proxy.get_secret_value())
        is_valid = address.scheme in PROXY_SCHEMES and bool(address.hostname) and address.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError(f"it must be an address like http://user:password@host:port ({', '.join(PROXY_SCHEMES)})")
    return proxy


def api_url(url: str) -> str:
    """Return the URL. Raises ValueError unless it is https or on this machine, because requests contain the account's token."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_safe = bool(host) and parts.username is None and parts.port != 0
        is_safe = is_safe and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
    except ValueError:
        is_safe = False
    if not is_safe:
        raise ValueError("it must be an https address without a user, or http on this machine (127.0.0.1)")
    return url


def memory_limit(limit_bytes: int) -> int:
    if limit_bytes and limit_bytes < MEMORY_LIMIT_LEAST_BYTES:
        raise ValueError(f"it must be 0, or at least {MEMORY_LIMIT_LEAST_BYTES}: every attempt would exceed it")
    return limit_bytes


def canary(text: str) -> str:
    if not text:
        return ""
    try:
        return video_target(text).url
    except BadUrl as error:
        raise ValueError(str(error)) from None


def output_place(value: object) -> object:
    if not isinstance(value, str | Path):
        raise ValueError(f"it must be a folder, or one of {', '.join(SCHEMES.values())}")  # noqa: TRY004  (for pydantic)
    return place_address(value)


def template(text: str) -> str:
    Template.read(text)
    return text


def processor_list(text: str) -> str:
    try:
        return ",".join(processor_names(text))
    except ProcessorError as error:
        raise ValueError(str(error)) from None


def words_of(value: object) -> object:
    return [word for word in re.split(r"[\s,]+", value) if word] if isinstance(value, str) else value


def offer_words(words: tuple[str, ...]) -> tuple[str, ...]:
    parse_offer(words)
    return words


def language_codes(languages: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [code for code in languages if not re.fullmatch(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", code)]
    if wrong or not languages:
        raise ValueError(
            f"{', '.join(wrong) or 'nothing'} is not a language: write en, pt-BR, original or all, separated by commas"
        )
    return languages


def license_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [name for name in names if name not in LICENSES]:
        raise ValueError(f"{', '.join(wrong)} is not one of {', '.join(LICENSES)}{did_you_mean(wrong[0], LICENSES)}")
    return names


def trainer(name: str) -> str:
    """Return a company's name, or `all`. Raises ValueError for a word with another meaning."""
    name = " ".join(name.split())
    if (
        name.casefold() in {"none", "unknown", "ask", "off", "on", "true", "false", "yes", "no", "0", "1"}
        or "," in name
    ):
        raise ValueError("it must be all, or the name of one company, as YouTube writes it")
    return ALL if name.casefold() == ALL else name


def _number(text: object) -> object:
    """Return the number in a text. Environment variables are text, which a Literal of numbers does not accept."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else text


SampleRate = Annotated[Literal[8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000], BeforeValidator(_number)]
OPUS_SAMPLE_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
"""The sample rates that the encoder of opus accepts."""


def as_json(key: object) -> object:
    """Return a key as text, even if it is a mapping. An invalid key is reported when signing in, without its contents."""
    return json.dumps(key) if isinstance(key, Mapping) else key


AudioCodec = Literal["best", "m4a", "mp3", "opus", "vorbis", "flac", "wav", "aac", "alac"]


def check_has_sheet(spreadsheet_id: str | None, arguments: Mapping[str, object]) -> None:
    """Raise ConfigError if a program gives a key but no sheet, because it would start over with an empty queue."""
    keys = [name for name in ("credentials_file", "service_account") if arguments.get(name)]
    if keys and not spreadsheet_id:
        raise ConfigError(
            f"{keys[0]} is given, but spreadsheet_id is {spreadsheet_id!r}: give the ID or the address of the sheet, or "
            "database_url if the queue is not a sheet"
        )


def state_home() -> Path:
    """Return the folder for the state of programs, according to the XDG Base Directory Specification."""
    folder = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        return folder if folder.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        raise ConfigError("this account has no home folder: set state_dir to a folder that it may write") from None
