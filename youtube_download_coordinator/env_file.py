"""Whether the file `.env` in the working directory may set settings: not if another user may have written it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from youtube_download_coordinator.errors import ConfigError

TRUST_ENV_FILE = "trust_env_file"
"""`YDC_TRUST_ENV_FILE=true`, in the environment only, has `.env` read whoever may write to it."""


def check_env_file(path: Path) -> None:
    """Raise ConfigError if another user may have written the settings: the file, or the link to it."""
    if os.environ.get(f"YDC_{TRUST_ENV_FILE}".upper(), "").lower() in {"true", "1"} or not path.exists():
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
