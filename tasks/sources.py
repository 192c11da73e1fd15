"""Sources: taken in from the sources file, and expanded into videos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Failed

from tasks.context import REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE, no_prefect_retry, opaque, value_of
from tasks.events import source_expanded
from youtube_download_coordinator import BadUrl, Config, Coordinator, Source, SourcesFileError
from youtube_download_coordinator.coordinator import Client
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.store import SOURCES, Table
from youtube_download_coordinator.sources.sources_file import Ingested, ingest_file
from youtube_download_coordinator.workers.expansion import Expansion, Listing, expand, expand_sources, list_in_child
from youtube_download_coordinator.workers.reaper import ClaimReaper


@task(
    name="ingest sources",
    task_run_name="ingest {path}",
    **REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE,
)
def ingest(path: Path, queue: Queue, config: Config) -> Ingested | State[SourcesFileError]:
    """Insert the sources of a file. Safe to repeat: a source that is there is left alone."""
    try:
        return ingest_file(queue, path, allow_other_sites=config.allow_other_sites)
    except SourcesFileError as error:
        return Failed(message=str(error), data=error)


def import_sources(path: Path, queue: Queue, config: Config) -> Ingested:
    """Insert the sources of a file that are new. Raises SourcesFileError."""
    ingested: Ingested = value_of(ingest(path, opaque(queue), opaque(config), return_state=True))
    return ingested


@task(
    name="expand source",
    task_run_name="expand {name}",
    retries=1,
    retry_condition_fn=no_prefect_retry,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def expand_claimed(
    name: str, queue: Queue, config: Config, claim: Claim[Source], listing: Listing
) -> Expansion | State[Expansion]:
    """List one source that is claimed. Its attempts are counted in its row, so Prefect does not retry it."""
    expansion = expand(queue, config, claim, listing)
    return Failed(message=str(expansion), data=expansion) if expansion.failure else expansion


@task(
    name="add source",
    task_run_name="add {url}",
    **REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE,
)
def add(url: str, accent: str, source_type: str, client: Client) -> int | State[BadUrl]:
    """Add a source; its ID, also when it is known. Safe to repeat."""
    try:
        return client.add_source(url, accent, source_type)
    except BadUrl as error:
        return Failed(message=str(error), data=error)


def expand_on_demand(ours: Coordinator, url: str, accent: str, source_type: str) -> Expansion | None:
    """Add a source unless it is known, and list it now; None while another worker does. Raises BadUrl."""
    source_id: int = value_of(add(url, accent, source_type, opaque(ours.client), return_state=True))
    with _giving_back(ours.queue, ours.config):
        expansion = _expand_now(ours, source_id)
        if expansion and expansion.is_source is not None:
            return _expand_now(ours, expansion.is_source)
    return expansion


def _expand_now(ours: Coordinator, source_id: int) -> Expansion | None:
    claim = ours.queue.claim_now(SOURCES, source_id)
    return _expand_in_a_task(ours.queue, ours.config, claim, list_in_child) if claim else None


def expand_due(queue: Queue, config: Config, max_seconds: float | None = None) -> list[Expansion]:
    """Expand every source that is due, a Prefect task for each; stops when the time is up or YouTube throttles."""
    with _giving_back(queue, config):
        return list(expand_sources(queue, config, expand_one=_expand_in_a_task, max_seconds=max_seconds))


@contextmanager
def _giving_back(queue: Queue, config: Config) -> Iterator[None]:
    """Give back a claimed source whatever ends the block, be it a kill."""
    with ClaimReaper(queue, config) as attempts_run:
        attempts_run([])
        try:
            yield
        except BaseException:
            queue.release_all()  # an interrupt, or Prefect's server, came between a claim and its listing
            raise


def _expand_in_a_task(queue: Queue, config: Config, claim: Claim[Source], listing: Listing) -> Expansion:
    state = expand_claimed(
        claim.row.name, opaque(queue), opaque(config), opaque(claim), opaque(listing), return_state=True
    )
    expansion: Expansion = value_of(state)
    source_expanded(expansion)
    return expansion


def something_is_due(queue: Queue, table: Table[Any]) -> bool:
    """Whether a row waits to be claimed now."""
    due = queue.next_due(table)
    return due is not None and due <= queue.store.now()
