"""People are told: each automation fires on a real server, and its notification arrives at a receiver on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from uuid import UUID, uuid4

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.events.schemas.automations import AutomationCore
from pydantic import SecretStr

from flows.report import report
from tasks.automations import establish
from tasks.notifications import COOLDOWN, IDLE, OUTAGE, SURGE, find_block, notifications
from tests.flows import seen
from tests.flows.conftest import AddVideos
from tests.support.waiting import wait_until
from youtube_download_coordinator import Coordinator, UserError
from youtube_download_coordinator.models import Control
from youtube_download_coordinator.prefect.events import COOLDOWN_OPENED, DEAD_LETTERED, PREFIX, outage_suspected
from youtube_download_coordinator.queue.store import VIDEO_TASKS

TYPE = "custom-webhook"


@contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Start a web server. Yield its address and the list of what is posted to it."""
    posted: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()


@pytest.fixture(autouse=True)
def no_automation_is_left() -> Iterator[None]:
    yield
    with get_client(sync_client=True) as client:
        for automation in [
            each for name in (SURGE, COOLDOWN, OUTAGE, IDLE) for each in client.read_automations_by_name(name)
        ]:
            client.delete_automation(automation.id)


def block(url: str) -> str:
    """Save a block that posts notifications to an address, and return its name as an operator writes it."""
    name = f"notification-{uuid4()}"
    template = {"subject": "{{subject}}", "body": "{{body}}"}
    block = CustomWebhookNotificationBlock.model_validate({"name": "notification", "url": url, "json_data": template})
    block.save(name)
    return f"{TYPE}/{name}"


def wanted(block_id: UUID | None) -> list[AutomationCore]:
    hour, soon = timedelta(minutes=60), timedelta(seconds=10)
    return notifications(dead_letters=3, within=hour, idle=soon, block_id=block_id)


def found(name: str) -> UUID:
    with get_client(sync_client=True) as client:
        return find_block(client, name)


def dead_letter(number: int) -> None:
    resource = {"prefect.resource.id": f"{PREFIX}.video.{number}", f"{PREFIX}.reason": "private"}
    emit_event(DEAD_LETTERED, resource, payload={"title": "<!channel>"})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_notification_arrives(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(1)
    with receiver() as (url, posted):
        for automation in wanted(found(block(url))):
            assert establish(automation) == "created"
        report()  # a video waits, and nobody comes for it
        emit_event(
            COOLDOWN_OPENED,
            {"prefect.resource.id": f"{PREFIX}.cooldown.host", "prefect.resource.name": "cooldown host"},
            payload={"until": "2026-11-25T09:00:00Z"},
        )
        outage_suspected(
            Control(
                name="suspect host 2026.10.26",
                value="suspect",
                until=datetime(2026, 11, 25, 9, tzinfo=UTC),
                reason="host/1: page-reload: 3 videos of 2 sources on 1 machine; to do: ydc upgrade-yt-dlp; last: <!channel>",
            )
        )
        for number in range(3):
            dead_letter(number)
        wait_until(lambda: len({each["subject"] for each in posted}) == 4, 240)
    said = {each["subject"]: each["body"] for each in posted}
    assert said[SURGE] == "3 videos failed permanently within 60 minutes, the last one as private."
    assert said[COOLDOWN].startswith("cooldown host until 2026-11-25T09:00:00Z")
    assert said[OUTAGE] == (
        "suspect host 2026.10.26 until 2026-11-25T09:00:00Z: every video fails as page-reload, so no attempt is counted."
        " ydc upgrade-yt-dlp"
    )
    assert said[IDLE].startswith("Videos are waiting, no worker holds any")


def test_a_report_tells_of_a_fleet_that_does_not_work_and_of_no_other(
    coordinator: Coordinator, add_videos: AddVideos
) -> None:
    add_videos(2)
    state = report(return_state=True)
    wait_until(lambda: [event.event for event in seen.events(state)] == [f"{PREFIX}.fleet.idle"])
    coordinator.queue.claim(VIDEO_TASKS, 1)
    busy = report(return_state=True)
    coordinator.queue.release_all()
    coordinator.queue.admission.pause(None, "we sort the sheet")
    paused = report(return_state=True)
    idle = report(return_state=True) if coordinator.queue.admission.resume("us") else state
    wait_until(lambda: len(seen.events(idle)) == 1)  # events come in order: those of the others would be there
    assert (seen.events(busy), seen.events(paused)) == ([], [])


def test_a_block_that_is_not_there_or_cannot_notify_is_refused() -> None:
    with pytest.raises(UserError, match="there is no such block"):
        found(f"{TYPE}/nothing")
    Secret(value=SecretStr("x")).save("no-notification", overwrite=True)
    with pytest.raises(UserError, match="cannot notify"):
        found("secret/no-notification")
