"""As an operator does it: a server, a work pool, the deployments, a worker; then a run of everything, on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from examples.media_site import make_site, serving
from tests.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TITLES = ("Interview in Lagos", "A reading from Recife", "Market talk, Chennai")
SERVER_SECONDS = 120
COMMAND_SECONDS = 120


@dataclass(frozen=True)
class Fleet:
    """A Prefect server, with a worker that the deployments run on."""

    environment: Mapping[str, str]

    def run(self, deployment: str, *parameters: str) -> dict[str, Any]:
        """Run a deployment to its end; the flow run."""
        options = [option for parameter in parameters for option in ("--param", parameter)]
        done = subprocess.run(
            [BIN / "prefect", "deployment", "run", deployment, *options, "--watch"],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=COMMAND_SECONDS,
        )  # fmt: skip
        assert "UUID" in done.stdout, done.stdout + done.stderr
        run_id = done.stdout.partition("UUID:")[2].split()[0]
        run: dict[str, Any] = self.ask(f"/flow_runs/{run_id}")
        return run

    def ask(self, path: str, body: Any = None) -> Any:
        return ask(self.environment["PREFECT_API_URL"] + path, body)


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return json.load(answer)


def prefect(environment: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [BIN / "prefect", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="module")
def fleet(folder: Path) -> Iterator[Fleet]:
    port = free_port()
    environment = os.environ | {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "YDC_DATABASE_URL": f"sqlite:///{folder / 'queue.db'}",
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "YDC_ALLOW_OTHER_SITES": "true",
    }
    with ExitStack() as stack:
        stack.enter_context(running(environment, "server", "start", "--no-ui", "--port", str(port)))
        wait_until(answers(f"{environment['PREFECT_API_URL']}/health"), SERVER_SECONDS)
        prefect(environment, "work-pool", "create", "youtube-coordinator", "--type", "process")
        prefect(environment, "--no-prompt", "deploy", "--all")
        stack.enter_context(running(environment, "worker", "start", "--pool", "youtube-coordinator"))
        yield Fleet(environment)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def answers(url: str) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            return bool(ask(url))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    return answers


@contextmanager
def running(environment: Mapping[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Prefect's that is told to end, as a person would by Ctrl-C, and must then end."""
    with subprocess.Popen(
        [BIN / "prefect", *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=30)
            finally:
                process.kill()


@pytest.fixture(scope="module")
def sources_file(folder: Path) -> Iterator[Path]:
    path = folder / "sources.txt"
    with serving(make_site(folder / "site", TITLES), TITLES) as address:
        path.write_text(f"{address}/feed.xml|Cork|reading\n", encoding="utf-8")
        yield path


def test_a_deployed_run_processes_every_video(fleet: Fleet, folder: Path, sources_file: Path) -> None:
    run = fleet.run("coordinate/coordinate", f"sources_file={sources_file}", "processor=audio")
    assert (run["name"], run["state_name"]) == ("coordinate: audio", "Completed"), run["state"]
    assert run["state"]["message"] == f"{len(TITLES)} done"
    ours = Coordinator(Config(database_url=f"sqlite:///{folder / 'queue.db'}"))
    rows = ours.client.get_video_tasks()
    assert {row["Title"]: row["Status"] for row in rows} == dict.fromkeys(TITLES, "done")
    assert all(Path(str(row["Result"])).stat().st_size for row in rows)
    listed = messages(fleet, "youtube_download_coordinator.expansion")
    assert listed.count(f"A small media site: {len(TITLES)} videos listed, {len(TITLES)} new") == 1


def test_a_mistake_is_one_line_in_the_runs_log(fleet: Fleet) -> None:
    run = fleet.run("process-videos/process-videos", "processor=no.such.module:f")
    assert run["state_name"] == "Failed"
    assert run["state"]["message"].startswith("there is no module no, ")
    errors = [log["message"] for log in logs(fleet) if log["flow_run_id"] == run["id"] and log["level"] >= 40]
    assert errors == [run["state"]["message"]]


def messages(fleet: Fleet, logger: str) -> list[str]:
    """What the library has logged in runs."""
    return [log["message"] for log in logs(fleet) if log["name"] == logger]


def logs(fleet: Fleet) -> list[dict[str, Any]]:
    every: list[dict[str, Any]] = fleet.ask("/logs/filter", {"limit": 200, "sort": "TIMESTAMP_DESC"})
    return every
