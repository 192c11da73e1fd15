"""docs/proof.md: its figures and plots are those of docs/figures.json, and what it says tests a promise is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import ALL
from tools.docs import proof_page as proof

ROOT = Path(__file__).parents[3]
PATH = re.compile(r"`((?:tests|benchmarks|tools|docs)/[\w./]+|\.ci/[\w-]+|[a-z_]+\.py)`")
COMMAND = re.compile(r"python -m ([\w.]*\w)")
TARGET = re.compile(r"(?:^|`)make (\w+)", re.MULTILINE)


def text() -> str:
    return proof.PAGE.read_text(encoding="utf-8")


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


def test_the_figures_of_the_page_are_those_that_were_measured() -> None:
    assert text() == proof.page(text()), "python -m tools.docs.proof_page"


def test_a_figure_that_was_changed_by_hand_is_put_back() -> None:
    changed = text().replace(proof.END, f"| faster than light | 1 |\n{proof.END}")
    assert proof.page(changed) == text()


@pytest.mark.parametrize("mark", [proof.BEGIN, proof.END])
def test_a_page_without_its_marks_is_refused(mark: str) -> None:
    with pytest.raises(ValueError, match="has no lines"):
        proof.page(text().replace(mark, ""))


@pytest.mark.parametrize("plot", proof.plots())
def test_a_plot_is_that_of_the_figures(plot: str) -> None:
    drawn = proof.path_of(plot).read_text(encoding="utf-8")
    assert drawn.endswith(f"{proof.fingerprint(proof.plots()[plot])}\n"), "python -m tools.docs.proof_page"


def test_every_plot_has_its_axes_and_no_old_one_is_left() -> None:
    assert proof.plots().keys() <= proof.AXES.keys()
    assert set(proof.path_of("*").parent.glob(proof.path_of("*").name)) == set(map(proof.path_of, proof.plots()))


def test_every_benchmark_has_its_place_on_the_page() -> None:
    assert set(ALL) == set(proof.TITLES)
    assert proof.measured().keys() <= set(ALL)


def test_every_test_and_command_that_the_page_names_is_there() -> None:
    assert list(missing(text())) == []


def test_a_test_that_is_not_there_is_found() -> None:
    page = "`tests/unit/test_pigs.py` `tests/contract` `flying.py`\npython -m tests.pigs run 3\nmake pigs\nmake bench"
    assert list(missing(page)) == ["tests/unit/test_pigs.py", "flying.py", "python -m tests.pigs", "make pigs"]


def test_every_promise_names_what_tests_it() -> None:
    table = text().partition("## What is promised")[2].partition("\n## ")[0]
    promises = re.findall(r"^\| (\(\d\).+?) \| (.+) \|$", table, re.MULTILINE)
    assert len(promises) == 7
    assert [promise for promise, by in promises if "the simulation" not in by and not PATH.search(by)] == []
