"""`make mutate`: what it changes in a running process, and which tests it believes to execute a statement."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tools.mutant_session import Mutant, apply, replacements, statement_lines

SOURCE = """\
LIMIT = 3

class Queue:
    size: int = 0

    def is_full(self, more=1):
        return any(
            self.size + more >= limit
            for limit in (LIMIT,)
        )

def outer():
    def inner():
        return 1
    return inner()
"""


def mutant(before: str, after: str) -> Mutant:
    assert SOURCE.count(before) == 1
    return Mutant("operator", SOURCE.replace(before, after), 1, "")


def test_a_mutant_of_a_function_is_put_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("sample", path)
    assert spec
    assert spec.loader
    sample = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sample)
    queue = sample.Queue()
    queue.size = 2
    assert queue.is_full()
    changed = replacements(path, mutant(">=", ">"))
    assert changed
    assert list(changed) == [("Queue.is_full", 6)]
    assert apply(Path(path.name), changed) == 1
    assert not queue.is_full(), "the object that was there before has the mistake too"
    nested = replacements(path, mutant("return 1", "return 2"))
    assert nested
    assert apply(Path(path.name), nested) == 1
    assert sample.outer() == 2


def test_a_mutant_of_a_constant_or_a_default_has_to_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(SOURCE)
    for before, after in (("LIMIT = 3", "LIMIT = 4"), ("size: int = 0", "size: int = 1"), ("more=1", "more=2")):
        assert replacements(path, mutant(before, after)) is None


def test_a_statement_has_all_its_lines_and_a_compound_one_only_its_header() -> None:
    lines = statement_lines(SOURCE)
    assert lines[8] == lines[9] == range(7, 11)
    assert lines[6] == range(6, 7)
    assert lines[14] == range(14, 15)
