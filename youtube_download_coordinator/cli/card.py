"""`ydc card`: describe the corpus in the place, for people, hubs and programs."""

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

    It is made from the recordings that `ydc manifest` has written, and from the counts of the queue. The part of README.md
    between the marks of the owner is kept. The options are remembered for the next card.

    ```
    ydc card --name "Irish English" --contact corpus@example.org
    ydc card build/card
    ```

    Parameters
    ----------
    destination
        A folder or an address of object storage; `output_dir` unless given.
    name
        The name of the data set.
    contact
        Who removes recordings on request: an e-mail address, or the address of a page.
    license
        The licence of the collection, as Hugging Face names licences: cc-by-4.0.
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
