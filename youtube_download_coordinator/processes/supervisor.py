"""What runs in a child process: a supervisor of one thread, and the worker that it forks. parent.py is the parent's side.

    stdin   one line, the job: {"target": "module:function", "payload": {...}, "deadline_seconds": 60, "path": [...],
            "answers": fd, "held": [descriptors that the supervisor, and nothing below it, holds open to its end]}. Then it
            stays open as the *lifeline*: its end means that the parent has died or given up.
    stdout  a line of JSON per message: {"message": ...} as the worker emits them, at most one answer ({"returned": ...} or
            {"failed": {...}}) and at last, from the supervisor, {"ended": how, "code": n}; then nothing of this child runs.
    stderr  everything that anybody prints. The worker's fd 1 leads here too, so no print gets among the messages.

`target(payload, emit)` runs in the worker; `target(payload, emit, wait)` when the job has `answers`, a pipe from which `wait()`
takes the next byte that the parent gives, or nothing when it has gone. What it returns stands as soon as it does: threads and
processes that it left are ended.
The supervisor adopts every orphan below it (PR_SET_CHILD_SUBREAPER), so that it also finds what became a daemon.

Nothing but the standard library is imported here, and the package's `__init__` is not run for the supervisor: a child costs a few
dozen milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import select
import signal
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes a tenth of a child's time
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Emit = Callable[[Any], None]

MAX_MESSAGE_BYTES = 1 << 20
"""A longer message is refused where it is sent."""
MAX_ERROR_CHARACTERS = 2000
TERM_SECONDS = 1.0
"""Between SIGTERM and SIGKILL, when the time is up or the worker left processes behind."""
STOP_TERM_SECONDS = 0.3
"""The same, when the parent wants the end at once."""
KILL_SECONDS = 1.5
"""How long the dead may take to go: a process may hang in the kernel."""
AT_EXIT_SECONDS = 5
"""What the worker's atexit functions may take; multiprocessing's would wait for its processes for ever."""
DUMP_SECONDS = 0.05
"""What writing down where the worker stands may take."""
ORPHAN_CHECK_SECONDS = 2.0
"""A fork of the parent may hold the lifeline open; so we also look whether our parent is still the same."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_DUMP_SIGNAL = signal.SIGUSR2


def main() -> None:
    """Take the job, fork the worker, see it to its end, and say how it ended."""
    parent = os.getppid()
    messages = os.dup(1)  # not inheritable: no program that the worker starts can write a message
    os.dup2(2, 1)
    line = _read_line(0)
    if not line:
        return  # the parent died before it said what to do
    job = json.loads(line)
    watch = _Watch(deadline=time.monotonic() + job["deadline_seconds"], parent=parent)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    supervisor = os.getpid()
    worker = os.fork()
    if worker == 0:
        os._exit(_work(job, messages, supervisor))
    report = watch.see_to_the_end(worker)
    # A worker that was killed may have left half a line.
    _write_all(messages, b"\n" + json.dumps(report).encode() + b"\n")
    os._exit(0)


