"""Processors that misbehave, each in its own way, and some that are only unusual.

test_processing.py says what is to be recorded of each.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import functools
import importlib.util
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import PermanentError, TransientError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processes import supervisor as child

HOURS = 10_000.0
READY = "YDC_TEST_READY"
"""Names a file that is made when a processor has begun to misbehave."""


def _tell_ready() -> None:
    if path := os.environ.get(READY):
        Path(path).touch()


# -- it does not end


def sleeps(task: VideoTask) -> None:
    _tell_ready()
    time.sleep(HOURS)


def blocks_in_recv(task: VideoTask) -> None:
    ours, _theirs = socket.socketpair()
    ours.recv(1)


def holds_the_gil(task: VideoTask) -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def catches_everything(task: VideoTask) -> None:
    while True:
        try:  # noqa: SIM105
            time.sleep(HOURS)
        except:  # noqa: E722, RUF100  what it is here for
            pass


def eats_sigterm(task: VideoTask) -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    _tell_ready()
    while True:
        time.sleep(HOURS)


def waits_for_a_stubborn_child(task: VideoTask) -> None:
    _stubborn_child().wait()


def becomes_a_daemon_and_hangs(task: VideoTask) -> None:
    _daemon()
    _tell_ready()
    time.sleep(HOURS)


def stops_itself(task: VideoTask) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


# -- it ends, and leaves something


def leaves_a_stubborn_child(task: VideoTask) -> str:
    _stubborn_child()
    return "done"


def leaves_a_daemon(task: VideoTask) -> str:
    _daemon()
    return "done"


def leaves_a_thread(task: VideoTask) -> str:
    threading.Thread(target=time.sleep, args=(HOURS,)).start()
    return "done"


def _stubborn_child() -> subprocess.Popen[bytes]:
    """Start a child that ignores SIGTERM."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(10000)"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _daemon() -> None:
    """Fork twice, in a session of its own, as daemons do: it keeps every pipe open and ignores SIGTERM."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(writer, b".")
            time.sleep(HOURS)
        os._exit(0)
    os.wait()
    os.read(reader, 1)


# -- it ends without an answer


def segfaults(task: VideoTask) -> None:
    ctypes.string_at(0)


def exits_3(task: VideoTask) -> None:
    sys.exit(3)


def exits_with_words(task: VideoTask) -> None:
    sys.exit("no licence for this codec")


def exits_0(task: VideoTask) -> None:
    sys.exit(0)


def exits_at_once(task: VideoTask) -> None:
    os._exit(0)


def is_killed(task: VideoTask) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ends_its_group(task: VideoTask) -> None:
    os.killpg(0, signal.SIGTERM)


# -- it raises


def raises(task: VideoTask) -> None:
    raise ValueError("this is\nnot an integer")


def raises_without_text(task: VideoTask) -> None:
    class Speechless(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    raise Speechless


def raises_keyboard_interrupt(task: VideoTask) -> None:
    raise KeyboardInterrupt


def recurses(task: VideoTask) -> None:
    recurses(task)


def needs_too_much_memory(task: VideoTask) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
    bytearray(1 << 40)


def fills_the_disk(task: VideoTask) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


# -- it says too much


def prints_everywhere(task: VideoTask) -> str:
    print("from print")
    os.write(1, b"from a descriptor\n")
    subprocess.run(["echo", "from a subprocess"], check=True)
    ctypes.CDLL(None).puts(b"from C")
    ctypes.CDLL(None).fflush(None)
    return task.url


def writes_100_megabytes_to_stderr(task: VideoTask) -> str:
    for _ in range(1000):
        os.write(2, (b"x" * 99 + b"\n") * 1000)
    print("the last line")
    return "done"


def writes_garbage_to_every_pipe(task: VideoTask) -> str:
    for fd in (fd for fd in range(3, 50) if _is_message_pipe(fd)):
        for garbage in (
            b"no json\n",
            b"[1]\n",
            b'{"failed": 7',
            b"}\n",
            b"[" * 100_000,
            b"\xff\n",
            b"x" * 100_000_000,
            b"\n",
        ):
            child._write_all(fd, garbage)
    return "done"


def _is_message_pipe(fd: int) -> bool:
    """Return whether this is the pipe of the messages: the only blocking one."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:") and os.get_blocking(fd)
    except OSError:
        return False


