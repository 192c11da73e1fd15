"""Test the effect of each stop and each kill on a flow's rows: `python -m tests.acceptance.kill_table [NAME ...]`.

For each row of the table a worker of its own runs a flow with processors that do not end by themselves: two videos run, a
third one is claimed and waits. Then something is stopped or killed, and we watch the processes, and the queue as another worker
would. It prints the table of docs/stopping.md; test_kill_table.py has the cheap rows.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psutil

from tests.support import rows
from tests.support.prefect_server import POOL, PrefectServer, serving
from tests.support.sample_processors import READY_FOLDER, TOLD
from tests.support.waiting import any_alive, wait_until
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS

VIDEOS = 3
CONCURRENCY = 2
LEASE_SECONDS = 30
HANGS = "tests.support.sample_processors:hangs_with_a_child"
TASK_HANGS = "tests.support.sample_tasks:hangs"
WAITS = "tests.support.sample_processors:ends_when_it_is_told"
START_SECONDS = 120
END_SECONDS = 200
"""Not counted: the time without a server."""
RESTART_SECONDS = 10
UNWATCHED_SECONDS = 30
"""After 25 s without a server a worker stops watching for cancellations."""
OUTAGE_SECONDS = 360
UNCOUNTED, ATTEMPTS, ALL = [0, 0, 0], [0, 1, 1], [1, 1, 1]


@dataclass(slots=True)
class Scene:
    """A run in the middle of its work, and who works for it."""

    server: PrefectServer
    worker: subprocess.Popen[bytes]
    run_id: str
    flow: psutil.Process
    reaper: psutil.Process
    processors: list[psutil.Process]
    coordinator: Coordinator
    """Another worker's view of the queue."""
    folder: Path


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the table: what happens, and what must be seen then."""

    name: str
    happens: Callable[[Scene], None]
    run_ends_as: str
    counted: list[int]
    """Failed attempts of the three videos, sorted."""
    processor: str = HANGS
    deployment: str = "process-videos/process-videos"
    rows_end_as: State = State.PENDING
    flow_ends: bool = True
    one_per_machine: bool = False
    """As keep-processing runs it."""


@dataclass(slots=True)
class Seen:
    """The observed effect, in seconds since the event; infinite if it did not happen."""

    name: str
    flow_ended_seconds: float = inf
    processors_ended_seconds: float = inf
    rows_free_seconds: float = inf
    run_ended_as: str = ""
    counted: tuple[int, ...] = ()

    def all_of(self, event: Event) -> bool:
        """Return whether everything that the event causes has been seen."""
        ends = [self.processors_ended_seconds, self.rows_free_seconds]
        return inf not in ([*ends, self.flow_ended_seconds] if event.flow_ends else ends)

    def __str__(self) -> str:
        seconds = (self.flow_ended_seconds, self.processors_ended_seconds, self.rows_free_seconds)
        figures = " | ".join("goes on" if each == inf else f"{each:.1f}" for each in seconds)
        return f"| {self.name} | {figures} | {sum(self.counted)} of {VIDEOS} | {self.run_ended_as} |"


HEADER = (
    "| event | flow ended, s | processors ended, s | rows free, s | attempts counted | run |\n"
    "| --- | --- | --- | --- | --- | --- |"
)


def cancel(scene: Scene) -> None:
    """Cancel the run, as the button of the UI does."""
    ask(scene.server, f"/flow_runs/{scene.run_id}/set_state", {"state": {"type": "CANCELLING"}})


def to_flow(number: signal.Signals) -> Callable[[Scene], None]:
    return lambda scene: scene.flow.send_signal(number)


def to_worker(number: signal.Signals) -> Callable[[Scene], None]:
    return lambda scene: scene.worker.send_signal(number)


def machine_dies(scene: Scene) -> None:
    """Kill the flow together with its reaper and its processors."""
    for process in (scene.reaper, scene.flow, *scene.processors):
        process.kill()


def server_dies(scene: Scene) -> None:
    scene.server.kill()
    (scene.folder / TOLD).touch()


def server_is_away(seconds: float) -> Callable[[Scene], None]:
    """Return what takes the server away for so long. The processors end meanwhile, and so does the run's work."""

    def happens(scene: Scene) -> None:
        scene.server.kill()
        (scene.folder / TOLD).touch()
        time.sleep(seconds)
        scene.server.start_again()

    return happens


