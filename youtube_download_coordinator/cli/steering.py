"""`ydc pause` and `ydc resume`: what people want the whole fleet to do, wherever its queue is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.application import REPAIR, app
from youtube_download_coordinator.cli.queue_options import AS_SET, Flag, QueueOptions, check_positive
from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import ConfigError

if TYPE_CHECKING:
    from youtube_download_coordinator.models import Control


@app.command(group=REPAIR)
def pause(*, minutes: float | None = None, reason: str = "", queue: QueueOptions = AS_SET) -> int:
    """Have no worker of the fleet begin anything; what runs is finished, what waits is given back.

    ```
    ydc pause --reason "we sort the sheet"
    ydc pause --minutes 90
    ```

    Parameters
    ----------
    minutes
        Until then; else until `ydc resume`.
    reason
        For whoever wonders why.
    """
    check_positive(minutes=minutes)
    coordinator = queue.coordinator()
    try:
        until = coordinator.queue.store.now() + timedelta(minutes=minutes) if minutes else None
    except OverflowError:
        raise ConfigError(f"--minutes={minutes:g}: no calendar goes so far; without it, until `ydc resume`") from None
    _print_line(
        coordinator.queue.admission.pause(until, reason or f"ydc pause on {_host(coordinator.queue.worker)}"), ""
    )
    return 0


@app.command(group=REPAIR)
def resume(*, cooldown: Flag = False, queue: QueueOptions = AS_SET) -> int:
    """Let a paused fleet go on.

    ```
    ydc resume
    ydc resume --cooldown
    ```

    Parameters
    ----------
    cooldown
        Also end the cooldown of this machine (or the fleet's, where YDC_COOLDOWN_SCOPE says so), before YouTube was tried.
    """
    coordinator = queue.coordinator()
    admission, by = coordinator.queue.admission, f"ydc resume on {_host(coordinator.queue.worker)}"
    _print_line(admission.resume(by), "the fleet was not paused")
    if cooldown:
        _print_line(admission.lift(by), f"there was no {admission.cooldown_name}")
    return 0


def _host(worker: str) -> str:
    return worker.partition("/")[0]


def _print_line(line: Control | None, otherwise: str) -> None:
    from youtube_download_coordinator.queue.cooldown import describe

    say(describe(line) if line else otherwise)
