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
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

PACKAGE = Path("youtube_download_coordinator")
QUEUE_TESTS = ("tests/unit/queue", "tests/contract/test_queue.py")
TESTS: dict[str, tuple[str, ...]] = {
    "queue/lifecycle.py": ("tests/unit/queue/test_lifecycle.py", *QUEUE_TESTS),
    "queue/queue.py": (*QUEUE_TESTS, "tests/unit/workers/test_worker.py"),
    "queue/admission.py": ("tests/unit/queue", "tests/unit/workers/test_worker_admission.py"),
    "workers/attempts.py": ("tests/unit/workers/test_worker.py", "tests/unit/workers/test_claim_block.py"),
    "stores/sheets/compare_and_swap.py": ("tests/contract/test_store.py", "tests/unit/stores/test_sheet_people.py"),
}
"""The modules, and the tests that have to notice, the quickest first."""
OPERATORS = re.compile(
    r"core/(ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Is_IsNot|IsNot_Is)"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|Pow_Mul)|ReplaceUnaryOperator_(USub_UAdd|Delete_Not)"
    r"|ReplaceAndWithOr|ReplaceOrWithAnd|AddNot|ReplaceTrueWithFalse|ReplaceFalseWithTrue|NumberReplacer"
    r"|ReplaceBreakWithContinue|ReplaceContinueWithBreak|ZeroIterationForLoop)"
)
"""One replacement of each kind: `<` becomes `<=`, and not seven other things that the same tests notice."""
TIMEOUT_SECONDS = 300.0
"""A mutant that runs longer loops, and is noticed."""


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
            yield Mutant(name.removeprefix("core/"), mutated, _diff(source, mutated))
            occurrence += 1


def _diff(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
    position = next((line.split()[1].lstrip("-") for line in lines if line.startswith("@@")), "?")
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    return f"line {position}: " + " -> ".join(line[1:].strip() for line in changed)


def is_noticed(path: Path, mutant: Mutant, tests: Sequence[str]) -> bool:
    """Run the tests of a module on a mutant of it. Return whether one failed."""
    process = multiprocessing.get_context("fork").Process(target=_run_tests, args=(path, mutant.source, tests))
    process.start()
    process.join(TIMEOUT_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode != 0


def _run_tests(path: Path, source: str, tests: Sequence[str]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.meta_path.insert(0, MutantFinder(path, source))
    already_imported = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow", *already_imported]
    os._exit(int(pytest.main([*options, *tests])))


def main() -> int:
    """Make the mutants of the given modules and print those that no test notices. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TESTS)}; all unless given")
    parser.add_argument("--tests", nargs="*", help="these tests in place of the module's")
    options = parser.parse_args()
    importlib.import_module("hypothesis")  # what every mutant needs is imported once
    importlib.import_module("sqlalchemy")
    survivors = 0
    for name in options.modules or TESTS:
        path, count, survived, tests = PACKAGE / name, 0, 0, options.tests or TESTS[name]
        if is_noticed(path, Mutant("", path.read_text(), ""), tests):
            sys.exit(f"{name}: its tests fail without any mistake")
        for mutant in mutants(path):
            count += 1
            if not is_noticed(path, mutant, tests):
                survived += 1
                print(f"{name} {mutant.diff}  ({mutant.operator})", flush=True)
        print(f"{name}: {count} mutants, {survived} survived", flush=True)
        survivors += survived
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
