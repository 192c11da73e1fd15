"""Create the automations that notify people of many dead letters, a cooldown, a suspected outage, or a fleet that is idle.

They react to the events of events.py. Each sends a notification through a block that the operator has created; every block type
that can notify works. Without a block, Prefect only records that the automation was triggered.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import DoNothing, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from youtube_download_coordinator import UserError
from youtube_download_coordinator.prefect.events import (
    COOLDOWN_OPENED,
    DEAD_LETTERED,
    FLEET_IDLE,
    OUTAGE_SUSPECTED,
    PREFIX,
    VIDEO_DONE,
)

TITLE = "Youtube Download Coordinator"
SURGE = f"{TITLE}: many dead letters"
COOLDOWN = f"{TITLE}: YouTube throttles"
OUTAGE = f"{TITLE}: every video fails"
IDLE = f"{TITLE}: nobody works"


def notifications(
    *, dead_letters: int, within: timedelta, idle: timedelta, block_id: UUID | None = None
) -> list[AutomationCore]:
    """Return the automations for many dead letters, a cooldown, an outage, and an idle fleet.

    The first is triggered by `dead_letters` dead letters `within` a time, the last if no video ends for `idle` (at least 10 s).
    """
    surge = _on(DEAD_LETTERED, dead_letters, within)
    cooldown = _on(COOLDOWN_OPENED, 1, timedelta(0))
    outage = _on(OUTAGE_SUSPECTED, 1, timedelta(0))
    nobody = EventTrigger(
        after={FLEET_IDLE},
        expect={VIDEO_DONE, DEAD_LETTERED},
        match=_EVENTS,
        posture=Posture.Proactive,
        threshold=1,
        within=idle,
    )
    minutes, idle_minutes = within.total_seconds() / 60, idle.total_seconds() / 60
    # Send only fixed texts: titles and messages come from YouTube, and a chat may interpret them.
    many_failed = (
        f"{dead_letters} videos failed permanently within {minutes:g} minutes, the last one as {{{{ {_REASON} }}}}."
    )
    throttled = "{{ event.resource.name }} until {{ event.payload.until }}: nothing is claimed meanwhile."
    failing = (
        "{{ event.resource.name }} until {{ event.payload.until }}: every video fails as {{ event.payload.failure }}, so no"
        " attempt is counted. {{ event.payload.to_do }}"
    )
    waiting = (
        f"Videos are waiting, no worker holds any, and none has ended for {idle_minutes:g} minutes."
        " Check the workers and schedules."
    )
    return [
        AutomationCore(name=SURGE, trigger=surge, actions=[_action(SURGE, many_failed, block_id)]),
        AutomationCore(name=COOLDOWN, trigger=cooldown, actions=[_action(COOLDOWN, throttled, block_id)]),
        AutomationCore(name=OUTAGE, trigger=outage, actions=[_action(OUTAGE, failing, block_id)]),
        AutomationCore(name=IDLE, trigger=nobody, actions=[_action(IDLE, waiting, block_id)]),
    ]


_EVENTS = ResourceSpecification({"prefect.resource.id": [f"{PREFIX}.*"]})
_REASON = f"event.resource['{PREFIX}.reason']"


def _on(event: str, threshold: int, within: timedelta) -> EventTrigger:
    return EventTrigger(expect={event}, match=_EVENTS, posture=Posture.Reactive, threshold=threshold, within=within)


def _action(subject: str, body: str, block_id: UUID | None) -> SendNotification | DoNothing:
    return SendNotification(block_document_id=block_id, subject=subject, body=body) if block_id else DoNothing()


def find_block(client: SyncPrefectClient, name: str) -> UUID:
    """Return the ID of the block TYPE/NAME. Raises UserError unless it exists and can notify."""
    type_slug, _, block_name = name.partition("/")
    try:
        block = client.read_block_document_by_name(block_name, type_slug, include_secrets=False)
    except ObjectNotFound:
        raise UserError("there is no such block: `prefect block ls` lists them, as TYPE/NAME") from None
    if block.block_schema is None or "notify" not in block.block_schema.capabilities:
        raise UserError("this block cannot notify: create one of a type that can, such as slack-webhook")
    return block.id
