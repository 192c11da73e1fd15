"""Prepare a queue's storage for workers, as `ydc init` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.stores.sheets.setup.prepare import init_spreadsheet

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config


def init_queue(config: Config, *, new_tabs: bool = False) -> list[str]:
    """Prepare the spreadsheet and return a line for each change.

    `new_tabs`: if tabs of a spreadsheet in use are gone, use the tabs that have their usual titles now, or create empty ones.

    Raises ConfigError if no spreadsheet is set, or if it cannot be used.
    """
    if not config.spreadsheet_id:
        raise ConfigError("no spreadsheet is set: set YDC_SPREADSHEET_ID, or give --spreadsheet-id")
    return init_spreadsheet(config, new_tabs=new_tabs)
