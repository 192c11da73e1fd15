"""Sources: taken in from the sources file, and expanded into videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Failed

from tasks.context import opaque
from youtube_download_coordinator import Config, StoreUnavailable
from youtube_download_coordinator.expansion import Expansion, expand
from youtube_download_coordinator.ingest import Ingested, ingest_file
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.store import SOURCES


def store_was_unavailable(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Whether trying again makes sense: a person's mistake does not go away by itself."""
    return isinstance(state.data, StoreUnavailable)


@task(
    name="ingest sources",
    task_run_name="ingest {path}",
    retries=3,
    retry_delay_seconds=[5, 20, 60],
    retry_condition_fn=store_was_unavailable,
    cache_policy=NO_CACHE,
)
def ingest(queue: Queue, path: Path, allow_other_sites: bool) -> Ingested:
    """Insert the sources of a file. Safe to repeat: a source that is there is left alone."""
    return ingest_file(queue, path, allow_other_sites=allow_other_sites)


@task(name="expand source", task_run_name="expand {name}", cache_policy=NO_CACHE)
def expand_claimed(name: str, queue: Queue, config: Config, claim: Claim[Any]) -> Expansion | State[Expansion]:
    """List one source that is claimed. Its attempts are counted in its row, so Prefect does not retry it."""
    expansion = expand(queue, config, claim)
    return Failed(message=str(expansion), data=expansion) if expansion.failure else expansion


def expand_due(queue: Queue, config: Config) -> list[Expansion]:
    """Expand every source that is due, a Prefect task for each; stops when YouTube throttles."""
    expansions: list[Expansion] = []
    while claims := queue.claim(SOURCES, 1):
        row = claims[0].row
        state = expand_claimed(
            row.title or row.url, opaque(queue), opaque(config), opaque(claims[0]), return_state=True
        )
        expansions.append(value_of(state))
        if expansions[-1].throttled:
            break
    return expansions


def value_of(state: State[Any]) -> Any:
    """What a state holds, also a failed one; an exception is raised."""
    value = getattr(state.data, "result", state.data)
    if isinstance(value, BaseException):
        raise value
    return value
