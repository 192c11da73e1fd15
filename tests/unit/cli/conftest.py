"""A folder with a few processors, and `ydc` in it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.command_output import MARK
from tests.support.rows import make_queue
from tests.support.sheets_setting import NO_INDEX
from tests.support.terminal import Ydc, command
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.stores.sql import SqlStore

NO_VARIABLES: Mapping[str, str] = {}
PROCESSORS = """
import pathlib, time

NUMBER = 7

def fine(url):
    return f"saw {url}"

def three(a, b, c):
    pass

def hangs(url):
    pathlib.Path("begun").touch()
    time.sleep(600)

def refuses(url):
    raise ValueError("not today")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the working directory of the commands."""
    (tmp_path / "mine.py").write_text(PROCESSORS)
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """Return an environment without the machine's settings, with a mark by which every started process is found again."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("YDC_")}
    return kept | {MARK: str(folder), "COLUMNS": "200", "PYTHONPATH": str(Path.cwd()), **NO_INDEX}


@pytest.fixture
def ydc(folder: Path, environment: dict[str, str]) -> Ydc:
    """Run `ydc` with these arguments; settings by keyword."""

    def run(
        *arguments: object, variables: Mapping[str, str] = NO_VARIABLES, **settings: object
    ) -> subprocess.CompletedProcess[str]:
        more = {**variables} | {f"YDC_{name.upper()}": str(value) for name, value in settings.items()}
        return subprocess.run(
            command(*arguments),
            cwd=folder,
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    return run


@pytest.fixture
def queue(folder: Path) -> Iterator[Queue]:
    """Yield the queue that the commands work on."""
    store = SqlStore(f"sqlite:///{folder}/coordinator.db")
    yield make_queue(store)
    store.close()
