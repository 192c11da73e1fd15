"""Check the output of `ydc`, and the processes that it has left running."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "YDC_TEST_MARK"
"""The variable by which every process that a test has started is found again."""


def left_running(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return what was written to stderr, which must be one line of ydc's."""
    (line,) = done.stderr.splitlines()
    assert line.startswith("ydc: ")
    assert "Traceback" not in done.stdout + done.stderr
    return line
