"""Check the variables of the environment and of the file `.env` in the working directory that set settings.

The file is not used if another user may have written it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from pydantic_settings import BaseSettings, DotEnvSettingsSource

from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.text import did_you_mean

TRUST_ENV_FILE = "trust_env_file"
"""`YDC_TRUST_ENV_FILE=true`, in the environment only, makes `.env` be read even if other users may write it."""
PREFIX = "YDC_"
VARIABLES_OF_FLOWS = frozenset({"checkout", "prefect_block", "image"})
"""Variables with our prefix that Config does not read."""
VARIABLES_OF_TESTS = ("test_", "chaos_", "bench_")
"""Prefixes of the variables that the project's own tests read."""


def check_env_file(path: Path) -> None:
    """Raise ConfigError if another user may have written the file or the link to it."""
    if os.environ.get(f"{PREFIX}{TRUST_ENV_FILE}".upper(), "").lower() in {"true", "1"} or not path.exists():
        return
    status = path.stat()
    strangers = {status.st_uid, path.lstat().st_uid} - {0, os.geteuid()}
    if strangers:
        problem = f"belongs to the user with the number {min(strangers)}"
    elif status.st_mode & stat.S_IWOTH and stat.S_ISREG(status.st_mode):
        problem = "can be written by every user (chmod o-w .env)"
    else:
        return
    raise ConfigError(
        f"the file .env in {str(Path.cwd())!r} {problem}, so its settings are not used;"
        " for a mounted file that you trust, set YDC_TRUST_ENV_FILE=true in the environment"
    )


def check_variables(settings: type[BaseSettings], environment_only: Collection[str]) -> None:
    """Raise ConfigError for a misspelt variable, which would silently leave its setting at the default.

    Every name in `.env` that begins with `YDC_` must be known. Other programs may use the prefix in the environment, so there
    only a name that resembles a setting is refused. `.env` cannot set the names in `environment_only`, or declare itself trusted.
    """
    check_env_file(Path(".env"))
    in_file = DotEnvSettingsSource(settings).env_vars
    for name in in_file:
        if name.upper().startswith(PREFIX) and _setting(name) in {*environment_only, TRUST_ENV_FILE}:
            raise ConfigError(f"{name.upper()} is not read from .env: set it in the environment")
    for names, is_env_file in ((in_file, True), (os.environ, False)):
        for name in _unknown(settings, names):
            hint = did_you_mean(_setting(name), settings.model_fields)
            if hint or is_env_file:
                raise ConfigError(f"there is no setting {name.upper()}{' (in .env)' * is_env_file}{hint}")


def unknown_in_environment(settings: type[BaseSettings]) -> list[str]:
    """Return the environment variables with our prefix that are not settings, except for the tests' variables."""
    return sorted(name for name in _unknown(settings, os.environ) if not _setting(name).startswith(VARIABLES_OF_TESTS))


def _unknown(settings: type[BaseSettings], names: Iterable[str]) -> Iterator[str]:
    known = {*settings.model_fields, *VARIABLES_OF_FLOWS, TRUST_ENV_FILE}
    return (name for name in names if name.upper().startswith(PREFIX) and _setting(name) not in known)


def _setting(variable: str) -> str:
    return variable[len(PREFIX) :].lower()
