"""deploy/end_flows.py on processes that look like a worker and its flows; test_deployments.py has it on real ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deploy.end_flows import POOL, is_worker, workers_below
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
WORKER = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[5], sys.argv[6]])"
STARTED = ("worker", "start", "--pool", POOL)
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


@pytest.mark.parametrize("above", [[], [INIT], [INIT, INIT]], ids=["the worker's PID", "an init above it", "two"])
def test_a_flow_is_ended_and_waited_for(tmp_path: Path, above: list[str]) -> None:
    with running(*above, WORKER, *STARTED, FLOW, str(tmp_path)) as process:
        wait_until((tmp_path / "begun").exists)
        done = end_flows(str(process.pid))
        assert (done.returncode, done.stdout) == (0, "1 of 1 flows have ended\n")
        assert (tmp_path / "given back").exists()


def test_flows_of_another_pool_go_on(tmp_path: Path) -> None:
    with running(WORKER, "worker", "start", "--pool", "other", FLOW, str(tmp_path)) as process:
        wait_until((tmp_path / "begun").exists)
        assert end_flows(str(process.pid)).returncode == 2
        assert not (tmp_path / "given back").exists()
        done = end_flows(str(process.pid), "other")
        assert (done.returncode, done.stdout) == (0, "1 of 1 flows have ended\n")


def test_a_worker_without_flows_has_nothing_to_wait_for() -> None:
    with running("import signal; signal.pause()", *STARTED) as worker:
        wait_until(lambda: is_worker(psutil.Process(worker.pid)))
        done = end_flows(str(worker.pid))
    assert (done.returncode, done.stdout) == (0, "0 of 0 flows have ended\n")


@pytest.mark.parametrize("arguments", [[], ["one"], ["²"], ["9" * 40], ["1", "another-pool"]])
def test_without_a_worker_a_line_says_so(arguments: list[str]) -> None:
    done = end_flows(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no Prefect worker of the pool ")
    assert done.stderr.count("\n") == 1


def test_a_process_that_has_just_ended_is_passed_over() -> None:
    """Processors come and go while the worker is looked for."""
    with running("import signal; signal.pause()", *STARTED) as process:
        seen = psutil.Process(process.pid)
        wait_until(lambda: is_worker(seen))  # not before it has become the program that it is to be
    assert not is_worker(seen)
    assert workers_below(seen.pid) == []
