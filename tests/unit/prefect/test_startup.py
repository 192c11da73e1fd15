"""Processes of runs that begin while Prefect's server is away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

pytestmark = pytest.mark.slow

VERSION = ("-m", "prefect", "version")
"""A program of Prefect's that does not ask the server."""
WAITS = "Prefect's server does not answer"


@pytest.fixture
def address(tmp_path: Path) -> tuple[str, int]:
    """Return an address that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        host, port = bound.getsockname()
    return host, port


@pytest.fixture
def environment(address: tuple[str, int], tmp_path: Path) -> dict[str, str]:
    """Return the environment of a run's process, as prefect.yaml and a worker set it."""
    return os.environ | {
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_API_URL": f"http://127.0.0.1:{address[1]}/api",
        "PREFECT_PLUGINS_ENABLED": "true",
        "PREFECT__FLOW_RUN_ID": "0f9a2c3e-0000-4000-8000-000000000000",
    }


class Busy(BaseHTTPRequestHandler):
    """A server that answers, though it knows nobody."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()


def test_a_runs_process_waits_for_the_server(address: tuple[str, int], environment: Mapping[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, *VERSION], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert WAITS in process.stderr.readline()
        with HTTPServer(address, Busy) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            printed, _ = process.communicate(timeout=60)
            server.shutdown()
    assert process.returncode == 0
    assert "Version:" in printed


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (VERSION, "PREFECT__FLOW_RUN_ID"),
        (VERSION, "PREFECT_PLUGINS_ENABLED"),
        (("-c", "import prefect"), ""),  # a processor in a child process
    ],
)
def test_other_processes_do_not_wait(arguments: tuple[str, ...], without: str, environment: dict[str, str]) -> None:
    environment.pop(without, None)
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert WAITS not in done.stderr
