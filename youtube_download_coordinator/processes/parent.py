"""Running something in a process of its own, so that a deadline bites and a crash is only an error. supervisor.py is the other side.

    with children.run("package.module:function", payload, deadline_seconds=60, name="video 7") as child:
        for message in child:       # what function(payload, emit) emits, as it comes; while we do not read, the child waits
            ...
        value = child.result()      # what it returned, or the AttemptError that says why there is nothing

Whatever the child did, no process of it is left when the `with` ends, at the latest about a second later; also when this
process is killed. Children of several threads do not disturb each other: subprocess closes every descriptor in a child but three
and the one that it is given (`close_fds`, its default) and makes its pipes non-inheritable, so no child holds another's lifeline.

Everything happens in the thread that reads: what the child prints is logged by it too, where Prefect looks for a run's log.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
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
from youtube_download_coordinator.processes import supervisor as _child
from youtube_download_coordinator.text import sanitize

_log = logging.getLogger(__name__)

STOP_SECONDS = 1.0
"""How long a child may take to end when it is told to, before it is killed from here."""
NET_SECONDS = 3.0
"""After the deadline. A supervisor that has not reported by then (stopped, swapped out) is killed from here with all the rest."""
POLL_SECONDS = 1.0
"""How often we look whether the supervisor is still there."""
READ_BYTES = 1 << 16
LINE_BYTES = 2000
"""A printed line is logged up to here."""
LOGGED_LINES = 1000
"""Of one child: a processor that prints in a loop must not fill a disk. The last lines are kept for the error all the same."""
TAIL_BYTES = 8192


class Stopped(CoordinatorError):
    """The child was told to stop before it had an answer. The attempt is not counted: release the row."""


@contextlib.contextmanager
def run(
    target: str, payload: Mapping[str, Any], *, deadline_seconds: float, name: str, answered: bool = False
) -> Iterator[ChildProcess]:
    """Start `target(payload, emit)` in a child of its own; end it with the `with`.

    `target` is `module:function`; `payload`, messages and the value are JSON. `name` stands in the log and in `ps`.
    `answered`: the target takes a third argument, a function that waits for the next byte of `Child.answer`.
    Raises UnfitError when this machine cannot start a process.
    """
    child = ChildProcess(target, payload, deadline_seconds=deadline_seconds, name=name, answered=answered)
    try:
        yield child
    finally:
        child.close()


def hold_open(fd: int) -> None:
    """Have every supervisor that is started from now on hold this open until it, and everything below it, has ended."""
    with _RUNNING_LOCK:
        _HELD_OPEN.add(fd)


def stop_holding_open(fd: int) -> None:
    """Close what supervisors held open."""
    with _RUNNING_LOCK:
        _HELD_OPEN.discard(fd)
        os.close(fd)


def stop_all() -> None:
    """End every child of this process at once, whatever thread reads from it; that thread gets Stopped."""
    with _RUNNING_LOCK:
        running = list(_RUNNING)
    for child in running:
        child.hang_up()
    for child in running:
        child.stop()


class ChildProcess:
    """One child as its parent sees it. Only `hang_up` and `stop` may be called from other threads."""

    def __init__(
        self, target: str, payload: Mapping[str, Any], *, deadline_seconds: float, name: str, answered: bool
    ) -> None:
        self.name = name
        self._deadline_seconds = deadline_seconds
        self._answers = _Answers() if answered else None
        job = {"target": target, "payload": payload, "deadline_seconds": deadline_seconds, "path": sys.path}
        if self._answers:
            job["answers"] = self._answers.reader
        self._net = time.monotonic() + deadline_seconds + NET_SECONDS
        self._messages: deque[Any] = deque()
        self._answer: dict[str, Any] = {}
        self._ending: dict[str, Any] | None = None
        self._lines = _Lines(_child.MAX_MESSAGE_BYTES)
        self._printed = _Printed(name)
        self._lock = threading.Lock()
        self._process, job["held"] = _start(name, self._answers)
        self._job = memoryview(json.dumps(job).encode() + b"\n")
        self._lifeline, self._stdout, self._stderr = _pipes(self._process)
        self._poller = select.poll()
        self._on_ready: dict[int, Callable[[], bool]] = {}
        self._watch_pipes()
        self._write_job()  # all of it, unless it is large: the child begins even if nobody reads yet
        with _RUNNING_LOCK:
            _RUNNING.add(self)

    @property
    def pid(self) -> int:
        """The supervisor's, which is also its session's."""
        return self._process.pid

    @property
    def tail(self) -> str:
        """The last lines that were printed."""
        return self._printed.tail

    def __iter__(self) -> Iterator[Any]:
        """Messages as they come, until the child has ended and everything below it too."""
        while True:
            while self._messages:
                yield self._messages.popleft()
            if self._ending is not None:
                return
            self._pump()

    def result(self) -> Any:
        """The value that was returned. Waits for the end; messages not read by then are dropped.

        Raises the AttemptError that the target raised; TransientError with the reason `timeout`, `crashed` (by a signal) or
        `exited` (without an answer); Stopped when somebody stopped it. An answer stands, however the process ended after it.
        """
        for _ in self:
            pass
        if "returned" in self._answer:
            return self._answer["returned"]
        if "failed" in self._answer:
            raise attempt_error(_failure(self._answer["failed"]))
        raise self._without_answer()

    def answer(self, byte: bytes) -> None:
        """Give one byte to a target that waits for it; nothing happens when the child has ended."""
        if self._answers:
            self._answers.give(byte)

    def hang_up(self) -> None:
        """Drop the lifeline: the child ends everything below it, and itself."""
        with self._lock:
            self._lifeline.close()

    def stop(self) -> None:
        """End the child at once. What does not go within STOP_SECONDS is killed."""
        self.hang_up()
        if not self._await_end(STOP_SECONDS):
            self._kill()

    def close(self) -> None:
        """Stop, and let go of everything. Also when this is interrupted the child ends: the lifeline goes first."""
        self.hang_up()
        try:
            self._ending = self._ending or {"ended": "stopped"}
            for pipe in (self._stdout, self._stderr):
                pipe.close()
            self.stop()
            if not self._clean_up():
                self._kill()
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _log.error("%s: process %d cannot be killed; it hangs in the kernel", self.name, self.pid)
        finally:
            if self._answers:
                self._answers.close()
            with _RUNNING_LOCK:
                _RUNNING.discard(self)

    # -- pipes: each is read when there is something, so one that an escaped process keeps open never blocks us

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
        """Wait until something happens, and take it in."""
        left = self._net - time.monotonic()
        if left <= 0:
            self._kill()
            self._end({"ended": "timeout"})
            return
        events = self._poller.poll(min(left, POLL_SECONDS) * 1000)
        for fd, _ in events:
            if not self._on_ready[fd]():
                self._poller.unregister(fd)
        if not events and self._gone() is not None:
            self._end({"ended": "lost"})

    def _write_job(self) -> bool:
        """A part of the job, as much as the pipe takes; whether there is more: a child that does not read must not hold us up."""
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
        for line in list(self._lines.feed(data or b"")):  # at once: the last line reads on
            self._take(line)
        return bool(data)

    def _read_printed(self) -> bool:
        data = self._read(self._stderr)
        self._printed.feed(data or b"")
        return bool(data)

    def _read(self, pipe: IO[bytes]) -> bytes | None:
        """What is there; nothing at its end; None when there is nothing now."""
        try:
            return os.read(pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return None

    def _take(self, line: bytes) -> None:
        """One line of the child's. What is no message is dropped: it may come from anything that got hold of the pipe."""
        try:
            message = json.loads(line) if line else {}
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            _log.warning("%s: dropped a line that is no message: %.100r", self.name, line)
        elif "ended" in message:
            self._end(message)
        elif "message" in message:
            self._messages.append(message["message"])
        elif message:
            self._answer = message

    def _end(self, ending: dict[str, Any]) -> None:
        """Note how it ended, the first time, and take in what is in the pipes."""
        if self._ending is not None:
            return
        self._ending = ending
        until = time.monotonic() + POLL_SECONDS
        for read in (self._read_messages, self._read_printed):
            while read() and time.monotonic() < until:
                pass
        self._printed.close()

    # -- the end

    def _without_answer(self) -> CoordinatorError:
        """What to make of a child that ended and said nothing."""
        ending = self._ending or {}
        code = ending.get("code")
        if ending["ended"] == "timeout":
            return TransientError(f"not done after {self._deadline_seconds:g} s{self._printed.where}", reason="timeout")
        if ending["ended"] == "stopped" or self._lifeline.closed:
            return Stopped(f"{self.name} was stopped")
        if isinstance(code, int) and code >= 0:
            return TransientError(f"exit code {code} without an answer{self._printed.last_words}", reason="exited")
        if isinstance(code, int):
            return TransientError(
                _signal_name(-code) + (self._printed.where or self._printed.last_words), reason="crashed"
            )
        return TransientError(f"its supervisor was killed{self._printed.last_words}", reason="crashed")

    def _gone(self) -> int | None:
        """Whether the supervisor has ended: its exit code, -1 for any signal. It is not reaped, so its ID stays its own."""
        if self._process.returncode is not None or not hasattr(os, "waitid"):
            return self._process.poll()
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return 0  # somebody else reaped it: its ID may be anybody's now
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -1

    def _clean_up(self) -> bool:
        """Whether the supervisor came to its own end, so that nothing is left below it."""
        return self._gone() == 0

    def _await_end(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        pause = 0.001
        while self._gone() is None:
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.02)
        return True

    def _kill(self) -> None:
        """The second net: SIGKILL for all below the supervisor and in its session, and for itself at last.

        As long as it is there, orphans come to it and can be found, even if it is stopped.
        """
        until = time.monotonic() + STOP_SECONDS
        while self._process.returncode is None and (victims := self._alive()) and time.monotonic() < until:
            for pid in victims:
                _child.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        if self._gone() is None:
            _child.kill(self.pid, signal.SIGKILL)

    def _alive(self) -> list[int]:
        table = _child.processes()
        below = set(_child.descendants(self.pid, table))
        return [
            pid
            for pid, process in table.items()
            if pid != self.pid and not process.zombie and (pid in below or process.session == self.pid)
        ]


