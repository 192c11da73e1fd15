"""Import the sources file."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import fail_with_message
from tasks.forms import SourcesFile
from tasks.reports import finished, report_ingested, skipped
from tasks.sources import import_sources
from youtube_download_coordinator.prefect.flow_run import host, open_coordinator


@flow(name="ingest-sources", flow_run_name=f"ingest sources on {host()}", persist_result=False)
@fail_with_message
def ingest_sources(sources_file: SourcesFile = None) -> State[Any]:
    """Insert the new sources of a text file.

    Args:
        sources_file: A text file with one source per line, URL|Accent|Type; YDC_SOURCES_FILE_PATH unless given.
    """
    coordinator = open_coordinator()
    path = sources_file or coordinator.config.sources_file_path
    if path is None:
        return skipped("no sources file: give sources_file, or set YDC_SOURCES_FILE_PATH on the worker")
    ingested = import_sources(path, coordinator.queue, coordinator.config)
    report_ingested(ingested)
    return finished(str(ingested), failed=ingested.failed, data=ingested)
