"""A Prefect block with a fleet's settings, for workers that have neither files nor an environment to keep them in.

    prefect block register --module tasks.blocks        once, in a checkout
    export YDC_PREFECT_BLOCK=fleet                      on each worker: the name that the block was saved under

What it says goes before the worker's environment; what it does not say comes from there.
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
    """Settings of workers, and the service account that their sheet is shared with. Secrets are encrypted, and never shown."""

    _block_type_name = "Youtube Coordinator"
    _block_type_slug = "youtube-coordinator"

    settings: dict[str, Any] = Field(
        default_factory=dict,
        title="Settings",
        description='By their names: {"spreadsheet_id": "1AbC...", "claim_batch_size": 20}. They are shown: no secret is one.',
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
        """The settings, with what the environment says beside them. Raises ConfigError, which names no secret."""
        if shown := sorted(SECRETS & set(self.settings)):
            raise ConfigError(
                f"{', '.join(shown)}: it may hold a secret and belongs into secret_settings, where none is shown"
            )
        account = self.service_account and {"service_account": self.service_account.get_secret_value()}
        secret = self.secret_settings.get_secret_value() if self.secret_settings else {}
        return Config(**self.settings, **secret | (account or {}))


def settings_of_this_worker() -> Config:
    """From the block that YDC_PREFECT_BLOCK names, else from the environment. Raises ConfigError."""
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
    except ValidationError:  # its text may hold what was typed into the wrong field
        problem = "has another form than this version's; register the block type again, then edit the block"
    except ValueError:
        problem = "is not there: no Youtube Coordinator block has this name"
    raise ConfigError(f"the block {BLOCK_VARIABLE}={name!r} {problem}")