def cancel_without_worker(scene: Scene) -> None:
    scene.worker.kill()
    scene.worker.wait()
    cancel(scene)


def cancel_after_outage(scene: Scene) -> None:
    scene.server.kill()
    time.sleep(UNWATCHED_SECONDS)
    scene.server.start_again()
    cancel(scene)


def called_crashed(scene: Scene) -> None:
    """Mark a living run as crashed, as the automation for zombies may do."""
    ask(scene.server, f"/flow_runs/{scene.run_id}/set_state", {"state": {"type": "CRASHED"}, "force": True})
    (scene.folder / TOLD).touch()


def worker_dies(scene: Scene) -> None:
    scene.worker.kill()
    scene.worker.wait()
    (scene.folder / TOLD).touch()


EVENTS = (
    Event("cancel", cancel, "Cancelled", UNCOUNTED),
    Event("cancel, while a Prefect task hangs", cancel, "Cancelled", UNCOUNTED, TASK_HANGS),
    Event("cancel of coordinate", cancel, "Cancelled", UNCOUNTED, deployment="coordinate/coordinate"),
    Event("cancel, its worker is gone", cancel_without_worker, "Cancelled", UNCOUNTED),
    Event("cancel, the server was away for 30 s", cancel_after_outage, "Cancelled", UNCOUNTED),
    Event("SIGTERM to the flow", to_flow(signal.SIGTERM), "Stopped", UNCOUNTED),
    Event("SIGKILL to the flow", to_flow(signal.SIGKILL), "Crashed", ATTEMPTS),
    Event("SIGTERM to the worker", to_worker(signal.SIGTERM), "Running", ATTEMPTS),
    Event("SIGKILL to the worker", worker_dies, "Completed", UNCOUNTED, WAITS, rows_end_as=State.DONE),
    Event("called crashed, while it lives", called_crashed, "Completed", UNCOUNTED, WAITS, rows_end_as=State.DONE),
    Event("the machine dies", machine_dies, "Crashed", ALL),
    *(
        Event(
            f"the server is away for {name}",
            server_is_away(seconds),
            "Completed",
            UNCOUNTED,
            WAITS,
            rows_end_as=State.DONE,
            one_per_machine=True,
        )
        for name, seconds in (("10 s", RESTART_SECONDS), ("6 minutes", OUTAGE_SECONDS))
    ),
    # The last: it takes the server away from the others.
    Event(
        "SIGKILL to the Prefect server",
        server_dies,
        "nobody can tell",
        UNCOUNTED,
        WAITS,
        rows_end_as=State.DONE,
        flow_ends=False,
    ),
)


def see(server: PrefectServer, folder: Path, event: Event) -> Seen:
    """Let it happen; what was seen until the rows are free and the flow has ended. Fails when one is free that is worked on."""
    with scene(server, folder, event) as it:
        seen, began = Seen(event.name), time.monotonic()
        event.happens(it)
        happened = time.monotonic()
        while not seen.all_of(event):
            assert time.monotonic() - happened < END_SECONDS, f"nothing more happens: {seen}"
            look(it, event, seen, time.monotonic() - began)
        videos = [*it.coordinator.queue.rows(VIDEO_TASKS)]
        seen.counted = tuple(sorted(video.retry_count for video in videos))
        assert list(seen.counted) == event.counted, seen
        if event.flow_ends:
            wait_until(lambda: state_of(server, it.run_id) == event.run_ends_as, END_SECONDS)
        seen.run_ended_as = event.run_ends_as
        return seen


