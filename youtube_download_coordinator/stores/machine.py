"""What the processes of one host share, whatever their queue: the rate limit, and a mark that changes with each cooldown.

It is a SQLite file of its own, in `state_dir`: asking it costs no request of the queue, and it is there when the queue is not.
Only its lines of control are used; queue/admission.py says which.
"""

from __future__ import annotations

from pathlib import Path

from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.stores.sql import SqlStore

MACHINE_FILE = "machine.db"
"""Its name in the folder."""


def open_machine_state(folder: Path) -> SqlStore:
    """Open the state of this machine, and make the folder and the file where they do not exist.

    Raises ConfigError when they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return SqlStore(f"sqlite:///{folder / MACHINE_FILE}")
    except (OSError, ConfigError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error).rpartition(": ")[2]
        raise ConfigError(f"state_dir={str(folder)!r} cannot be written ({cause}): name another folder") from None
