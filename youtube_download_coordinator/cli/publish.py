"""`ydc publish`: move files from this machine's disk into object storage."""

from __future__ import annotations

from pathlib import Path

from youtube_download_coordinator.cli.application import EXIT_FAILED, WORK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, QueueOptions
from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import UserError


@app.command(group=WORK)
def publish(folder: Path = Path("media"), /, *, queue: QueueOptions = AS_SET) -> int:
    """Move the files of a local folder to `output_dir`, and update Result.

    Run it on each machine that has files. It moves the files and sidecars of videos that are done, and removes them from the disk
    once they are published. Result becomes the path below `output_dir`. If `output_dir` is the folder itself, no file is moved:
    only absolute paths of version 0.1.0 become relative. If the command is interrupted, run it again.

    ```
    ydc publish
    ydc publish /srv/media
    ```

    Parameters
    ----------
    folder
        The previous `output_dir`.
    """
    from youtube_download_coordinator.corpus.index import Index
    from youtube_download_coordinator.operations.publish import Publisher
    from youtube_download_coordinator.processors.facts_spool import Spool
    from youtube_download_coordinator.storage.opening import open_place
    from youtube_download_coordinator.wiring import open_queue

    config = queue.config()
    place = open_place(config.output_dir)
    if not folder.is_dir():
        raise UserError(f"there is no folder {str(folder)!r}: give the previous output_dir")
    if place.is_local and place.address != str(folder.absolute()):
        raise UserError(
            f"output_dir is the folder {place.address}: move the files there by other means, then run"
            f" ydc publish {place.address}"
        )
    spool = Spool.of(config.state_dir, place.address)
    report = Publisher(open_queue(config), place, folder, lambda line: say(line, problem=True), spool=spool).run()
    Index(place, config.state_dir).flush()
    say(f"{report}")
    return EXIT_FAILED if report.problems else 0
