"""The program of a child process: a supervisor with one thread, and a worker that it forks. parent.py is the parent's side.

    stdin   one line, the job: {"target": "module:function", "payload": {...}, "deadline_seconds": 60, "path": [...],
            "answers": fd, "held": [descriptors that the supervisor, but no descendant, holds open to its end],
            "memory_bytes": n, "file_bytes": n (resource_limits.py)}. Then it stays open as the *lifeline*: its end means that
            the parent has died or closed it.
    stdout  a line of JSON per message: {"message": ...} as the worker emits them, at most one result ({"returned": ...} or
            {"failed": {...}}) and at last, from the supervisor, {"ended": how, "code": n}; then nothing of this child process
            runs.
    stderr  all printed text. The worker's fd 1 leads here as well, so that no printed text mixes with the messages.

`target(payload, emit)` runs in the worker; `target(payload, emit, wait)` when the job has `answers`, a pipe from which `wait()`
reads the next byte that the parent sends, or nothing if the parent has ended. The result counts as soon as the target returns.
Then remaining threads and processes are ended. The supervisor adopts every orphaned descendant (PR_SET_CHILD_SUBREAPER), so that
it also finds daemons.

Only the standard library is imported here, and the package's `__init__` is not run for the supervisor, so that a child process
starts in a few dozen milliseconds.
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
if TYPE_CHECKING:  # importing typing takes a tenth of a child process's time
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Emit = Callable[[Any], None]

MAX_MESSAGE_BYTES = 1 << 20
"""The sender refuses a longer message."""
MAX_ERROR_CHARACTERS = 2000
TERM_SECONDS = 1.0
"""The time from SIGTERM to SIGKILL after the deadline, or for processes that the worker left behind."""
STOP_TERM_SECONDS = 0.3
"""The time from SIGTERM to SIGKILL when the parent stops the child process."""
KILL_SECONDS = 1.5
"""How long killed processes may take to end. A process may hang in the kernel."""
AT_EXIT_SECONDS = 5
"""How long the worker's atexit functions may take. The one of multiprocessing would wait for its processes for ever."""
DUMP_SECONDS = 0.05
"""How long faulthandler may take to write the worker's stack."""
MEMORY_CHECK_SECONDS = 0.1
"""The interval of summing the memory of known processes. A process can allocate a gigabyte in a second."""
FAMILY_CHECK_SECONDS = 0.5
"""The interval of searching for new processes and of summing the memory exactly."""
OOM_SCORE = 500
"""Added to the OOM score of the worker and its descendants, so that the kernel ends them before their parent."""
ORPHAN_CHECK_SECONDS = 2.0
"""The interval of checks of the parent's ID. They are needed because a fork of the parent may hold the lifeline open."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_DUMP_SIGNAL = signal.SIGUSR2


def main() -> None:
    """Read the job, fork the worker, wait for its end, and report how it ended."""
    parent = os.getppid()
    messages = os.dup(1)  # not inheritable: no program that the worker starts can write a message
    os.dup2(2, 1)
    line = _read_line(0)
    if not line:
        return  # the parent died before it sent a job
    job = json.loads(line)
    memory = _MemoryWatch(job["memory_bytes"]) if job["memory_bytes"] else None
    watch = _Watch(deadline=time.monotonic() + job["deadline_seconds"], parent=parent, memory=memory)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    supervisor = os.getpid()
    worker = os.fork()
    if worker == 0:
        os._exit(_work(job, messages, supervisor))
    report = watch.wait_for_end(worker)
    # A worker that was killed may have left half a line.
    _write_all(messages, b"\n" + json.dumps(report).encode() + b"\n")
    os._exit(0)


def _read_line(fd: int) -> bytes:
    """Return the first line, or nothing when the other side closed the pipe before its end."""
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
    """Call Linux's prctl. On other systems the parent's own check must be enough (NET_SECONDS)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


# -- the supervisor


