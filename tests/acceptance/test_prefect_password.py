"""A Prefect server that is started as documented answers nobody without the password, and no page of another site."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.support.deploy_files import QUIET_RUNS
from tests.support.prefect_server import PrefectServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

ROOT = Path(__file__).resolve().parents[2]
OTHER_PAGES = (
    "https://example.org",
    "http://127.0.0.1:4201",
    "http://127.0.0.1:4200.example.org",
    "https://127.0.0.1:4200",
    "null",
)
WRONG = "operator:wrong"
RUN_SECONDS = 120


def send(server: PrefectServer, path: str, method: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str]]:
    """Send a request without a password. Return the status and the headers of the answer."""
    body = b"{}" if method == "POST" else None
    request = urllib.request.Request(server.address + path, body, dict(headers), method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return answer.status, dict(answer.headers)
    except urllib.error.HTTPError as answer:
        return answer.code, dict(answer.headers)


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic b3BlcmF0b3I6d3Jvbmc="}, {"Authorization": "Basic Og=="}]
)
def test_nobody_is_answered_without_the_password(prefect_server: PrefectServer, headers: Mapping[str, str]) -> None:
    for method, path in (
        ("GET", "/api/admin/version"),
        ("POST", "/api/deployments/filter"),
        ("POST", "/api/flow_runs/"),
        ("POST", "/api/deployments/00000000-0000-0000-0000-000000000000/create_flow_run"),
        ("DELETE", "/api/work_pools/youtube-coordinator"),
        ("POST", "/api/block_documents/filter"),
    ):
        # As a form of a web page sends it, for which a browser asks nobody's leave.
        status, _ = send(prefect_server, path, method, {"Content-Type": "text/plain", **headers})
        assert status == 401, (method, path)


@pytest.mark.parametrize("origin", OTHER_PAGES)
def test_a_page_of_another_site_is_refused(prefect_server: PrefectServer, origin: str) -> None:
    wishes = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    status, headers = send(prefect_server, "/api/flow_runs/", "OPTIONS", {"Origin": origin, **wishes})
    assert status == 400
    assert "access-control-allow-origin" not in headers
    _, headers = send(prefect_server, "/api/health", "GET", {"Origin": origin})
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["/api/events/in", "/api/events/out", "/api/logs/out"])
@pytest.mark.parametrize("subprotocols", [None, ["prefect"]])
def test_no_web_socket_is_open_without_the_password(
    prefect_server: PrefectServer, path: str, subprotocols: list[str] | None
) -> None:
    address = prefect_server.address.replace("http", "ws", 1) + path
    with pytest.raises((ConnectionClosed, InvalidStatus)):  # noqa: SIM117, PT012
        with connect(address, subprotocols=subprotocols, proxy=None) as socket:  # type: ignore[arg-type]
            socket.send(json.dumps({"type": "auth", "token": WRONG}))
            assert json.loads(socket.recv(30)).get("type") != "auth_success"
            socket.recv(30)


def test_ydc_deploy_without_the_password_is_one_line(prefect_server: PrefectServer) -> None:
    environment = {**prefect_server.environment, "PREFECT_API_AUTH_STRING": WRONG}
    command = [sys.executable, "-m", "youtube_download_coordinator", "deploy"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"the Prefect server at {prefect_server.address}/api requires a password: set PREFECT_API_AUTH_STRING, here or in "
        ".env, to the server's PREFECT_SERVER_API_AUTH_STRING\n"
    )


def command_lines(worker: psutil.Process) -> Iterator[str]:
    """Yield the arguments of each process of a worker."""
    for process in (worker, *worker.children(recursive=True)):
        with suppress(psutil.Error):  # it has ended
            yield " ".join(process.cmdline())


def logged(server: PrefectServer, run_id: str) -> list[str]:
    """Return the log of a run, as the UI shows it."""
    lines = server.ask("/logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}})
    return [line["message"] for line in lines]


def test_the_password_is_in_nothing_that_is_kept_or_shown(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """A worker and its flow run get it by their environment. As deploy/ has its logging, an idle run logs one line."""
    settings = {"YDC_DATABASE_URL": f"sqlite:///{tmp_path / 'queue.db'}", QUIET_RUNS: "WARNING"}
    commands: set[str] = set()
    with prefect_server.worker("--name", "password", environment=settings) as worker:
        deployment = prefect_server.ask("/deployments/name/process-videos/process-videos")
        run = prefect_server.ask(f"/deployments/{deployment['id']}/create_flow_run", {})

        def has_ended() -> bool:
            commands.update(command_lines(psutil.Process(worker.pid)))
            return bool(prefect_server.ask(f"/flow_runs/{run['id']}")["end_time"])

        wait_until(has_ended, RUN_SECONDS)
        wait_until(lambda: logged(prefect_server, run["id"]), RUN_SECONDS)
    assert prefect_server.ask(f"/flow_runs/{run['id']}")["state_name"] == "Completed"
    assert logged(prefect_server, run["id"]) == ["Completed: no videos"]
    secret = prefect_server.password.partition(":")[2]
    assert len(commands) > 1, "a worker and its flow"
    assert not [command for command in commands if secret in command]
    for path in prefect_server.folder.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
