"""Real processes on one queue: no video twice, none lost, whoever is killed. On every store that several processes can share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.rows import new_video
from tests.waiting import wait_until
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.store import SOURCES, VIDEO_TASKS

PROCESSES = 8
VIDEOS = 600
KILLED = 3
SHORT_LEASE_SECONDS = 1.5

Event = dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """What the logs say of one attempt; `ended` is None when its worker was killed in it."""

    worker: int
    began: datetime
    ended: datetime | None


class Fleet:
    """Processes of tests/claiming_worker.py on one queue, and their logs."""

    def __init__(self, folder: Path, settings: Mapping[str, str], stack: ExitStack) -> None:
        self._folder = folder
        self._environment = {**os.environ, **settings}
        self._stack = stack
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> None:
        """Start one more; it waits for the others."""
        job, *options = arguments
        command = [sys.executable, "-m", "tests.claiming_worker", job, str(self._log(len(self.processes))), *options]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, env=self._environment, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        self.processes.append(process)

    def go(self) -> None:
        """Let all of them begin at the same moment."""
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.stdout.read()
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()

    def join(self, *numbers: int) -> None:
        """Wait until these have ended, and look that they ended well."""
        for number in numbers or range(len(self.processes)):
            output, _ = self.processes[number].communicate()
            assert self.processes[number].returncode == 0, output

    def kill(self, number: int) -> None:
        self.processes[number].kill()
        self.processes[number].communicate()

    def events(self, number: int) -> list[Event]:
        path = self._log(number)
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def every_event(self, name: str) -> list[Event]:
        everything = [event for number in range(len(self.processes)) for event in self.events(number)]
        return [event for event in everything if event["event"] == name]

    def attempts(self) -> dict[int, list[Attempt]]:
        """Every attempt by the video's ID, in order of their beginnings."""
        found: defaultdict[int, list[Attempt]] = defaultdict(list)
        for number in range(len(self.processes)):
            ends = {event["id"]: _moment(event) for event in self.events(number) if event["event"] == "end"}
            for event in self.events(number):
                if event["event"] == "begin":
                    found[event["id"]].append(Attempt(number, _moment(event), ends.get(event["id"])))
        return {row_id: sorted(attempts, key=lambda attempt: attempt.began) for row_id, attempts in found.items()}

    def _log(self, number: int) -> Path:
        return self._folder / f"worker-{number}.log"


def _moment(event: Event) -> datetime:
    return datetime.fromisoformat(event["at"])


@pytest.fixture
def make_fleet(shared_settings: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Workers that share one empty queue; more settings by keyword."""
    with ExitStack() as stack:
        yield lambda **more: Fleet(tmp_path, {**shared_settings, **more}, stack)


@pytest.fixture
def coordinator(shared_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Coordinator]:
    """The test's own view of the same queue."""
    for name, value in shared_settings.items():
        monkeypatch.setenv(name, value)
    ours = Coordinator(Config())
    yield ours
    ours.queue.store.close()


def add_videos(coordinator: Coordinator) -> None:
    coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(VIDEOS)])


def holders(coordinator: Coordinator) -> Counter[int]:
    return Counter(row.id for row in coordinator.queue.rows(VIDEO_TASKS) if row.lease.state is State.DONE)


def test_eight_processes_take_no_video_twice_and_lose_none(
    make_fleet: Callable[..., Fleet], coordinator: Coordinator
) -> None:
    add_videos(coordinator)
    fleet = make_fleet()
    for _ in range(PROCESSES):
        fleet.start("claim")
    fleet.go()
    fleet.join()
    assert coordinator.queue.counts(VIDEO_TASKS) == {State.DONE: VIDEOS}
    attempts = fleet.attempts()
    assert sorted(attempts) == sorted(row.id for row in coordinator.queue.rows(VIDEO_TASKS))
    assert {row_id: len(each) for row_id, each in attempts.items() if len(each) > 1} == {}
    assert Counter(event["ending"] for event in fleet.every_event("recorded")) == {"done": VIDEOS}
    assert len({attempt.worker for each in attempts.values() for attempt in each}) > 1, "only one has worked"


def test_when_three_are_killed_only_what_they_held_runs_again(
    make_fleet: Callable[..., Fleet], coordinator: Coordinator
) -> None:
    add_videos(coordinator)
    fleet = make_fleet(YDC_STALLED_TASK_TIMEOUT_MINUTES=str(SHORT_LEASE_SECONDS / 60))
    victims, others = range(KILLED), range(KILLED, PROCESSES)
    for number in range(PROCESSES):
        fleet.start("claim", *(["--hang-after", "10"] if number in victims else []))
    fleet.go()
    for victim in victims:
        wait_until(lambda victim=victim: sum(event["event"] == "begin" for event in fleet.events(victim)) > 10)
        fleet.kill(victim)
    fleet.join(*others)
    assert coordinator.queue.counts(VIDEO_TASKS) == {State.DONE: VIDEOS}
    check_that_nothing_was_done_twice(fleet, coordinator, victims)


def check_that_nothing_was_done_twice(fleet: Fleet, coordinator: Coordinator, victims: range) -> None:
    recorded = Counter(event["id"] for event in fleet.every_event("recorded") if event["ending"] == "done")
    lost = {event["id"] for event in fleet.every_event("recorded") if event["ending"] == "lost"}
    again = 0
    for row in coordinator.queue.rows(VIDEO_TASKS):
        attempts = fleet.attempts_of(row.id)
        killed = [attempt for attempt in attempts if attempt.worker in victims]
        assert recorded[row.id] == 1 or (recorded[row.id] == 0 and killed)
        assert len(attempts) == 1 or killed or row.id in lost
        again += len(attempts) > 1
    assert again >= KILLED