class _Watch:
    """A wait for the end of the worker or of the lifeline, a signal, the deadline, or the memory limit: whichever is first."""

    def __init__(self, *, deadline: float, parent: int, memory: _MemoryWatch | None) -> None:
        self._deadline = deadline
        self._parent = parent
        self._memory = memory
        self._stopping = False
        self._code: int | None = None
        self._poller = select.poll()
        self._poller.register(0, select.POLLIN)
        self._wakeup = self._catch_signals()
        self._poller.register(self._wakeup, select.POLLIN)

    def _catch_signals(self) -> int:
        """Let SIGCHLD and signals to stop wake the poll. Inherited handlers may ignore signals, so each is set."""
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
        self._stopping = True

    def wait_for_end(self, worker: int) -> dict[str, Any]:
        """Wait, end all remaining processes, and report.

        `ended` is exited, timeout, memory or stopped; `code` is -N for signal N.
        """
        cause = self._wait(worker)
        if cause == "timeout":
            self._write_stack(worker)
        self._end_everything(worker, 0 if cause == "memory" else self._grace_seconds())
        return {"ended": cause, "code": self._code}

    def _wait(self, worker: int) -> str:
        while True:
            # Checked before the worker's end: a signal to the whole session ends the worker too, which is not a crash.
            if self._stopping or os.getppid() != self._parent:
                return "stopped"
            self._reap(worker)
            if self._code is not None:
                return "exited"
            if (seconds_left := self._deadline - time.monotonic()) <= 0:
                return "timeout"
            if self._memory and self._memory.is_exceeded():
                return "memory"
            self._sleep(min(seconds_left, MEMORY_CHECK_SECONDS if self._memory else ORPHAN_CHECK_SECONDS))

    def _sleep(self, seconds: float) -> None:
        """Sleep until a signal or the end of the lifeline, for at most `seconds`."""
        for fd, _ in self._poller.poll(seconds * 1000 + 1):
            if not os.read(fd, 1 << 16) and fd == 0:
                self._stopping = True
                self._poller.unregister(0)

    def _reap(self, worker: int) -> bool:
        """Reap all children and adopted orphans that have ended. Return whether any is left."""
        try:
            while (pid_and_status := os.waitpid(-1, os.WNOHANG))[0]:
                if pid_and_status[0] == worker:
                    self._code = os.waitstatus_to_exitcode(pid_and_status[1])
        except ChildProcessError:
            return False
        return True

    def _write_stack(self, worker: int) -> None:
        """Let the worker write its stack to stderr. faulthandler does it in C, even while Python is busy."""
        kill(worker, _DUMP_SIGNAL)
        self._sleep(DUMP_SECONDS)

    def _end_everything(self, worker: int, grace_seconds: float) -> None:
        """Send SIGTERM, and after the grace period SIGKILL, until this process, which adopts all orphans, has no children."""
        terminated: set[int] = set()
        start = time.monotonic()
        while self._reap(worker) and (late := time.monotonic() - start - grace_seconds) < KILL_SECONDS:
            for pid in descendants(os.getpid(), processes()):
                if late >= 0:
                    kill(pid, signal.SIGKILL)
                elif pid not in terminated:
                    terminated.add(pid)
                    kill(pid, signal.SIGTERM)
            self._sleep(0.02)

    def _grace_seconds(self) -> float:
        return STOP_TERM_SECONDS if self._stopping else TERM_SECONDS


class _MemoryWatch:
    """A measurement of the memory of all descendants of this process.

    A kernel limit would not be enough. RLIMIT_AS and RLIMIT_DATA count reserved memory, which is often far more than is used
    (Deno, a library with a thread for each core). They apply to each process separately, and a program may ignore the error.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._family: list[int] = []
        self._family_read_at = self._added_up_at = -FAMILY_CHECK_SECONDS

    def is_exceeded(self) -> bool:
        """Return whether the processes use more than the limit. Pages that several of them share count once."""
        now = time.monotonic()
        if now - self._family_read_at >= FAMILY_CHECK_SECONDS:
            self._family_read_at = now
            self._family = descendants(os.getpid(), processes())
        if sum(map(memory_bytes, self._family)) <= self._limit_bytes or now - self._added_up_at < FAMILY_CHECK_SECONDS:
            return False
        self._added_up_at = now
        return sum(map(proportional_bytes, self._family)) > self._limit_bytes


def memory_bytes(pid: int) -> int:
    """Return the memory of one process, including swap, without programs and files; 0 if it has ended."""
    if sys.platform != "linux":
        return _resident_bytes(pid)
    return _added_up(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:", b"VmSwap:"))


def proportional_bytes(pid: int) -> int:
    """Return the same, but divide each shared page among its processes. This takes longer."""
    path = f"/proc/{pid}/smaps_rollup"
    return _added_up(path, (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")) if os.path.exists(path) else memory_bytes(pid)


def _added_up(path: str, names: tuple[bytes, ...]) -> int:
    try:
        with open(path, "rb") as lines:
            return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(names))
    except (OSError, ValueError, IndexError):
        return 0


def _resident_bytes(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def kill(pid: int, number: int) -> None:
    # It may have ended already, or be a setuid program that this process may not end.
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
    """Return all descendants of a process."""
    pids = [pid]
    for parent in pids:
        pids.extend(child for child, process in table.items() if process.parent == parent)
    return pids[1:]


def processes() -> dict[int, Process]:
    """Return the process table by ID. psutil is used elsewhere; on Linux its import costs more than reading /proc."""
    if sys.platform == "linux":
        return dict(_proc_table())
    import psutil

    return {
        entry.pid: Process(entry.info["ppid"] or 0, _session(entry.pid), entry.info["status"] == psutil.STATUS_ZOMBIE)
        for entry in psutil.process_iter(["ppid", "status"])
    }


def _proc_table() -> Iterator[tuple[int, Process]]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    # The name in brackets may contain anything. After its last bracket: state, parent, group, session.
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
    """Run the target and send its result. Return the exit code."""
    _become_worker(supervisor)
    _limit(job["file_bytes"])
    for fd in job["held"]:
        os.close(fd)
    channel = _Messages(messages)
    try:
        channel.send("returned", _run(job, channel.emit))
    except SystemExit as error:
        return _exit_code(error)
    except BrokenPipeError:
        return 1  # the parent has closed the pipe; the supervisor sees it too
    except BaseException as error:  # noqa: BLE001  whatever it is, it is the result
        channel.send("failed", _failure(error))
    finally:
        _leave()
    return 0


def _become_worker(supervisor: int) -> None:
    """Set this process up as a program expects it: no input, default signals, stdout and stderr line by line."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)  # the supervisor died before the signal was set
    os.setpgid(0, 0)  # a processor that ends its own group does not end the supervisor
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    faulthandler.enable()
    faulthandler.register(_DUMP_SIGNAL, chain=False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]


