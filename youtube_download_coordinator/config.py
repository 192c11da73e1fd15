"""Define the settings, each with its meaning, unit and default.

A setting is read from an argument of Config, then from the environment variable `YDC_` plus its name in capitals, then from the
file `.env` in the working directory.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from youtube_download_coordinator.env_file import check_variables, unknown_in_environment
from youtube_download_coordinator.errors import BadFilter, ConfigError
from youtube_download_coordinator.processes.resource_limits import ResourceLimits
from youtube_download_coordinator.queue.cooldown import Pauses
from youtube_download_coordinator.queue.offers import Offer, parse_offer
from youtube_download_coordinator.queue.rate_limit import RateLimit
from youtube_download_coordinator.queue.refresh import MAX_HOURS, refresh_hours
from youtube_download_coordinator.queue.suspicion import OutageLimits
from youtube_download_coordinator.queue.targets import parse_targets
from youtube_download_coordinator.setting_types import (
    OPUS_SAMPLE_RATES_HZ,
    AudioCodec,
    Minutes,
    SampleRate,
    Seconds,
    api_url,
    as_json,
    canary,
    check_has_sheet,
    language_codes,
    license_names,
    memory_limit,
    offer_words,
    output_place,
    processor_list,
    proxy_address,
    state_home,
    template,
    trainer,
    words_of,
)
from youtube_download_coordinator.sources.filters import Filters, validated
from youtube_download_coordinator.text import did_you_mean
from youtube_download_coordinator.youtube.options import check_options
from youtube_download_coordinator.youtube.trainability import API_URL

if TYPE_CHECKING:
    from youtube_download_coordinator.youtube.network import Network

GUEST_VIDEOS_PER_HOUR, ACCOUNT_VIDEOS_PER_HOUR = 270, 1800
"""10 % below the limits that YouTube is reported to have."""
BUILT_IN_MEMORY_BYTES = 2_000_000_000
"""About five times what yt-dlp, its JavaScript runtime and ffmpeg take together."""
SECRETS = frozenset({"proxy", "yt_dlp_options", "service_account", "database_url"})
"""Settings whose values must not appear in messages."""
ENVIRONMENT_ONLY = frozenset({"sheets_api_url", "trainability_url"})
"""Settings that are not read from `.env`: it must not send the account's token to another host, or let one grant permissions."""


