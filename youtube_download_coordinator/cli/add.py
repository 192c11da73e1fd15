"""`ydc add` and its alias `ydc import`: add sources to the queue."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import EXIT_FAILED, WORK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, OtherSites, QueueOptions, check_positive
from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.queue.priority import PRIORITY
from youtube_download_coordinator.sources.filters import filter_column

if TYPE_CHECKING:
    from youtube_download_coordinator.sources.sources_file import Ingested

_FILE_NAME = re.compile(r"(?!.*://).*\.(?:txt|csv|tsv|tab|list)", re.IGNORECASE)


@app.command(group=WORK)
def add(
    source: Annotated[str, Parameter(name="URL")],
    /,
    accent: str = "",
    type: str = "",
    *,
    first: int | None = None,
    priority: int | None = None,
    set: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=False, negative="")] = None,
    allow_other_sites: OtherSites = None,
    queue: QueueOptions = AS_SET,
) -> int:
    """Add a source (a channel, a playlist, or a single video), or a file of sources.

    ```
    ydc add "https://www.youtube.com/@handle" --accent pt-BR --type interview --first 3
    ydc add "https://www.youtube.com/@handle" --set Kinds=videos,shorts --set RefreshHours=6
    ydc add sources.txt
    ```

    Parameters
    ----------
    source
        The URL of a source, or a text file with one source per line: URL|Accent|Type. A CSV or TSV file begins with a line that
        names its columns, such as URL,Accent,Type.
    accent
        The Accent of the source and of its videos.
    type
        The Type of the source and of its videos.
    first
        Take at most this many videos when the source is first listed. Sets its column FirstVideos.
    priority
        A number from -1000 to 1000; 0 unless given. Videos with a higher priority are processed first.
    set
        COLUMN=TEXT: a filter (Kinds, MinDuration, MaxDuration, TitleMatch, FirstVideos, NewerThan), RefreshHours, Priority, or a
        custom column. May be given several times.
    """
    if _is_file(source):
        if accent or type or set or first is not None or priority is not None:
            raise UserError(
                f"{source} is a file, so --accent, --type, --first, --priority and --set do not apply:"
                " write URL|Accent|Type on its lines"
            )
        return import_files(Path(source), allow_other_sites=allow_other_sites, queue=queue)
    if _FILE_NAME.fullmatch(source):
        raise UserError(f"there is no file {source}")
    check_positive(first=first)
    columns = {} if first is None else {"FirstVideos": str(first)}
    columns |= {} if priority is None else {PRIORITY: str(priority)}
    columns |= dict(map(_column_and_text, set or ()))
    client = queue.named(allow_other_sites=allow_other_sites).client
    row_id, is_new = client.find_or_add_source(source, accent, type, columns)
    say(f"source {row_id}: {source}{'' if is_new else ' (already in the queue)'}")
    if custom := [name for name in columns if filter_column(name) is None]:
        say(f"custom {'column' if len(custom) == 1 else 'columns'}, ignored by workers: {', '.join(custom)}")
    return 0


@app.command(name="import", group=WORK)
def import_files(*files: Path, allow_other_sites: OtherSites = None, queue: QueueOptions = AS_SET) -> int:
    """Add the sources of files: an alias of `ydc add FILE` that takes several files.

    Sources that are already in the queue are skipped. Invalid lines are reported, and the other lines are added.

    ```
    ydc import sources.txt
    ydc import radio.txt podcasts.txt
    ```

    Parameters
    ----------
    files
        Text files with one source per line, URL|Accent|Type; empty lines and lines that begin with # are skipped. CSV and TSV
        files begin with a line that names their columns, such as URL,Accent,Type.
    """
    if not files:
        raise UserError("import needs a file, as in: ydc import sources.txt")
    bad = 0
    for number, file in enumerate(files):
        opened = queue.coordinator if number else queue.named
        ingested = opened(sources_file_path=file, allow_other_sites=allow_other_sites).ingest()
        bad += print_ingested(ingested)
        if not (ingested.added or ingested.known or ingested.bad):
            say(f"{file} contains no sources: write one per line, as URL|Accent|Type")
    return EXIT_FAILED if bad else 0


def print_ingested(ingested: Ingested) -> int:
    """Report the added sources. Return the number of invalid lines, plus one if the queue had no room for the rest."""
    for problem in ingested.problems:
        say(problem, problem=True)
    if ingested.ignored_columns:
        say(f"columns that are not read: {', '.join(ingested.ignored_columns)}")
    if ingested.added or ingested.known or ingested.failed:
        say(f"sources: {ingested}")
    return ingested.bad + ingested.full


def _column_and_text(option: str) -> tuple[str, str]:
    column, equals, text = option.partition("=")
    if not equals or not column.strip():
        raise UserError(f"--set {option}: it must be COLUMN=TEXT, such as Kinds=videos,shorts")
    return column.strip(), text


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # a URL may be too long for a file name
        return False
