"""Take in the sources file."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import coordinator, fail_with_message
from tasks.forms import SourcesFile
from tasks.reports import finished, report_ingested, skipped
from tasks.sources import import_sources


@flow(name="ingest-sources", flow_run_name="ingest sources", persist_result=False)
@fail_with_message
def ingest_sources(sources_file: SourcesFile = None) -> State[Any]:
    """Insert the sources of a text file that are not known yet.

    Args:
        sources_file: A line for each source, URL|Accent|Type; YDC_SOURCES_FILE_PATH unless it is given.
    """
    ours = coordinator()
    path = sources_file or ours.config.sources_file_path
    if path is None:
        return skipped("no sources file: give sources_file, or set YDC_SOURCES_FILE_PATH on the worker")
    ingested = import_sources(path, ours.queue, ours.config)
    report_ingested(ingested)
    return finished(str(ingested), failed=ingested.failed, data=ingested)
