"""Run a function in a child process, so that a deadline can be enforced and a crash is only an error.

    with parent.run("package.module:function", payload, deadline_seconds=60, name="video 7") as child:
        for message in child:       # the messages that function(payload, emit) emits; it waits until they are read
            ...
        value = child.result()      # its return value; raises an AttemptError if there is none

This module is the parent's side; supervisor.py is the child's. About a second after the end of the `with` block, or after this
process was killed, no process of the child process is left. Child processes of several threads do not disturb each other:
`subprocess` closes all other descriptors in a child process (`close_fds`), and its pipes are not inheritable, so no child process
holds the lifeline of another.

Everything happens in the reading thread. It also logs the output of the child process, so that Prefect adds it to the run's log.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

from youtube_download_coordinator.errors import CoordinatorError, TransientError, UnfitError, attempt_error
from youtube_download_coordinator.models import Failure, Verdict
from youtube_download_coordinator.processes.printed import LINE_BYTES, Lines, Printed
from youtube_download_coordinator.processes.resource_limits import UNLIMITED, ResourceLimits
from youtube_download_coordinator.processes.supervisor import MAX_MESSAGE_BYTES, descendants, kill, processes
from youtube_download_coordinator.text import sanitize

_log = logging.getLogger(__name__)

SUPERVISOR = Path(__file__).with_name("supervisor.py")
STOP_SECONDS = 1.0
"""How long a stopped child process may take to end before the parent kills it."""
NET_SECONDS = 3.0
"""After the deadline, a supervisor that does not report in this time (stopped, swapped out) is killed with its descendants."""
POLL_SECONDS = 1.0
"""The interval of checks that the supervisor is running, and of calls of the caller's check."""
READ_BYTES = 1 << 16


class Stopped(CoordinatorError):
    """The child process was stopped before it had a result. Release the row without counting an attempt."""


@contextlib.contextmanager
def run(
    target: str,
    payload: Mapping[str, Any],
    *,
    deadline_seconds: float,
    name: str,
    answered: bool = False,
    limits: ResourceLimits = UNLIMITED,
    check: Callable[[], None] | None = None,
) -> Iterator[ChildProcess]:
    """Run `target(payload, emit)` in a child process, which ends with the `with` block.

    `target` is `module:function`; `payload`, messages and the value are JSON. `name` is shown in the log and in `ps`.
    `answered`: the target takes a third argument, a function that waits for the next byte of `ChildProcess.answer`.
    `check` is called about once a second while the caller waits for messages or the result; its exceptions are raised there.
    Raises UnfitError if this machine cannot start a process.
    """
    child = ChildProcess(
        target, payload, deadline_seconds=deadline_seconds, name=name, answered=answered, limits=limits, check=check
    )
    try:
        yield child
    finally:
        child.close()


def hold_open(fd: int) -> None:
    """Let every supervisor that starts from now on hold this descriptor open until all its descendants have ended."""
    with _RUNNING_LOCK:
        _HELD_OPEN.add(fd)


def stop_holding_open(fd: int) -> None:
    """Close a descriptor that supervisors held open."""
    with _RUNNING_LOCK:
        _HELD_OPEN.discard(fd)
        os.close(fd)


def forget_held_open(fd: int) -> None:
    """Stop holding a descriptor open whose number now belongs to another file."""
    with _RUNNING_LOCK:
        _HELD_OPEN.discard(fd)


def stop_all() -> None:
    """Stop all child processes of this process at once. Stopped is raised in the threads that read from them."""
    with _RUNNING_LOCK:
        running = list(_RUNNING)
    for stop in (ChildProcess.hang_up, ChildProcess.stop):
        for child in running:
            stop(child)


