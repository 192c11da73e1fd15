"""A Prefect block with a fleet's settings, for workers that do not have their own files or environment variables.

    prefect block register --module youtube_download_coordinator.prefect.block    once
    export YDC_PREFECT_BLOCK=fleet                      on each worker: the name that the block was saved under

Its settings take precedence over the worker's environment, which provides the others.
"""

from __future__ import annotations

import os
from typing import Any, cast

from prefect.blocks.core import Block
from prefect.types import SecretDict
from pydantic import Field, ValidationError

from youtube_download_coordinator import Config, ConfigError
from youtube_download_coordinator.config import SECRETS

BLOCK_VARIABLE = "YDC_PREFECT_BLOCK"


class YoutubeCoordinator(Block):
    """Settings of workers, and the service account that their sheet is shared with. Secrets are encrypted and never shown."""

    _block_type_name = "Youtube Coordinator"
    _block_type_slug = "youtube-coordinator"

    settings: dict[str, Any] = Field(
        default_factory=dict,
        title="Settings",
        description='By name: {"spreadsheet_id": "1AbC...", "claim_batch_size": 20}. They are shown in the UI: no secrets here.',
    )
    service_account: SecretDict | None = Field(
        default=None,
        title="Service account",
        description="The JSON key of the service account that the sheet is shared with.",
    )
    secret_settings: SecretDict | None = Field(
        default=None,
        title="Secret settings",
        description='Settings that hold a secret: {"database_url": "postgresql+psycopg://user:password@host/queue"}.',
    )

    def config(self) -> Config:
        """Return the settings, completed from the environment. Raises ConfigError, whose message contains no secret."""
        if shown := sorted(SECRETS & set(self.settings)):
            raise ConfigError(
                f"{', '.join(shown)}: it may contain a secret; move it to secret_settings, which are not shown"
            )
        account = self.service_account and {"service_account": self.service_account.get_secret_value()}
        secret = self.secret_settings.get_secret_value() if self.secret_settings else {}
        return Config(**self.settings, **secret | (account or {}))


def settings_of_this_worker() -> Config:
    """Return the settings of the block that YDC_PREFECT_BLOCK names, or of the environment. Raises ConfigError."""
    name = os.environ.get(BLOCK_VARIABLE)
    if not name:
        return Config()
    block = _load(name)
    try:
        return block.config()
    except ConfigError as error:
        raise ConfigError(f"the block {BLOCK_VARIABLE}={name!r}: {error}") from None


def _load(name: str) -> YoutubeCoordinator:
    try:
        return cast(YoutubeCoordinator, YoutubeCoordinator.load(name))
    except ValidationError:  # its message may contain a secret that was typed into the wrong field
        problem = "does not fit this version; register the block type again, then edit the block"
    except ValueError:
        problem = "does not exist: no Youtube Coordinator block has this name"
    raise ConfigError(f"the block {BLOCK_VARIABLE}={name!r} {problem}")
