"""`ydc add`: what is to be listed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.application import EXIT_FAILED, app
from youtube_download_coordinator.cli.options import Database, OtherSites, open_coordinator
from youtube_download_coordinator.errors import UserError

if TYPE_CHECKING:
    from youtube_download_coordinator.ingest import Ingested


@app.command
def add(
    source: str,
    accent: str = "",
    type: str = "",
    *,
    database_url: Database = None,
    allow_other_sites: OtherSites = None,
) -> int:
    """Add a source: a URL, or a file with a line for each, URL|Accent|Type.

    Parameters
    ----------
    source
        A channel, playlist or video of YouTube, or the path of a file.
    accent
        Copied to each of its videos.
    type
        Copied to each of its videos.
    database_url
        The queue; sqlite:///coordinator.db unless YDC_DATABASE_URL says otherwise.
    allow_other_sites
        Take sources that are not YouTube's.
    """
    if _is_file(source) and (accent or type):
        raise UserError(f"{source} is a file, whose lines say Accent and Type themselves: URL|Accent|Type")
    if _is_file(source):
        return (
            EXIT_FAILED
            if tell_ingested(open_coordinator(Path(source), database_url, allow_other_sites).ingest())
            else 0
        )
    row_id = open_coordinator(None, database_url, allow_other_sites).client.add_source(source, accent, type)
    print(f"source {row_id}: {source}")
    return 0


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # an address may be longer than any name of a file
        return False


def tell_ingested(ingested: Ingested) -> int:
    """Say what became of the file; how many of its lines were not understood."""
    for problem in ingested.problems:
        print(problem, file=sys.stderr)
    if ingested.added or ingested.known or ingested.bad:
        print(f"sources: {ingested}", flush=True)
    return ingested.bad
