"""The queue in a Google Sheet: the Store contract on one spreadsheet that people and workers on many machines share."""

from youtube_download_coordinator.stores.sheets.setup.dashboard import show_dashboard
from youtube_download_coordinator.stores.sheets.store import SheetsStore

__all__ = ["SheetsStore", "show_dashboard"]