class ChildProcess:
    """The parent's view of a child process. Only `hang_up` and `stop` may be called from other threads."""

    def __init__(
        self,
        target: str,
        payload: Mapping[str, Any],
        *,
        deadline_seconds: float,
        name: str,
        answered: bool,
        limits: ResourceLimits,
        check: Callable[[], None] | None,
    ) -> None:
        self.name = name
        self._deadline_seconds = deadline_seconds
        self._limits = limits
        self._check = check
        self._check_at = time.monotonic() + POLL_SECONDS
        self._answers = _Answers() if answered else None
        job = {"target": target, "payload": payload, "deadline_seconds": deadline_seconds, "path": sys.path}
        job |= {"memory_bytes": limits.memory_bytes, "file_bytes": limits.file_bytes}
        if self._answers:
            job["answers"] = self._answers.reader
        self._net = time.monotonic() + deadline_seconds + NET_SECONDS
        self._messages: deque[Any] = deque()
        self._result: dict[str, Any] = {}
        """{"returned": value} or {"failed": fields of a Failure}, once received."""
        self._report: dict[str, Any] | None = None
        """The supervisor's last message, which reports how the child process ended."""
        self._lines = Lines(MAX_MESSAGE_BYTES)
        self._printed = Printed(name)
        self._lock = threading.Lock()
        self._process, job["held"] = _start(name, self._answers)
        self._job = memoryview(json.dumps(job).encode() + b"\n")
        self._lifeline, self._stdout, self._stderr = _pipes(self._process)
        self._poller = select.poll()
        self._on_ready: dict[int, Callable[[], bool]] = {}
        self._watch_pipes()
        self._write_job()  # the child process begins before the first read, unless the job is large
        with _RUNNING_LOCK:
            _RUNNING.add(self)

    @property
    def pid(self) -> int:
        """Return the ID of the supervisor, which is also that of its session."""
        return self._process.pid

    @property
    def tail(self) -> str:
        """Return the last printed lines."""
        return self._printed.tail

    def __iter__(self) -> Iterator[Any]:
        """Yield messages as they arrive, until the child process and all its descendants have ended."""
        while True:
            while self._messages:
                yield self._messages.popleft()
            if self._report is not None:
                return
            self._pump()

    def result(self) -> Any:
        """Wait for the end and return the target's value. Unread messages are discarded.

        Raises the AttemptError that the target raised; TransientError with the reason `timeout`, `memory` (more than its limit),
        `crashed` (by a signal) or `exited` (without a result); and Stopped if it was stopped. Once a result was received, the way
        in which the process ends does not matter.
        """
        for _ in self:
            pass
        if "returned" in self._result:
            return self._result["returned"]
        if "failed" in self._result:
            raise attempt_error(_failure(self._result["failed"]))
        raise self._error_without_result()

    def answer(self, byte: bytes) -> None:
        """Send one byte to a target that waits for it. Do nothing if the child process has ended."""
        if self._answers:
            self._answers.give(byte)

    def hang_up(self) -> None:
        """Close the lifeline, so that the supervisor ends its descendants and itself."""
        with self._lock:
            self._lifeline.close()

    def stop(self) -> None:
        """End the child process at once. Kill the processes that have not ended within STOP_SECONDS."""
        self.hang_up()
        if not self._await_end(STOP_SECONDS):
            self._kill()

    def close(self) -> None:
        """Stop, and release all resources. The lifeline is closed first, so that the child ends even if this is interrupted."""
        self.hang_up()
        try:
            self._report = self._report or {"ended": "stopped"}
            for pipe in (self._stdout, self._stderr):
                pipe.close()
            self.stop()
            if self._exit_code() != 0:  # it was killed or failed, so descendants may be left
                self._kill()
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _log.error(
                "%s: process %d cannot be killed, because it hangs in the kernel; restart the machine to end it",
                self.name,
                self.pid,
            )
        finally:
            if self._answers:
                self._answers.close()
            with _RUNNING_LOCK:
                _RUNNING.discard(self)

    # -- pipes: each is read when it has data, so one that an escaped process keeps open never blocks this thread

    def _watch_pipes(self) -> None:
        ready = (
            (self._lifeline, self._write_job),
            (self._stdout, self._read_messages),
            (self._stderr, self._read_printed),
        )
        for pipe, on_ready in ready:
            os.set_blocking(pipe.fileno(), False)
            self._poller.register(pipe.fileno(), select.POLLOUT if pipe is self._lifeline else select.POLLIN)
            self._on_ready[pipe.fileno()] = on_ready

    def _pump(self) -> None:
        """Wait until a pipe is ready, and read or write it."""
        if self._check and time.monotonic() >= self._check_at:
            self._check_at = time.monotonic() + POLL_SECONDS
            self._check()
        seconds_left = self._net - time.monotonic()
        if seconds_left <= 0:
            self._kill()
            self._end({"ended": "timeout"})
            return
        events = self._poller.poll(min(seconds_left, POLL_SECONDS) * 1000)
        for fd, _ in events:
            if not self._on_ready[fd]():
                self._poller.unregister(fd)
        if not events and self._exit_code() is not None:
            self._end({"ended": "lost"})

    def _write_job(self) -> bool:
        """Write as much of the job as fits into the pipe without waiting. Return whether there is more."""
        with self._lock:
            if self._lifeline.closed:
                return False
            try:
                self._job = self._job[os.write(self._lifeline.fileno(), self._job) :]
            except BrokenPipeError:
                return False
        return bool(self._job)

    def _read_messages(self) -> bool:
        data = self._read(self._stdout)
        if data == b"":
            self._end({"ended": "lost"})
        for line in list(self._lines.feed(data or b"")):  # a list, because the last line makes `_end` read on
            self._receive(line)
        return bool(data)

    def _read_printed(self) -> bool:
        data = self._read(self._stderr)
        self._printed.feed(data or b"")
        return bool(data)

    def _read(self, pipe: IO[bytes]) -> bytes | None:
        """Return the data of a pipe: b"" at its end, None if there is none now."""
        try:
            return os.read(pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return None

    def _receive(self, line: bytes) -> None:
        """Store the message of one line. Ignore other lines, because any process with access to the pipe may have sent them."""
        try:
            message = json.loads(line) if line else {}
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            _log.warning("%s: ignored a line that is not a message: %.100r", self.name, line)
        elif "ended" in message:
            self._end(message)
        elif "message" in message:
            self._messages.append(message["message"])
        elif message:
            self._result = message

    def _end(self, report: dict[str, Any]) -> None:
        """Keep the first report, and read the remaining data of the pipes."""
        if self._report is not None:
            return
        self._report = report
        until = time.monotonic() + POLL_SECONDS
        for read in (self._read_messages, self._read_printed):
            while read() and time.monotonic() < until:
                pass
        self._printed.close()

    # -- the end

    def _error_without_result(self) -> CoordinatorError:
        """Return the error of a child process that ended without a result."""
        report = self._report or {}
        code = report.get("code")
        if report["ended"] == "timeout":
            return TransientError(f"not done after {self._deadline_seconds:g} s{self._printed.where}", reason="timeout")
        if report["ended"] == "memory":
            limit_mb = self._limits.memory_bytes / 1e6
            return TransientError(f"it took more than {limit_mb:,.0f} MB of memory", reason="memory")
        if report["ended"] == "stopped" or self._lifeline.closed:
            return Stopped(f"{self.name} was stopped")
        if isinstance(code, int) and code >= 0:
            return TransientError(f"exit code {code} without an answer{self._printed.last_words}", reason="exited")
        if isinstance(code, int):
            return TransientError(
                _signal_name(-code) + (self._printed.where or self._printed.last_words), reason="crashed"
            )
        return TransientError(f"its supervisor was killed{self._printed.last_words}", reason="crashed")

    def _exit_code(self) -> int | None:
        """Return the supervisor's exit code, -1 for any signal, None while it runs. It is not reaped, so its ID is not reused."""
        if self._process.returncode is not None or not hasattr(os, "waitid"):
            return self._process.poll()
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return 0  # other code has reaped it: its ID may belong to any process now
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -1

    def _await_end(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        pause = 0.001
        while self._exit_code() is None:
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.02)
        return True

    def _kill(self) -> None:
        """Send SIGKILL to all descendants of the supervisor and to its session, and finally to the supervisor.

        While the supervisor exists, even stopped, it adopts orphans, so that they can be found.
        """
        until = time.monotonic() + STOP_SECONDS
        while self._process.returncode is None and (victims := self._alive()) and time.monotonic() < until:
            for pid in victims:
                kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        if self._exit_code() is None:
            kill(self.pid, signal.SIGKILL)

    def _alive(self) -> list[int]:
        table = processes()
        below = set(descendants(self.pid, table))
        return [
            pid
            for pid, process in table.items()
            if pid != self.pid and not process.zombie and (pid in below or process.session == self.pid)
        ]


_RUNNING: set[ChildProcess] = set()
_HELD_OPEN: set[int] = set()
_RUNNING_LOCK = threading.Lock()


def _after_fork() -> None:
    global _RUNNING_LOCK
    _RUNNING_LOCK = threading.Lock()  # another thread of the parent may have held it
    _RUNNING.clear()  # they belong to the parent, which stops them


os.register_at_fork(after_in_child=_after_fork)


class _Answers:
    """A pipe to a child process that waits for answers. The child inherits the reading end."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()

    def give(self, byte: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._writer, byte)

    def handed_down(self) -> None:
        os.close(self.reader)

    def close(self) -> None:
        os.close(self._writer)


def _start(name: str, answers: _Answers | None) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start the supervisor. Return its process and the descriptors that it holds open for others (`hold_open`).

    It is started by its path and with -P, so that no file beside it or in the working directory hides a module that it imports.
    """
    command = [sys.executable, "-P", str(SUPERVISOR), name.replace("\0", "")]
    pipe = subprocess.PIPE
    with _RUNNING_LOCK:
        held = [os.dup(fd) for fd in _HELD_OPEN]  # another thread may close them meanwhile
    inherited = [*held, answers.reader] if answers else held
    try:
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True, pass_fds=inherited
        )
    except OSError as error:
        if answers:
            answers.close()
        raise UnfitError(f"no process can be started: {error}", reason="no-process") from error
    finally:
        for fd in held:
            os.close(fd)
        if answers:
            answers.handed_down()
    return process, held


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], ...]:
    return tuple(cast("IO[bytes]", pipe) for pipe in (process.stdin, process.stdout, process.stderr))


def _failure(fields: Any) -> Failure:
    """Return the Failure that the child process sent."""
    try:
        not_before = fields.get("not_before")
        return Failure(
            verdict=Verdict(fields["verdict"]),
            reason=str(fields["reason"]),
            message=sanitize(str(fields["message"])),
            not_before=datetime.fromisoformat(not_before) if not_before else None,
            systemic=fields.get("systemic") is True,
            regions=tuple(map(str, fields.get("regions") or ())),
            from_yt_dlp=fields.get("from_yt_dlp") is True,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return Failure(verdict=Verdict.RETRY, reason="garbled", message=repr(fields)[:LINE_BYTES])


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        name = signal.Signals(number).name
        return f"{name} (out of memory?)" if number == signal.SIGKILL else name
    return f"signal {number}"
