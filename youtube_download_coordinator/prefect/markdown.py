"""Markdown pages. Text from YouTube and from the queue is shown literally: it becomes neither a link nor HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.status_page import Page
from youtube_download_coordinator.text import literal_markdown, truncate
from youtube_download_coordinator.workers.worker import Summary

TEXT_MAX_CHARACTERS = 120
TITLE_MAX_CHARACTERS = 60
LAST_ATTEMPTS = 20
"""The most attempts on the page of a run. The run's table has all of them."""
JOINER = "\N{WORD JOINER}"
_LINK_OR_TAG = re.compile(r"<|\](?=[(\[:])|:(?=//)|www(?=\.)|@|(?:mailto|xmpp|tel|javascript|data):", re.IGNORECASE)


def plain(text: object) -> str:
    """Return one line of Markdown that shows the text literally."""
    return literal_markdown(str(text), TEXT_MAX_CHARACTERS)


def inert(text: str) -> str:
    """Return text for a table artifact or a description, which Prefect's older UI renders as Markdown, the newer one as text.

    It looks the same in both. An invisible joiner prevents links and HTML, even if a renderer links every address.
    """
    return _LINK_OR_TAG.sub(f"\\g<0>{JOINER}", text)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of literal texts, or nothing without rows."""
    lines = ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *lines]) + "\n" if lines else ""


def link_to_sheet(url: str | None) -> str:
    return f"[The sheet]({url})\n" if url else ""


def below(output_dir: Path | str, text: str) -> str:
    """Return a text without the output folder at its start. The text may be the path of a result."""
    text = text.removeprefix(f"{output_dir}/")
    return text.removeprefix(f"{output_dir.absolute()}/") if isinstance(output_dir, Path) else text


def videos_in_markdown(summary: Summary, about: str, seconds: float, config: Config) -> str:
    """Return a page about a worker's results so far: the counts, the rate, and the last attempts."""
    rate = f", {summary.attempted / seconds * 60:.1f} videos a minute" if seconds else ""
    last = list(summary.attempts)[-LAST_ATTEMPTS:]
    rows = [
        (
            attempt.result,
            truncate(attempt.task.name, TITLE_MAX_CHARACTERS),
            f"{attempt.seconds:.1f}",
            below(config.output_dir, attempt.detail),
        )
        for attempt in reversed(last)
    ]
    parts = [
        f"# {plain(summary)}\n",
        f"{plain(about)}{rate}. Files are below {plain(config.output_dir)}.\n",
        link_to_sheet(config.spreadsheet_url),
        f"## The last {len(rows)} attempts\n",
        table(("Outcome", "Video", "Seconds", "Result or error"), rows),
    ]
    return "\n".join(part for part in parts if part)


def page_in_markdown(page: Page, sheet_url: str | None) -> str:
    """Return a report as a page. It lists the days on which videos were done, the last one first."""
    parts = [f"# The queue, {plain(page.at)}\n", link_to_sheet(sheet_url)]
    for section in (section.without_empty() for section in page.sections if section.rows):
        parts += [f"## {section.title}\n", table(section.header, section.rows)]
    if days := [row for row in page.days.rows if row[1]]:
        parts += [f"## {page.days.title}\n", table(page.days.header, reversed(days))]
    return "\n".join(part for part in parts if part)
