"""Prefect tasks: names, retries and artifacts around one call of the library each.

A video's attempts live in its row, where they hold across machines (README); Prefect's own retries go around steps that are
safe to repeat inside one attempt.
"""

from __future__ import annotations

import logging
import os

# Prefect shows the logs of these loggers in a run; it reads the setting when it is imported.
os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "youtube_download_coordinator")
logging.getLogger("youtube_download_coordinator").setLevel(logging.INFO)
