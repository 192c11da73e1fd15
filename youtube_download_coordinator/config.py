"""Every setting: its unit, its default, and why it is there.

A setting is taken from the argument, else from the environment (`YDC_` and its name in capitals), else from a file `.env` in
the working directory, else its default.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict, SettingsError

from youtube_download_coordinator.errors import BadFilter, ConfigError
from youtube_download_coordinator.processors.output_paths import Template
from youtube_download_coordinator.queue.cooldown import Pauses
from youtube_download_coordinator.queue.rate_limit import RateLimit
from youtube_download_coordinator.queue.refresh import MAX_HOURS, refresh_hours
from youtube_download_coordinator.sources.filters import Filters, validated
from youtube_download_coordinator.text import did_you_mean
from youtube_download_coordinator.youtube.options import check_options

if TYPE_CHECKING:
    from youtube_download_coordinator.youtube.network import Network

YEAR_MINUTES = 366 * 24 * 60
"""No time is longer, so that adding one to a date never fails."""
GUEST_VIDEOS_PER_HOUR, ACCOUNT_VIDEOS_PER_HOUR = 270, 1800
"""A tenth less than what YouTube is said to allow."""
Seconds = Annotated[float, Field(ge=0, le=YEAR_MINUTES * 60, allow_inf_nan=False)]
Minutes = Annotated[float, Field(gt=0, le=YEAR_MINUTES, allow_inf_nan=False)]
PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
SECRETS = frozenset({"proxy", "yt_dlp_options", "service_account", "database_url"})
"""Settings whose values are not repeated in a message."""
VARIABLES_OF_FLOWS = frozenset({"checkout", "prefect_block"})
"""Variables that no Config reads, though they are ours."""
VARIABLES_OF_TESTS = ("test_", "chaos_", "bench_")
"""So begin those of the project's own tests."""


def _proxy(proxy: SecretStr) -> SecretStr:
    try:
        address = urlsplit(proxy.get_secret_value())
        well = address.scheme in PROXY_SCHEMES and bool(address.hostname) and address.port != 0
    except ValueError:
        well = False
    if not well:
        raise ValueError(f"it must be an address like http://user:password@host:port ({', '.join(PROXY_SCHEMES)})")
    return proxy


def _template(text: str) -> str:
    Template.read(text)
    return text


def _words(value: object) -> object:
    return [word for word in re.split(r"[\s,]+", value) if word] if isinstance(value, str) else value


