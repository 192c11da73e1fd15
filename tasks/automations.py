"""Create the automations: mark runs whose process is gone as crashed, and notify people of problems.

    python -m tasks.automations --notify slack-webhook/ops

Without them, a run whose worker was ended by SIGTERM or SIGKILL stays Running for ever. A flow's process sends a heartbeat every
PREFECT_FLOWS_HEARTBEAT_FREQUENCY seconds (180 unless set on the workers; at least 30). The automation, on the server that
PREFECT_API_URL names, waits for the next heartbeat or for the run's end. It only corrects what Prefect shows: leases alone
decide who owns a row, and a run that is marked by mistake continues and does no harm.

notifications.py contains the automations that notify people.
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.settings import get_current_settings

from tasks.notifications import find_block, notifications
from tasks.server import SERVER_ERRORS, describe_problem
from youtube_download_coordinator import UserError
from youtube_download_coordinator.prefect.run_state import STOPPED_NAME

NAME = "Youtube Download Coordinator: runs without a heartbeat have crashed"
HEARTBEAT = "prefect.flow-run.heartbeat"
STATES = ("Completed", "CompletedWithErrors", "Skipped", "Failed", "TimedOut", "Cancelled", STOPPED_NAME, "Crashed")
ENDS = {f"prefect.flow-run.{state}" for state in STATES}
"""The events of all final states. Without one of them, a run that ended in that state would be marked as crashed."""
MISSED_HEARTBEATS = 3
DEFAULT_HEARTBEAT_SECONDS = 180
IDLE_MINUTES_MIN = 10 / 60
"""Prefect's own lower limit for an event that does not occur."""
NOTIFICATION_DEFAULTS = {"notify": None, "dead_letters": 20, "within_minutes": 60.0, "idle_minutes": 30.0}
TAG = "youtube"
"""The tag of every deployment of this project. Other flows on the same server are ignored."""


def zombie_automation(silent_seconds: float) -> AutomationCore:
    """Return an automation that marks a run as crashed after `silent_seconds` (at least 10) without a heartbeat."""
    return AutomationCore(
        name=NAME,
        description="Its process or its machine is gone. Its rows are released, at the latest when their leases expire.",
        trigger=EventTrigger(
            after={HEARTBEAT},
            expect={HEARTBEAT, *ENDS},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification({"prefect.resource.id": [f"prefect.tag.{TAG}"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=silent_seconds),
        ),
        actions=[
            ChangeFlowRunState(
                name=None, state=StateType.CRASHED, force=False, message=f"no heartbeat for {silent_seconds:g} s"
            )
        ],
    )


def establish(automation: AutomationCore, *, keep: bool = False) -> str:
    """Create the automation, or update the existing one with its name, unless `keep`. Return what was done."""
    with get_client(sync_client=True) as client:
        existing = client.read_automations_by_name(automation.name)
        if not existing:
            client.create_automation(automation)
            return "created"
        for old in existing if not keep else []:
            client.update_automation(old.id, automation)
    return "kept" if keep else "updated"


def main() -> None:
    """Create or update all automations."""
    heartbeat_seconds = get_current_settings().flows.heartbeat_frequency or DEFAULT_HEARTBEAT_SECONDS
    parser = _parser(heartbeat_seconds)
    options = parser.parse_args()
    if options.silent_seconds <= heartbeat_seconds:
        parser.error(
            f"--silent-seconds={options.silent_seconds:g}: it must be more than the {heartbeat_seconds} s between heartbeats"
        )
    if options.dead_letters < 1 or options.within_minutes <= 0 or options.idle_minutes < IDLE_MINUTES_MIN:
        parser.error(
            f"--dead-letters and --within-minutes must be more than 0, --idle-minutes {IDLE_MINUTES_MIN} at least"
        )
    address = get_current_settings().api.url
    if not address:  # Prefect would start a temporary server for this command
        parser.error("PREFECT_API_URL is not set: set it to the address of the Prefect server")
    try:
        _establish(options)
    except UserError as problem:
        parser.error(f"--notify={options.notify}: {problem}")
    except SERVER_ERRORS as problem:
        sys.exit(describe_problem(address, problem))


def _establish(options: argparse.Namespace) -> None:
    automations = _notifications(options)  # first, because it fails if the block does not exist
    zombie = zombie_automation(options.silent_seconds)
    print(f"{establish(zombie)}: {zombie.name}")
    # `ydc deploy` gives no options for notifications, and must keep those that an operator gave before.
    keep = all(getattr(options, name) == default for name, default in NOTIFICATION_DEFAULTS.items())
    for automation in automations:
        print(f"{establish(automation, keep=keep)}: {automation.name}")


def _notifications(options: argparse.Namespace) -> list[AutomationCore]:
    block_id = None
    if options.notify:
        with get_client(sync_client=True) as client:
            block_id = find_block(client, options.notify)
    return notifications(
        dead_letters=options.dead_letters,
        within=timedelta(minutes=options.within_minutes),
        idle=timedelta(minutes=options.idle_minutes),
        block_id=block_id,
    )


def _parser(heartbeat_seconds: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.automations",
        description="Mark runs whose process is gone as crashed, and notify people of problems.",
    )
    parser.add_argument(
        "--silent-seconds",
        type=float,
        default=MISSED_HEARTBEATS * heartbeat_seconds,
        help=f"mark a run after this many seconds without a heartbeat (default: %(default)g, {MISSED_HEARTBEATS} heartbeats)",
    )
    parser.add_argument(
        "--notify",
        metavar="TYPE/NAME",
        help="the block that sends notifications, as TYPE/NAME (see `prefect block ls`); without it, Prefect only records events",
    )
    parser.add_argument("--dead-letters", type=int, help="notify of this many dead letters (default: %(default)s) ...")
    parser.add_argument("--within-minutes", type=float, help="... within this time (default: %(default)s)")
    parser.add_argument(
        "--idle-minutes",
        type=float,
        help="notify if no video ends within this time after a report found videos waiting and no worker (default: %(default)s)",
    )
    parser.set_defaults(**NOTIFICATION_DEFAULTS)
    return parser


if __name__ == "__main__":
    main()
