"""Collect tests once and run them on many mutants, each in a forked process in which functions get the mutant's code.

A mutant is tested only by tests that execute its statement. They are determined by tracing one run of all tests on the original
module. The tests that noticed the last mutants run first, then the quickest ones.
"""

from __future__ import annotations

import ast
import gc
import os
import pickle
import select
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

import pytest

SHORTEST_TIMEOUT_SECONDS, TIMEOUT_FACTOR = 4.0, 10.0
"""A test that takes this much longer than on the original module counts as an endless loop, so the mutant is noticed."""
KILLERS_FIRST = 12
PASSED, FAILED = 0, 1
ENDED = 2**32 - 1
"""The last message of a forked process, instead of the number of a test."""

Key = tuple[str, int]
"""The qualified name of a function and its first line."""


class Mutant(NamedTuple):
    """A mistake in a module."""

    operator: str
    source: str
    line: int
    diff: str
    """The changed line, before and after."""


class Verdict(NamedTuple):
    """The result of the tests for a mutant. `by` is the test that noticed it, or "" if none did."""

    mutant: Mutant
    by: str
    tests: int
    """The number of tests to try."""
    covering: int
    """The number of tests that execute the statement."""
    timed_out: bool = False


class Baseline(NamedTuple):
    """A test on the original module: its duration, and the lines of the module that it executes."""

    passed: bool
    seconds: float
    lines: frozenset[int]


def replacements(path: Path, mutant: Mutant) -> dict[Key, CodeType] | None:
    """Return the changed functions of a mutant, or None if anything outside the bodies of functions differs."""
    before, after = (compile(source, str(path), "exec") for source in (path.read_text(), mutant.source))
    changed: dict[Key, CodeType] = {}
    return changed if _compare(before, after, changed) and changed else None


def _compare(before: CodeType, after: CodeType, changed: dict[Key, CodeType]) -> bool:
    """Collect the functions in which a module or class differs. Return False if it differs outside of functions."""
    if not _is_same(before, after):
        return False
    for old, new in zip(_inner(before), _inner(after), strict=True):
        is_function = bool(old.co_flags & 0x02)  # CO_NEWLOCALS: not a class
        if is_function and not _is_same_throughout(old, new):
            changed[old.co_qualname, old.co_firstlineno] = new
        elif not is_function and not _compare(old, new, changed):
            return False
    return True


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _is_same(before: CodeType, after: CodeType) -> bool:
    """Compare bytecode, names and constants, but not lines, columns and the code of inner functions."""

    def visible(code: CodeType) -> tuple[object, ...]:
        constants = [None if isinstance(each, CodeType) else (type(each), each) for each in code.co_consts]
        return code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, repr(constants)

    return visible(before) == visible(after)


def _is_same_throughout(before: CodeType, after: CodeType) -> bool:
    inner = zip(_inner(before), _inner(after), strict=False)
    return _is_same(before, after) and all(_is_same_throughout(old, new) for old, new in inner)


def apply(path: Path, changed: dict[Key, CodeType]) -> int:
    """Give every function of the module in this process the mutant's code. Return the number of changed functions."""
    functions = [
        each
        for each in gc.get_objects()
        if isinstance(each, FunctionType) and each.__code__.co_filename.endswith(f"/{path}")
    ]
    count = 0
    for function in functions:
        code = changed.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
        if code is not None:
            function.__code__ = code
            count += 1
    return count


def statement_lines(source: str) -> dict[int, range]:
    """Return the lines of the innermost statement of each line, without the body of a compound statement."""
    lines: dict[int, range] = {}
    statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.stmt, ast.ExceptHandler))]
    for node in sorted(statements, key=lambda node: (node.lineno, -(node.end_lineno or 0))):
        body = getattr(node, "body", None)
        end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
        for line in range(node.lineno, max(end, node.lineno + 1)):
            lines[line] = range(node.lineno, max(end, node.lineno + 1))
    return lines