def _languages(languages: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [each for each in languages if not re.fullmatch(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", each)]
    if wrong or not languages:
        raise ValueError(
            f"{', '.join(wrong) or 'nothing'} is no language: write en, pt-BR, original or all, with commas between"
        )
    return languages


def _number(text: object) -> object:
    """A choice of numbers takes none that is written as text, which is what an environment has."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else text


SampleRate = Annotated[Literal[8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000], BeforeValidator(_number)]
OPUS_SAMPLE_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
"""Its encoder takes no others."""


def _as_json(key: object) -> object:
    """A key as text, also one that is given as a mapping. What cannot be one is told by who signs in, without its contents."""
    return json.dumps(key) if isinstance(key, Mapping) else key


AudioCodec = Literal["best", "m4a", "mp3", "opus", "vorbis", "flac", "wav", "aac", "alac"]


class Config(BaseSettings):
    """The settings of one process; frozen.

    Raises ConfigError, with one line that names every wrong setting.
    """

    model_config = SettingsConfigDict(
        env_prefix="YDC_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    spreadsheet_id: str | None = None
    """The Google Sheet that is the queue: its ID, or its address. Without one the queue is `database_url`."""

    credentials_file: Path | None = None
    """The JSON key of a service account that the sheet is shared with; else GOOGLE_APPLICATION_CREDENTIALS, else Google's own
    Application Default Credentials."""

    service_account: Annotated[SecretStr, BeforeValidator(_as_json)] | None = None
    """The JSON key of a service account itself, for where a file is unwelcome: a secret of a container, a Prefect block.
    It goes before `credentials_file`."""

    sources_worksheet_name: str = "Sources"
    """The title of the tab with the sources."""

    video_tasks_worksheet_name: str = "Video Tasks"
    """The title of the tab with the videos."""

    dead_letter_worksheet_name: str = "Dead-Letter Queue"
    """The title of the tab with the videos that failed for good."""

    sheets_api_url: str = "https://sheets.googleapis.com"
    """The address of Google's API; another one for tests."""

    sheets_patience_seconds: Seconds = 600
    """How long a request is sent again while Google answers 429 or 5xx, or nothing. Less than the lease."""

    database_url: Annotated[str, Field(repr=False)] = "sqlite:///coordinator.db"
    """The queue: a SQLite file (the embedded default), or `postgresql+psycopg://user@host/name` for several machines."""

    sources_file_path: Path | None = None
    """A text file of sources, a line each: `URL|Accent|Type`. It is imported at the start of every run."""

    allow_other_sites: bool = False
    """Take sources that are not YouTube's. Off, because whoever can edit the list then chooses what workers connect to."""

    allow_private_addresses: bool = False
    """With `allow_other_sites`: let other sites' addresses lead to this machine and its network too (127.0.0.1, 10.0.0.0/8, a
    cloud's 169.254.169.254). Only for a list that nobody else can edit."""

    max_retries: Annotated[int, Field(ge=1)] = 3
    """Failed attempts at a video before it goes to the dead letters. They are counted in its row, across machines."""

    stalled_task_timeout_minutes: Minutes = 15
    """The lease: a claim that its worker has not renewed for this long is taken over. Renewed every third of it."""

    attempt_timeout_minutes: Minutes = 120
    """The longest that one attempt may take; then its process is ended and the attempt counts as failed."""

    listing_timeout_minutes: Minutes = 120
    """The longest that listing one source may take. What was listed by then is kept, and the source is tried again."""

    retry_backoff_seconds: Seconds = 60
    """The pause after a first failed attempt; it doubles with each further one, with up to half of it taken off at random."""

    retry_backoff_max_seconds: Seconds = 3600
    """No pause is longer. YouTube's own blocks last about an hour."""

    cooldown_minutes: Minutes = 15
    """When YouTube throttles (a bot check, a rate limit), nothing is begun for so long; then one video is tried, and the pause
    doubles with each that is throttled again, and halves when YouTube answers."""

    cooldown_max_minutes: Minutes = 360
    """No cooldown is longer."""

    cooldown_scope: Literal["machine", "fleet"] = "machine"
    """Whom a cooldown holds back. YouTube counts by address: `fleet` is for machines that share one."""

    videos_per_hour: Annotated[int, Field(ge=0)] | None = None
    """How many attempts this machine begins in an hour, all its workers together; 0: as many as it can. YouTube is said to stop a
    guest at about 300 and an account at about 2000: unless it is given, 270, and 1800 with cookies."""

    state_dir: Path = Field(default_factory=lambda: _state_home() / "youtube-download-coordinator")
    """A folder on this machine that its workers share: how many attempts it has begun, and that a cooldown has changed. Unless it
    is given, `$XDG_STATE_HOME/youtube-download-coordinator`, else the same below `~/.local/state`."""

    claim_batch_size: Annotated[int, Field(ge=1, le=1000)] = 10
    """Videos that a worker claims with one request. Larger is cheaper; what a killed worker held waits for its lease to end."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    """Videos that one worker processes at a time."""

    idle_poll_seconds: Seconds = 30
    """An idle worker asks the store at most this often whether there is something to do."""

    claim_jitter_seconds: Seconds = 5
    """`process_next_task` waits a random part of this when there is nothing, so that a loop without a sleep burns no quota."""

    output_dir: Path = Path("media")
    """Where the built-in processors put files."""

    output_template: Annotated[str, AfterValidator(_template)] = "{accent}/{channel}/{id}"
    """Where below `output_dir` a file goes, without its extension. A folder whose fields are empty drops out.
    Fields: {accent}, {type}, {channel}, {channel_id}, {id}, {title}, {source_id}, {upload_date}, {kind} (the processor),
    and {column:Name} for a column of your own."""

    min_free_disk_bytes: Annotated[int, Field(ge=0)] = 1_000_000_000
    """With less free in `output_dir` no attempt begins, and the worker stops."""

    audio_codec: AudioCodec = "m4a"
    """What the `audio` processor converts to; `best` keeps what YouTube has."""

    audio_sample_rate_hz: SampleRate | None = None
    """The sample rate that `audio` converts to, for speech corpora mostly 16000. None: YouTube's own."""

    audio_mono: bool = False
    """Have `audio` mix the channels into one."""

    subtitle_languages: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words), AfterValidator(_languages)] = (
        "original",
    )
    """Languages of the `subtitles` processor, with commas between: `en` (also en-GB), `original` (what is spoken), `all`."""

    subtitle_kinds: Literal["manual", "automatic", "both"] = "both"
    """Subtitles that somebody wrote, that YouTube recognised, or those where there are none of the others. No translations."""

    subtitle_format: Literal["vtt", "srt", "ttml", "json3", "srv1", "srv2", "srv3"] = "vtt"
    """The format of subtitles; `json3` has a time for each word."""

    subtitles_required: bool = False
    """Send a video without subtitles to the dead letters (reason no-subtitles). Off: it is done, and its result says so."""

    refresh_after_hours: Annotated[
        float, Field(ge=0, le=MAX_HOURS), BeforeValidator(lambda said: refresh_hours(str(said)))
    ] = 24
    """A source that is done is looked at again for new videos so long after its last look; 0 or `off`: never. A column
    RefreshHours of the source goes before it."""

    kinds: Annotated[str, BeforeValidator(partial(validated, "Kinds"))] = ""
    """Which videos of a source become rows: some of `videos,shorts,streams,members`, or `all`. Unless it is set all but those
    for members: without an account that has paid each of them is a dead letter. This and the next five can be said for a single
    source too, in a column of *Sources* (`Kinds`, `MinDuration`, ...), which goes before."""

    min_duration: Annotated[str, BeforeValidator(partial(validated, "MinDuration"))] = ""
    """No shorter videos: seconds, `90s`, `5m` or `1:02:03`. A video whose duration the list does not say is kept."""

    max_duration: Annotated[str, BeforeValidator(partial(validated, "MaxDuration"))] = ""
    """No longer videos; written as `min_duration` is."""

    title_match: Annotated[str, BeforeValidator(partial(validated, "TitleMatch"))] = ""
    """Only videos in whose title this regular expression is found, whatever its capitals."""

    first_videos: Annotated[str, BeforeValidator(partial(validated, "FirstVideos"))] = ""
    """So many of a source that is listed for the first time: the newest of each tab of a channel, the first of a playlist."""

    newer_than: Annotated[str, BeforeValidator(partial(validated, "NewerThan"))] = ""
    """No older videos: a date, or an age like `30 days`. Lists say approximately when, or not at all: then a video is kept."""

    mix_max_videos: Annotated[int, Field(ge=1)] = 100
    """A mix (`list=RD...`) never ends; this many of it are listed."""

    proxy: Annotated[SecretStr, AfterValidator(_proxy)] | None = None
    """The proxy to YouTube: `http://user:password@host:port`, or socks5h and others. Without it yt-dlp heeds HTTPS_PROXY."""

    cookies_file: Path | None = None
    """Cookies of an account that is logged in to YouTube (Netscape format, cookies.txt), for listing and processing.
    The file is only read."""

    rate_limit_bytes_per_second: Annotated[int, Field(gt=0)] | None = None
    """The most that one download takes of the line; `concurrency` times that in all. None: as fast as it comes."""

    yt_dlp_options: Annotated[dict[str, Any], AfterValidator(check_options), Field(repr=False)] = {}
    """More options for yt-dlp, by their Python names, as JSON: `{"format_sort": ["res:720"]}`. Those we own are refused."""

    def __init__(self, **values: Any) -> None:
        unknown = [name for name in values if name not in type(self).model_fields and not name.startswith("_")]
        if unknown:
            raise ConfigError(
                f"there is no setting {', '.join(unknown)}{did_you_mean(unknown[0], type(self).model_fields)}"
            )
        try:
            _check_variables(type(self))
            super().__init__(**values)
            _check_pauses(self)
            Filters.read(self.filters)  # each can be read; do they go together?
        except BadFilter as error:
            raise ConfigError(str(error)) from None
        except ValidationError as error:
            raise ConfigError("; ".join(_one_line(problem) for problem in error.errors())) from None
        except SettingsError as error:
            raise ConfigError(f"{str(error).partition(' from source')[0]}: it must be JSON") from None
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"the file .env in {str(Path.cwd())!r} cannot be read: {error}") from None

    @model_validator(mode="after")
    def _audio_can_be_made(self) -> Config:
        """Else every single video would fail, after it was downloaded."""
        rate = self.audio_sample_rate_hz
        if self.audio_codec == "best" and (rate or self.audio_mono):
            raise ValueError(
                "audio_codec=best converts nothing: name a codec, wav for example, with a sample rate or mono"
            )
        if self.audio_codec == "opus" and rate and rate not in OPUS_SAMPLE_RATES_HZ:
            rates = ", ".join(map(str, OPUS_SAMPLE_RATES_HZ))
            raise ValueError(f"audio_sample_rate_hz={rate}: opus has {rates} only")
        return self

    @property
    def spreadsheet_url(self) -> str | None:
        """Where people look at the queue, when it is a sheet."""
        sheet_id = id_of_spreadsheet(self.spreadsheet_id or "")
        return f"https://docs.google.com/spreadsheets/d/{sheet_id}/edit" if sheet_id else None

    @property
    def lease(self) -> timedelta:
        return timedelta(minutes=self.stalled_task_timeout_minutes)

    @property
    def pauses(self) -> Pauses:
        first, longest = (max(1, round(minutes * 60)) for minutes in (self.cooldown_minutes, self.cooldown_max_minutes))
        return Pauses(first_seconds=first, longest_seconds=longest)

    @property
    def rate_limit(self) -> RateLimit | None:
        """How fast this machine may go; None: as fast as it can."""
        by_default = ACCOUNT_VIDEOS_PER_HOUR if self.cookies_file else GUEST_VIDEOS_PER_HOUR
        limit = by_default if self.videos_per_hour is None else self.videos_per_hour
        return RateLimit(limit) if limit else None

    @property
    def attempt_timeout(self) -> timedelta:
        return timedelta(minutes=self.attempt_timeout_minutes)

    @property
    def network(self) -> Network:
        """Return how yt-dlp reaches YouTube and other sites."""
        from youtube_download_coordinator.youtube.network import Network  # brings yt-dlp's helpers; settings need none

        return Network(
            allow_other_sites=self.allow_other_sites,
            allow_private_addresses=self.allow_private_addresses,
            proxy=self.proxy.get_secret_value() if self.proxy else "",
            cookies_file=str(self.cookies_file.absolute()) if self.cookies_file else "",
            rate_limit_bytes_per_second=self.rate_limit_bytes_per_second,
            yt_dlp_options=self.yt_dlp_options,
            state_dir=str(self.state_dir.absolute()),
        )

    @property
    def filters(self) -> dict[str, str]:
        """What is set for all sources, by the name of the column that goes before."""
        return {
            "Kinds": self.kinds,
            "MinDuration": self.min_duration,
            "MaxDuration": self.max_duration,
            "TitleMatch": self.title_match,
            "FirstVideos": self.first_videos,
            "NewerThan": self.newer_than,
        }

    @property
    def refresh(self) -> timedelta | None:
        return timedelta(hours=self.refresh_after_hours) or None

    @property
    def listing_timeout(self) -> timedelta:
        return timedelta(minutes=self.listing_timeout_minutes)


