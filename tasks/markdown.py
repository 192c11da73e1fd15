"""Markdown for people. What YouTube says, or who writes into the queue, is shown as it is and does nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from youtube_download_coordinator.models import Page
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.workers.worker import Summary

TEXT_MAX_CHARACTERS = 120
LAST_ATTEMPTS = 20
"""On the page of a run; its table has them all."""
JOINER = "\N{WORD JOINER}"
_BEGINS_SOMETHING = re.compile(r"<|\](?=[(\[:])")
_SPEAKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:@/])")
"""What Markdown or HTML would take for more than itself, and what makes an address of a text."""


def plain(text: object) -> str:
    """One line that is shown as it is."""
    return _SPEAKS.sub(r"\\\1", truncate(str(text), TEXT_MAX_CHARACTERS))


def inert(text: str) -> str:
    """A cell of a table artifact, or a description: Prefect's older UI reads it as Markdown, the newer one as text.

    It looks the same in both, and is neither a link nor HTML in either: an invisible joiner stands where one would begin.
    """
    return _BEGINS_SOMETHING.sub(f"\\g<0>{JOINER}", text)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of plain texts; nothing without rows."""
    lines = ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *lines]) + "\n" if lines else ""


def link_to_the_sheet(url: str | None) -> str:
    return f"[The sheet]({url})\n" if url else ""


def videos_in_markdown(summary: Summary, about: str, seconds: float, sheet_url: str | None) -> str:
    """What a worker has done so far, as a page: the counts, the pace, and the last attempts."""
    pace = f", {summary.attempted / seconds * 60:.1f} videos a minute" if seconds else ""
    last = list(summary.attempts)[-LAST_ATTEMPTS:]
    rows = [(each.task.name, each.result, f"{each.seconds:.1f}", each.detail) for each in reversed(last)]
    parts = [
        f"# {plain(summary)}\n",
        f"{plain(about)}{pace}.\n",
        link_to_the_sheet(sheet_url),
        f"## The last {len(rows)} attempts\n",
        table(("Video", "Outcome", "Seconds", "Result or error"), rows),
    ]
    return "\n".join(part for part in parts if part)


def page_in_markdown(page: Page, picture: str, sheet_url: str | None) -> str:
    """A report as a page; `picture` is Markdown, and stands above the table of the days, or nothing does where it is empty."""
    parts = [f"# The queue, {plain(page.at)}\n", link_to_the_sheet(sheet_url)]
    for section in page.sections:
        parts += [f"## {section.title}\n", table(section.header, section.rows)] if section.rows else []
    if picture:
        parts += [f"## {page.days.title}\n", picture, table(page.days.header, reversed(page.days.rows))]
    return "\n".join(part for part in parts if part)
