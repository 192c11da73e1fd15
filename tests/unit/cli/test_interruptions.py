"""`ydc` that is interrupted, or whose output nobody reads: its claims are given back, and no process is left."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.support.command_output import left_running
from tests.support.terminal import add_videos, command, sources, videos
from tests.support.waiting import wait_until
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS

CHANNEL = "https://www.youtube.com/channel/UC{:022}"


def interrupt(
    folder: Path, environment: dict[str, str], number: int, begun: Callable[[], object], *arguments: str
) -> str:
    """Start `ydc`, send it a signal once it has begun, and look how it ends; what it said."""
    process = subprocess.Popen(
        command(*arguments), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_until(lambda: begun() or process.poll() is not None)
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number, said
    wait_until(lambda: left_running(folder) == [])
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_run_gives_its_claims_back_and_leaves_no_process(
    folder: Path, environment: dict[str, str], queue: Queue, number: int
) -> None:
    add_videos(queue, 20)
    arguments = ("run", "--processor", "mine:hangs", "--concurrency", "3")
    said = interrupt(folder, environment, number, (folder / "begun").exists, *arguments)
    assert said.splitlines()[-1] == "ydc: interrupted; all claims were released"
    assert "Traceback" not in said
    assert queue.counts(VIDEO_TASKS) == {State.PENDING: 20}
    assert {row.retry_count for row in videos(queue)} == {0}


def test_a_terminal_that_closes_charges_no_attempt(folder: Path, environment: dict[str, str], queue: Queue) -> None:
    """Nothing that the command writes from then on arrives anywhere."""
    add_videos(queue, 5)
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(folder)
        os.execve(sys.executable, command("run", "--processor", "mine:hangs"), environment)
    with suppress(OSError):
        wait_until(lambda: os.read(terminal, 1 << 16) == b"" or (folder / "begun").exists())
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert queue.counts(VIDEO_TASKS) == {State.PENDING: 5}
    assert {row.retry_count for row in videos(queue)} == {0}
    wait_until(lambda: left_running(folder) == [])


def test_a_hangup_that_is_to_be_ignored_is(folder: Path, environment: dict[str, str], queue: Queue) -> None:
    """As `nohup` does: the run goes on until another signal."""
    add_videos(queue, 1)
    run = ["env", "--ignore-signal=HUP", *command("run", "--processor", "mine:hangs")]
    process = subprocess.Popen(run, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until((folder / "begun").exists)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_watched_status_that_is_stopped(
    folder: Path, environment: dict[str, str], queue: Queue, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        command("status", "--watch", "--json"), cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline()
    process.send_signal(number)
    assert process.wait(timeout=30) == 128 + number
    process.stdout.close()


def test_an_interrupted_listing_gives_the_source_back_and_leaves_no_process(
    folder: Path, environment: dict[str, str], queue: Queue
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        silent.setblocking(False)  # it takes a connection, and never says anything
        path = sources(folder, f"http://127.0.0.1:{silent.getsockname()[1]}/feed.xml")
        connections: list[socket.socket] = []

        def asked() -> bool:
            with suppress(BlockingIOError):
                connections.append(silent.accept()[0])
            return bool(connections)

        here = environment | {"YDC_ALLOW_PRIVATE_ADDRESSES": "true"}
        said = interrupt(folder, here, signal.SIGTERM, asked, "run", "--sources", str(path), "--allow-other-sites")
        for connection in connections:
            connection.close()
    assert said.splitlines()[-1] == "ydc: interrupted; all claims were released"
    (source,) = queue.rows(SOURCES)
    assert (source.lease.state, source.retry_count) == (State.PENDING, 0)


def test_what_nobody_reads_or_no_disk_takes_is_one_line(
    folder: Path, environment: dict[str, str], queue: Queue
) -> None:
    add_videos(queue, 3000)
    name = "queue: coordinator.db\n"
    for output, said, code in (
        ("| head -1", f"{name}ydc: the output was closed\n", 1),
        (">/dev/full", f"{name}ydc: cannot write: No space left on device\n", 1),
        (">&-", name, 0),
    ):
        line = f"set -o pipefail; {shlex.join(command('list', '--limit', 0))} {output}"
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
        )
        assert (done.stderr, done.returncode) == (said, code)


def test_a_run_whose_output_nobody_reads_gives_its_claims_back(
    folder: Path, environment: dict[str, str], queue: Queue
) -> None:
    add_videos(queue, 30)
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command("run", "--processor", "mine:fine"), cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "queue: coordinator.db\n"
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
    assert said == "ydc: the output was closed; all claims were released\n"
    assert State.HELD not in queue.counts(VIDEO_TASKS)
    wait_until(lambda: left_running(folder) == [])
