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
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator import wiring
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS

PROCESSES = 8
VIDEOS = 600
KILLED = 3
SOURCES_LISTED = 1500
SHORT_LEASE = timedelta(seconds=1.5)

Event = dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """An attempt according to the logs. `ended` is None if its worker was killed during it."""

    worker: int
    claimed: datetime
    began: datetime
    ended: datetime | None


class Fleet:
    """Processes of tests/support/claiming_worker.py on one queue, and their logs."""

    def __init__(self, folder: Path, settings: Mapping[str, str], stack: ExitStack) -> None:
        self._folder = folder
        self._environment = {**os.environ, **settings}
        self._stack = stack
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> None:
        """Start one more; it waits for the others."""
        job, *options = arguments
        command = [
            sys.executable,
            "-m",
            "tests.support.claiming_worker",
            job,
            str(self._log(len(self.processes))),
            *options,
        ]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, env=self._environment, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        self.processes.append(process)

    def go(self, *numbers: int) -> None:
        """Let these (or all of them) begin at the same moment."""
        chosen = [self.processes[number] for number in numbers or range(len(self.processes))]
        for process in chosen:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.stdout.read()
        for process in chosen:
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

    def count(self, number: int, name: str) -> int:
        return sum(event["event"] == name for event in self.events(number))

    def every_event(self, name: str) -> list[Event]:
        everything = [event for number in range(len(self.processes)) for event in self.events(number)]
        return [event for event in everything if event["event"] == name]

    def attempts(self) -> dict[int, list[Attempt]]:
        """Return all attempts by the video's ID, in the order in which they began."""
        found: defaultdict[int, list[Attempt]] = defaultdict(list)
        for number in range(len(self.processes)):
            ends = {event["id"]: _moment(event) for event in self.events(number) if event["event"] == "end"}
            for event in self.events(number):
                if event["event"] == "begin":
                    found[event["id"]].append(_attempt(number, event, ends.get(event["id"])))
        return {row_id: sorted(attempts, key=lambda attempt: attempt.began) for row_id, attempts in found.items()}

    def _log(self, number: int) -> Path:
        return self._folder / f"worker-{number}.log"


def _attempt(worker: int, event: Event, ended: datetime | None) -> Attempt:
    return Attempt(worker, datetime.fromisoformat(event["claimed_at"]), _moment(event), ended)


def _moment(event: Event) -> datetime:
    return datetime.fromisoformat(event["at"])


@pytest.fixture
def make_fleet(shared_settings: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Yield a function that makes a fleet on one empty queue; keywords are further settings."""
    with ExitStack() as stack:
        yield lambda **more: Fleet(tmp_path, {**shared_settings, **more}, stack)


@pytest.fixture
def coordinator(shared_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Coordinator]:
    """Yield a coordinator of the test's own process on the same queue."""
    for name, value in shared_settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(wiring, "_stores", {})  # those of another test may be gone
    coordinator = Coordinator(Config())
    yield coordinator
    coordinator.queue.store.close()


def add_videos(coordinator: Coordinator) -> None:
    coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(VIDEOS)])


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


@pytest.mark.slow
def test_when_three_are_killed_only_what_they_held_runs_again(
    make_fleet: Callable[..., Fleet], coordinator: Coordinator
) -> None:
    add_videos(coordinator)
    lease = SHORT_LEASE + 2 * timedelta(seconds=coordinator.queue.store.clock_error_seconds)
    fleet = make_fleet(YDC_STALLED_TASK_TIMEOUT_MINUTES=str(lease.total_seconds() / 60))
    victims, others = range(KILLED), range(KILLED, PROCESSES)
    for number in range(PROCESSES):
        fleet.start("claim", *(["--hang-after", "10"] if number in victims else []))
    fleet.go(*victims)
    for victim in victims:
        wait_until(lambda victim=victim: fleet.count(victim, "begin") > 10)  # type: ignore[misc]
    fleet.go(*others)
    for victim in victims:
        enough = 50 * (victim + 1)
        wait_until(lambda enough=enough: len(fleet.every_event("end")) > enough)  # type: ignore[misc]
        fleet.kill(victim)
    fleet.join(*others)
    assert coordinator.queue.counts(VIDEO_TASKS) == {State.DONE: VIDEOS}
    check_that_nothing_was_done_twice(fleet, coordinator, victims, lease)


def check_that_nothing_was_done_twice(fleet: Fleet, coordinator: Coordinator, victims: range, lease: timedelta) -> None:
    """Check that no video was recorded as done twice, and that a second attempt began only after the first one's lease.

    A worker that the machine suspends for longer than its lease loses its claim, as a killed one does, and records `lost`.
    """
    recorded = Counter(event["id"] for event in fleet.every_event("recorded") if event["ending"] == "done")
    lost = {event["id"] for event in fleet.every_event("recorded") if event["ending"] == "lost"}
    attempts = fleet.attempts()
    again = 0
    for row in coordinator.queue.rows(VIDEO_TASKS):
        killed = [attempt for attempt in attempts[row.id] if attempt.worker in victims]
        assert recorded[row.id] == 1 or (recorded[row.id] == 0 and killed)
        assert len(attempts[row.id]) == 1 or killed or row.id in lost
        for first, second in pairwise(attempts[row.id]):
            again += 1
            assert second.claimed + timedelta(seconds=1) > first.claimed + lease  # ClaimedAt is cut to whole seconds
            assert first.ended is None or second.began >= first.ended or row.id in lost
    assert again >= KILLED


@pytest.mark.slow
def test_eight_processes_make_the_queue_at_the_same_moment(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet()
    for _ in range(PROCESSES):
        fleet.start("open")
    fleet.go()
    fleet.join()
    assert [event["sources"] for event in fleet.every_event("opened")] == [0] * PROCESSES


@pytest.mark.slow
def test_processes_that_take_in_the_same_file_at_once_add_no_source_twice(
    make_fleet: Callable[..., Fleet], coordinator: Coordinator, tmp_path: Path
) -> None:
    path = tmp_path / "sources.txt"
    path.write_text(
        "".join(f"https://www.youtube.com/channel/UC{number:022}|a|b\n" for number in range(SOURCES_LISTED))
    )
    fleet = make_fleet(YDC_SOURCES_FILE_PATH=str(path))
    for _ in range(4):
        fleet.start("ingest")
    fleet.go()
    fleet.join()
    assert sum(event["added"] for event in fleet.every_event("ingested")) == SOURCES_LISTED
    assert sum(event["known"] for event in fleet.every_event("ingested")) == 3 * SOURCES_LISTED
    rows = list(coordinator.queue.rows(SOURCES))
    assert len({row.key for row in rows}) == len({row.id for row in rows}) == len(rows) == SOURCES_LISTED