def returns_much(task: VideoTask) -> str:
    return "long " * 1_000_000


def returns_no_json(task: VideoTask) -> object:
    return {1, 2, 3}.__class__


def returns_what_no_database_takes(task: VideoTask) -> str:
    return "half a character \ud800 and a NUL \0."


def yields(task: VideoTask) -> Iterator[int]:
    yield 1


def returns_a_generator(task: VideoTask) -> object:
    return yields(task)


# -- nothing wrong with these: they are only called in unusual ways


class ByObject:
    def __call__(self, video: str) -> str:
        return f"object {video}"

    def method(self, video: VideoTask) -> str:
        return f"method {video.accent}"

    class Inner:
        @staticmethod
        def process(url):  # type: ignore[no-untyped-def]
            return f"inner {url}"


an_object = ByObject()


def with_two(prefix: str, url: str) -> str:
    return f"{prefix} {url}"


partly = functools.partial(with_two, "partial")


def unannotated(whatever):  # type: ignore[no-untyped-def]
    return f"unannotated {whatever}"


def by_name(video_url, *, retries=3):  # type: ignore[no-untyped-def]
    return video_url


def optional(video: str | None) -> str:
    return f"optional {video}"


def unknown_to_the_interpreter(video: NotImported, extra: AlsoNot = 1) -> str:  # type: ignore[name-defined]  # noqa: F821
    return f"unknown {video}"


def named_str(video: str, other: NotImported = 1) -> str:  # type: ignore[name-defined]  # noqa: F821
    return f"str {video}"


async def asynchronous(url: str) -> str:
    return f"async {url}"


# -- targets of children.run


def counts(payload: Any, emit: child.Emit) -> dict[str, int]:
    for number in range(payload["to"]):
        emit(number)
    return {"counted": payload["to"]}


def asks(payload: Any, emit: child.Emit, wait: Callable[[], bytes]) -> str:
    """Ask until it is told to stop."""
    told = b""
    while not told.endswith(b"."):
        emit("and now?")
        told += wait() or b"gone."
    return told.decode()


def hangs(payload: Any, emit: child.Emit) -> None:
    emit({"hangs": True})
    time.sleep(HOURS)


def sends_much(payload: Any, emit: child.Emit) -> None:
    for _ in range(1000):
        emit("x" * 1000)
    Path(payload["finished"]).touch()


def measures(payload: Any, emit: child.Emit) -> int:
    return len(payload["text"])


def returns_too_much(payload: Any, emit: child.Emit) -> str:
    return "x" * child.MAX_MESSAGE_BYTES


def returns_an_object(payload: Any, emit: child.Emit) -> object:
    return object()


def emits_too_much(payload: Any, emit: child.Emit) -> None:
    emit("x" * child.MAX_MESSAGE_BYTES)


def fails_as_in_an_outage(payload: Any, emit: child.Emit) -> None:
    raise TransientError("The page needs to be reloaded.", reason="outage", systemic=True)


def refuses(payload: Any, emit: child.Emit) -> None:
    raise PermanentError("never", reason="moon")


def prints_and_dies(payload: Any, emit: child.Emit) -> None:
    for number in range(10_000):
        print("line", number)
    print("the last words")
    os._exit(1)


def answers_and_crashes(payload: Any, emit: child.Emit) -> str:
    atexit.register(ctypes.string_at, 0)
    return "the answer"


def resists(payload: Any, emit: child.Emit) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hangs(payload, emit)


def lives_on_as_a_daemon(payload: Any, emit: child.Emit) -> None:
    _daemon()
    hangs(payload, emit)


def starts_a_program(payload: Any, emit: child.Emit) -> None:
    _stubborn_child()
    hangs(payload, emit)


def tells_its_signals(payload: Any, emit: child.Emit) -> dict[str, str]:
    handlers = {"term": signal.getsignal(signal.SIGTERM), "int": signal.getsignal(signal.SIGINT)}
    names = {
        name: getattr(handler, "name", None) or getattr(handler, "__name__", "") for name, handler in handlers.items()
    }
    return names | {"stdin": sys.stdin.read()}


def where_modules_are(payload: Any, emit: child.Emit) -> dict[str, str]:
    """Return the file of each module, or "" where none is found."""
    specs = {name: importlib.util.find_spec(name) for name in payload["names"]}
    return {name: str(spec.origin) if spec else "" for name, spec in specs.items()}
