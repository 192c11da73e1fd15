"""The processes of the chaos: a store, a Prefect server with a worker of its own, and `ydc run` three times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from tests.chaos.disks import small_disk
from tests.chaos.evidence import key_of
from tests.chaos.processor import DISK, JOURNAL, PACE, WORKER
from tests.chaos.share import PREFECT, Share
from tests.chaos.stores import Place
from tests.support.prefect_server import ROOT, YDC, serving

PROCESSOR = "tests.chaos.processor:work"
WORKERS = 3
LEASE_SECONDS = 18
DISK_BYTES = 4 << 20
BEGIN_AGAIN_SECONDS = 2.0
"""Before a worker that has ended is started again, as an init system would."""
PREFECT_BEGINS_SECONDS = 10.0
FLOW_CHECK_SECONDS = 5.0
FLOW_MINUTES, FLOW_CONCURRENCY = 5, 3
"""A run takes half a minute to begin, and is killed long before this."""
DEPLOYMENT = "process-videos"
NOT_BEGUN = {
    "deployments": {"name": {"any_": [DEPLOYMENT]}},
    "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},  # one that is pending may be a killed worker's
}
STOP_SECONDS = 60


class Scene:
    """All of it. `on_disk` says whether there is a small file system to fill, which only root can make."""

    def __init__(self, folder: Path, stack: ExitStack, place: Place, *, prefect: bool = True) -> None:
        self.folder, self._stack, self.place = folder, stack, place
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.on_disk = stack.enter_context(small_disk(self.disk, DISK_BYTES))
        self.journal = folder / "journal"
        self.share = Share(self.journal, folder / "pace")
        self._generation = 0
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._ended_at: dict[str, float] = {}
        self._flow_checked_at = float("-inf")
        if "spreadsheet_id" in place.settings:
            subprocess.run([YDC, "init"], env=self.environment("init"), cwd=folder, check=True, capture_output=True)
        self.has_prefect = prefect
        if prefect:
            self.server = stack.enter_context(serving(folder))
            self.server.deploy()
            self._pause_schedules()
            self._start_prefect_worker()

    def _pause_schedules(self) -> None:
        """Let no schedule start runs of its own, with another processor: they would have the worker's only slot."""
        for deployment in self.server.ask("/deployments/filter", {}):
            self.server.ask(f"/deployments/{deployment['id']}/pause_deployment", {})

    def _start_prefect_worker(self) -> None:
        self._generation += 1
        self._prefect_started_at = time.monotonic()
        self.prefect_worker = f"{PREFECT}-{self._generation}"
        environment = {**self.environment(self.prefect_worker), **self.server.environment}
        self._prefect_process = self._stack.enter_context(self.server.worker("--limit", "1", environment=environment))

    def environment(self, worker: str) -> dict[str, str]:
        """Return the environment of a worker, and of everything that it starts."""
        return os.environ | {
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(self.folder / "state"),
            **{f"YDC_{name.upper()}": value for name, value in self.place.settings.items()},
            "YDC_SHEETS_PATIENCE_SECONDS": "120",
            "YDC_STALLED_TASK_TIMEOUT_MINUTES": str(LEASE_SECONDS / 60),
            "YDC_MAX_RETRIES": "1000",
            "YDC_RETRY_BACKOFF_SECONDS": "1",
            "YDC_RETRY_BACKOFF_MAX_SECONDS": "2",
            "YDC_IDLE_POLL_SECONDS": "2",
            "YDC_VIDEOS_PER_HOUR": "0",
            "YDC_CLAIM_BATCH_SIZE": "4",
            JOURNAL: str(self.journal),
            DISK: str(self.disk),
            PACE: str(self.folder / "pace"),
            WORKER: worker,
        }

    # -- workers

    def keep_working(self) -> None:
        """Start what is missing: workers that have ended, and now and then a flow."""
        for name, process in list(self.workers.items()):
            if process.poll() is not None:
                del self.workers[name]
                self._ended_at[name.partition("-")[0]] = time.monotonic()
        running = {name.partition("-")[0] for name in self.workers}
        for number in range(WORKERS):
            place = f"machine{number}"
            if place not in running and time.monotonic() - self._ended_at.get(place, 0) > BEGIN_AGAIN_SECONDS:
                self._start(place)
        if self.has_prefect:
            self._keep_prefect_working()

    def _keep_prefect_working(self) -> None:
        """Start Prefect's worker again if it has ended, as one does that began while the server was down.

        Keep a flow run waiting, so that a new worker has one at once.
        """
        if (
            self._prefect_process.poll() is not None
            and time.monotonic() - self._prefect_started_at > PREFECT_BEGINS_SECONDS
        ):
            self._start_prefect_worker()
        if time.monotonic() - self._flow_checked_at > FLOW_CHECK_SECONDS:
            self._flow_checked_at = time.monotonic()
            self.share.update()
            self._keep_flow_waiting()

    def _start(self, place: str) -> None:
        self._generation += 1
        name = f"{place}-{self._generation}"
        command = [
            sys.executable,
            "-m",
            "youtube_download_coordinator",
            "run",
            "--processor",
            PROCESSOR,
            "--concurrency",
            "2",
        ]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.workers[name] = subprocess.Popen(
                command, cwd=self.folder, env=self.environment(name), stdout=log, stderr=log, start_new_session=True
            )

    def _keep_flow_waiting(self) -> None:
        with suppress(OSError):  # the server may be down
            if self.server.ask("/flow_runs/count", NOT_BEGUN):
                return
            deployment = self.server.ask(f"/deployments/name/{DEPLOYMENT}/{DEPLOYMENT}")
            parameters = {"processor": PROCESSOR, "concurrency": FLOW_CONCURRENCY, "max_minutes": FLOW_MINUTES}
            self.server.ask(f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})

    def processes(self, worker: str) -> list[psutil.Process]:
        """Return a worker, its processors and their supervisors. A name without a generation means all of them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                environment = process.environ()
                name = environment.get(WORKER, "")
                ours = environment.get(JOURNAL) == str(self.journal)
                if ours and worker in (name, name.partition("-")[0]):
                    found.append(process)
        return found

    def is_at_work(self, worker: str) -> bool:
        """Return whether any process of it is alive, except its reaper, which releases its claims."""
        for each in self.processes(worker):
            with suppress(psutil.Error):
                if each.status() != psutil.STATUS_ZOMBIE and not any("reaper_main" in part for part in each.cmdline()):
                    return True
        return False

    def stop(self) -> None:
        """Stop every worker. Kill Prefect's at once: it may wait for a server that was killed."""
        for each in self.processes(PREFECT):
            with suppress(psutil.Error):
                each.kill()
        for process in self.workers.values():
            process.send_signal(signal.SIGINT)
        for process in self.workers.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()
            process.wait()

    # -- Prefect

    def replace_prefect_worker(self, *, with_flows: bool) -> None:
        """Kill Prefect's worker, and the flows that it has begun, and start another; what those had begun is left behind."""
        killed = [self._prefect_process.pid]
        if with_flows:
            killed += [each.pid for each in self.processes(self.prefect_worker) if _is_prefect(each)]
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._prefect_process.wait()
        self._start_prefect_worker()

    def kill_server(self) -> None:
        self.server.kill()

    def start_server(self) -> None:
        """Start it again, on the same port and with its data."""
        self.server.start_again()

    # -- the queue, as a person sees it

    def unfinished(self) -> list[str]:
        return [key_of(line) for line in self.place.lines() if line["Status"] != "done"]


def _is_prefect(process: psutil.Process) -> bool:
    """Return whether the process is a Prefect worker or flow, not a processor."""
    with suppress(psutil.Error):
        return "prefect" in " ".join(process.cmdline()[:3])
    return False
