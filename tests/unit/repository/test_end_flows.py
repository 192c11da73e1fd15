"""deploy/end_flows.py on processes that look like a worker and its flows; test_deployments.py has it on real ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deploy.end_flows import is_worker, workers_below
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
FLOW = """
import pathlib, signal, sys
def give_back(*_):
    pathlib.Path(sys.argv[1], "given back").touch()
    sys.exit()
signal.signal(signal.SIGTERM, give_back)
pathlib.Path(sys.argv[1], "begun").touch()
while True:
    signal.pause()
"""
WORKER = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[3], sys.argv[4]])"
INIT = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", *arguments]) as process:
        try:
            yield process
        finally:
            for below in psutil.Process(process.pid).children(recursive=True):
                below.kill()
            process.kill()


def end_flows(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "deploy" / "end_flows.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("above", [[], [INIT]], ids=["the worker's PID", "the PID of an init above it"])
def test_a_flow_is_ended_and_waited_for(tmp_path: Path, above: list[str]) -> None:
    with running(*above, WORKER, "worker", "start", FLOW, str(tmp_path)) as process:
        wait_until((tmp_path / "begun").exists)
        done = end_flows(str(process.pid))
        assert (done.returncode, done.stdout) == (0, "1 of 1 flows have ended\n")
        assert (tmp_path / "given back").exists()


def test_a_worker_without_flows_has_nothing_to_wait_for() -> None:
    with running("import signal; signal.pause()", "worker", "start") as worker:
        wait_until(lambda: is_worker(psutil.Process(worker.pid)))
        done = end_flows(str(worker.pid))
    assert (done.returncode, done.stdout) == (0, "0 of 0 flows have ended\n")


@pytest.mark.parametrize("arguments", [[], ["one"], ["1", "2"]])
def test_without_a_worker_a_line_says_so(arguments: list[str]) -> None:
    done = end_flows(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no Prefect worker in, or below, process ")
    assert done.stderr.count("\n") == 1


def test_a_process_that_has_just_ended_is_passed_over() -> None:
    """Processors come and go while the worker is looked for."""
    with running("import signal; signal.pause()", "worker", "start") as process:
        seen = psutil.Process(process.pid)
        wait_until(lambda: is_worker(seen))  # not before it has become the program that it is to be
    assert not is_worker(seen)
    assert workers_below(seen.pid) == []
