"""Make small mistakes in the rules of the queue with cosmic-ray, and check that a test notices each: `make mutate`.

No file is changed. A mutant inside a function replaces the function in a forked process, and the tests that execute its
statement run until one fails (mutant_session.py). Other mutants, of constants, defaults and decorators, are imported in a
forked process, where the first files of its tests run until one fails. mutate_survivors.md judges those that no test notices.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, settings

from tools.mutant_session import Key, Mutant, Session, Verdict, replacements

PACKAGE = Path("youtube_download_coordinator")


class Tests(NamedTuple):
    """The tests that have to notice a mistake: files or folders, the quickest first, and a selection (`-k`)."""

    targets: Sequence[str]
    selection: str = ""


# The rules are the same on every store. The contract in memory notices the same mistakes, in seconds.
IN_MEMORY, ON_A_SHEET = "not sqlite-file and not sheets and not postgresql", "not sqlite and not postgresql"
UNIT, CONTRACT = "tests/unit", "tests/contract"
WORKERS = [
    f"{UNIT}/workers/test_{each}.py"
    for each in ("worker", "worker_admission", "claim_block", "idle_slots", "expansion", "lost_access", "wait_log")
]
TESTS: dict[str, Tests] = {
    "workers/attempts.py": Tests([*WORKERS, f"{UNIT}/test_client.py"]),
    "queue/admission.py": Tests(
        [f"{UNIT}/queue", *WORKERS[:4], f"{UNIT}/workers/test_request_canary.py", f"{CONTRACT}/test_suspicion.py"],
        IN_MEMORY,
    ),
    "queue/queue.py": Tests(
        [
            *(
                f"{CONTRACT}/test_{each}.py"
                for each in ("queue", "controls", "asking", "forks", "needs", "priority", "tombstones")
            ),
            f"{CONTRACT}/test_suspicion.py",
            f"{CONTRACT}/test_lost_commit.py",
            f"{UNIT}/queue",
            *WORKERS[:2],
        ],
        IN_MEMORY,
    ),
    "queue/lifecycle.py": Tests(
        [
            f"{UNIT}/queue/test_lifecycle.py",
            f"{UNIT}/queue/test_lifecycle_details.py",
            f"{UNIT}/queue",
            *(f"{CONTRACT}/test_{each}.py" for each in ("queue", "controls", "asking", "forks", "needs", "suspicion")),
        ],
        IN_MEMORY,
    ),
    "stores/sheets/compare_and_swap.py": Tests(
        [
            f"{CONTRACT}/test_store.py",
            f"{UNIT}/stores/test_sheet_tabs.py",
            f"{UNIT}/stores/test_guarantees.py",
            *(
                f"{UNIT}/stores/test_{each}.py"
                for each in (
                    "sheet_people",
                    "sheet_left_behind",
                    "lease_versions",
                    "interrupted_load",
                    "full_sheet",
                    "sheet_costs",
                )
            ),
            f"{CONTRACT}/test_lost_commit.py",
        ],
        ON_A_SHEET,
    ),
}
OPERATORS = re.compile(
    r"core/(ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Is_IsNot|IsNot_Is)"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|Pow_Mul)|ReplaceUnaryOperator_(USub_UAdd|Delete_Not)"
    r"|ReplaceAndWithOr|ReplaceOrWithAnd|AddNot|ReplaceTrueWithFalse|ReplaceFalseWithTrue|NumberReplacer"
    r"|ReplaceBreakWithContinue|ReplaceContinueWithBreak|ZeroIterationForLoop)"
)
"""One replacement of each kind: `<` becomes only `<=`, because the same tests notice the other seven."""
NOT_A_RULE = re.compile(r"^(@dataclass\(|R = TypeVar\()|^\s*log\.")
"""Lines without a rule: nothing assigns to a frozen row or hands over fields by position, and mypy forbids both; and log
lines."""
NOT_BEFORE_WALRUS = re.compile(r"\b(if|while) not (\w+ := .*):( *#.*)?$", re.MULTILINE)
"""cosmic-ray's mutant of `if x := y:` is invalid without these parentheses."""
TIMEOUT_FACTOR, SHORTEST_TIMEOUT_SECONDS = 5.0, 60.0
"""A mutant that runs this much longer than the original counts as an endless loop, and is noticed."""
IMPORTED_ONCE = (
    "hypothesis.stateful",
    "sqlalchemy",
    "gspread",
    "google.oauth2.service_account",
    "requests",
    "pydantic_settings",
)
"""Modules that nearly every mutant needs and no mutant changes."""
FILES_FOR_IMPORTED = 3
"""The number of test files that are tried on an imported mutant, because collecting them takes long."""
PROFILE = "mutate"
"""The phases of Hypothesis. One failure is enough; it need not be simplified."""


class MutantFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """An importer that loads a mutant instead of its module."""

    def __init__(self, path: Path, source: str) -> None:
        self._path, self._source = path, source
        self._name = ".".join(path.with_suffix("").parts)

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self._path, loader=self) if name == self._name else None

    def create_module(self, _: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, str(self._path), "exec"), vars(module))


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a module by OPERATORS."""
    plugins: Any = importlib.import_module("cosmic_ray.plugins")
    mutating: Any = importlib.import_module("cosmic_ray.mutating")
    source = path.read_text()
    for name in filter(OPERATORS.fullmatch, sorted(plugins.operator_names())):
        operator, occurrence = plugins.get_operator(name)(), 0
        while (mutated := mutating.mutate_code(source, operator, occurrence)) is not None:
            occurrence += 1
            mutated = NOT_BEFORE_WALRUS.sub(r"\1 not (\2):\3", mutated)
            number, before, after = _changed_line(source, mutated)
            length_is_not_checked = "strict=False" in after  # the two lists have the same length by construction
            if not NOT_A_RULE.match(before) and not length_is_not_checked:
                diff = f"line {number}: {before.strip()} -> {after.strip()}"
                yield Mutant(name.removeprefix("core/"), mutated, number, diff)


def _changed_line(before: str, after: str) -> tuple[int, str, str]:
    """Return the number of the first line that differs, and it before and after."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return next((number, old, new) for number, (old, new) in enumerate(pairs, 1) if old != new)


def pytest_options(tests: Tests) -> list[str]:
    already_imported = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow", f"--hypothesis-profile={PROFILE}"]
    return [*options, *already_imported, "-k", tests.selection]


def is_noticed(path: Path, source: str, tests: Tests, timeout_seconds: float | None) -> bool:
    """Run the tests of a module on a mutant of it. Return whether one failed, or ran for too long."""
    process = multiprocessing.get_context("fork").Process(target=_run_tests, args=(path, source, tests))
    process.start()
    process.join(timeout_seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode != 0


def _run_tests(path: Path, source: str, tests: Tests) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.meta_path.insert(0, MutantFinder(path, source))
    options = ["-x", *pytest_options(tests)]
    for target in tests.targets:  # one by one: if the first notices it, the others need not be collected
        if pytest.main([*options, target]) not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            os._exit(1)
    os._exit(0)


def verdicts(
    name: str, tests: Tests, lines: range | None, most_tests: int | None, only: str | None
) -> Iterator[Verdict]:
    """Run the tests of a module on each of its mutants, or on those of some lines."""
    path = PACKAGE / name
    inside: list[tuple[Mutant, dict[Key, CodeType]]] = []
    outside: list[Mutant] = []
    for mutant in sorted(mutants(path), key=lambda mutant: mutant.line):
        if lines is not None and mutant.line not in lines:
            continue
        if changed := replacements(path, mutant):
            inside.append((mutant, changed))
        else:
            outside.append(mutant)
    if inside and only != "imported":
        yield from _in_a_session(path, tests, inside, most_tests)
    if not outside or only == "functions":
        return
    began, tests = time.monotonic(), tests._replace(targets=tests.targets[:FILES_FOR_IMPORTED])
    if is_noticed(path, path.read_text(), tests, None):
        sys.exit(f"{name}: its tests fail without a mistake")
    timeout_seconds = max(SHORTEST_TIMEOUT_SECONDS, TIMEOUT_FACTOR * (time.monotonic() - began))
    for mutant in outside:
        noticed = is_noticed(path, mutant.source, tests, timeout_seconds)
        print(f"{path} {mutant.diff}  ({mutant.operator}): {'noticed' if noticed else 'SURVIVED'}", file=sys.stderr)
        yield Verdict(mutant, "the tests of the module" if noticed else "", 0, 0)


def _in_a_session(
    path: Path, tests: Tests, inside: list[tuple[Mutant, dict[Key, CodeType]]], most_tests: int | None
) -> list[Verdict]:
    """Run the mutants of functions in a forked process with a pytest session, where all tests are collected once."""
    receiving, sending = multiprocessing.get_context("fork").Pipe(duplex=False)

    def run() -> None:
        session = Session(path, inside, most_tests)
        code = pytest.main([*pytest_options(tests), "--capture=sys", *tests.targets], plugins=[session])
        sending.send((session.verdicts, session.left_out, int(code)))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    sending.close()
    results, left_out, code = receiving.recv()
    process.join()
    for test in left_out:
        print(f"left out, because it fails without a mistake: {test}", flush=True)
    if len(results) != len(inside):
        sys.exit(f"{path}: pytest ended with {code} after {len(results)} of {len(inside)} mutants")
    return list(results)


def main() -> int:
    """Make the mutants of the given modules, and print those that no test notices. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TESTS)}; default: all")
    parser.add_argument("--tests", nargs="*", help="run these tests instead of the module's")
    parser.add_argument("--lines", help="only the mutants of these lines: 120, or 120-250")
    parser.add_argument("--most-tests", type=int, help="the most tests to try of those that execute a statement")
    parser.add_argument(
        "--only", choices=["functions", "imported"], help="only mutants in functions, or only imported mutants"
    )
    options = parser.parse_args()
    first, _, last = (options.lines or "").partition("-")
    lines = range(int(first), int(last or first) + 1) if first else None
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    settings.register_profile(
        PROFILE, phases=[Phase.explicit, Phase.generate], deadline=None, database=None, derandomize=True
    )
    survived = 0
    for name in options.modules or TESTS:
        began = time.monotonic()
        results = list(
            verdicts(
                name,
                TESTS[name]._replace(targets=options.tests) if options.tests else TESTS[name],
                lines,
                options.most_tests,
                options.only,
            )
        )
        survivors = [each.mutant for each in results if not each.by]
        for mutant in survivors:
            print(f"{name} {mutant.diff}  ({mutant.operator})", flush=True)
        looped = sum(each.timed_out for each in results)
        print(
            f"{name}: {len(results)} mutants, {len(survivors)} survived, {looped} looped, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        survived += len(survivors)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
