"""`ydc purge`: remove videos from the corpus for good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import REPAIR, app
from youtube_download_coordinator.cli.queue_options import AS_SET, Flag, OtherSites, QueueOptions, RowId, Yes
from youtube_download_coordinator.cli.terminal import confirm, say
from youtube_download_coordinator.errors import UserError

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.corpus.purge import Purge, PurgeReport
    from youtube_download_coordinator.corpus.purge_selection import PurgeSelection

Texts = Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=False)]
Ids = Annotated[tuple[RowId, ...], Parameter(negative="", consume_multiple=False)]


@app.command(group=REPAIR)
def purge(
    *,
    video: Texts = (),
    channel: Texts = (),
    source: Ids = (),
    file: Path | None = None,
    dry_run: Flag = False,
    report: Path | None = None,
    requested_by: str = "",
    restore: Flag = False,
    yes: Yes = False,
    allow_other_sites: OtherSites = None,
    queue: QueueOptions = AS_SET,
) -> int:
    """Remove videos from the corpus for good: rows, files, sidecars, records, index, manifests and card.

    Removed videos are never fetched again: not when their source is listed again, not when they are added or typed in, and not
    by `ydc retry`. If the command is interrupted, run it again. docs/purge.md lists what it removes, and what remains.

    ```
    ydc purge --video UKwSQSFN4Nw --dry-run
    ydc purge --channel "https://www.youtube.com/@handle" --report takedown.json
    ydc purge --file ids.txt --yes
    ```

    Parameters
    ----------
    video
        The ID or address of a video. It need not be in the queue. May be given several times.
    channel
        The ID (UC...), address or @handle of a channel: all its known videos. May be given several times.
    source
        The ID of a source: all videos that were listed from it. May be given several times.
    file
        A file with one video's ID or address on each line.
    dry_run
        Print what would be removed, and change nothing.
    report
        Write a report to this file, as JSON, for the person who requested the removal. It names videos only by hashes.
    requested_by
        The person who requested the removal, for the report.
    restore
        Only restore tombstones that somebody has deleted from the sheet, and erase purged rows that an earlier version of the
        sheet has brought back.
    """
    config = queue.config(allow_other_sites=allow_other_sites)
    job = _open(config)
    if restore:
        say(f"{job.restore():,} tombstones of purged videos are in {job.queue.store.name}")
        return 0
    selection = _selection(config, video, channel, source, file)
    options = _options_for_report(channel, source, len(selection.keys))
    _check_writable(report)
    keys = job.select(selection)
    if not keys:
        raise UserError("no video is selected, so nothing was changed: ydc list shows what there is")
    if dry_run:
        result = _preview(job, keys, options)
    else:
        if not yes:
            confirm(
                f"{len(keys):,} videos will be removed from {config.output_dir} and from {job.queue.store.name} for good."
            )
        result = job.run(keys, options)
    say(str(result))
    result.requested_by = requested_by
    if report:
        report.write_text(json.dumps(result.as_json(), indent=1) + "\n", encoding="utf-8")
    if result.hub:
        say("the corpus was published to a hub: the report has the commits to revert there", problem=True)
    return 0


def _open(config: Config) -> Purge:
    from youtube_download_coordinator.corpus.index import Index
    from youtube_download_coordinator.corpus.purge import Purge
    from youtube_download_coordinator.storage.opening import open_place
    from youtube_download_coordinator.wiring import open_queue

    queue, place = open_queue(config), open_place(config.output_dir)
    return Purge(
        queue=queue,
        place=place,
        index=Index(place, config.state_dir, queue.buried_keys),
        config=config,
        say=say,
    )


def _selection(
    config: Config, videos: tuple[str, ...], channels: tuple[str, ...], sources: tuple[int, ...], file: Path | None
) -> PurgeSelection:
    """Return the selection that the options make. Raises UserError if they select nothing."""
    from youtube_download_coordinator.corpus.purge_selection import PurgeSelection, channel_key, read_list, video_key

    others = config.allow_other_sites
    keys = [video_key(text, allow_other_sites=others) for text in videos]
    keys += read_list(file, allow_other_sites=others) if file else []
    if not (keys or channels or sources):
        raise UserError(
            "which videos? Give --video, --channel, --source or --file, as in: ydc purge --video UKwSQSFN4Nw"
        )
    return PurgeSelection(keys=keys, channels=[channel_key(text) for text in channels], sources=sources)


def _options_for_report(channels: tuple[str, ...], sources: tuple[int, ...], videos: int) -> dict[str, Any]:
    """Return the options for the report, without the names of videos."""
    return {"channels": list(channels), "sources": list(sources), "videos": videos}


def _check_writable(report: Path | None) -> None:
    try:
        if report:
            report.open("a", encoding="utf-8").close()
    except OSError as error:
        raise UserError(f"--report {report}: {error.strerror}: nothing was changed") from None


def _preview(job: Purge, keys: frozenset[str], options: dict[str, Any]) -> PurgeReport:
    """Print each file that would be removed. Return the report."""
    result, remains = job.preview(keys, options)
    for path in sorted([*remains.files, *remains.records]):
        say(f"would remove {path}")
    for path in sorted(remains.others):
        say(f"would keep {path}: it is another video's, although an ID is in its name", problem=True)
    return result
