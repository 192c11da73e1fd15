"""Report a run: write table artifacts, and return a final state that shows whether something failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from youtube_download_coordinator.corpus.findings import Finding
from youtube_download_coordinator.corpus.manifest import ManifestCounts
from youtube_download_coordinator.models import WORDS
from youtube_download_coordinator.models import State as RowState
from youtube_download_coordinator.operations.overview import Overview
from youtube_download_coordinator.prefect.flow_run import tolerate_prefect_errors
from youtube_download_coordinator.prefect.markdown import TITLE_MAX_CHARACTERS, below, inert, page_in_markdown
from youtube_download_coordinator.sources.sources_file import Ingested
from youtube_download_coordinator.status_page import Page
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.workers.expansion import Expansion
from youtube_download_coordinator.workers.worker import Summary

COMPLETED_WITH_ERRORS = "CompletedWithErrors"
SKIPPED = "Skipped"
ROWS_MAX = 1000
"""The maximum number of rows in an artifact, a table for people."""


def report_ingested(ingested: Ingested) -> None:
    """Report the invalid lines of a sources file."""
    rows = [{"problem": problem} for problem in ingested.problems] or [{"problem": "none"}]
    _report("ingested-sources", f"Sources: {ingested}.", rows)


def report_expansions(expansions: Sequence[Expansion]) -> None:
    """Report each source that was listed."""
    rows = [
        {
            "source": expansion.source.name,
            "listed": expansion.listed,
            "new": expansion.new,
            "left out": expansion.left_out,
            "seconds": round(expansion.seconds, 1),
            "error": str(expansion.failure or ""),
        }
        for expansion in expansions[-ROWS_MAX:]
    ]
    new = sum(expansion.new for expansion in expansions)
    _report("expanded-sources", f"{len(expansions)} sources, {new} new videos.", rows)


def report_videos(summary: Summary, output_dir: Path | str) -> None:
    """Report each attempt."""
    rows = [
        {
            "outcome": attempt.result.value,
            "video": truncate(attempt.task.name, TITLE_MAX_CHARACTERS),
            "seconds": round(attempt.seconds, 1),
            "result or error": below(output_dir, attempt.detail),
        }
        for attempt in summary.attempts
    ]
    _report("processed-videos", f"Videos: {summary}.", rows)


def report_findings(description: str, findings: Sequence[Finding]) -> None:
    """Report the findings about videos that are done."""
    rows = [
        {
            "finding": finding.kind.value,
            "ID": finding.id,
            "video": truncate(finding.name, TITLE_MAX_CHARACTERS),
            "since": finding.since,
            "reason": finding.reason,
            "before": truncate(finding.before, TITLE_MAX_CHARACTERS),
            "after": truncate(finding.after, TITLE_MAX_CHARACTERS),
        }
        for finding in findings[-ROWS_MAX:]
    ]
    _report("verified-videos", description, rows or [{"finding": "none"}])


def report_overview(overview: Overview, page: Page, sheet_url: str | None) -> None:
    """Report the number of rows in each state, and the page of the overview."""
    states = [state for state in RowState if any(counts.get(state) for counts in overview.counts.values())]
    rows = [
        {"rows": name, **{WORDS[state]: counts.get(state, 0) for state in states}}
        for name, counts in overview.counts.items()
        if counts
    ]
    _report("queue", "How many rows there are in each state.", rows)
    with tolerate_prefect_errors("the report"):
        create_markdown_artifact(
            key="queue-report",
            markdown=page_in_markdown(page, sheet_url),
            description="The state of the queue.",
        )


def report_counts(key: str, description: str, counts: Mapping[str, int]) -> None:
    """Report a single row of numbers."""
    _report(key, description, [dict(counts)])


def report_manifests(where: str, manifests: Mapping[str, ManifestCounts]) -> None:
    """Report the contents of each published manifest."""
    rows = [
        {
            "file": name,
            "recordings": counts.recordings,
            "segments": counts.segments,
            "hours": round(counts.seconds / 3600, 1),
            "left out": describe_counts(counts.left_out),
        }
        for name, counts in manifests.items()
    ]
    _report("published-manifests", f"Manifests in {where}.", rows)


def report_steps(description: str, steps: Sequence[tuple[str, str]]) -> None:
    """Report the name and the outcome of each step of a run."""
    _report("coordinated", description, [{"step": step, "outcome": outcome} for step, outcome in steps[-ROWS_MAX:]])


def _report(key: str, description: str, rows: list[dict[str, Any]]) -> None:
    with tolerate_prefect_errors(f"the table {key}"):
        create_table_artifact(key=key, table=[_shown(row) for row in rows], description=inert(description))


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: inert(value) if isinstance(value, str) else value for name, value in row.items()}


def describe_counts(counts: Mapping[str, int]) -> str:
    """Return the numbers that are not zero, in one line."""
    return ", ".join(f"{number} {what}" for what, number in counts.items() if number)


def skipped(why: str, data: Any = None) -> State[Any]:
    """Return the final state of a flow that had nothing to do."""
    return Completed(name=SKIPPED, message=why, data=data)


def finished(message: str, *, failed: bool, data: Any = None) -> State[Any]:
    """Return the final state of a flow. If something failed, the state has a name that people can filter and alert on."""
    return Completed(name=COMPLETED_WITH_ERRORS if failed else None, message=message, data=data)
