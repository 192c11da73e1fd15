"""What somebody should be told of at once: a surge of dead letters, a cooldown, a fleet that does not work although it could.

They are automations on our events (events.py). Each sends a notification through a block that the operator has made, of any kind
that can notify; without one it only shows among Prefect's events that it was triggered.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import DoNothing, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from tasks.events import COOLDOWN_OPENED, DEAD_LETTERED, FLEET_IDLE, PREFIX, VIDEO_DONE

TITLE = "Youtube Download Coordinator"
SURGE = f"{TITLE}: many dead letters"
COOLDOWN = f"{TITLE}: YouTube throttles"
IDLE = f"{TITLE}: nobody works"


class NoBlock(Exception):
    """There is no block of that name that can notify; says what to do."""


def notifications(
    *, dead_letters: int, within: timedelta, idle: timedelta, block_id: UUID | None = None
) -> list[AutomationCore]:
    """The automations: so many dead letters within that time; a cooldown; pending videos of which none ends for so long.

    `idle` is at least 10 s.
    """
    surge = _on(DEAD_LETTERED, dead_letters, within)
    cooldown = _on(COOLDOWN_OPENED, 1, timedelta(0))
    nobody = EventTrigger(
        after={FLEET_IDLE},
        expect={VIDEO_DONE, DEAD_LETTERED},
        match=_OURS,
        posture=Posture.Proactive,
        threshold=1,
        within=idle,
    )
    minutes, idle_minutes = within.total_seconds() / 60, idle.total_seconds() / 60
    # Titles and messages come from YouTube, and a chat may take them for more than text: only our own words are sent.
    said = f"{dead_letters} videos failed for good within {minutes:g} minutes, the last one as {{{{ {_REASON} }}}}."
    cools = "{{ event.resource.name }} until {{ event.payload.until }}: nothing is claimed meanwhile."
    waits = (
        f"Videos wait, nobody holds any, and none has ended for {idle_minutes:g} minutes. Do workers and schedules run?"
    )
    return [
        AutomationCore(name=SURGE, trigger=surge, actions=[_action(SURGE, said, block_id)]),
        AutomationCore(name=COOLDOWN, trigger=cooldown, actions=[_action(COOLDOWN, cools, block_id)]),
        AutomationCore(name=IDLE, trigger=nobody, actions=[_action(IDLE, waits, block_id)]),
    ]


_OURS = ResourceSpecification({"prefect.resource.id": [f"{PREFIX}.*"]})
_REASON = f"event.resource['{PREFIX}.reason']"


def _on(event: str, threshold: int, within: timedelta) -> EventTrigger:
    return EventTrigger(expect={event}, match=_OURS, posture=Posture.Reactive, threshold=threshold, within=within)


def _action(subject: str, body: str, block_id: UUID | None) -> SendNotification | DoNothing:
    return SendNotification(block_document_id=block_id, subject=subject, body=body) if block_id else DoNothing()


def find_block(client: SyncPrefectClient, name: str) -> UUID:
    """The block that an operator has named as TYPE/NAME. Raises NoBlock."""
    kind, _, own_name = name.partition("/")
    try:
        found = client.read_block_document_by_name(own_name, kind, include_secrets=False)
    except ObjectNotFound:
        raise NoBlock("there is no such block: `prefect block ls` names those that there are, as TYPE/NAME") from None
    if found.block_schema is None or "notify" not in found.block_schema.capabilities:
        raise NoBlock("this block cannot notify: make one of a kind that can, such as slack-webhook")
    return found.id
