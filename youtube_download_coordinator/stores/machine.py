"""Open the state that all processes of a host share, whatever their queue: the rate limit, and a mark of each cooldown.

The state is a separate SQLite file in `state_dir`. Reading it takes no request to the queue, and works while the queue is not
available. Only its lines of control are used (queue/admission.py). The lock of a machine's long run is a file next to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.private_files import make_private_folder, open_private
from youtube_download_coordinator.stores.sql import SqlStore

MACHINE_FILE = "machine.db"
"""The name of the file in `state_dir`."""


def open_machine_state(folder: Path) -> SqlStore:
    """Open the state of this machine. Create the folder and the file if they do not exist.

    Raises ConfigError if they cannot be written.
    """
    try:
        make_private_folder(folder)
        return SqlStore(f"sqlite:///{folder / MACHINE_FILE}", may_be_replaced=True)
    except (OSError, ConfigError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error).rpartition(": ")[2]
        raise _cannot_be_written(folder, cause) from None


def _cannot_be_written(folder: Path, cause: str | None) -> ConfigError:
    return ConfigError(f"state_dir={str(folder)!r} cannot be written ({cause}): name another folder")


@contextlib.contextmanager
def hold_machine_lock(folder: Path, purpose: str, host: str, queue: str) -> Iterator[bool]:
    """Hold the lock of this purpose, machine and queue. Yield False while another process holds it.

    The host is part of the file's name, because several containers may share the folder, and each of them works. The kernel
    releases the lock when its process ends for any reason. Raises ConfigError if the file cannot be locked.
    """
    digest = hashlib.sha256(queue.encode()).hexdigest()[:12]  # a database's URL may contain a password
    try:
        file = open_private(folder / f"{purpose}.{host}.{digest}.lock")
    except OSError as error:
        raise _cannot_be_written(folder, error.strerror) from None
    try:
        yield _lock(file, folder)
    finally:
        os.close(file)


def _lock(file: int, folder: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ConfigError(
            f"state_dir={str(folder)!r} cannot hold a lock ({error.strerror}): name a folder on a local disk"
        ) from None
    return True
