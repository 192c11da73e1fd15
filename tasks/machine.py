"""Allow one long run at a time on each machine. The other runs end as Skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect.client.schemas.objects import State

from tasks.reports import skipped
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.prefect.spreading import Spreading
from youtube_download_coordinator.wiring import hold_machine_lock

DOES = {
    "process": "processes",
    "coordinate": "coordinates",
    "expand": "lists",
    "verify": "verifies",
    "manifest": "publishes",
}


def alone_on_machine(
    coordinator: Coordinator, purpose: str, run: Callable[[Spreading | None], State[Any]], *, spreads: bool = True
) -> State[Any]:
    """Run it, unless a run for the same purpose is active on this machine. Then skip this run, and pass it to another machine."""
    spreading = Spreading.of_this_run(coordinator.config) if spreads else None
    with hold_machine_lock(coordinator.config, purpose) as held:
        if held:
            return run(spreading)
    handed_on = spreading is not None and spreading.hand_on()
    return skipped(f"this machine {DOES[purpose]} already{'; another one is asked' if handed_on else ''}")
