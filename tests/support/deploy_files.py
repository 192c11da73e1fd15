"""Check what the files in deploy/ start and set."""

from __future__ import annotations

from collections.abc import Iterable

from prefect.cli._app import _app as prefect_cli
from prefect.settings import Settings
from prefect.settings.legacy import _get_valid_setting_names

from youtube_download_coordinator.config import Config

QUIET_RUNS = "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL"
"""Not a setting of Prefect but a value of its logging.yml; test_prefect_password.py has a worker that reads it."""


def check_prefect_takes(words: list[str]) -> None:
    """Raise Prefect's usage error if its command line does not take these words."""
    prefect_cli.parse_args(words, print_error=False, exit_on_error=False)


def check_settings_exist(names: Iterable[str]) -> None:
    ours = {f"YDC_{name.upper()}" for name in Config.model_fields} | {"YDC_CHECKOUT"}  # the latter is prefect.yaml's
    assert set(names) <= ours | _get_valid_setting_names(Settings) | {QUIET_RUNS}
