"""A fleet whose Prefect server is restarted and then away: `python -m tests.acceptance.outage [--outage SECONDS]`.

Two machines with a worker each, as docs/deploy.md starts them, on one queue, and keep-processing as scheduled. In the middle of
the work the server is away for 10 s, then for 6 minutes, each time while a worker is starting a run. Every video must be
processed once, both machines must have worked at all times, and no run may have crashed. A machine is a worker with a state_dir
of its own: the lock is keyed by host name, and both are this host.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import rows
from tests.support.prefect_server import POOL, PrefectServer, serving
from tests.support.sample_processors import NOTES
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS

MACHINES = ("one", "two")
LIMIT = "4"
"""Of docs/deploy.md."""
CONCURRENCY = 3
RESTART_SECONDS = 10
OUTAGE_SECONDS = 360
SPREAD_SECONDS = 120
"""Until every machine works, from when there is work."""
WORK_SECONDS = 20
"""Of work before, between and after the two times without a server."""
SILENT_SECONDS = 15
"""A machine that has begun no video for so long does not work; one takes 2 s."""
PATIENCE_SECONDS = 300
"""For a step that takes seconds on an idle machine."""
PROCESSOR = "tests.support.sample_processors:notes_and_sleeps"


@dataclass(frozen=True)
class Fleet:
    """A server, the two machines' workers, and what the processors noted."""

    server: PrefectServer
    folder: Path
    coordinator: Coordinator

    def begun(self) -> list[tuple[str, int, float]]:
        """Return the machine, the video and the time of each attempt."""
        notes: list[tuple[str, int, float]] = []
        for machine in MACHINES:
            path = self.folder / machine / "notes"
            lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
            notes += [(machine, int(line.split()[0]), float(line.split()[1])) for line in lines]
        return notes

    def busy(self) -> set[str]:
        """Return the machines that have begun a video lately."""
        since = time.time() - SILENT_SECONDS
        return {machine for machine, _, moment in self.begun() if moment > since}

    def runs(self, *states: str) -> list[dict[str, Any]]:
        """Return every run in one of the states, by default every run that a worker has taken."""
        wanted = {"type": {"any_": states} if states else {"not_any_": ["SCHEDULED"]}}
        runs: list[dict[str, Any]] = []
        while page := self.server.ask("/flow_runs/filter", {"flow_runs": {"state": wanted}, "offset": len(runs)}):
            runs += page
        return runs

    def start_a_run(self) -> None:
        """Return while a worker is starting a run."""
        deployment = self.server.ask("/deployments/name/process-videos/keep-processing")
        self.server.ask(f"/deployments/{deployment['id']}/create_flow_run", {})
        wait_until(lambda: bool(self.runs("PENDING")), PATIENCE_SECONDS, 0.05)


@contextmanager
def working_fleet(folder: Path) -> Iterator[Fleet]:
    """Yield the fleet with its workers."""
    with serving(folder, settings={"PREFECT_WORKER_QUERY_SECONDS": "10"}) as server, ExitStack() as workers:
        server.prefect("work-pool", "create", POOL, "--type", "process", seconds=PATIENCE_SECONDS)
        server.prefect("--no-prompt", "deploy", "--name", "keep-processing", seconds=PATIENCE_SECONDS)
        deployment = server.ask("/deployments/name/process-videos/keep-processing")
        parameters = deployment["parameters"] | {"processor": PROCESSOR}
        server.ask(f"/deployments/{deployment['id']}", {"parameters": parameters}, method="PATCH")
        database_url = f"sqlite:///{folder / 'queue.db'}"
        for machine in MACHINES:
            (folder / machine).mkdir()
            settings = {
                "PREFECT_HOME": str(folder / machine / "prefect"),
                "YDC_DATABASE_URL": database_url,
                "YDC_STATE_DIR": str(folder / machine / "state"),
                "YDC_CONCURRENCY": str(CONCURRENCY),
                NOTES: str(folder / machine / "notes"),
            }
            workers.enter_context(server.worker("--limit", LIMIT, "--name", machine, environment=settings))
        wait_until(lambda: len(online(server)) == len(MACHINES), PATIENCE_SECONDS)
        yield Fleet(server, folder, Coordinator(Config(database_url=database_url)))


def online(server: PrefectServer) -> list[Any]:
    workers: list[Any] = server.ask(f"/work_pools/{POOL}/workers/filter", {})
    return [worker for worker in workers if worker["status"] == "ONLINE"]


def work_for(fleet: Fleet, seconds: float) -> None:
    """Let time pass. Fails when a machine does not work meanwhile."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert fleet.busy() == set(MACHINES), f"only {fleet.busy() or 'nobody'} works"
        time.sleep(1)


def add_videos(fleet: Fleet, first: int, count: int) -> None:
    fleet.coordinator.queue.add(VIDEO_TASKS, [rows.new_video(number) for number in range(first, first + count)])


def survive(
    folder: Path,
    outage_seconds: float,
    restart_seconds: float = RESTART_SECONDS,
    spread_seconds: float = SPREAD_SECONDS,
) -> None:
    """Run it all, and print what was seen. Fails when a video, a machine or a run was lost."""
    videos = int(CONCURRENCY * len(MACHINES) / 2 * (outage_seconds + 5 * WORK_SECONDS + restart_seconds))
    with working_fleet(folder) as fleet:
        add_videos(fleet, 1, videos)
        began = time.monotonic()
        wait_until(lambda: fleet.busy() == set(MACHINES), spread_seconds)
        print(f"both machines work after {time.monotonic() - began:.0f} s", flush=True)
        work_for(fleet, WORK_SECONDS)
        for seconds in filter(None, (restart_seconds, outage_seconds)):
            fleet.start_a_run()
            fleet.server.kill()
            work_for(fleet, seconds)
            fleet.server.start_again()
            print(f"the server was away for {seconds:g} s", flush=True)
            work_for(fleet, WORK_SECONDS)
        wait_until(
            lambda: fleet.coordinator.queue.counts(VIDEO_TASKS) == {State.DONE: videos},
            outage_seconds + PATIENCE_SECONDS,
            1,
        )
        wait_until(lambda: not fleet.runs("RUNNING"), PATIENCE_SECONDS, 1)
        report(fleet, videos)


def report(fleet: Fleet, videos: int) -> None:
    attempts = Counter(video for _, video, _ in fleet.begun())
    machines = Counter(machine for machine, *_ in fleet.begun())
    runs = Counter((run["name"].partition(" videos on")[0], run["state_name"]) for run in fleet.runs())
    print(f"{len(attempts)} of {videos} videos done, {sum(attempts.values()) - videos} of them twice; {dict(machines)}")
    for (name, state), count in sorted(runs.items()):
        print(f"{count:4} {state:20} {name}")
    assert attempts == Counter(range(1, videos + 1))
    assert min(machines.values()) > videos / 4, machines
    # Pending: the worker that took it did not get the server's answer. Prefect starts it never again.
    lost = [run["state"] for run in fleet.runs() if run["state_type"] not in {"COMPLETED", "PENDING"}]
    assert not lost, lost


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.outage")
    parser.add_argument("--outage", type=float, default=OUTAGE_SECONDS, metavar="SECONDS")
    seconds = parser.parse_args().outage
    os.environ.pop("YDC_SOURCES_FILE_PATH", None)
    with tempfile.TemporaryDirectory() as name:
        survive(Path(name), seconds)


if __name__ == "__main__":
    main()
