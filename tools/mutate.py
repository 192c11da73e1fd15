"""`make mutate`: small mistakes in the rules of the queue, made by cosmic-ray, each of which a test has to notice.

No file is changed: each mutant is imported in a forked process, where the tests of its module run until one fails.
"""

from __future__ import annotations

import argparse
import difflib
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
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, settings

PACKAGE = Path("youtube_download_coordinator")


class Tests(NamedTuple):
    """Tests that have to notice a mistake: files or folders, the quickest first, and what of them is selected (`-k`)."""

    targets: Sequence[str]
    selection: str = ""


# The rules are the same on every store: the contract in memory notices what the others would, and takes seconds.
IN_MEMORY, ON_A_SHEET = "not sqlite-file and not sheets and not postgresql", "not sqlite and not postgresql"
TESTS: dict[str, Tests] = {
    "queue/lifecycle.py": Tests(
        ["tests/unit/queue/test_lifecycle.py", "tests/unit/queue", "tests/contract/test_queue.py"], IN_MEMORY
    ),
    "queue/queue.py": Tests(
        ["tests/contract/test_queue.py", "tests/unit/queue", "tests/unit/workers/test_worker.py"], IN_MEMORY
    ),
    "queue/admission.py": Tests(
        ["tests/unit/queue/test_admission.py", "tests/unit/queue", "tests/unit/workers/test_worker_admission.py"]
    ),
    "workers/attempts.py": Tests(
        [f"tests/unit/workers/test_{each}.py" for each in ("worker", "claim_block", "worker_admission", "idle_slots")]
    ),
    "stores/sheets/compare_and_swap.py": Tests(
        [
            "tests/contract/test_store.py",
            *(f"tests/unit/stores/test_sheet_{each}.py" for each in ("people", "left_behind")),
            "tests/contract/test_queue.py",
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
"""One replacement of each kind: `<` becomes `<=`, and not seven other things that the same tests notice."""
NOT_A_RULE = re.compile(r"^(@dataclass\(|R = TypeVar\()")
"""Lines whose mutants mean the same: nothing assigns to a frozen row or hands over fields by position, and mypy forbids both."""
TIMEOUT_FACTOR, SHORTEST_TIMEOUT_SECONDS = 5.0, 60.0
"""A mutant that runs so much longer than the module itself loops, and is noticed."""
IMPORTED_ONCE = (
    "hypothesis.stateful",
    "sqlalchemy",
    "gspread",
    "google.oauth2.service_account",
    "requests",
    "pydantic_settings",
)
"""What nearly every mutant needs and no mutant changes."""
PROFILE = "mutate"
"""Of Hypothesis: one failure is enough, it need not be made simple."""


class Mutant(NamedTuple):
    """One mistake in a module."""

    operator: str
    source: str
    diff: str
    """The changed line, before and after."""


class MutantFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a mutant in place of its module."""

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
            if not any(NOT_A_RULE.match(line) for line in _changed_lines(source, mutated)):
                yield Mutant(name.removeprefix("core/"), mutated, _diff(source, mutated))


def _changed_lines(before: str, after: str) -> list[str]:
    return [line for line, other in zip(before.splitlines(), after.splitlines(), strict=False) if line != other][:1]


def _diff(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
    position = next((line.split()[1].lstrip("-") for line in lines if line.startswith("@@")), "?")
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    return f"line {position}: " + " -> ".join(line[1:].strip() for line in changed)


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
    already_imported = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow", f"--hypothesis-profile={PROFILE}"]
    options += [*already_imported, "-k", tests.selection]
    for target in tests.targets:  # one by one: what the first notices need not collect the others
        if pytest.main([*options, target]) not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            os._exit(1)
    os._exit(0)


def survivors(name: str, tests: Tests) -> Iterator[Mutant]:
    """Yield the mutants of a module that no test notices. Exits with a message if the tests fail on the module itself."""
    path = PACKAGE / name
    began = time.monotonic()
    if is_noticed(path, path.read_text(), tests, None):
        sys.exit(f"{name}: its tests fail without any mistake")
    timeout_seconds = max(SHORTEST_TIMEOUT_SECONDS, TIMEOUT_FACTOR * (time.monotonic() - began))
    all_mutants = list(mutants(path))
    for mutant in all_mutants:
        if not is_noticed(path, mutant.source, tests, timeout_seconds):
            yield mutant
    print(f"{name}: {len(all_mutants)} mutants, {time.monotonic() - began:.0f} s", flush=True)


def main() -> int:
    """Make the mutants of the given modules and print those that no test notices. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TESTS)}; all unless given")
    parser.add_argument("--tests", nargs="*", help="these tests in place of the module's")
    options = parser.parse_args()
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    settings.register_profile(PROFILE, phases=[Phase.explicit, Phase.generate], deadline=None, database=None)
    survived = 0
    for name in options.modules or TESTS:
        for mutant in survivors(name, Tests(options.tests) if options.tests else TESTS[name]):
            survived += 1
            print(f"{name} {mutant.diff}  ({mutant.operator})", flush=True)
    print(f"{survived} survived", flush=True)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
