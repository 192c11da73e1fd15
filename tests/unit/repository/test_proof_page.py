"""docs/proof.md and its history: the tests, files and commands that they name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = tuple(ROOT / "docs" / name for name in ("proof.md", "proof-history.md", "figures.md"))
PATH = re.compile(r"`((?:tests|benchmarks|tools|docs)/[\w./]+|\.ci/[\w-]+|[a-z_]+\.py)`")
COMMAND = re.compile(r"python -m ([\w.]*\w)")
TARGET = re.compile(r"(?:^|`)make (\w+)", re.MULTILINE)


def missing(page: str) -> Iterator[str]:
    """Yield what the page names but the repository lacks: files, modules that are commands, targets of make."""
    simulation = {path.name for path in ROOT.glob("tests/simulation/*.py")}
    library = {path.name for path in ROOT.glob("youtube_download_coordinator/*.py")}
    for name in PATH.findall(page):
        if not (ROOT / name).exists() and name not in simulation | library:
            yield name
    for module in COMMAND.findall(page):
        path = ROOT / module.replace(".", "/")
        if not path.with_suffix(".py").exists() and not (path / "__main__.py").exists():
            yield f"python -m {module}"
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    yield from (f"make {name}" for name in TARGET.findall(page) if name not in targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_and_command_that_the_page_names_is_there(page: Path) -> None:
    assert list(missing(page.read_text(encoding="utf-8"))) == []


def test_a_test_that_is_not_there_is_found() -> None:
    page = "`tests/unit/test_pigs.py` `tests/contract` `flying.py`\npython -m tests.pigs run 3\nmake pigs\nmake bench"
    assert list(missing(page)) == ["tests/unit/test_pigs.py", "flying.py", "python -m tests.pigs", "make pigs"]


def test_every_promise_names_what_tests_it() -> None:
    table = PAGES[0].read_text(encoding="utf-8").partition("## What is promised")[2].partition("\n## ")[0]
    promises = re.findall(r"^\| (\(\d\).+?) \| (.+) \|$", table, re.MULTILINE)
    assert len(promises) == 8
    assert [promise for promise, by in promises if "the simulation" not in by and not PATH.search(by)] == []
