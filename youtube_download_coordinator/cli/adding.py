"""`ydc add` and `ydc import`: what is to be listed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import EXIT_FAILED, WORK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, OtherSites, QueueOptions
from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.sources.filters import canonical

if TYPE_CHECKING:
    from youtube_download_coordinator.sources.sources_file import Ingested


@app.command(group=WORK)
def add(
    source: Annotated[str, Parameter(name="URL")],
    /,
    accent: str = "",
    type: str = "",
    *,
    set: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=False, negative="")] = None,
    allow_other_sites: OtherSites = None,
    queue: QueueOptions = AS_SET,
) -> int:
    """Add a source: a channel, a playlist, or a single video.

    ```
    ydc add "https://www.youtube.com/@handle" --accent pt-BR --type interview
    ydc add "https://www.youtube.com/@handle" --set Kinds=videos,shorts --set RefreshHours=6
    ```

    Parameters
    ----------
    source
        Its URL; or a file of sources, as ydc import takes it.
    accent
        Copied to each of its videos.
    type
        Copied to each of its videos.
    set
        COLUMN=TEXT, as often as needed: a column of your own, a filter (Kinds, MinDuration, MaxDuration, TitleMatch,
        FirstVideos, NewerThan), or RefreshHours.
    """
    if _is_file(source) and (accent or type or set):
        raise UserError(f"{source} is a file, whose lines say Accent and Type themselves: URL|Accent|Type")
    if _is_file(source):
        return import_files(Path(source), allow_other_sites=allow_other_sites, queue=queue)
    columns = dict(map(_column_and_text, set or ()))
    client = queue.coordinator(allow_other_sites=allow_other_sites).client
    row_id, is_new = client.find_or_add_source(source, accent, type, columns)
    say(f"source {row_id}: {source}{'' if is_new else ' (it was there already)'}")
    if own := [name for name in columns if canonical(name) is None]:
        say(
            f"kept as {'a column' if len(own) == 1 else 'columns'} of your own, which no worker heeds: {', '.join(own)}"
        )
    return 0


@app.command(name="import", group=WORK)
def import_files(*files: Path, allow_other_sites: OtherSites = None, queue: QueueOptions = AS_SET) -> int:
    """Add the sources of files, a line each: URL|Accent|Type.

    What is known already is passed over. A line that cannot be understood is named, and costs the others nothing.

    ```
    ydc import sources.txt
    ```

    Parameters
    ----------
    files
        Text files; lines that begin with # and empty ones are passed over.
    """
    if not files:
        raise UserError("which file? ydc import sources.txt")
    bad = 0
    for file in files:
        coordinator = queue.coordinator(sources_file_path=file, allow_other_sites=allow_other_sites)
        ingested = coordinator.ingest()
        bad += print_ingested(ingested)
        if not (ingested.added or ingested.known or ingested.bad):
            say(f"there is no source in {file}: a line each, URL|Accent|Type")
    return EXIT_FAILED if bad else 0


def _column_and_text(said: str) -> tuple[str, str]:
    column, equals, text = said.partition("=")
    if not equals or not column.strip():
        raise UserError(f"--set {said}: it must be COLUMN=TEXT, such as Kinds=videos,shorts")
    return column.strip(), text


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # an address may be longer than any name of a file
        return False


def print_ingested(ingested: Ingested) -> int:
    """Say what became of the file; how many of its lines were not understood, and one more if the rest had no room."""
    for problem in ingested.problems:
        say(problem, problem=True)
    if ingested.added or ingested.known or ingested.failed:
        say(f"sources: {ingested}")
    return ingested.bad + ingested.full