def _read_line(fd: int) -> bytes:
    """The first line, or nothing when the other side is gone before its end."""
    parts = []
    while part := os.read(fd, 1 << 16):
        parts.append(part)
        if part.endswith(b"\n"):
            return b"".join(parts)
    return b""


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _prctl(option: int, value: int) -> None:
    """Linux's prctl; elsewhere the parent's own net has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


# -- the supervisor


class _Watch:
    """Waits for what comes first: the worker's end, the lifeline's, a signal to stop, or the deadline."""

    def __init__(self, *, deadline: float, parent: int) -> None:
        self._deadline = deadline
        self._parent = parent
        self._told_to_stop = False
        self._code: int | None = None
        self._poller = select.poll()
        self._poller.register(0, select.POLLIN)
        self._wakeup = self._catch_signals()
        self._poller.register(self._wakeup, select.POLLIN)

    def _catch_signals(self) -> int:
        """Have SIGCHLD and requests to stop wake the poll. Handlers that we inherited may ignore them: set each."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return reader

    def _stop(self, *_: object) -> None:
        self._told_to_stop = True

    def see_to_the_end(self, worker: int) -> dict[str, Any]:
        """Wait, end everything that is left, and report: `ended` is exited, timeout or stopped; `code` is -N for signal N."""
        how = self._wait(worker)
        if how == "timeout":
            self._ask_where(worker)
        self._end_everything(worker)
        return {"ended": how, "code": self._code}

    def _wait(self, worker: int) -> str:
        while True:
            # Before the worker's end: a signal to the whole session ends the worker too, and that is no crash of its own.
            if self._told_to_stop or os.getppid() != self._parent:
                return "stopped"
            self._reap(worker)
            if self._code is not None:
                return "exited"
            if (left := self._deadline - time.monotonic()) <= 0:
                return "timeout"
            self._sleep(min(left, ORPHAN_CHECK_SECONDS))

    def _sleep(self, seconds: float) -> None:
        """Until something happens, at the longest this long."""
        for fd, _ in self._poller.poll(seconds * 1000 + 1):
            if not os.read(fd, 1 << 16) and fd == 0:
                self._told_to_stop = True
                self._poller.unregister(0)

    def _reap(self, worker: int) -> bool:
        """Bury every child that has ended; whether there are any left. An orphan's end is as silent as it was."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == worker:
                    self._code = os.waitstatus_to_exitcode(ended[1])
        except ChildProcessError:
            return False
        return True

    def _ask_where(self, worker: int) -> None:
        """Have the worker write its stack to stderr: faulthandler does it in C, whatever Python is busy with."""
        kill(worker, _DUMP_SIGNAL)
        self._sleep(DUMP_SECONDS)

    def _end_everything(self, worker: int) -> None:
        """SIGTERM, a grace, SIGKILL, until no descendant is left. As orphans come to us, having no child means that."""
        asked: set[int] = set()
        start = time.monotonic()
        while self._reap(worker) and (late := time.monotonic() - start - self._grace_seconds()) < KILL_SECONDS:
            for pid in descendants(os.getpid(), processes()):
                if late >= 0:
                    kill(pid, signal.SIGKILL)
                elif pid not in asked:
                    asked.add(pid)
                    kill(pid, signal.SIGTERM)
            self._sleep(0.02)

    def _grace_seconds(self) -> float:
        return STOP_TERM_SECONDS if self._told_to_stop else TERM_SECONDS


def kill(pid: int, number: int) -> None:
    # It may be gone already, or a setuid program that we may not end.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


class Process:
    """A line of the process table."""

    __slots__ = ("parent", "session", "zombie")

    def __init__(self, parent: int, session: int, zombie: bool) -> None:
        self.parent = parent
        self.session = session
        self.zombie = zombie


def descendants(pid: int, table: Mapping[int, Process]) -> list[int]:
    """Every process below this one."""
    found = [pid]
    for above in found:
        found.extend(each for each, process in table.items() if process.parent == above)
    return found[1:]


def processes() -> dict[int, Process]:
    """The process table. psutil knows it elsewhere; on Linux importing psutil costs more than reading /proc."""
    if sys.platform == "linux":
        return dict(_proc_table())
    import psutil

    return {
        each.pid: Process(each.info["ppid"] or 0, _session(each.pid), each.info["status"] == psutil.STATUS_ZOMBIE)
        for each in psutil.process_iter(["ppid", "status"])
    }


def _proc_table() -> Iterator[tuple[int, Process]]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    # The name in brackets may hold anything: what follows its last bracket is state, parent, group, session.
                    fields = stat.read().rpartition(b")")[2].split()
            except OSError:
                continue
            yield int(name), Process(int(fields[1]), int(fields[3]), fields[0] == b"Z")


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


# -- the worker


def _work(job: dict[str, Any], messages: int, supervisor: int) -> int:
    """Run the target and send its answer; the exit code."""
    _become_worker(supervisor)
    for fd in job["held"]:
        os.close(fd)
    answers = _Messages(messages)
    try:
        answers.send("returned", _run(job, answers.emit))
    except SystemExit as error:
        return _exit_code(error)
    except BrokenPipeError:
        return 1  # nobody listens any more; the supervisor is told too
    except BaseException as error:  # noqa: BLE001  whatever it is, it is the answer
        answers.send("failed", _failure(error))
    finally:
        _leave()
    return 0


def _become_worker(supervisor: int) -> None:
    """A process as a program expects it: no input, default signals, stdout and stderr line by line."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)  # it died before it could be asked for a signal
    os.setpgid(0, 0)  # a processor that ends its own group does not end the supervisor
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    faulthandler.enable()
    faulthandler.register(_DUMP_SIGNAL, chain=False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]


class _Messages:
    """The way to the parent. Safe to use from several threads; waits while the parent does not read."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def emit(self, message: Any) -> None:
        """Send JSON. Raises TypeError or ValueError when it is none, or is longer than MAX_MESSAGE_BYTES."""
        self.send("message", message)

    def send(self, kind: str, value: Any) -> None:
        line = json.dumps({kind: value}, separators=(",", ":")).encode() + b"\n"  # ASCII: no character can break it
        if len(line) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(line)} bytes is longer than {MAX_MESSAGE_BYTES}")
        with self._lock:
            _write_all(self._fd, line)


def _run(job: dict[str, Any], emit: Emit) -> Any:
    import importlib

    # As in the parent, after what PYTHONPATH has got since it started.
    sys.path[:] = [entry for entry in sys.path if entry not in job["path"]] + job["path"]
    module, _, attribute = job["target"].partition(":")
    return getattr(importlib.import_module(module), attribute)(job["payload"], emit, *_waiting(job))


def _waiting(job: dict[str, Any]) -> list[Callable[[], bytes]]:
    if (answers := job.get("answers")) is None:
        return []
    os.set_inheritable(answers, False)  # no program that the worker starts takes a byte away
    return [lambda: os.read(answers, 1)]


def _failure(error: BaseException) -> dict[str, Any]:
    """The fields of models.Failure. What is no AttemptError counts as one that may go away, and leaves its traceback."""
    errors = sys.modules.get("youtube_download_coordinator.errors")
    if errors is None or not isinstance(error, errors.AttemptError):
        import traceback

        traceback.print_exception(error)
        return {"verdict": "retry", "reason": "error", "message": f"{type(error).__name__}: {_text(error)}"}
    failure = error.failure
    moment = failure.not_before.isoformat() if failure.not_before else None
    return {
        "verdict": failure.verdict,
        "reason": failure.reason,
        "message": _text(error),
        "not_before": moment,
        "systemic": failure.systemic,
    }


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_ERROR_CHARACTERS]
    except Exception as broken:  # noqa: BLE001  an error whose text raises must not hide that there was an error
        return f"(its text raises {type(broken).__name__})"


def _exit_code(error: SystemExit) -> int:
    """What Python's own exit would make of it."""
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _leave() -> None:
    """Let user code tidy up (temporary files, logs), but do not wait for its threads: the answer is given."""
    import atexit

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(AT_EXIT_SECONDS)
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # noqa: BLE001  too late to change the answer
        print(f"at exit: {type(error).__name__}: {_text(error)}", file=sys.stderr)


if __name__ == "__main__":
    main()