_RUNNING: set[ChildProcess] = set()
_HELD_OPEN: set[int] = set()
_RUNNING_LOCK = threading.Lock()


class _Answers:
    """The way to a child that asks: a pipe whose reading end it inherits. Its end says that nobody answers any more."""

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
    """Start the supervisor, by its path and with -P: no file of the working directory can stand in for a module of its own.

    Also the descriptors that it holds open for others (`hold_open`).
    """
    command = [sys.executable, "-P", str(Path(_child.__file__)), name.replace("\0", "")]
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
    """The Failure that the worker sent."""
    try:
        moment = fields.get("not_before")
        return Failure(
            verdict=Verdict(fields["verdict"]),
            reason=str(fields["reason"]),
            message=sanitize(str(fields["message"])),
            not_before=datetime.fromisoformat(moment) if moment else None,
            systemic=fields.get("systemic") is True,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return Failure(verdict=Verdict.RETRY, reason="garbled", message=repr(fields)[:LINE_BYTES])


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        name = signal.Signals(number).name
        return f"{name} (out of memory?)" if number == signal.SIGKILL else name
    return f"signal {number}"


class _Lines:
    """Bytes made lines, none longer than that: the rest of a longer one is dropped as it comes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._part = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        *whole, rest = data.split(b"\n")
        for part in whole:
            yield self._joined(part)
            self._part = b""
        self._part = self._joined(rest)

    def _joined(self, part: bytes) -> bytes:
        room = self._max_bytes - len(self._part)
        return self._part + part[:room] if room > 0 else self._part


class _Printed:
    """What the child prints: its first lines go to the log, its last ones are kept."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines = _Lines(LINE_BYTES)
        self._logged = 0
        self._tail = b""

    @property
    def tail(self) -> str:
        return self._tail.decode("utf-8", "replace")

    @property
    def where(self) -> str:
        """Where the stack that faulthandler wrote begins, as ` at file.py:12 in name`."""
        found = _STACK.findall(self.tail)
        return f" at {Path(found[-1][0]).name}:{found[-1][1]} in {found[-1][2]}" if found else ""

    @property
    def last_words(self) -> str:
        words = [line for line in self.tail.splitlines() if line.strip()]
        return f": {words[-1][:LINE_BYTES]}" if words else ""

    def feed(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        self._log_lines(data)

    def close(self) -> None:
        """Log what stands in the last line, unfinished."""
        self._log_lines(b"\n")

    def _log_lines(self, data: bytes) -> None:
        if self._logged <= LOGGED_LINES:
            for line in self._lines.feed(data):
                self._log_line(line)

    def _log_line(self, line: bytes) -> None:
        """A progress bar, drawn over and over in one line, counts as it was at last."""
        text = _UNPRINTABLE.sub("", line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2])
        if not text:
            return
        self._logged += 1
        if self._logged <= LOGGED_LINES:
            _log.info("%s: %s", self._name, text)
        elif self._logged == LOGGED_LINES + 1:
            _log.info("%s: it prints more than %d lines; the rest is not logged", self._name, LOGGED_LINES)


_STACK = re.compile(r'^Current thread .*\n  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
