"""Open the stores and queues that a Config names: one connection for the whole process."""

from __future__ import annotations

import atexit
import logging
import os
import random
import re
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.processors.parts import unpublished_keys
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.admission import Admission
from youtube_download_coordinator.queue.cooldown import cooldown_name
from youtube_download_coordinator.queue.lifecycle import RetryPolicy
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS, Store, Table
from youtube_download_coordinator.queue.targets import Targets
from youtube_download_coordinator.stores.clock import monotonic_seconds
from youtube_download_coordinator.youtube.versions import InstalledYtDlp

log = logging.getLogger(__name__)

SETTINGS_OF_SHEETS = (
    "credentials_file",
    "service_account",
    "sources_worksheet_name",
    "video_tasks_worksheet_name",
    "dead_letter_worksheet_name",
)
"""Settings that have no effect if the queue is in a database."""
GOOGLE_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"

_stores: dict[tuple[object, ...], Store] = {}
_targets: dict[tuple[object, ...], Targets] = {}
_stores_lock = threading.Lock()
_parents_stores: list[dict[tuple[object, ...], Store]] = []
"""After a fork, the stores that the parent had open. They are kept, because closing them would close the parent's connections."""


def _after_fork() -> None:
    """Make a forked process open every store again, because a thread of the parent may have been using one."""
    global _stores_lock
    _stores_lock = threading.Lock()
    _parents_stores.append(dict(_stores))
    _stores.clear()
    _targets.clear()


os.register_at_fork(after_in_child=_after_fork)


def open_store(config: Config) -> Store:
    """Return the store that the settings name. The whole process shares it, however often this is called."""
    sheet = (config.spreadsheet_id, config.sheets_api_url, config.credentials_file, config.service_account)
    name = sheet if config.spreadsheet_id else (config.database_url,)
    return _open_once(name, lambda: _new_store(config))


def open_machine_state(config: Config) -> Store:
    """Return the state that all processes of this machine share. Raises ConfigError if its folder cannot be written."""
    from youtube_download_coordinator.stores import machine

    return _open_once(("machine", config.state_dir), lambda: machine.open_machine_state(config.state_dir))


def hold_machine_lock(config: Config, purpose: str) -> AbstractContextManager[bool]:
    """Hold this machine's lock for a purpose on this queue. Yield False while another process holds it."""
    from youtube_download_coordinator.stores import machine

    queue = config.spreadsheet_url or config.database_url
    return machine.hold_machine_lock(config.state_dir, purpose, worker_name("").partition("/")[0], queue)


def _open_once(name: tuple[object, ...], new: Callable[[], Store]) -> Store:
    with _stores_lock:
        if name not in _stores:
            _stores[name] = new()
        return _stores[name]


@atexit.register
def _close_stores() -> None:
    """Close the stores. A sheet's cells are written later than its leases, so this writes the last changes that people see."""
    for store in _stores.values():
        try:
            store.close()
        except StoreError as error:
            log.warning("the queue does not show the last changes yet: %s", error)


def _new_store(config: Config) -> Store:
    if config.spreadsheet_id:
        from youtube_download_coordinator.stores.sheets import SheetsStore

        return SheetsStore(config)
    from youtube_download_coordinator.stores.sql import SqlStore

    store = SqlStore(config.database_url)
    if "database_url" not in config.model_fields_set and _is_empty(store):
        for problem in lost_settings(config):
            log.warning("the queue is %s, which is empty, although %s", store.name, problem)
    return store


def is_deleted(config: Config) -> bool:
    """Return whether the queue is a SQLite file that does not exist. Opening it would create an empty queue."""
    path = config.database_url.removeprefix("sqlite:///")
    return not config.spreadsheet_id and path != config.database_url and not Path(path).exists()


def _is_empty(store: Store) -> bool:
    tables: tuple[Table[Any], ...] = (SOURCES, VIDEO_TASKS)
    return not any(store.scan(table, limit=1) for table in tables)


