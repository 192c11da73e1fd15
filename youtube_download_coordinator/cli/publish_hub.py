"""`ydc publish-hub`: upload the corpus to Hugging Face."""

from __future__ import annotations

import hashlib
import time

from youtube_download_coordinator.cli.application import EXIT_FAILED, WORK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, Flag, QueueOptions
from youtube_download_coordinator.cli.terminal import say


@app.command(group=WORK, name="publish-hub")
def publish_hub(
    repo: str,
    /,
    *,
    revision: str = "main",
    public: Flag = False,
    dry_run: Flag = False,
    queue: QueueOptions = AS_SET,
) -> int:
    """Upload the recordings, the manifest and the card to a dataset repository on Hugging Face.

    Files that are already in the repository are not uploaded again, so an interrupted run continues. The repository is private
    unless `--public` is given. The token comes from HF_TOKEN or `hf auth login`.

    ```
    ydc publish-hub OWNER/NAME --dry-run
    ydc publish-hub OWNER/NAME
    ydc publish-hub OWNER/NAME --public
    ```

    Parameters
    ----------
    repo
        The repository, OWNER/NAME. It is created if it does not exist.
    revision
        The branch to publish to.
    public
        Make the repository public once the upload is complete.
    dry_run
        Print what would be uploaded, and change nothing.
    """
    from youtube_download_coordinator.corpus.hub_client import HubClient, open_api, utc_now
    from youtube_download_coordinator.corpus.hub_lock import held_lock, raise_in_use
    from youtube_download_coordinator.corpus.publish_hub import HubPublisher
    from youtube_download_coordinator.storage.opening import open_place
    from youtube_download_coordinator.wiring import hold_machine_lock

    config = queue.config()
    place = open_place(config.output_dir)
    hub = HubClient(open_api(), repo, revision, pause=time.sleep, now=utc_now)
    publisher = HubPublisher(place, hub, config.state_dir / "hub", say, is_public=public)
    if dry_run:
        preview = publisher.preview()
        say(f"{preview.files:,} files to upload ({preview.bytes / 1e6:,.1f} MB); {preview.present:,} are there already")
        return 0
    digest = hashlib.sha256(place.address.encode()).hexdigest()[:12]
    with hold_machine_lock(config, f"publish-hub-{digest}") as is_held:
        if not is_held:
            raise_in_use(place)
        with held_lock(place) as lock:
            report = publisher.run(lock)
    for problem in report.problems:
        say(problem, problem=True)
    say(f"{report}")
    return EXIT_FAILED if report.problems else 0
