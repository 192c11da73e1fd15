"""Runs whose process is gone without a word, by SIGTERM or SIGKILL to their worker, stay Running for ever: mark them as crashed.

    python -m tasks.automations

A flow's process sends a heartbeat every PREFECT_FLOWS_HEARTBEAT_FREQUENCY seconds (180 unless it is set on the workers; 30 at the
least). The automation made here, on the server that PREFECT_API_URL names, waits for the next one, or for the run's end. It only
mends what Prefect shows: leases alone decide whose rows are whose, and a run that is marked wrongly goes on and does no harm.
"""

from __future__ import annotations

import argparse
from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.settings import get_current_settings

NAME = "Youtube Download Coordinator: runs without a heartbeat have crashed"
HEARTBEAT = "prefect.flow-run.heartbeat"
ENDS = {f"prefect.flow-run.{state}" for state in ("Completed", "CompletedWithErrors", "Failed", "Cancelled", "Crashed")}
"""By the names of states: a run that ended in another one would be marked as crashed afterwards."""
MISSED_HEARTBEATS = 3
DEFAULT_HEARTBEAT_SECONDS = 180
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


def establish(automation: AutomationCore) -> str:
    """Create it, or change the one that has its name into it; which of the two was done."""
    with get_client(sync_client=True) as client:
        known = client.read_automations_by_name(automation.name)
        for each in known:
            client.update_automation(each.id, automation)
        if not known:
            client.create_automation(automation)
    return "updated" if known else "created"


def main() -> None:
    """The command: how long a run may be silent follows from the heartbeats that it sends."""
    heartbeat_seconds = get_current_settings().flows.heartbeat_frequency or DEFAULT_HEARTBEAT_SECONDS
    parser = argparse.ArgumentParser(
        prog="python -m tasks.automations",
        description="Have runs marked as crashed whose process is gone without a word.",
    )
    parser.add_argument(
        "--silent-seconds",
        type=float,
        default=MISSED_HEARTBEATS * heartbeat_seconds,
        help=f"how long a run may be silent: {MISSED_HEARTBEATS} heartbeats, %(default)g, unless it is given",
    )
    silent_seconds = parser.parse_args().silent_seconds
    if silent_seconds <= heartbeat_seconds:
        parser.error(
            f"--silent-seconds={silent_seconds:g}: it must be more than the {heartbeat_seconds} s between heartbeats"
        )
    print(
        f"{establish(zombie_automation(silent_seconds))}: a run that is silent for {silent_seconds:g} s counts as crashed"
    )


if __name__ == "__main__":
    main()
