"""Take in the sources file."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.context import coordinator, mistakes_in_one_line, opaque
from tasks.reports import finished, report_ingested
from tasks.sources import ingest
from youtube_download_coordinator import ConfigError
from youtube_download_coordinator.ingest import Ingested


@flow(name="ingest-sources", flow_run_name="ingest sources")
@mistakes_in_one_line
def ingest_sources(sources_file: Path | None = None) -> State[Any]:
    """Insert the sources of a text file that are not known yet.

    Args:
        sources_file: A line for each source, URL|Accent|Type; YDC_SOURCES_FILE_PATH unless it is given.
    """
    ours = coordinator()
    path = sources_file or ours.config.sources_file_path
    if path is None:
        raise ConfigError("no sources file: give sources_file, or set YDC_SOURCES_FILE_PATH on the worker")
    ingested: Ingested = ingest(opaque(ours.queue), path, ours.config.allow_other_sites)
    report_ingested(ingested)
    return finished(str(ingested), failed=bool(ingested.bad), data=ingested)
