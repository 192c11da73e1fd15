"""A run whose process is gone without a word is marked as crashed by the server, when the automation is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.events.schemas.automations import EventTrigger
from prefect.settings import get_current_settings
from prefect.states import Completed, Running

from tasks.automations import HEARTBEAT, NAME, TAG, establish, zombie_automation
from tasks.notifications import COOLDOWN, IDLE, OUTAGE, SURGE
from tests.support.waiting import wait_until

NAMES = (NAME, SURGE, COOLDOWN, OUTAGE, IDLE)
ROOT = Path(__file__).resolve().parents[2]
SILENT_SECONDS = 10  # the least that Prefect takes


@flow
def silent() -> None:
    """Do nothing: a test creates this flow's runs, and no process runs them."""


@pytest.fixture(autouse=True)
def no_automation_is_left() -> Iterator[None]:
    yield
    with get_client(sync_client=True) as client:
        for automation in [each for name in NAMES for each in client.read_automations_by_name(name)]:
            client.delete_automation(automation.id)


def running(*tags: str) -> UUID:
    """Create a run that has sent one heartbeat and sends no other, as after its process died. Return its ID."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(silent, tags=tags, state=Running())
    emit_event(
        HEARTBEAT,
        {"prefect.resource.id": f"prefect.flow-run.{run.id}"},
        related=[{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in tags],
    )
    return run.id


def read(run_id: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_of_ours_that_falls_silent_has_crashed_and_no_other(tmp_path: Path) -> None:
    assert establish(zombie_automation(SILENT_SECONDS)) == "created"
    zombie, ended, somebody_elses = running(TAG), running(TAG), running()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(ended, Completed(name="CompletedWithErrors"), force=True)
    wait_until(lambda: read(zombie).state_name == "Crashed", 180)
    assert str(getattr(read(zombie).state, "message", "")) == "no heartbeat for 10 s"
    assert (read(ended).state_name, read(somebody_elses).state_name) == ("CompletedWithErrors", "Running")


def command(*options: str, heartbeat_seconds: int, address: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PREFECT_API_URL": str(get_current_settings().api.url) if address is None else address,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(heartbeat_seconds),
    }
    return subprocess.run(
        [sys.executable, "-m", "tasks.automations", *options], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_the_command_may_be_given_again_and_follows_the_heartbeats() -> None:
    """What was said of notifications stays as it is until something else is said of them."""
    made = command("--dead-letters", "5", heartbeat_seconds=30).stdout.splitlines()
    again = command(heartbeat_seconds=60).stdout.splitlines()
    assert made == [f"created: {name}" for name in NAMES]
    assert again == [f"updated: {NAME}", *(f"kept: {name}" for name in NAMES[1:])]
    assert trigger(NAME).within.total_seconds() == 180
    assert trigger(SURGE).threshold == 5
    assert command("--dead-letters", "6", heartbeat_seconds=60).stdout.splitlines() == [
        f"updated: {name}" for name in NAMES
    ]
    assert trigger(SURGE).threshold == 6


def trigger(name: str) -> EventTrigger:
    with get_client(sync_client=True) as client:
        (automation,) = client.read_automations_by_name(name)
    assert isinstance(automation.trigger, EventTrigger)
    return automation.trigger


def test_a_block_that_is_not_there_is_refused_before_anything_is_made() -> None:
    refused = command("--notify", "slack-webhook/nobody", heartbeat_seconds=60)
    assert refused.returncode == 2
    assert "--notify=slack-webhook/nobody: there is no such block" in refused.stderr
    with get_client(sync_client=True) as client:
        assert client.read_automations_by_name(NAME) == []


def test_a_silence_shorter_than_a_heartbeat_is_refused() -> None:
    refused = command("--silent-seconds", "60", heartbeat_seconds=60)
    assert refused.returncode == 2
    assert "--silent-seconds=60: it must be more than the 60 s between heartbeats" in refused.stderr


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "PREFECT_API_URL is not set: set it"),
        ("http://127.0.0.1:9/api", "the Prefect server at http://127.0.0.1:9/api failed or is not reachable: "),
        ("http://.../api", "the Prefect server at http://.../api failed or is not reachable: "),
    ],
)
def test_a_server_that_does_not_answer_is_said_in_one_line(
    address: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    refused = command(heartbeat_seconds=60, address=address)
    assert refused.returncode != 0
    assert said in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
