"""Import sources from the sources file, and expand them into videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Failed

from tasks.context import REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE, opaque, value_of
from youtube_download_coordinator import Config, Coordinator, Source, SourcesFileError, UserError
from youtube_download_coordinator.client import Client
from youtube_download_coordinator.prefect.events import source_expanded
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.store import SOURCES, Table
from youtube_download_coordinator.sources.sources_file import Ingested, ingest_file
from youtube_download_coordinator.workers.expansion import Expansion, Listing, expand, expand_sources, list_in_child
from youtube_download_coordinator.workers.reaper import ClaimReaper

LISTING_MARGIN = timedelta(minutes=10)
"""Time for inserting the listed videos. The listing itself has another timeout, which ends its process."""


@task(
    name="ingest sources",
    task_run_name="ingest {path}",
    **REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE,
)
def ingest(path: Path, queue: Queue, config: Config) -> Ingested | State[SourcesFileError]:
    """Insert the sources of a file. Safe to repeat: an existing source is not changed."""
    try:
        return ingest_file(queue, path, allow_other_sites=config.allow_other_sites)
    except SourcesFileError as error:
        return Failed(message=str(error), data=error)


def import_sources(path: Path, queue: Queue, config: Config) -> Ingested:
    """Insert the new sources of a file. Raises SourcesFileError."""
    ingested: Ingested = value_of(ingest(path, opaque(queue), opaque(config), return_state=True))
    return ingested


@task(
    name="expand source",
    task_run_name="expand {name}",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def expand_claimed(
    name: str, queue: Queue, config: Config, claim: Claim[Source], listing: Listing
) -> Expansion | State[Expansion]:
    """List a claimed source. Prefect does not retry it, because its attempts are counted in its row."""
    expansion = expand(queue, config, claim, listing)
    return Failed(message=str(expansion), data=expansion) if expansion.failure else expansion


@task(
    name="add source",
    task_run_name="add {url}",
    **REPEATED_WHILE_THE_STORE_IS_UNAVAILABLE,
)
def add(url: str, accent: str, source_type: str, columns: Mapping[str, str], client: Client) -> int | State[UserError]:
    """Add a source unless it exists, and return its ID. Safe to repeat."""
    try:
        return client.add_source(url, accent, source_type, columns)
    except UserError as error:
        return Failed(message=str(error), data=error)


def expand_on_demand(
    coordinator: Coordinator, url: str, accent: str, source_type: str, columns: Mapping[str, str]
) -> Expansion | None:
    """Add a source unless it exists, and list it now. Return None while another worker lists it. Raises UserError."""
    source_id: int = value_of(add(url, accent, source_type, columns, opaque(coordinator.client), return_state=True))
    with _release_at_end(coordinator.queue, coordinator.config):
        expansion = _expand_now(coordinator, source_id)
        if expansion and expansion.is_source is not None:
            return _expand_now(coordinator, expansion.is_source)
    return expansion


def _expand_now(coordinator: Coordinator, source_id: int) -> Expansion | None:
    claim = coordinator.queue.claim_now(SOURCES, source_id)
    return _expand_in_task(coordinator.queue, coordinator.config, claim, list_in_child) if claim else None


def expand_due(queue: Queue, config: Config, max_seconds: float | None = None) -> list[Expansion]:
    """Expand each due source in a Prefect task, until the time is up or YouTube throttles."""
    with _release_at_end(queue, config):
        return list(expand_sources(queue, config, expand_one=_expand_in_task, max_seconds=max_seconds))


@contextmanager
def _release_at_end(queue: Queue, config: Config) -> Iterator[None]:
    """Release a claimed source when the block ends, even if the process is killed."""
    with ClaimReaper(queue, config) as attempts_run:
        attempts_run([])
        try:
            yield
        except BaseException:
            queue.release_all()  # an interrupt or an error of Prefect's server came between a claim and its listing
            raise


def _expand_in_task(queue: Queue, config: Config, claim: Claim[Source], listing: Listing) -> Expansion:
    seconds = (config.listing_timeout + LISTING_MARGIN).total_seconds()
    state = expand_claimed.with_options(timeout_seconds=seconds)(
        claim.row.name, opaque(queue), opaque(config), opaque(claim), opaque(listing), return_state=True
    )
    expansion: Expansion = value_of(state)
    source_expanded(expansion)
    return expansion


def something_is_due(queue: Queue, table: Table[Any]) -> bool:
    """Return whether a row can be claimed now."""
    due = queue.next_due(table)
    return due is not None and due <= queue.store.now()
