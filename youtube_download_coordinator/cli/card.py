"""`ydc card`: write a dataset card for the corpus."""

from __future__ import annotations

from youtube_download_coordinator.cli.application import LOOK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, QueueOptions
from youtube_download_coordinator.cli.terminal import say


@app.command(group=LOOK)
def card(
    destination: str = "",
    /,
    *,
    name: str = "",
    contact: str = "",
    license: str = "",
    queue: QueueOptions = AS_SET,
) -> int:
    """Write a dataset card: README.md with figures, and croissant.json.

    The figures come from the recordings that `ydc manifest` has written, and from the queue. Your own text in README.md, between
    the two owner marks, is kept. The options are remembered for the next card.

    ```
    ydc card --name "Irish English" --contact corpus@example.org
    ydc card build/card
    ```

    Parameters
    ----------
    destination
        A folder or an object storage address; `output_dir` unless given.
    name
        The name of the data set.
    contact
        Where people can ask for a recording to be removed: an e-mail address or a URL.
    license
        The licence of the collection, by its Hugging Face name, such as cc-by-4.0.
    """
    from youtube_download_coordinator.corpus.card import PAGE, CardOptions, write_card
    from youtube_download_coordinator.storage.opening import open_place
    from youtube_download_coordinator.wiring import open_queue

    config = queue.config()
    place = open_place(config.output_dir)
    target = open_place(destination) if destination else None
    options = CardOptions(name=name, contact=contact, license=license)
    numbers = write_card(open_queue(config), place, config, options, target)
    say(
        f"{numbers.hours:,.2f} hours, {numbers.videos:,} videos, {numbers.files:,} files: {(target or place).url(PAGE)}"
    )
    return 0
