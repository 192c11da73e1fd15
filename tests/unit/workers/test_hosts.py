"""Functions that end their host or leave it changed: the video is recorded or freed, and the host goes on.

Each host is a fork of the test. Its Coordinator was built before the fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import locale
import logging
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any

import psutil
import pytest

from tests.support.recorded import QUEUES, Processor, Recorded, add, coordinator_on, done, failed, is_recorded, row_of
from tests.support.rows import new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.queue.store import VIDEO_TASKS

HOST_SECONDS = 60
"""A host that hangs is killed, which its test then reports."""


@pytest.fixture(scope="module", params=QUEUES)
def coordinator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    with coordinator_on(request.param, tmp_path_factory.mktemp("hosts")) as coordinator:
        yield coordinator
        wait_until(lambda: not reapers_of(HOSTS))


# --- how it ends its process -----------------------------------------------------------------------------------------------

ENDS: dict[str, Processor] = {}
CHANGES: dict[str, tuple[Processor, Recorded]] = {}


def ends(function: Processor) -> Processor:
    """Add a function that ends its host."""
    ENDS[function.__name__] = function
    return function


def changes(recorded: Recorded) -> Callable[[Processor], Processor]:
    """Add a function that leaves its host changed."""

    def add(function: Processor) -> Processor:
        CHANGES[function.__name__] = (function, recorded)
        return function

    return add


@ends
def exits_without_cleanup(url: str) -> None:
    os._exit(0)


@ends
def is_killed(url: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@ends
def aborts(url: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()


@ends
def crashes(url: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    ctypes.string_at(0)


@ends
def is_terminated(url: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(HOST_SECONDS)


@ends
def replaces_itself(url: str) -> None:
    os.execv(sys.executable, [sys.executable, "-c", ""])


# --- processes and threads ---------------------------------------------------------------------------------------------------


def _forked(end: Callable[[], Any]) -> int:
    """Fork a process that ends as given; the call returns only in this one."""
    if not (child := os.fork()):
        end()
    return os.waitpid(child, 0)[1]


def _raise_in_fork(error: BaseException) -> Any:
    raise error


@changes(done("0"))
def forks_a_child_that_raises(url: str) -> int:
    return _forked(lambda: _raise_in_fork(RuntimeError("child")))


@changes(done("0"))
def forks_a_child_that_exits(url: str) -> int:
    return _forked(lambda: sys.exit(0))


@changes(done("0"))
def forks_a_child_that_returns(url: str) -> Any:
    if not (child := os.fork()):
        return "child"
    return os.waitpid(child, 0)[1]


@changes(done("0"))
def forks_a_child_that_ends(url: str) -> int:
    return _forked(lambda: os._exit(0))


@changes(done("2"))
def uses_a_pool(url: str) -> int:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        number: int = pool.apply(abs, [-2])
        return number


@changes(done("daemon"))
def starts_a_daemon(url: str) -> str:
    subprocess.Popen(["sleep", "0.2"], start_new_session=True)
    return "daemon"


@changes(done("daemon"))
def forks_a_daemon(url: str) -> str:
    if not os.fork():
        os.setsid()
        time.sleep(0.2)
        os._exit(0)
    return "daemon"


@changes(done("thread"))
def leaves_threads_running(url: str) -> str:
    for daemon in (True, False):
        threading.Thread(target=time.sleep, args=[0.2], daemon=daemon).start()
    return "thread"


# --- what it changes ---------------------------------------------------------------------------------------------------------


@changes(done("cwd"))
def changes_the_directory(url: str) -> str:
    os.chdir("/")
    return "cwd"


@changes(done("closed"))
def closes_the_standard_descriptors(url: str) -> str:
    for number in range(3):
        os.close(number)
    return "closed"


@changes(done("closed"))
def closes_every_descriptor(url: str) -> str:
    os.closerange(0, 100)
    return "closed"


@changes(done("None"))
def takes_the_standard_files(url: str) -> str:
    sys.stdin = sys.stdout = sys.stderr = None
    return "None"


@changes(done("signals"))
def changes_signal_handlers(url: str) -> str:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return "signals"


@changes(done("locale"))
def changes_the_locale(url: str) -> str:
    for name in ("de_DE.UTF-8", "tr_TR.UTF-8", "C"):
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, name)
            break
    return "locale"


@changes(done("umask"))
def changes_the_umask(url: str) -> str:
    os.umask(0o777)
    return "umask"


@changes(done("environment"))
def clears_the_environment(url: str) -> str:
    os.environ.clear()
    return "environment"


@changes(failed())
def clears_the_import_path(url: str) -> str:
    sys.path.clear()
    raise RuntimeError("what classifies it is imported now")


@changes(done("warnings"))
def makes_warnings_errors(url: str) -> str:
    warnings.simplefilter("error")
    return "warnings"


@changes(failed())
def disables_logging(url: str) -> str:
    logging.disable(logging.CRITICAL)
    logging.shutdown()
    raise RuntimeError("silent")


@changes(done("timeout"))
def changes_the_timeout_of_sockets(url: str) -> str:
    socket.setdefaulttimeout(0.0001)
    return "timeout"


@changes(done("alarm"))
def sets_an_alarm(url: str) -> str:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    return "alarm"


# --- the hosts -----------------------------------------------------------------------------------------------------------------


HOSTS: list[int] = []


def start_host(function: Processor, coordinator: Coordinator) -> int:
    """Fork a host that gives the function to `process_next_task`, then an ordinary one, and ends. Return its process ID."""
    if child := os.fork():
        HOSTS.append(child)
        return child
    host, exit_code = os.getpid(), 1
    signal.alarm(HOST_SECONDS)
    try:
        coordinator.process_next_task(function)
        if os.getpid() == host:
            coordinator.queue.add(VIDEO_TASKS, [new_video(time.monotonic_ns(), title="after")])
            while coordinator.process_next_task(lambda url: "after"):
                pass
            coordinator.close()
        exit_code = 0
    except SystemExit:
        exit_code = 0 if os.getpid() != host else 1
    finally:
        os._exit(exit_code)


def reapers_of(hosts: Collection[int]) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any("reaper_main.py" in part for part in process.info["cmdline"] or ())
        and process.info["cmdline"][-1] in map(str, hosts)
    ]


SECONDS_ON_SQLITE = {"closes_every_descriptor"}
"""SQLite waits ten seconds for each file whose descriptor is closed."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SECONDS_ON_SQLITE)) for name in CHANGES]
)
def test_a_changed_host_goes_on(name: str, coordinator: Coordinator) -> None:
    function, recorded = CHANGES[name]
    row_id = add(coordinator)
    host = start_host(function, coordinator)
    assert os.waitpid(host, 0)[1] == 0
    assert is_recorded(row_of(coordinator, row_id), recorded)
    (after,) = coordinator.client.videos(text="after", ids=range(row_id + 1, row_id + 2))
    assert is_recorded(after, done("after"))


@pytest.mark.slow
def test_hosts_that_are_killed_free_their_videos(coordinator: Coordinator) -> None:
    coordinator.client.skip(status="pending")
    videos = [new_video(time.monotonic_ns(), title="killed") for _ in ENDS]
    row_ids = coordinator.queue.add(VIDEO_TASKS, videos)
    hosts = [start_host(function, coordinator) for function in ENDS.values()]
    for host in hosts:
        os.waitpid(host, 0)
    wait_until(lambda: not reapers_of(hosts))
    leases = [row_of(coordinator, row_id).lease for row_id in row_ids if row_id is not None]
    assert sum(lease.tries for lease in leases) == len(ENDS)  # a host that starts late may take what another has freed
    assert {lease.reason for lease in leases if lease.tries} == {"killed"}
