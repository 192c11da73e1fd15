"""Every setting: its unit, its default, and why it is there.

A setting is taken from the argument, else from the environment (`YDC_` and its name in capitals), else from a file `.env` in
the working directory, else its default.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from youtube_download_coordinator.errors import ConfigError

Seconds = Annotated[float, Field(ge=0)]
Minutes = Annotated[float, Field(gt=0)]
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

    database_url: str = "sqlite:///coordinator.db"
    """The queue: a SQLite file (the embedded default), or `postgresql+psycopg://user@host/name` for several machines."""

    sources_file_path: Path | None = None
    """A text file of sources, a line each: `URL|Accent|Type`. It is imported at the start of every run."""

    allow_other_sites: bool = False
    """Take sources that are not YouTube's. Off, because whoever can edit the list could reach any address from the workers."""

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

    claim_batch_size: Annotated[int, Field(ge=1, le=1000)] = 10
    """Videos that a worker claims with one request. Larger is cheaper; what a killed worker held waits for its lease to end."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    """Videos that one worker processes at a time."""

    idle_poll_seconds: Seconds = 30
    """An idle worker asks the store at most this often whether there is something to do."""

    claim_jitter_seconds: Seconds = 5
    """`process_next_task` waits a random part of this when there is nothing, so that a loop without a sleep burns no quota."""

    output_dir: Path = Path("media")
    """Where the built-in processors put files: `<output_dir>/<accent>/<video id>.<ext>`."""

    audio_codec: AudioCodec = "m4a"
    """What the `audio` processor converts to; `best` keeps what YouTube has."""

    mix_max_videos: Annotated[int, Field(ge=1)] = 100
    """A mix (`list=RD...`) never ends; this many of it are listed."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError("; ".join(_one_line(problem) for problem in error.errors())) from None

    @property
    def lease(self) -> timedelta:
        return timedelta(minutes=self.stalled_task_timeout_minutes)

    @property
    def attempt_timeout(self) -> timedelta:
        return timedelta(minutes=self.attempt_timeout_minutes)

    @property
    def listing_timeout(self) -> timedelta:
        return timedelta(minutes=self.listing_timeout_minutes)


def _one_line(problem: Any) -> str:
    setting = ".".join(str(part) for part in problem["loc"]) or "settings"
    return f"{setting}={problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