def look(it: Scene, event: Event, seen: Seen, seconds: float) -> None:
    it.coordinator.queue.recover(VIDEO_TASKS)  # as each worker that finds nothing to do
    if seen.rows_free_seconds == inf and it.coordinator.queue.counts(VIDEO_TASKS) == {event.rows_end_as: VIDEOS}:
        assert not any_alive(it.processors), "a video is free that is still being processed"
        assert event.processor != TASK_HANGS or not any_alive([it.flow]), "a video is free whose task still runs"
        seen.rows_free_seconds = seconds
    if seen.processors_ended_seconds == inf and not any_alive(it.processors):
        seen.processors_ended_seconds = seconds
    if seen.flow_ended_seconds == inf and not any_alive([it.flow]):
        seen.flow_ended_seconds = seconds
    time.sleep(0.02)


def state_of(server: PrefectServer, run_id: str) -> str:
    return str(ask(server, f"/flow_runs/{run_id}")["state_name"])


@contextmanager
def scene(server: PrefectServer, folder: Path, event: Event) -> Iterator[Scene]:
    folder.mkdir(parents=True)
    database_url, lease_minutes = f"sqlite:///{folder / 'queue.db'}", LEASE_SECONDS / 60
    coordinator = Coordinator(Config(database_url=database_url, stalled_task_timeout_minutes=lease_minutes))
    coordinator.queue.add(VIDEO_TASKS, [rows.new_video(number) for number in range(1, VIDEOS + 1)])
    settings = {
        "YDC_DATABASE_URL": database_url,
        "YDC_STATE_DIR": str(folder / "state"),
        "YDC_STALLED_TASK_TIMEOUT_MINUTES": str(lease_minutes),
        READY_FOLDER: str(folder),
    }
    with server.worker(environment=settings) as worker:
        run_id = start(server, event)
        wait_until(lambda: begun(folder) == CONCURRENCY, START_SECONDS)
        flow = process_of(run_id)
        (reaper,) = [each for each in flow.children() if "reaper_main.py" in " ".join(each.cmdline())]
        processors = [each for each in flow.children(recursive=True) if each != reaper]
        yield Scene(server, worker, run_id, flow, reaper, processors, coordinator, folder)


def start(server: PrefectServer, event: Event) -> str:
    """Ask for a run; its ID."""
    deployment = ask(server, f"/deployments/name/{event.deployment}")
    parameters = {"processor": event.processor, "concurrency": CONCURRENCY}
    if event.one_per_machine:
        parameters["one_per_machine"] = True
    run = ask(server, f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})
    return str(run["id"])


def ask(server: PrefectServer, path: str, body: object = None) -> Any:
    """Ask the server, and repeat while its database is busy (503), as Prefect's own client does."""
    answers: list[Any] = []

    def is_answered() -> bool:
        with suppress(HTTPError):
            answers.append(server.ask(path, body))
        return bool(answers)

    wait_until(is_answered)
    return answers[0]


def begun(folder: Path) -> int:
    """Return how many attempts have begun."""
    return sum((folder / str(number)).exists() for number in range(1, VIDEOS + 1))


def process_of(run_id: str) -> psutil.Process:
    """Return the process of a flow run: the topmost whose environment contains the run's ID."""
    processes = [process for process in psutil.process_iter() if carries(process, run_id)]
    ids = {process.pid for process in processes}
    (top,) = [process for process in processes if process.ppid() not in ids]
    return top


def carries(process: psutil.Process, run_id: str) -> bool:
    try:
        return process.environ().get("PREFECT__FLOW_RUN_ID") == run_id
    except psutil.Error:
        return False


@contextmanager
def server_for_kills(folder: Path) -> Iterator[PrefectServer]:
    """Start a Prefect server with the two deployments that have no schedule, so that nothing else runs."""
    with serving(folder) as server:
        server.prefect("work-pool", "create", POOL, "--type", "process")
        server.prefect("--no-prompt", "deploy", "--name", "process-videos", "--name", "coordinate")
        yield server


def main(names: list[str]) -> None:
    """Print the table, or those of its rows that are named."""
    print(HEADER)
    with tempfile.TemporaryDirectory() as name, server_for_kills(Path(name)) as server:
        for number, event in enumerate(EVENTS):
            if not names or event.name in names:
                print(see(server, Path(name) / str(number), event), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
