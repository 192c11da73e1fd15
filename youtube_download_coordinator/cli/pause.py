"""`ydc pause` and `ydc resume`: pause and resume the whole fleet."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from youtube_download_coordinator.cli.application import REPAIR, app
from youtube_download_coordinator.cli.queue_options import AS_SET, Flag, QueueOptions, check_positive
from youtube_download_coordinator.cli.terminal import say
from youtube_download_coordinator.errors import ConfigError

if TYPE_CHECKING:
    from youtube_download_coordinator.models import Control
    from youtube_download_coordinator.queue import Queue


@app.command(group=REPAIR)
def pause(*, minutes: float | None = None, reason: str = "", queue: QueueOptions = AS_SET) -> int:
    """Pause the whole fleet: no worker starts a video. Running attempts are finished, and other claims are released.

    ```
    ydc pause --reason "sorting the sheet"
    ydc pause --minutes 90
    ```

    Parameters
    ----------
    minutes
        The length of the pause. Unless given, the pause lasts until `ydc resume`.
    reason
        A reason to show in `ydc status` and in the tab Control.
    """
    check_positive(minutes=minutes)
    coordinator = queue.coordinator()
    try:
        until = coordinator.queue.store.now() + timedelta(minutes=minutes) if minutes else None
    except OverflowError:
        raise ConfigError(
            f"--minutes={minutes:g}: the date is out of range; leave it out to pause until `ydc resume`"
        ) from None
    _print_control(coordinator.queue.admission.pause(until, reason or _signature("ydc pause", coordinator.queue)), "")
    return 0


@app.command(group=REPAIR)
def resume(*, cooldown: Flag = False, queue: QueueOptions = AS_SET) -> int:
    """Resume a paused fleet.

    ```
    ydc resume
    ydc resume --cooldown
    ```

    Parameters
    ----------
    cooldown
        Also end this machine's cooldown (with YDC_COOLDOWN_SCOPE=fleet: the fleet's) and its suspicion of an outage, without
        testing YouTube first.
    """
    coordinator = queue.coordinator()
    admission, reason = coordinator.queue.admission, _signature("ydc resume", coordinator.queue)
    _print_control(admission.resume(reason), "the fleet was not paused")
    if cooldown:
        _print_control(admission.lift(reason), f"there was no {admission.cooldown_name}")
    return 0


def _signature(command: str, queue: Queue) -> str:
    return f"{command} on {queue.worker.partition('/')[0]}"


def _print_control(line: Control | None, otherwise: str) -> None:
    from youtube_download_coordinator.queue.cooldown import describe

    say(describe(line) if line else otherwise)
