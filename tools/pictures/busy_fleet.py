"""Take the picture of Prefect's runs page with a fleet at work: `python -m tools.pictures.busy_fleet`, into docs/images.

Two machines process videos in batches, on the schedules of prefect.yaml. In the meantime the server restarts, and at the end one
machine is stopped as planned and started again. Then the runs of a day and the size of a video in the server's database are
printed. Everything runs on loopback and is removed afterwards. Needs Chromium, and Linux: a machine is a worker with its own host
name and state_dir.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.support import rows
from tests.support.prefect_server import ROOT, PrefectServer, serving
from tests.support.waiting import wait_until
from tools.pictures.chromium import Page, take_pictures
from youtube_download_coordinator import Config, Coordinator, VideoTask
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS

MACHINES = ("lab-1", "lab-2")
PROCESSOR = "tools.pictures.busy_fleet:transcribe"
VIDEO_SECONDS = 4
BATCH, BATCH_SECONDS = 150, 180
"""The videos that are added at once, and the time until the next ones: two minutes of work for both machines, then a pause."""
RESTARTED_IN_BATCH = 1
RESTART_SECONDS = 10
PATIENCE_SECONDS = 600
"""The longest wait for steps that take seconds on an idle machine."""
DAY_SECONDS = 86400
HEIGHT = 1300
OVERRIDES = "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES"
EVENTS_LEFT = 200


NAMED = (
    *("env", "--default-signal=INT,TERM"),  # programs started with a shell's `&` ignore both
    *("unshare", "--user", "--map-root-user", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"'),
)
"""A command that runs a program on a machine of that name."""


def transcribe(task: VideoTask) -> str:
    """Take some time, as a processor does."""
    time.sleep(VIDEO_SECONDS)
    return f"{task.id}.txt"


@dataclass
class Fleet:
    """A server, a worker on each machine, and their queue."""

    server: PrefectServer
    coordinator: Coordinator
    folder: Path
    later: ExitStack
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    added: int = 0

    def start(self, machine: str) -> None:
        """Start the machine's worker."""
        settings = {
            "PREFECT_HOME": str(self.folder / machine),
            "YDC_DATABASE_URL": self.coordinator.config.database_url or "",
            "YDC_STATE_DIR": str(self.folder / machine / "state"),
            "YDC_PROCESSOR": PROCESSOR,
        }
        worker = self.server.worker("--limit", "4", "--name", machine, environment=settings, wrapper=[*NAMED, machine])
        self.workers[machine] = self.later.enter_context(worker)

    def stop(self, machine: str) -> None:
        """Stop the machine's worker as docs/deploy.md does."""
        worker = self.workers.pop(machine)
        subprocess.run([sys.executable, "deploy/end_flows.py", str(worker.pid)], cwd=ROOT, check=True)
        worker.terminate()
        worker.wait()

    def add_videos(self) -> None:
        videos = [rows.new_video(self.added + number, title=f"Lesson {self.added + number}") for number in range(BATCH)]
        self.coordinator.queue.add(VIDEO_TASKS, videos)
        self.added += BATCH

    def done(self) -> int:
        return self.coordinator.queue.counts(VIDEO_TASKS).get(State.DONE, 0)

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs that a worker has taken."""
        states = {"type": {"not_any_": ["SCHEDULED"]}}
        runs: list[dict[str, Any]] = []
        while page := self.server.ask("/flow_runs/filter", {"flow_runs": {"state": states}, "offset": len(runs)}):
            runs += page
        return runs

    def works(self, machine: str) -> bool:
        """Return whether a run processes videos on the machine."""
        name = f"process videos on {machine}"
        return any(run["state_type"] == "RUNNING" and run["name"].startswith(name) for run in self.runs())

    def forget_events(self) -> None:
        """Let the server delete the events that it keeps for an hour."""
        self.server.kill()
        soon = kept(1) | {"PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "10"}
        names = list(json.loads(soon[OVERRIDES]))
        asked = f"SELECT count(*) FROM events WHERE event IN ({', '.join('?' * len(names))})"
        self.server.start_again(settings=soon)
        with closing(sqlite3.connect(self.folder / "prefect" / "prefect.db")) as database:
            # The runs continue and add a few events.
            wait_until(lambda: database.execute(asked, names).fetchone()[0] < EVENTS_LEFT, PATIENCE_SECONDS, 1)

    def database_bytes(self) -> int:
        """Return the bytes in use. SQLite keeps deleted pages for later use."""
        with closing(sqlite3.connect(self.folder / "prefect" / "prefect.db")) as database:
            (pages, free, size) = (
                database.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)


@contextmanager
def fleet_in(folder: Path) -> Iterator[Fleet]:
    """Yield a fleet with its deployments and workers."""
    database_url = f"sqlite:///{folder / 'queue.db'}"
    with (
        serving(folder, ui=True, settings=kept(3600)) as server,
        Coordinator(Config(database_url=database_url)) as owner,
    ):
        server.deploy()
        with ExitStack() as later:
            fleet = Fleet(server, owner, folder, later)
            for machine in MACHINES:
                fleet.start(machine)
            yield fleet


def kept(seconds: int) -> dict[str, str]:
    """Return the settings about kept events in deploy/server.env.example, with `seconds` instead of an hour."""
    text = (ROOT / "deploy" / "server.env.example").read_text(encoding="utf-8")
    settings = dict(re.findall(r"^(PREFECT_SERVER_(?:EVENTS|SERVICES)_\w+)=(.*)$", text, re.MULTILINE))
    events = json.loads(settings[OVERRIDES].strip("'"))
    return settings | {OVERRIDES: json.dumps(dict.fromkeys(events, seconds))}


def live(fleet: Fleet, minutes: float) -> None:
    """Let time pass, with batches of videos, a restart of the server, and a planned stop at the end."""
    until = time.monotonic() + minutes * 60
    number = 0
    while time.monotonic() < until:
        fleet.add_videos()
        ends = time.monotonic() + BATCH_SECONDS
        wait_until(lambda: all(fleet.works(machine) for machine in MACHINES), PATIENCE_SECONDS, 1)
        if number == RESTARTED_IN_BATCH:
            fleet.server.kill()
            time.sleep(RESTART_SECONDS)
            fleet.server.start_again(ui=True)
        number += 1
        time.sleep(max(0.0, ends - time.monotonic()))
    fleet.add_videos()
    wait_until(lambda: all(fleet.works(machine) for machine in MACHINES), PATIENCE_SECONDS, 1)
    fleet.stop(MACHINES[1])
    fleet.start(MACHINES[1])
    fleet.add_videos()
    wait_until(lambda: fleet.works(MACHINES[1]), PATIENCE_SECONDS, 1)


def report(fleet: Fleet, seconds: float, bytes_before: int) -> None:
    """Print the runs and the bytes."""
    runs = Counter((re.sub(r"\b\d+ ", "", run["name"]), run["state_name"]) for run in fleet.runs())
    for (name, state), count in sorted(runs.items()):
        print(f"{count:4} {count / seconds * DAY_SECONDS:6.0f} a day  {state:20} {name}")
    videos = fleet.done()
    print(f"{videos} videos, each {(fleet.database_bytes() - bytes_before) / videos:.0f} bytes with all runs, at first")
    fleet.forget_events()
    print(f"and {(fleet.database_bytes() - bytes_before) / videos:.0f} when the events are an hour old")


def take(page: Page, folder: Path, *, minutes: float) -> None:
    """Let the fleet work, take the picture, and print the figures."""
    with fleet_in(folder) as fleet:
        began, bytes_before = time.monotonic(), fleet.database_bytes()
        live(fleet, minutes)
        page.open(f"{fleet.server.address}/v2")
        page.remember("prefect-password", base64.b64encode(fleet.server.password.encode()).decode())
        page.open(f"{fleet.server.address}/v2/runs", *MACHINES)
        page.scroll_to("Flow runs", height=HEIGHT)
        page.save("runs", height=HEIGHT)
        report(fleet, time.monotonic() - began, bytes_before)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.pictures.busy_fleet")
    parser.add_argument("--minutes", type=float, default=60)
    return take_pictures(partial(take, minutes=parser.parse_args().minutes))


if __name__ == "__main__":
    sys.exit(main())
