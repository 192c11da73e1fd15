"""docs/figures.md: its figures and plots are those of docs/figures.json."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import ALL
from tools.docs import figures_page


def text() -> str:
    return figures_page.PAGE.read_text(encoding="utf-8")


def test_the_figures_of_the_page_are_those_that_were_measured() -> None:
    assert text() == figures_page.page(text()), "python -m tools.docs.figures_page"


def test_a_figure_that_was_changed_by_hand_is_put_back() -> None:
    changed = text().replace(figures_page.END, f"| faster than light | 1 |\n{figures_page.END}")
    assert figures_page.page(changed) == text()


@pytest.mark.parametrize("mark", [figures_page.BEGIN, figures_page.END])
def test_a_page_without_its_marks_is_refused(mark: str) -> None:
    with pytest.raises(ValueError, match="has no lines"):
        figures_page.page(text().replace(mark, ""))


@pytest.mark.parametrize("plot", figures_page.plots())
def test_a_plot_is_that_of_the_figures(plot: str) -> None:
    drawn = figures_page.path_of(plot).read_text(encoding="utf-8")
    assert drawn.endswith(f"{figures_page.fingerprint(figures_page.plots()[plot])}\n"), (
        "python -m tools.docs.figures_page"
    )


def test_every_plot_has_its_axes_and_no_old_one_is_left() -> None:
    assert figures_page.plots().keys() <= figures_page.AXES.keys()
    pattern = figures_page.path_of("*")
    assert set(pattern.parent.glob(pattern.name)) == set(map(figures_page.path_of, figures_page.plots()))


def test_every_benchmark_has_its_place_on_the_page() -> None:
    assert set(ALL) == set(figures_page.TITLES)
    assert figures_page.measured().keys() <= set(ALL)