class Config(BaseSettings):
    """The settings of one process. Immutable.

    Raises ConfigError with one line that names every invalid setting.
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
    """The Google Sheet with the queue: its ID or its address. If it is not set, the queue is in `database_url`."""

    credentials_file: Path | None = None
    """The file with the JSON key of a service account with which the sheet is shared. If it is not set,
    GOOGLE_APPLICATION_CREDENTIALS or Google's Application Default Credentials are used."""

    service_account: Annotated[SecretStr, BeforeValidator(as_json)] | None = None
    """The content of the JSON key, if a file is impractical: from a container's secret or a Prefect block. It takes precedence
    over `credentials_file`."""

    sources_worksheet_name: str = "Sources"
    """The title of the tab with the sources."""

    video_tasks_worksheet_name: str = "Video Tasks"
    """The title of the tab with the videos."""

    dead_letter_worksheet_name: str = "Dead-Letter Queue"
    """The title of the tab with the videos that failed for good."""

    sheets_api_url: Annotated[str, AfterValidator(api_url)] = "https://sheets.googleapis.com"
    """The address of Google's API, which tests replace: https, or http on this machine. It is not read from `.env`."""

    sheets_patience_seconds: Seconds = 600
    """How long to repeat a request while Google answers 429 or 5xx, or does not answer. It must be less than the lease."""

    database_url: Annotated[str, Field(repr=False)] = "sqlite:///coordinator.db"
    """The database with the queue: a SQLite file for one machine, or `postgresql+psycopg://user@host/name` for several."""

    sources_file_path: Path | None = None
    """A text file with one source per line: `URL|Accent|Type`. Every run imports it when it starts."""

    allow_other_sites: bool = False
    """Accept sources on other sites than YouTube. Off by default, because everyone who can edit the sources could then choose the
    addresses to which the workers connect."""

    allow_private_addresses: bool = False
    """With `allow_other_sites`: allow addresses in this machine's own network too (127.0.0.1, 10.0.0.0/8, a cloud's
    169.254.169.254). Use it only if nobody else can edit the sources."""

    max_retries: Annotated[int, Field(ge=1)] = 3
    """The number of failed attempts after which a video moves to the dead letters. They are counted in its row, for all machines
    together."""

    stalled_task_timeout_minutes: Minutes = 15
    """The lease: another worker may take over a claim that was not renewed for this long. Workers renew a claim after a third of
    this time."""

    attempt_timeout_minutes: Minutes = 120
    """The longest time of one attempt. After it, the attempt's process is ended and the attempt fails."""

    in_process_timeout_minutes: Minutes = 1440
    """How long a function that runs in your own program (`process_next_task`) keeps its video. The coordinator cannot end such a
    function. After `attempt_timeout_minutes` it logs a warning, and after this time another worker may take over the video."""

    flush_every_call: bool = False
    """Write the cells that people see after each call of `process_next_task`, instead of with a later request. Set it if your
    program's processes end without cleaning up (`os._exit`). Forks and the workers of Celery and RQ always do this."""

    listing_timeout_minutes: Minutes = 120
    """The longest time for listing one source. Videos listed until then are kept, and the source is tried again."""

    max_throttles: Annotated[int, Field(ge=1)] = 5
    """How often YouTube may refuse one video while it answers others, before the video moves to the dead letters (reason
    `blocked`). After each refusal the video waits for the end of the cooldown, and longer each time."""

    retry_backoff_seconds: Seconds = 60
    """The pause after the first failed attempt. It doubles with each further one, and is shortened at random by up to half."""

    retry_backoff_max_seconds: Seconds = 3600
    """The longest pause between attempts. YouTube's own blocks last about an hour."""

    cooldown_minutes: Minutes = 15
    """How long no attempt starts after YouTube has throttled a machine (a bot check, a rate limit). Then one video is tried. If
    YouTube throttles it too, the next cooldown is twice as long; if YouTube answers, it is half as long."""

    cooldown_max_minutes: Minutes = 360
    """The longest cooldown."""

    canary_url: Annotated[str, AfterValidator(canary)] = ""
    """A YouTube video to request, but not to process, when YouTube has throttled a machine. If YouTube answers, the machine is
    not blocked and continues. If it is not set, the last video that the machine has done is used."""

    outage_known_videos: Annotated[int, Field(ge=2)] = 3
    """The number of different videos that must fail in a row, with a message known from outages of yt-dlp or YouTube, before the
    machine suspects an outage. During a suspected outage failures are not counted, and one video is tried after each pause."""

    outage_other_videos: Annotated[int, Field(ge=2)] = 20
    """The same number for any other reason, including a bug in your processor. Facts about one video (private, removed, region)
    never count."""

    cooldown_scope: Literal["machine", "fleet"] = "machine"
    """The workers that a cooldown stops. YouTube counts requests by IP address, so choose `fleet` if the machines share one."""

    videos_per_hour: Annotated[int, Field(ge=0)] | None = None
    """The number of attempts that all workers of this machine may start in an hour; 0: no limit. YouTube is reported to block a
    guest at about 300 and an account at about 2000. If it is not set: 270, or 1800 with cookies that are always used."""

    state_dir: Path = Field(default_factory=lambda: state_home() / "youtube-download-coordinator")
    """A folder in which the workers of this machine share its rate limit and its cooldown. If it is not set:
    `$XDG_STATE_HOME/youtube-download-coordinator`, or `~/.local/state/youtube-download-coordinator`."""

    claim_batch_size: Annotated[int, Field(ge=1, le=1000)] = 10
    """The number of videos that a worker claims with one request. A larger batch needs fewer requests, but if a machine dies, all
    videos that it has claimed wait until the lease expires."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    """The number of videos that one worker processes at the same time."""

    idle_poll_seconds: Seconds = 30
    """How often a worker with free slots looks for new work, even while it processes other videos. An idle loop of
    `process_next_task` does not look for work more often than this."""

    claim_jitter_seconds: Seconds = 5
    """If nothing is due, `process_next_task` waits for a random part of this time, so that a loop without a sleep saves quota."""

    target_hours: Annotated[dict[str, float], NoDecode, BeforeValidator(parse_targets)] = {}
    """How many hours of each accent are wanted: `pt-BR:100,en-IE:50`. Accents that are behind are claimed first, and videos of an
    accent that has its hours stay pending (docs/targets.md). If it is not set, everything is processed."""

    output_dir: Annotated[Path | str, BeforeValidator(output_place)] = Path("media")
    """The folder or object storage for the files of the built-in processors: `media`, `s3://bucket/prefix`, `gs://bucket/prefix`
    or `az://container/prefix`. Keys, endpoints and options come from the provider's own variables (docs/files.md)."""

    output_template: Annotated[str, AfterValidator(template)] = "{accent}/{channel}/{id}"
    """The path of a file below `output_dir`, without its extension. A folder whose fields are all empty is left out.
    Fields: {accent}, {type}, {channel}, {channel_id}, {id}, {title}, {source_id}, {upload_date}, {kind} (the processor),
    and {column:Name} for a column that you have added."""

    min_free_disk_bytes: Annotated[int, Field(ge=0)] = 1_000_000_000
    """The free space to keep on the disk of `output_dir`, or with object storage on the disk of `state_dir`. If there is less, no
    attempt starts and the worker stops. A video that would leave less fails with the reason `too-large`, before its download if
    its size is known, otherwise during the download. 0: no check."""

    max_file_bytes: Annotated[int, Field(gt=0)] | None = None
    """The largest file that an attempt may write. A larger video fails with the reason `too-large`. If it is not set, the free
    space is the only limit."""

    max_child_memory_bytes: Annotated[int, AfterValidator(memory_limit)] | None = None
    """The memory that all processes of one attempt, or of one listing, may use together. An attempt that uses more fails with the
    reason `memory`. 0: no limit. If it is not set: 2 GB, and no limit for your own processor."""

    processor: Annotated[str, AfterValidator(processor_list)] = "audio"
    """The processor of videos: `download`, `audio`, `metadata`, `subtitles`, your own `module:function`, or several, separated by
    commas: `audio,subtitles,metadata`. `--processor` and the parameter of a flow take precedence."""

    audio_codec: AudioCodec = "m4a"
    """The codec to which the `audio` processor converts. `best` keeps YouTube's codec."""

    audio_sample_rate_hz: SampleRate | None = None
    """The sample rate to which `audio` converts; speech corpora often use 16000. If it is not set, YouTube's rate is kept."""

    audio_mono: bool = False
    """Make `audio` mix all channels into one."""

    audio_track: Literal["original", "any"] = "original"
    """`original`: only the speaker's own voice. A video that has only dubs and audio descriptions fails with the reason `dubbed`.
    `any`: use such a track if there is nothing better. For `audio` and `download`."""

    audio_min_kbps: Annotated[int, Field(ge=0)] = 48
    """Sound with a lower bit rate is marked `degraded: low-bit-rate`; 0: no sound is marked."""

    accept_degraded: bool = True
    """Keep files of lower quality than usual, with `degraded` and the reason in Result and in the sidecar. If it is off, the
    attempt fails with the reason `degraded`, and the video is tried again."""

    subtitle_languages: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(words_of), AfterValidator(language_codes)
    ] = ("original",)
    """The languages for the `subtitles` processor, separated by commas: `en` (includes en-GB), `original` (the spoken language),
    `all`."""

    subtitle_kinds: Literal["manual", "automatic", "both"] = "both"
    """`manual`: subtitles that a person wrote. `automatic`: YouTube's speech recognition. `both`: automatic ones where there are
    no manual ones. Translations are never downloaded."""

    subtitle_format: Literal["vtt", "srt", "ttml", "json3", "srv1", "srv2", "srv3"] = "vtt"
    """The format of subtitles. `json3` contains the time of each word."""

    subtitles_required: bool = False
    """Move a video without subtitles to the dead letters, with the reason `no-subtitles`. If it is off, the video is done, and
    its result names the missing subtitles."""

    licenses: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words_of), AfterValidator(license_names)] = ()
    """Process only videos with one of these licences, separated by commas: `creative-commons`, `youtube` (YouTube's standard
    licence), `unknown`. Other videos are not fetched; they are done, with the result `skipped, licence ...`. If it is not set,
    every video is processed (docs/rights.md)."""

    trainability: Literal["off", "ask"] = "off"
    """`ask`: before the media of a video are fetched, ask YouTube once who may train models with it, and keep the answer. If
    YouTube gives no answer, the video is processed anyway."""

    trainable: Annotated[str, AfterValidator(trainer)] = ""
    """Process only videos whose owner permits training, to `all` or to this company. Other videos are not fetched; they are done,
    with the result `skipped, training not permitted`. If YouTube gives no answer, the video waits. Implies
    `trainability=ask`."""

    trainability_url: Annotated[str, AfterValidator(api_url)] = API_URL
    """The address to ask, which tests replace: https, or http on this machine. It is not read from `.env`."""

    refresh_after_hours: Annotated[
        float, Field(ge=0, le=MAX_HOURS), BeforeValidator(lambda text: refresh_hours(str(text)))
    ] = 24
    """The time after which a source is listed again for new videos; 0 or `off`: never. A source's column RefreshHours takes
    precedence."""

    kinds: Annotated[str, BeforeValidator(partial(validated, "Kinds"))] = ""
    """The kinds of videos that are added: some of `videos,shorts,streams,members`, or `all`. If it is not set: all except
    `members`, which only the account of a member can fetch. A column of *Sources* (`Kinds`, `MinDuration`, ...) can replace this
    setting and the next five for one source."""

    min_duration: Annotated[str, BeforeValidator(partial(validated, "MinDuration"))] = ""
    """Skip shorter videos: seconds, `90s`, `5m` or `1:02:03`. A video of unknown duration is kept."""

    max_duration: Annotated[str, BeforeValidator(partial(validated, "MaxDuration"))] = ""
    """Skip longer videos. The format is that of `min_duration`."""

    title_match: Annotated[str, BeforeValidator(partial(validated, "TitleMatch"))] = ""
    """Add only videos whose title contains a match of this regular expression, in any letter case."""

    first_videos: Annotated[str, BeforeValidator(partial(validated, "FirstVideos"))] = ""
    """The number of videos to add when a source is first listed: the newest of each tab of a channel, or the first of a
    playlist."""

    newer_than: Annotated[str, BeforeValidator(partial(validated, "NewerThan"))] = ""
    """Skip older videos: a date, or an age such as `30 days`. Lists contain approximate dates; a video without a date is kept."""

    mix_max_videos: Annotated[int, Field(ge=1)] = 100
    """The number of videos to list of a mix (`list=RD...`), which is endless."""

    proxy: Annotated[SecretStr, AfterValidator(proxy_address)] | None = None
    """The proxy for YouTube: `http://user:password@host:port`, or socks5h and others. If it is not set, yt-dlp uses
    HTTPS_PROXY."""

    cookies_file: Path | None = None
    """A file with the cookies of a YouTube account (Netscape format, cookies.txt), for listing and processing. The file is never
    changed."""

    cookies_use: Literal["always", "when-needed"] = "always"
    """`always`: use the cookies for every request. `when-needed`: request each video and source without them first, and with them
    only if YouTube asks for an account. Such a machine also offers `account` (see `offers`)."""

    offers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words_of), AfterValidator(offer_words)] = ()
    """Capabilities that other machines lack, separated by commas: `region:BR` (YouTube sees this machine's address in Brazil; an
    ISO code), `account` (it has the cookies of an account). A video that failed elsewhere with the reason `region` or
    `needs-account` waits for such a machine before it becomes a dead letter. An offer is a line in *Control*, for 24 hours."""

    rate_limit_bytes_per_second: Annotated[int, Field(gt=0)] | None = None
    """The maximum rate of one download. A worker uses up to `concurrency` times as much. If it is not set, there is no limit."""

    yt_dlp_options: Annotated[dict[str, Any], AfterValidator(check_options), Field(repr=False)] = {}
    """Further options for yt-dlp, by their Python names, as JSON: `{"format_sort": ["res:720"]}`. Options that could
    move files, run programs or read other files are refused."""

    def __init__(self, **values: Any) -> None:
        unknown = [name for name in values if name not in type(self).model_fields and not name.startswith("_")]
        if unknown:
            raise ConfigError(
                f"there is no setting {', '.join(unknown)}{did_you_mean(unknown[0], type(self).model_fields)}"
            )
        try:
            check_variables(type(self), ENVIRONMENT_ONLY)
            super().__init__(**values)
            if "database_url" not in self.model_fields_set:
                check_has_sheet(self.spreadsheet_id, values)
            _check_pauses(self)
            Filters.read(self.filters)  # each filter is valid; this checks the combination
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
        """Raise ValueError if the audio settings contradict each other, because each video would fail after its download."""
        rate = self.audio_sample_rate_hz
        if self.audio_codec == "best" and (rate or self.audio_mono):
            raise ValueError("audio_codec=best does not convert: for a sample rate or mono, set a codec, such as wav")
        if self.audio_codec == "opus" and rate and rate not in OPUS_SAMPLE_RATES_HZ:
            rates = ", ".join(map(str, OPUS_SAMPLE_RATES_HZ))
            raise ValueError(f"audio_sample_rate_hz={rate}: opus supports only {rates}")
        return self

    @property
    def spreadsheet_url(self) -> str | None:
        """Return the address of the sheet, or None if the queue is in a database."""
        sheet_id = id_of_spreadsheet(self.spreadsheet_id or "")
        return f"https://docs.google.com/spreadsheets/d/{sheet_id}/edit" if sheet_id else None

    @property
    def work_dir(self) -> Path:
        """Return the local folder in which files are made: `output_dir`, or a folder below `state_dir` for object storage."""
        if isinstance(self.output_dir, Path):
            return self.output_dir
        return self.state_dir / "files" / hashlib.sha256(self.output_dir.encode()).hexdigest()[:16]

    @property
    def lease(self) -> timedelta:
        return timedelta(minutes=self.stalled_task_timeout_minutes)

    @property
    def pauses(self) -> Pauses:
        first, longest = (max(1, round(minutes * 60)) for minutes in (self.cooldown_minutes, self.cooldown_max_minutes))
        return Pauses(first_seconds=first, longest_seconds=longest)

    @property
    def outage_limits(self) -> OutageLimits:
        return OutageLimits(known_videos=self.outage_known_videos, other_videos=self.outage_other_videos)

    @property
    def rate_limit(self) -> RateLimit | None:
        """Return the rate limit of this machine, or None for no limit."""
        is_account = self.cookies_file and self.cookies_use == "always"
        by_default = ACCOUNT_VIDEOS_PER_HOUR if is_account else GUEST_VIDEOS_PER_HOUR
        limit = by_default if self.videos_per_hour is None else self.videos_per_hour
        return RateLimit(limit) if limit else None

    @property
    def offer(self) -> Offer:
        """Return this machine's offers, for which rows may wait."""
        offer = parse_offer(self.offers)
        return replace(offer, account=offer.account or bool(self.cookies_file and self.cookies_use == "when-needed"))

    @property
    def attempt_timeout(self) -> timedelta:
        return timedelta(minutes=self.attempt_timeout_minutes)

    def child_limits(self, *, runs_own_code: bool = False) -> ResourceLimits:
        """Return the limits of a child process. `runs_own_code`: it runs the user's own code."""
        default = 0 if runs_own_code else BUILT_IN_MEMORY_BYTES
        memory = default if self.max_child_memory_bytes is None else self.max_child_memory_bytes
        return ResourceLimits(memory_bytes=memory, file_bytes=self.max_file_bytes or 0)

    @property
    def in_process_timeout(self) -> timedelta:
        return timedelta(minutes=self.in_process_timeout_minutes)

    @property
    def network(self) -> Network:
        """Return the network settings with which yt-dlp reaches YouTube and other sites."""
        from youtube_download_coordinator.youtube.network import Network  # imports yt-dlp's helpers: only when needed

        return Network(
            allow_other_sites=self.allow_other_sites,
            allow_private_addresses=self.allow_private_addresses,
            proxy=self.proxy.get_secret_value() if self.proxy else "",
            cookies_file=str(self.cookies_file.absolute()) if self.cookies_file else "",
            cookies_when_needed=self.cookies_use == "when-needed",
            rate_limit_bytes_per_second=self.rate_limit_bytes_per_second,
            yt_dlp_options=self.yt_dlp_options,
            state_dir=str(self.state_dir.absolute()),
        )

    @property
    def filters(self) -> dict[str, str]:
        """Return the filters for all sources, by the name of the column that can replace each for one source."""
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
    """Return the ID of a spreadsheet, given its ID or its address."""
    return text.partition("/spreadsheets/d/")[2].partition("/")[0] if "/spreadsheets/d/" in text else text.strip()


def unknown_variables() -> list[str]:
    """Return the environment variables with the prefix `YDC_` that are not settings and have no effect."""
    return unknown_in_environment(Config)


def _check_pauses(config: Config) -> None:
    first, longest = config.cooldown_minutes, config.cooldown_max_minutes
    if longest < first:
        raise ConfigError(
            f"cooldown_max_minutes={longest:g} is less than cooldown_minutes={first:g}: raise the former or lower the latter"
        )


def _one_line(problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return str(message)
    setting = ".".join(str(part) for part in problem["loc"])
    value = "" if problem["loc"][0] in {*SECRETS, *ENVIRONMENT_ONLY, "output_dir"} else f"={problem['input']!r}"
    return f"{setting}{value}: {message[0].lower()}{message[1:]}"


Config.__doc__ = f"{Config.__doc__}\n\n" + "\n\n".join(
    f"{name}\n    {' '.join((field.description or '').split())}" for name, field in Config.model_fields.items()
)
