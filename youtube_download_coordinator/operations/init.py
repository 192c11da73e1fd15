"""Prepare a queue's storage for workers, as `ydc init` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.stores.sheets.setup.prepare import init_spreadsheet

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config


def init_queue(config: Config, *, new_tabs: bool = False) -> list[str]:
    """Prepare the spreadsheet and return a line for each change.

    `new_tabs`: replace tabs that are gone from a spreadsheet in use by others with the usual titles, or by empty ones.

    Raises ConfigError when no spreadsheet is set, or when the spreadsheet cannot be used.
    """
    if not config.spreadsheet_id:
        raise ConfigError("there is no spreadsheet to prepare: set YDC_SPREADSHEET_ID, or give --spreadsheet-id")
    return init_spreadsheet(config, new_tabs=new_tabs)
