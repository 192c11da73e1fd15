"""A Prefect server on loopback, with a home of its own, and what an operator does with it: commands, workers, runs.

It asks for a password and allows no other origin, as docs/deploy.md starts it.

with serving(folder) as server:
    server.deploy()
    with server.worker():
        run = server.run("report/report")
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
PREFECT = Path(sys.executable).with_name("prefect")
YDC = Path(sys.executable).with_name("ydc")
POOL = "youtube-coordinator"
START_SECONDS = 120
"""What a server may take to answer, on a machine that does other things too."""
COMMAND_SECONDS = 120
DEPLOY_SECONDS = 300
"""Several commands of Prefect's, one after the other."""
STOP_SECONDS = 30
ANSWER_SECONDS = 10
POLL_SECONDS = 0.1
BUSY_TRIES, BUSY_SECONDS = 5, 1


class DidNotWorkError(Exception):
    """A command of Prefect's failed, or its server did not start; the message has what was printed."""


@dataclass(frozen=True)
class PrefectServer:
    """A server that runs. `environment` leads commands, workers and flows to it, and `process` is it."""

    environment: Mapping[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] = field(repr=False)
    folder: Path
    later: ExitStack = field(default_factory=ExitStack, repr=False)
    """Ends the servers that were started again."""

    def kill(self) -> None:
        """Take the server away, as a power cut does."""
        self.later.close()
        self.process.kill()
        self.process.wait()

    def start_again(self, *, ui: bool = False, settings: Mapping[str, str] | None = None) -> None:
        """Start a server with the same data and address, and with other settings. Raises DidNotWorkError."""
        environment = {**self.environment, **(settings or {})}
        process = self.later.enter_context(started(self.folder, environment, ui=ui))
        self.later.callback(process.kill)

    @property
    def address(self) -> str:
        """Return the address of its UI, if it has one."""
        return self.environment["PREFECT_API_URL"].removesuffix("/api")

    def prefect(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> str:
        """Run a command of Prefect's in the project's folder; what it printed. Raises DidNotWorkError."""
        done = self._command(*arguments, seconds=seconds)
        if done.returncode:
            raise DidNotWorkError(f"prefect {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def deploy(self, cwd: Path = ROOT) -> None:
        """Make the work pool and the deployments known, with `ydc deploy`. Raises DidNotWorkError."""
        done = self._command("deploy", program=YDC, cwd=cwd, seconds=DEPLOY_SECONDS)
        if done.returncode:
            raise DidNotWorkError(f"ydc deploy: {done.stdout}{done.stderr}")

    def run(self, deployment: str, *parameters: str, seconds: float = COMMAND_SECONDS) -> dict[str, Any]:
        """Run a deployment to its end, well or not, with parameters as `key=value`; the flow run as the API tells it."""
        options = [option for parameter in parameters for option in ("--param", parameter)]
        done = self._command("deployment", "run", deployment, *options, "--watch", seconds=seconds)
        _, found, rest = done.stdout.partition("UUID:")
        if not found:
            raise DidNotWorkError(f"{deployment} was not run: {done.stdout}{done.stderr}")
        run: dict[str, Any] = self.ask(f"/flow_runs/{rest.split()[0]}")
        return run

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Send a request to the API: GET, or POST when there is a body, or by another method.

        It is repeated while the server answers that its SQLite file is locked, as Prefect's client does.
        """
        for tries_left in reversed(range(BUSY_TRIES)):
            try:
                return ask(self.environment["PREFECT_API_URL"] + path, body, method, self.password)
            except HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or not tries_left:
                    raise
                time.sleep(BUSY_SECONDS)
        return None

    @property
    def password(self) -> str:
        """Return user and password, as `user:password`."""
        return self.environment["PREFECT_API_AUTH_STRING"]

    @contextmanager
    def worker(
        self,
        *options: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        wrapper: Sequence[str] = (),
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker of our pool, by a program that becomes it. At the end it gets SIGINT, as by Ctrl-C, and must stop."""
        command = [*wrapper, str(PREFECT), "worker", "start", "--pool", POOL, *options]
        settings = {**self.environment, **(environment or {})}
        with (self.folder / "workers.log").open("ab") as log:
            worker = subprocess.Popen(command, cwd=cwd, env=settings, stdout=log, stderr=log, start_new_session=True)
        with ending(worker):
            yield worker

    def _command(
        self, *arguments: str, program: Path = PREFECT, cwd: Path = ROOT, seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments], cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=seconds,
        )  # fmt: skip


@contextmanager
def serving(folder: Path, *, ui: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[PrefectServer]:
    """Run a server that keeps everything in `folder`, with more settings of Prefect. Raises DidNotWorkError."""
    port = _free_port()
    password = f"operator:{secrets.token_hex(24)}"
    # As in a checkout, where the server reads it from pyproject.toml.
    (folder / "pyproject.toml").symlink_to(ROOT / "pyproject.toml")
    environment = os.environ | {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": password,
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        **(settings or {}),
    }
    with started(folder, environment, ui=ui) as process, ExitStack() as later:
        yield PrefectServer(environment, process, folder, later)


@contextmanager
def started(folder: Path, environment: Mapping[str, str], *, ui: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server at PREFECT_API_URL, with its data in PREFECT_HOME. Raises DidNotWorkError."""
    address = urlsplit(environment["PREFECT_API_URL"])
    command = [str(PREFECT), "server", "start", "--port", str(address.port), "--ui" if ui else "--no-ui"]
    log = folder / "prefect-server.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    with ending(process):
        _wait_until_healthy(process, f"{environment['PREFECT_API_URL']}/health", log)
        yield process


@contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """See to it that a program of Prefect's has ended after this: by Ctrl-C, else killed."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=STOP_SECONDS)
        finally:
            process.kill()
            process.wait()


def ask(url: str, body: Any = None, method: str | None = None, password: str | None = None) -> Any:
    """Send a request to a JSON API on this machine, past any proxy: GET, or POST when there is a body, or by another method.

    Return None for an answer without content. `password` is `user:password`.
    """
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if password:
        headers["Authorization"] = f"Basic {base64.b64encode(password.encode()).decode()}"
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=ANSWER_SECONDS) as answer:
        return json.loads(answer.read() or "null")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            ask(url)
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            return
    raise DidNotWorkError(f"Prefect's server did not start: {log.read_text(errors='replace')[-2000:]}")
