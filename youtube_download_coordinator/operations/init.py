"""Make a queue's storage ready for workers: what `ydc init` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.stores.sheets.setup.prepare import init_spreadsheet

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config


def init_queue(config: Config) -> list[str]:
    """Make the spreadsheet ready and return a line for each thing that was made.

    Raises ConfigError when no spreadsheet is set, or when it cannot be used as it is.
    """
    if not config.spreadsheet_id:
        raise ConfigError("there is no spreadsheet to make ready: set YDC_SPREADSHEET_ID or --spreadsheet-id")
    return init_spreadsheet(config)