def _limit(file_bytes: int) -> None:
    """Limit the size of files, and let the kernel end this process before others when memory is scarce."""
    # Only Linux has this file.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+") as score:
        now = int(score.read())
        score.seek(0)
        score.write(str(min(now + OOM_SCORE, 1000)))
    if file_bytes:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        allowed = file_bytes if hard == resource.RLIM_INFINITY else min(file_bytes, hard)
        resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, hard))  # Python ignores SIGXFSZ: a write raises an OSError


class _Messages:
    """The pipe to the parent. Safe to use from several threads; waits while the parent does not read."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def emit(self, message: Any) -> None:
        """Send a message. Raises TypeError or ValueError if it is not JSON, or is longer than MAX_MESSAGE_BYTES."""
        self.send("message", message)

    def send(self, kind: str, value: Any) -> None:
        line = json.dumps({kind: value}, separators=(",", ":")).encode() + b"\n"  # ASCII: no character can break it
        if len(line) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(line)} bytes is longer than {MAX_MESSAGE_BYTES}")
        with self._lock:
            _write_all(self._fd, line)


def _run(job: dict[str, Any], emit: Emit) -> Any:
    import importlib

    # As in the parent, after entries that were added to PYTHONPATH since it started.
    sys.path[:] = [entry for entry in sys.path if entry not in job["path"]] + job["path"]
    module, _, attribute = job["target"].partition(":")
    return getattr(importlib.import_module(module), attribute)(job["payload"], emit, *_waiting(job))


def _waiting(job: dict[str, Any]) -> list[Callable[[], bytes]]:
    if (answers := job.get("answers")) is None:
        return []
    os.set_inheritable(answers, False)  # no program that the worker starts can read a byte
    return [lambda: os.read(answers, 1)]


def _failure(error: BaseException) -> dict[str, Any]:
    """Return the fields of models.Failure. Other errors than AttemptError are temporary, and their traceback is printed."""
    errors = sys.modules.get("youtube_download_coordinator.errors")
    if errors is None or not isinstance(error, errors.AttemptError):
        import traceback

        traceback.print_exception(error)
        return {"verdict": "retry", "reason": "error", "message": f"{type(error).__name__}: {_text(error)}"}
    failure = error.failure
    not_before = failure.not_before.isoformat() if failure.not_before else None
    return {
        "verdict": failure.verdict,
        "reason": failure.reason,
        "message": _text(error),
        "not_before": not_before,
        "systemic": failure.systemic,
        "regions": failure.regions,
        "from_yt_dlp": failure.from_yt_dlp,
    }


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_ERROR_CHARACTERS]
    except Exception as text_error:  # noqa: BLE001  an error whose text raises must not hide that there was an error
        return f"(its text raises {type(text_error).__name__})"


def _exit_code(error: SystemExit) -> int:
    """Return the exit code that Python itself would use."""
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _leave() -> None:
    """Let user code clean up (temporary files, logs), but do not wait for its threads, because the result is sent."""
    import atexit

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(AT_EXIT_SECONDS)
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # noqa: BLE001  too late to change the result
        print(f"at exit: {type(error).__name__}: {_text(error)}", file=sys.stderr)


if __name__ == "__main__":
    main()
