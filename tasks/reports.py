"""What an operator sees of a run: a table artifact, and a final state that says whether something failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from youtube_download_coordinator.expansion import Expansion
from youtube_download_coordinator.ingest import Ingested
from youtube_download_coordinator.worker import Summary

COMPLETED_WITH_ERRORS = "CompletedWithErrors"


def report_ingested(ingested: Ingested) -> None:
    rows = [{"problem": problem} for problem in ingested.problems] or [{"problem": "none"}]
    create_table_artifact(key="ingested-sources", table=rows, description=f"Sources: {ingested}.")


def report_expansions(expansions: Sequence[Expansion]) -> None:
    rows = [
        {
            "source": expansion.source.title or expansion.source.url,
            "listed": expansion.listed,
            "new": expansion.new,
            "seconds": round(expansion.seconds, 1),
            "error": str(expansion.failure or ""),
        }
        for expansion in expansions
    ]
    new = sum(expansion.new for expansion in expansions)
    create_table_artifact(key="expanded-sources", table=rows, description=f"{len(rows)} sources, {new} new videos.")


def report_videos(summary: Summary) -> None:
    rows = [
        {
            "video": attempt.task.title or attempt.task.url,
            "outcome": attempt.ending.value,
            "seconds": round(attempt.seconds, 1),
            "result or error": attempt.detail,
        }
        for attempt in summary.attempts
    ]
    create_table_artifact(key="processed-videos", table=rows, description=f"Videos: {summary}.")


def report_moved(key: str, description: str, counts: dict[str, int]) -> None:
    create_table_artifact(key=key, table=[counts], description=description)


def finished(message: str, *, failed: bool, data: Any = None) -> State[Any]:
    """The final state of a flow: named, when something in it failed, so that it can be found and alerted on."""
    return Completed(name=COMPLETED_WITH_ERRORS if failed else None, message=message, data=data)
