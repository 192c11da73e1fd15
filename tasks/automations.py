"""Automations, made with one command: runs whose process is gone are marked as crashed, and people are told of trouble.

    python -m tasks.automations --notify slack-webhook/ops

Runs whose process is gone without a word, by SIGTERM or SIGKILL to their worker, stay Running for ever. A flow's process sends a
heartbeat every PREFECT_FLOWS_HEARTBEAT_FREQUENCY seconds (180 unless it is set on the workers; 30 at the least). The automation
made here, on the server that PREFECT_API_URL names, waits for the next one, or for the run's end. It only mends what Prefect
shows: leases alone decide whose rows are whose, and a run that is marked wrongly goes on and does no harm.

What people are told of, notifications.py has.
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta

import httpx  # what Prefect's client is made of, and raises
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.settings import get_current_settings

from tasks.notifications import NoBlock, find_block, notifications

NAME = "Youtube Download Coordinator: runs without a heartbeat have crashed"
HEARTBEAT = "prefect.flow-run.heartbeat"
ENDS = {f"prefect.flow-run.{state}" for state in ("Completed", "CompletedWithErrors", "Failed", "Cancelled", "Crashed")}
"""By the names of states: a run that ended in another one would be marked as crashed afterwards."""
MISSED_HEARTBEATS = 3
DEFAULT_HEARTBEAT_SECONDS = 180
IDLE_MINUTES_MIN = 10 / 60
"""Prefect's own limit for what does not happen."""
NOTIFICATION_DEFAULTS = {"notify": None, "dead_letters": 20, "within_minutes": 60.0, "idle_minutes": 30.0}
TAG = "youtube"
"""What every deployment of ours carries: other flows on the same server are left alone."""


def zombie_automation(silent_seconds: float) -> AutomationCore:
    """Mark a run of ours as crashed when it has neither ended nor sent a heartbeat for so long; at least 10 s."""
    return AutomationCore(
        name=NAME,
        description="Its process or its machine is gone. What it held is free already, or will be when its leases end.",
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
    """Create it, or change the one that has its name into it, or `keep` that one as it is; which of these was done."""
    with get_client(sync_client=True) as client:
        known = client.read_automations_by_name(automation.name)
        if not known:
            client.create_automation(automation)
            return "created"
        for each in known if not keep else []:
            client.update_automation(each.id, automation)
    return "kept" if keep else "updated"


def main() -> None:
    """The command: all automations, and through which block they tell somebody."""
    heartbeat_seconds = get_current_settings().flows.heartbeat_frequency or DEFAULT_HEARTBEAT_SECONDS
    parser = _options(heartbeat_seconds)
    given = parser.parse_args()
    if given.silent_seconds <= heartbeat_seconds:
        parser.error(
            f"--silent-seconds={given.silent_seconds:g}: it must be more than the {heartbeat_seconds} s between heartbeats"
        )
    if given.dead_letters < 1 or given.within_minutes <= 0 or given.idle_minutes < IDLE_MINUTES_MIN:
        parser.error(
            f"--dead-letters and --within-minutes must be more than 0, --idle-minutes {IDLE_MINUTES_MIN} at least"
        )
    address = get_current_settings().api.url
    if not address:  # Prefect would start a server for this command alone, and throw it away
        parser.error("no Prefect server is named: set PREFECT_API_URL")
    try:
        _establish(given)
    except NoBlock as problem:
        parser.error(f"--notify={given.notify}: {problem}")
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as problem:  # the last for a host whose name is none
        sys.exit(f"the Prefect server at {address} does not do it: {problem}")


def _establish(given: argparse.Namespace) -> None:
    told = _notifications(given)  # first: it may find that there is no such block
    zombie = zombie_automation(given.silent_seconds)
    print(f"{establish(zombie)}: {zombie.name}")
    for automation in told:
        print(f"{establish(automation, keep=not _says_something(given))}: {automation.name}")


def _says_something(given: argparse.Namespace) -> bool:
    """About notifications: `ydc deploy` does not, and leaves what an operator has said before."""
    return any(getattr(given, name) != default for name, default in NOTIFICATION_DEFAULTS.items())


def _notifications(given: argparse.Namespace) -> list[AutomationCore]:
    block_id = None
    if given.notify:
        with get_client(sync_client=True) as client:
            block_id = find_block(client, given.notify)
    return notifications(
        dead_letters=given.dead_letters,
        within=timedelta(minutes=given.within_minutes),
        idle=timedelta(minutes=given.idle_minutes),
        block_id=block_id,
    )


def _options(heartbeat_seconds: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.automations",
        description="Have runs marked as crashed whose process is gone without a word, and people told of trouble.",
    )
    parser.add_argument(
        "--silent-seconds",
        type=float,
        default=MISSED_HEARTBEATS * heartbeat_seconds,
        help=f"how long a run may be silent: {MISSED_HEARTBEATS} heartbeats, %(default)g, unless it is given",
    )
    parser.add_argument(
        "--notify",
        metavar="TYPE/NAME",
        help="the block by which people are told, as `prefect block ls` has it; without one only events say it",
    )
    parser.add_argument("--dead-letters", type=int, help="tell of so many, %(default)s, ...")
    parser.add_argument("--within-minutes", type=float, help="... within this time, %(default)s")
    parser.add_argument(
        "--idle-minutes",
        type=float,
        help="tell when no video has ended so long after a report saw that one waits and nobody works, %(default)s",
    )
    parser.set_defaults(**NOTIFICATION_DEFAULTS)
    return parser


if __name__ == "__main__":
    main()
