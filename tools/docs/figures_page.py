"""Generate the figures of docs/figures.md from the results of `make bench` (docs/figures.json): tables and plots.

Run `python -m tools.docs.figures_page`. The tables are between two marks; the rest of the page is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tools.pictures.dark import with_dark

DOCS = Path(__file__).parents[2] / "docs"
MEASURED = DOCS / "figures.json"
PAGE = DOCS / "figures.md"
BEGIN = "<!-- what make bench measured: made by python -m tools.docs.figures_page, not by hand -->"
END = "<!-- the end of what make bench measured -->"
TITLES = {
    "claims": "Claims in a database",
    "lookups": "Queries of a large database",
    "large": "Ten million videos in PostgreSQL",
    "sheet": "A Google Sheet",
    "adoption": "A sheet that is already full",
    "spreadsheets": "More than one spreadsheet",
    "listing": "Listing",
    "child": "A process for each attempt",
    "audio": "The processor audio",
    "flow": "Prefect",
    "faults": "Bad videos, blocked machines and outages",
    "year": "A year of bad days",
    "manifest": "A corpus of a million videos",
    "purge": "Purging a channel from a corpus",
}
AXES = {
    "lookups": ("What finds its rows by an index", "rows in the table", "milliseconds", True),
    "whole": ("What reads the whole table", "rows in the table", "seconds", True),
    "claims": ("Videos claimed and done a second", "rows in the table", "videos a second", False),
    "workers": ("What a video costs on a sheet of 10,000 rows, with start and end", "workers", "requests, kB", True),
    "rows": ("What a sheet's size costs", "rows in the tab", "requests, kB, MB", True),
    "quota": ("What Google's quota carries", "workers", "videos a minute", False),
}
"""The plots: title, label of the logarithmic x axis, label of the y axis, and whether the y axis is logarithmic too."""

Benchmark = Mapping[str, Any]


def remember(name: str, benchmark: Benchmark) -> None:
    """Replace the stored results of a benchmark."""
    results = measured() if MEASURED.exists() else {}
    MEASURED.write_text(json.dumps({**results, name: benchmark}, indent=1) + "\n", encoding="utf-8")


def measured() -> dict[str, Benchmark]:
    results: dict[str, Benchmark] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return results


def write() -> None:
    """Update the page and its plots."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for name, lines in plots().items():
        draw(name, lines)


# -- the page


def page(text: str) -> str:
    """Return the page with the measured figures. Raises ValueError if a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE} has no lines {BEGIN} and {END}")
    return "\n".join([before + BEGIN, *_sections(), END + after])


def _sections() -> Iterator[str]:
    results = measured()
    for name, title in TITLES.items():
        if benchmark := results.get(name):
            yield from ("", f"### {title}", "", _circumstances(name, benchmark), "")
            yield from _table(benchmark["figures"])
            for plot in dict.fromkeys(figure["point"]["plot"] for figure in benchmark["figures"] if figure["point"]):
                yield from ("", f"![{AXES[plot][0]}, by {AXES[plot][1]}](images/{path_of(plot).name})")
    yield ""


def _circumstances(name: str, benchmark: Benchmark) -> str:
    return (
        f"`python -m benchmarks {name}` on {benchmark['measured']}: Python {benchmark['python']}, {benchmark['cores']} cores, "
        f"load {benchmark['load']} at the end, {benchmark['seconds']} s."
    )


def _table(figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| | figure | beside | ratio | bar |"
    yield "| --- | ---: | --- | ---: | --- |"
    for figure in figures:
        ratio = "" if figure["ratio"] is None else f"{figure['ratio']:.2f}"
        bar = figure["bar"] and f"{figure['bar']}: {'met' if figure['met'] else '**missed**'}"
        value = f"{figure['value']:,.2f}" if figure["value"] < 10 else f"{figure['value']:,.1f}"
        with_unit = f"{value} {figure['unit']}".rstrip()
        yield f"| {figure['what']} | {with_unit} | {figure['beside']} | {ratio} | {bar} |"


# -- the plots

Lines = dict[str, list[tuple[float, float]]]


def plots() -> dict[str, Lines]:
    """Return the points of each plot, by line."""
    lines_by_plot: dict[str, Lines] = {}
    for benchmark in measured().values():
        for figure in benchmark["figures"]:
            if point := figure["point"]:
                line = lines_by_plot.setdefault(point["plot"], {}).setdefault(point["line"], [])
                line.append((point["x"], figure["value"]))
    return lines_by_plot


def path_of(plot: str) -> Path:
    return DOCS / "images" / f"bench-{plot}.svg"


def fingerprint(lines: Lines) -> str:
    """Return a comment that identifies the points of a plot."""
    return f"<!-- drawn from {sha256(json.dumps(lines).encode()).hexdigest()} -->"


def draw(name: str, lines: Lines) -> None:
    """Write a plot as SVG. Needs matplotlib: the dependency group `bench`."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 3.6), layout="constrained")
    for label, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    _label(axes, *AXES[name], {x for points in lines.values() for x, _ in points})
    path = path_of(name)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    path.write_text(f"{with_dark(path.read_text(encoding='utf-8'))}{fingerprint(lines)}\n", encoding="utf-8")


def _label(axes: Any, title: str, x_label: str, y_label: str, is_log: bool, ticks: set[float]) -> None:
    axes.set(
        title=title, xlabel=x_label, ylabel=y_label, xscale="log", **({"yscale": "log"} if is_log else {"ylim": 0})
    )
    axes.set_xticks(sorted(ticks))
    axes.minorticks_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.10g}")
    axes.legend()
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    write()
