"""Keep the queue in a Google Sheet, which people and workers on many machines share."""

from youtube_download_coordinator.stores.sheets.setup.dashboard import show_dashboard
from youtube_download_coordinator.stores.sheets.store import SheetsStore

__all__ = ["SheetsStore", "show_dashboard"]
