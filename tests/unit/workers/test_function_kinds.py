"""Every kind of function that a host may give to `process_next_task`: each is recorded as what it is."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.support.recorded import QUEUES, Processor, Recorded, attempt, coordinator_on, done, failed, is_recorded
from youtube_download_coordinator import (
    Coordinator,
    LaterError,
    PermanentError,
    ProcessorError,
    UserError,
    VideoTask,
)
from youtube_download_coordinator.models import Done, State


@pytest.fixture(scope="module", params=QUEUES)
def coordinator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    with coordinator_on(request.param, tmp_path_factory.mktemp("kinds")) as coordinator:
        yield coordinator


# --- what it returns -----------------------------------------------------------------------------------------------------


class Opaque:
    def __repr__(self) -> str:
        return "opaque"


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError("no text")


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


RESULTS: dict[str, tuple[Callable[[], Any], Recorded]] = {
    "None": (lambda: None, done()),
    "False": (lambda: False, done("false")),
    "0": (lambda: 0, done("0")),
    "text": (lambda: "whole", done("whole")),
    "a path": (lambda: Path("a/b"), done("a/b")),
    "bytes": (lambda: b"ab", done("b'ab'")),
    "a dict": (lambda: {"words": 3}, done('{"words":3}')),
    "NaN": (lambda: float("nan"), done("nan")),
    "what is not JSON": (Opaque, done("opaque")),
    "what cannot be pickled": (threading.Lock, done("<unlocked")),
    "what has no text": (Unprintable, done("<Unprintable>")),
    "a circle": (_circle, done("[[...]]")),
    "a deep list": (_deep, done("<list>")),
    "10 MB": (lambda: "x" * 10_000_000, done("xxxxxxxx")),
    "surrogates and NUL": (lambda: "a\udcffb\0c", done("a")),
    "a formula": (lambda: "=1+1", done("=1+1")),
    "an exception": (lambda: ValueError("returned"), done("returned")),
    "a generator": (lambda: (number for number in range(3)), Recorded(State.PENDING, "processor")),
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_it_returns(name: str, coordinator: Coordinator) -> None:
    make, recorded = RESULTS[name]
    assert is_recorded(attempt(coordinator, lambda url: make()), recorded)


LENGTHS: list[tuple[Any, int | None]] = [
    (59.6, 60),
    (0, 0),
    (Fraction(7, 2), 4),
    (True, None),
    ("60", None),
    (-1, None),
    (float("nan"), None),
    (float("inf"), None),
    (10**400, None),
    (2.0**40, None),
    ([60], None),
]


@pytest.mark.parametrize(("length", "kept"), LENGTHS)
def test_a_length_that_is_not_one_is_dropped(length: Any, kept: int | None, coordinator: Coordinator) -> None:
    row = attempt(coordinator, lambda url: Done(result="whole", media_seconds=length))
    assert is_recorded(row, done("whole"))
    assert row.duration_seconds == kept


REASONS: list[tuple[Any, str]] = [
    ("noisy, low-bit-rate", "noisy, low-bit-rate"),
    ("50 % noise (bad)\n, noisy,", "50 noise bad, noisy"),
    ("a\udcffb\0c, müde", "a b c, müde"),
    (["noisy", 3, "echo"], "noisy, echo"),
    ("noisy, " * 10_000, "noisy"),
    ("x" * 10_000_000, "x" * 100),
    ({"noisy"}, ""),
    (None, ""),
]


@pytest.mark.parametrize(("degraded", "kept"), REASONS)
def test_any_reasons_for_degraded_files_can_be_kept(degraded: Any, kept: str, coordinator: Coordinator) -> None:
    row = attempt(coordinator, lambda url: Done(result="whole", degraded=degraded, asked_youtube=degraded))
    assert row.lease.degraded == kept
    assert row.result == f"whole (degraded: {kept})" if kept else row.result == "whole"


# --- what it is ------------------------------------------------------------------------------------------------------------


class Callables:
    """A callable object with every way of calling."""

    def __call__(self, url: str) -> str:
        return "called"

    def method(self, task: VideoTask) -> str:
        return "method " * isinstance(task, VideoTask)

    @classmethod
    def of_class(cls, url: str) -> str:
        return "class"

    @staticmethod
    def static(url: str) -> str:
        return "static"

    async def asynchronous(self, url: str) -> str:
        await asyncio.sleep(0)
        return "awaited"


class AsyncProcessor:
    async def __call__(self, url: str) -> str:
        return "awaited"


def _decorated(function: Callable[[str], str]) -> Callable[..., str]:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> str:
        return f"decorated {function(*arguments, **options)}"

    return wrapper


def _with_default(url: str, language: str = "en") -> str:
    return language


def _generator(url: str) -> Iterator[str]:
    yield url


async def _async_generator(url: str) -> AsyncIterator[str]:
    yield url


CALLABLES: dict[str, tuple[Processor, Recorded]] = {
    "a lambda": (lambda url: "lambda", done("lambda")),
    "a class with __call__": (Callables(), done("called")),
    "a bound method": (Callables().method, done("method")),
    "a class method": (Callables.of_class, done("class")),
    "a static method": (Callables.static, done("static")),
    "a partial": (functools.partial(_with_default, language="de"), done("de")),
    "decorated": (_decorated(_with_default), done("decorated en")),
    "cached": (functools.lru_cache(_with_default), done("en")),
    "a builtin": (str.upper, done("HTTPS://")),
    "a class": (str, done("https://example.org/")),
    "a coroutine function": (Callables().asynchronous, done("awaited")),
    "an async __call__": (AsyncProcessor(), done("awaited")),
}


@pytest.mark.parametrize("name", CALLABLES)
def test_what_it_is(name: str, coordinator: Coordinator) -> None:
    function, recorded = CALLABLES[name]
    assert is_recorded(attempt(coordinator, function), recorded)


@pytest.mark.parametrize("function", [_generator, _async_generator])
def test_a_generator_function_is_refused_before_anything_is_claimed(
    function: Processor, coordinator: Coordinator
) -> None:
    assert attempt(coordinator, function, ProcessorError).lease.version == 0


# --- what it raises --------------------------------------------------------------------------------------------------------


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class OwnBase(BaseException):
    pass


def _recurse(url: str) -> str:
    return _recurse(url)


def _caused_by_itself() -> Exception:
    error = RuntimeError("circle")
    error.__cause__ = error
    return error


def _any(value: Any) -> Any:
    """Return the value as what a type checker did not look at."""
    return value


ERRORS: dict[str, tuple[Callable[[], BaseException], Recorded]] = {
    "RuntimeError": (lambda: RuntimeError("no"), failed()),
    "StopIteration": (lambda: StopIteration(3), failed()),
    "a group": (lambda: ExceptionGroup("several", [OSError(2, "no file"), ValueError("x")]), failed()),
    "one caused by itself": (_caused_by_itself, failed()),
    "one without a text": (Unreadable, failed()),
    "surrogates and NUL": (lambda: RuntimeError("a\udcffb\0c", b"\xff"), failed()),
    "10 MB": (lambda: RuntimeError("x" * 10_000_000), failed()),
    "a warning": (lambda: UserWarning("careful"), failed()),
    "TimeoutError": (lambda: TimeoutError("slow"), failed("timeout")),
    "MemoryError": (MemoryError, failed("memory")),
    "UserError": (lambda: UserError("wrong setting"), Recorded(State.PENDING, "processor")),
    "PermanentError": (lambda: PermanentError("never", reason="silent"), Recorded(State.DEAD, "silent", 1)),
    "LaterError": (lambda: LaterError("tomorrow", reason="early"), Recorded(State.PENDING, "early")),
    "a time in words": (lambda: LaterError("tomorrow", not_before=_any("noon")), Recorded(State.PENDING, "upcoming")),
    "a reason and regions that are numbers": (
        lambda: PermanentError("never", reason=_any(7), regions=_any([1, None]), systemic=_any({1})),
        Recorded(State.DEAD, "7", 1),
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_it_raises(name: str, coordinator: Coordinator) -> None:
    make, recorded = ERRORS[name]

    def fail(url: str) -> None:
        raise make()

    assert is_recorded(attempt(coordinator, fail), recorded)


def test_endless_recursion(coordinator: Coordinator) -> None:
    assert is_recorded(attempt(coordinator, _recurse), failed())


ENDINGS: dict[str, BaseException] = {
    "SystemExit": SystemExit("stop"),
    "sys.exit(0)": SystemExit(0),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "CancelledError": asyncio.CancelledError(),
    "GeneratorExit": GeneratorExit(),
    "its own BaseException": OwnBase("mine"),
    "a group with KeyboardInterrupt": BaseExceptionGroup("several", [KeyboardInterrupt()]),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_what_ends_its_program(name: str, coordinator: Coordinator) -> None:
    def end(url: str) -> None:
        raise ENDINGS[name]

    ending = type(ENDINGS[name])
    reason = "" if ending is KeyboardInterrupt else "interrupted"
    assert is_recorded(attempt(coordinator, end, ending), Recorded(State.PENDING, reason))
