"""`ydc changes`: print how each publication changed the corpus."""

from __future__ import annotations

from dataclasses import asdict

from youtube_download_coordinator.cli.application import LOOK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, AsJson, QueueOptions, check_positive
from youtube_download_coordinator.cli.terminal import say, say_json

LAST = 20


@app.command(group=LOOK)
def changes(*, last: int = LAST, json: AsJson = False, queue: QueueOptions = AS_SET) -> int:
    """Show what each published manifest added to the corpus, removed from it and changed in it.

    ```
    ydc changes --last 5
    ```

    Parameters
    ----------
    last
        Show at most this many publications, the newest last.
    json
        Print one line of JSON for each publication.
    """
    from youtube_download_coordinator.corpus.changes import read_changes
    from youtube_download_coordinator.storage.opening import open_place

    check_positive(last=last)
    place = open_place(queue.config().output_dir)
    summaries = read_changes(place, last)
    if not summaries:
        say(f"nothing is published in {place.address} yet: run ydc manifest", problem=True)
    for summary in summaries:
        if json:
            say_json(asdict(summary))
        else:
            say(f"{summary}")
    return 0