class Session:
    """A pytest plugin that runs mutants instead of the tests, each in a fork of this process."""

    def __init__(
        self, path: Path, mutants: Sequence[tuple[Mutant, dict[Key, CodeType]]], most_tests: int | None = None
    ) -> None:
        self._path, self._mutants, self._most_tests = path, mutants, most_tests
        self.verdicts: list[Verdict] = []
        self.left_out: list[str] = []
        """Tests that fail on the original module."""
        self._killers: deque[int] = deque(maxlen=KILLERS_FIRST)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        baselines = self._baselines(session)
        self.left_out = [session.items[number].nodeid for number, each in baselines.items() if not each.passed]
        statements = statement_lines(self._path.read_text())
        for mutant, changed in self._mutants:
            statement = set(statements.get(mutant.line, range(mutant.line, mutant.line + 1)))
            covering = [number for number, each in baselines.items() if each.passed and each.lines & statement]
            ordered = sorted(covering, key=lambda number: (self._rank(number), baselines[number].seconds))
            ordered = ordered[: self._most_tests]
            limits = [max(SHORTEST_TIMEOUT_SECONDS, TIMEOUT_FACTOR * baselines[number].seconds) for number in ordered]
            items = [session.items[number] for number in ordered]
            last, timed_out = _in_fork(partial(self._attempt, session, changed, items), limits)
            if last is not None:
                self._remember(ordered[last], timed_out)
            by = "" if last is None else items[last].nodeid
            self._report(Verdict(mutant, by, len(items), len(covering), timed_out))
        return True

    def _remember(self, killer: int, timed_out: bool) -> None:
        """Remember the test that noticed a mutant, to try it first. If it looped, other tests may notice the next one sooner."""
        if killer in self._killers:
            self._killers.remove(killer)
        if not timed_out:
            self._killers.append(killer)
        elif len(self._killers) < KILLERS_FIRST:
            self._killers.appendleft(killer)

    def _rank(self, number: int) -> int:
        """Return a test's rank by how long ago it noticed a mutant. The latest test has the smallest rank."""
        return -1 - self._killers.index(number) if number in self._killers else 0

    def _report(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        mutant = verdict.mutant
        noticed = f"noticed by {verdict.by}{' (it looped)' if verdict.timed_out else ''}" if verdict.by else "SURVIVED"
        message = f"{self._path} {mutant.diff}  ({mutant.operator}): {noticed}, {verdict.tests} of {verdict.covering}\n"
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, message.encode())

    def _attempt(
        self,
        session: pytest.Session,
        changed: dict[Key, CodeType],
        items: Sequence[pytest.Item],
        tell: Callable[[int], None],
    ) -> int:
        if not apply(self._path, changed):
            raise SystemExit(f"{self._path}: no function has the code of {list(changed)}")
        for number, item in enumerate(items):
            tell(number)
            following = items[number + 1] if number + 1 < len(items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return FAILED
        return PASSED

    def _baselines(self, session: pytest.Session) -> dict[int, Baseline]:
        """Run every test on the original module, in a forked process, and trace the lines that each executes."""
        with tempfile.NamedTemporaryFile() as file:

            def trace_all(_: Callable[[int], None]) -> int:
                found = dict(self._trace(session))
                Path(file.name).write_bytes(pickle.dumps(found))
                return PASSED

            _in_fork(trace_all, None)
            return dict(pickle.loads(Path(file.name).read_bytes()))

    def _trace(self, session: pytest.Session) -> Iterator[tuple[int, Baseline]]:
        ending = f"/{self._path}"
        lines: set[int] = set()

        def trace(frame: FrameType, event: str, _: object) -> Any:
            if not frame.f_code.co_filename.endswith(ending):
                return None
            lines.add(frame.f_lineno)
            return trace

        for number, item in enumerate(session.items):
            following = session.items[number + 1] if number + 1 < len(session.items) else None
            failed, began = session.testsfailed, time.monotonic()
            lines.clear()
            threading.settrace(trace)
            sys.settrace(trace)
            try:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            finally:
                sys.settrace(None)
                threading.settrace(None)
            yield number, Baseline(session.testsfailed == failed, time.monotonic() - began, frozenset(lines))


def _in_fork(work: Callable[[Callable[[int], None]], int], limits: Sequence[float] | None) -> tuple[int | None, bool]:
    """Run `work` in a forked process. Return the last number it sent, or None if it passed, and whether it looped."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.set_inheritable(writing, False)
        code = FAILED
        try:
            code = work(lambda number: _tell(writing, number))
        finally:
            _tell(writing, ENDED)  # a process that a test left behind may keep the pipe open
            os._exit(code)
    os.close(writing)
    try:
        return _follow(process, reading, limits)
    finally:
        os.close(reading)


def _tell(descriptor: int, number: int) -> None:
    os.write(descriptor, number.to_bytes(4, "big"))


def _follow(process: int, reading: int, limits: Sequence[float] | None) -> tuple[int | None, bool]:
    last = 0
    while True:
        ready, _, _ = select.select([reading], [], [], limits[last] if limits else None)
        message = os.read(reading, 4) if ready else b""
        if not message or int.from_bytes(message, "big") == ENDED:
            break
        last = int.from_bytes(message, "big")
    if not ready:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    _end_group(process)
    if not ready:
        return last, True
    return (None, False) if os.waitstatus_to_exitcode(status) == PASSED else (last, False)


def _end_group(process: int) -> None:
    """Kill the processes that a test left behind, which are in the group of the forked process."""
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
