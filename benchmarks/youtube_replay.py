"""Serve YouTube from recordings (the project's shared folder), for benchmarks that have them beside this repository."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAM = Path(os.environ.get("YDC_TEST_SHARED", "../shared")) / "youtube-replay" / "replay.py"
PORT = "YDC_BENCH_REPLAY_PORT"


@contextmanager
def replay() -> Iterator[dict[str, str]]:
    """Serve the recordings. Yield the environment for using them, including PORT for requests to the server itself."""
    with TemporaryDirectory() as name:
        environment = os.environ | {"REPLAY_CA": name}
        command = [sys.executable, str(PROGRAM)]
        with subprocess.Popen(
            [*command, "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout
                port = server.stdout.readline().split("127.0.0.1:")[1].split()[0]
                exports = subprocess.run(
                    [*command, "env", "--port", port], env=environment, capture_output=True, text=True, check=True
                )
                yield _exports(exports.stdout) | {PORT: port}
            finally:
                server.terminate()


def _exports(script: str) -> dict[str, str]:
    """Return the variables that a shell script exports."""
    shell = subprocess.run(["sh", "-c", f"{script}\nenv -0"], capture_output=True, text=True, check=True).stdout.split(
        "\0"
    )
    return dict(line.split("=", 1) for line in shell if "=" in line)