def id_of_spreadsheet(text: str) -> str:
    """The ID, also out of the address in a browser's address bar."""
    return text.partition("/spreadsheets/d/")[2].partition("/")[0] if "/spreadsheets/d/" in text else text.strip()


def _check_variables(settings: type[Config]) -> None:
    """A misspelt variable would leave its default in force, unseen.

    `.env` is ours alone: whatever there begins with `YDC_` must be known. The environment is shared with others' programs, which
    may use the prefix: there only what looks like a setting is a mistake.
    """
    for names, is_ours_alone in ((DotEnvSettingsSource(settings).env_vars, True), (os.environ, False)):
        for name in _no_settings(settings, names):
            meant = did_you_mean(_setting(name), settings.model_fields)
            if meant or is_ours_alone:
                raise ConfigError(f"there is no setting {name.upper()}{' (in .env)' * is_ours_alone}{meant}")


def unknown_variables() -> list[str]:
    """Variables of the environment that begin as ours do and are no setting: nothing of ours reads them."""
    return sorted(
        name for name in _no_settings(Config, os.environ) if not _setting(name).startswith(VARIABLES_OF_TESTS)
    )


def _no_settings(settings: type[Config], names: Iterable[str]) -> Iterator[str]:
    ours = (name for name in names if name.upper().startswith("YDC_"))
    return (name for name in ours if _setting(name) not in {*settings.model_fields, *VARIABLES_OF_FLOWS})


def _setting(variable: str) -> str:
    return variable[len("YDC_") :].lower()


def _check_pauses(config: Config) -> None:
    first, longest = config.cooldown_minutes, config.cooldown_max_minutes
    if longest < first:
        raise ConfigError(
            f"cooldown_max_minutes={longest:g} is less than cooldown_minutes={first:g}: raise the one or lower the other"
        )


def _state_home() -> Path:
    """Where the XDG base directories put what a program remembers on one machine."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        return given if given.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        raise ConfigError("this account has no home folder: name a folder of its own for it, state_dir") from None


def _one_line(problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return str(message)
    where = ".".join(str(part) for part in problem["loc"])
    value = "" if problem["loc"][0] in SECRETS else f"={problem['input']!r}"
    return f"{where}{value}: {message[0].lower()}{message[1:]}"
