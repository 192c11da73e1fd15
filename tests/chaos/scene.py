"""The processes of the chaos: a simulated Google, a Prefect server with a worker of its own, and `ydc run` three times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from examples.prefect_server import ROOT, YDC, PrefectServer, serving, started
from tests.chaos.evidence import key_of
from tests.chaos.processor import DISK, JOURNAL, WORKER
from tests.sheets_api import SheetsServer

PROCESSOR = "tests.chaos.processor:work"
WORKERS = 3
PREFECT = "prefect"
"""The name of the worker that Prefect starts flows in."""
LEASE_SECONDS = 18
DISK_BYTES = 4 << 20
BEGIN_AGAIN_SECONDS = 2.0
"""Before a worker that has ended is started again, as an init system would."""
FLOW_EVERY_SECONDS = 45.0
STOP_SECONDS = 60


class Scene:
    """All of it. `on_disk` says whether there is a small file system to fill, which only root can make."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.sheets = stack.enter_context(SheetsServer())
        account = self.sheets.simulator.accounts.add("fleet")
        self.key_file = account.write_key_file(folder / "key.json", self.sheets.simulator.token_uri)
        self.book = self.sheets.simulator.create_spreadsheet({"Sheet1": []}, (account,))
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.on_disk = stack.enter_context(small_disk(self.disk))
        self.journal = folder / "journal"
        self._generation = 0
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._ended_at: dict[str, float] = {}
        self._flow_at = float("-inf")
        subprocess.run([YDC, "init"], env=self.environment("init"), cwd=folder, check=True, capture_output=True)
        self.server = self._prefect()

    def _prefect(self) -> PrefectServer:
        server = self._stack.enter_context(serving(self.folder))
        server.deploy()
        self._stack.enter_context(
            server.worker("--limit", "1", environment={**self.environment(PREFECT), **server.environment})
        )
        return server

    def environment(self, worker: str) -> dict[str, str]:
        """Of a worker, and of everything that it starts."""
        return os.environ | {
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "YDC_SPREADSHEET_ID": self.book.spreadsheet_id,
            "YDC_CREDENTIALS_FILE": str(self.key_file),
            "YDC_SHEETS_API_URL": self.sheets.address,
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
        if time.monotonic() - self._flow_at > FLOW_EVERY_SECONDS:
            self._flow_at = time.monotonic()
            self._begin_flow()

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

    def _begin_flow(self) -> None:
        with suppress(OSError):  # the server may be down
            deployment = self.server.ask("/deployments/name/process-videos/process-videos")
            parameters = {"processor": PROCESSOR, "concurrency": 1, "max_minutes": 1}
            self.server.ask(f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})

    def processes(self, worker: str) -> list[psutil.Process]:
        """A worker, its processors, and whoever looks after them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(WORKER) == worker:
                    found.append(process)
        return found

    def stop(self) -> None:
        """Have every worker end; Prefect's, which may wait for a server that was killed under it, at once."""
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

    # -- the server

    def kill_server(self) -> None:
        self.server.process.kill()
        self.server.process.wait()

    def start_server(self) -> None:
        """The same again, on the same port and with what it had written."""
        self.server = PrefectServer(
            self.server.environment, self._stack.enter_context(started(self.folder, self.server.environment))
        )

    # -- the sheet, as a person sees it

    def lines(self) -> list[Mapping[str, Any]]:
        """The videos of both tabs."""
        found: list[Mapping[str, Any]] = []
        for tab in ("Video Tasks", "Dead-Letter Queue"):
            header, *rows = self.book.rows(tab)
            lines = (dict(zip(map(str, header), row, strict=False)) for row in rows)
            found += [line | {"Status": line.get("Status", "")} for line in lines if line.get("URL")]
        return found

    def unfinished(self) -> list[str]:
        return [key_of(line) for line in self.lines() if line["Status"] != "done"]


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of DISK_BYTES there, if we may make one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