def lost_settings(config: Config) -> list[str]:
    """Return signs that the queue should be another one than the local database, which is the default.

    A machine that has lost its settings would otherwise start over with an empty local queue.
    """
    problems = []
    names = [f"YDC_{name.upper()}" for name in SETTINGS_OF_SHEETS if name in config.model_fields_set]
    names += [GOOGLE_CREDENTIALS] if os.environ.get(GOOGLE_CREDENTIALS) else []
    if names:
        verb = "is" if len(names) == 1 else "are"
        problems.append(
            f"{', '.join(names)} {verb} set: set YDC_SPREADSHEET_ID too, or YDC_DATABASE_URL if the queue is not a sheet"
        )
    for folder in Path.cwd().parents:
        if _has_settings(folder / ".env"):
            problems.append(
                f"{str(folder / '.env')!r} has settings: .env is read in the working directory only, so work in "
                f"{str(folder)!r}, or set YDC_DATABASE_URL"
            )
            break
    return problems


def _has_settings(path: Path) -> bool:
    """Return whether a file `.env` contains a setting of the coordinator, or False if it cannot be read."""
    try:
        lines = path.read_bytes().splitlines() if path.is_file() else []
    except OSError:
        return False
    return any(line.strip().removeprefix(b"export ").strip().upper().startswith(b"YDC_") for line in lines)


def open_queue(config: Config, run: str = "") -> Queue:
    """Return a worker's view of the queue. `run` is shown in ClaimedBy after the host's name.

    Each call gives the worker a unique name, so that a run that Prefect restarts after a crash differs from the one that died.
    """
    policy = RetryPolicy(
        lease=config.lease,
        max_retries=config.max_retries,
        max_throttles=config.max_throttles,
        backoff=timedelta(seconds=config.retry_backoff_seconds),
        backoff_max=timedelta(seconds=config.retry_backoff_max_seconds),
    )
    randomness = random.SystemRandom()  # forked processes would share the state of any other generator
    unique_name = f"{randomness.getrandbits(32):08x}"
    store, worker = open_store(config), worker_name(f"{run}.{unique_name}" if run else unique_name)
    return Queue(
        store=store,
        worker=worker,
        video_policy=policy,
        # A source that cannot be listed today may be available tomorrow, so retry it for ever, at increasing intervals.
        source_policy=replace(policy, max_retries=None, max_throttles=None, refresh=config.refresh),
        monotonic=monotonic_seconds,
        random=randomness,
        admission=_admission(config, store, worker),
        offer=config.offer,
        targets=_targets_of(config),
        unpublished=partial(unpublished_keys, config.work_dir) if isinstance(config.output_dir, str) else lambda: (),
    )


def _targets_of(config: Config) -> Targets:
    """Return the target hours of a queue: one for the whole process, so that many Coordinators count no more often."""
    if not config.target_hours:
        return Targets()
    queue = (config.spreadsheet_id, config.sheets_api_url) if config.spreadsheet_id else (config.database_url,)
    name = (*queue, *config.target_hours.items())
    with _stores_lock:
        return _targets.setdefault(name, Targets(hours=config.target_hours, monotonic=monotonic_seconds))


def _admission(config: Config, store: Store, worker: str) -> Admission:
    return Admission(
        store=store,
        worker=worker,
        cooldown_name=cooldown_name(config.cooldown_scope, worker.partition("/")[0]),
        pauses=config.pauses,
        lease=config.lease,
        machine_state=open_machine_state(config),
        rate_limit=config.rate_limit,
        accents=partial(_targets_of(config).order, store),
        outage_limits=config.outage_limits,
        yt_dlp_version=InstalledYtDlp(monotonic_seconds),
        version=metadata.version("youtube-download-coordinator"),
    )


def worker_name(run: str) -> str:
    """Return `host/run`, in characters that are safe in every cell and log."""
    return f"{re.sub('[^A-Za-z0-9.-]', '-', socket.gethostname())}/{run}"
