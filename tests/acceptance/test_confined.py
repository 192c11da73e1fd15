"""A worker that is confined as its unit says, as far as that can be done without systemd, processes videos."""

from __future__ import annotations

import ctypes.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from examples.media_site import make_site, serving
from tests.support.prefect_server import PREFECT, PrefectServer, ending
from tests.support.unit_files import read_unit
from youtube_download_coordinator import Config, Coordinator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "youtube-coordinator-worker@.service"
TITLES = ("A reading from Recife", "Market talk, Chennai")
ATTEMPTS = """
import ctypes, os, resource, socket
print(resource.getrlimit(resource.RLIMIT_CORE))
for attempt in (
    lambda: open("pyproject.toml", "a"),
    lambda: os.chown("mine", 1, 1),
    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    lambda: socket.socket(socket.AF_VSOCK),
):
    try:
        attempt()
    except OSError as error:
        print(error.strerror)
print(ctypes.CDLL(None).unshare(0x10000000))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield the one folder that may be written: not below pytest's, which is a folder of mounts that are remounted."""
    if (
        os.geteuid()
        or not all(map(shutil.which, ("systemd-analyze", "unshare")))
        or not ctypes.util.find_library("seccomp")
    ):
        pytest.skip("a process is confined by root alone, with libseccomp and systemd-analyze")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("this container may not make a namespace of mounts")
    with TemporaryDirectory(prefix="confined-") as name:
        yield Path(name)


def confined(folder: Path, *command: str | Path) -> list[str]:
    return [sys.executable, "-m", "tests.support.confined", str(UNIT), str(folder), *map(str, command)]


@contextmanager
def worker(server: PrefectServer, folder: Path) -> Iterator[None]:
    """Run what the unit starts."""
    (start,) = read_unit(UNIT)["Service"]["ExecStart"]
    _, *words = shlex.split(start.replace("%H-%i", "confined"))
    environment = {
        **server.environment,
        "HOME": str(folder),
        "PREFECT_HOME": str(folder / "prefect"),
        "TMPDIR": str(folder),
        "YDC_DATABASE_URL": f"sqlite:///{folder / 'queue.db'}",
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "YDC_STATE_DIR": str(folder / "state"),
        "YDC_ALLOW_OTHER_SITES": "true",
    }
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            confined(folder, PREFECT, *words), cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    with ending(process):
        yield


def test_a_confined_worker_processes_videos(prefect_server: PrefectServer, folder: Path) -> None:
    sources = folder / "sources.txt"
    with serving(make_site(folder / "site", TITLES), TITLES) as address, worker(prefect_server, folder):
        sources.write_text(f"{address}/feed.xml|Cork|reading\n", encoding="utf-8")
        run = prefect_server.run("coordinate/coordinate", f"sources_file={sources}", "processor=audio")
    assert (run["state_name"], run["state"]["message"]) == ("Completed", f"{len(TITLES)} done")
    rows = Coordinator(Config(database_url=f"sqlite:///{folder / 'queue.db'}")).client.get_video_tasks()
    assert all((folder / "media" / str(row["Result"])).stat().st_size for row in rows)


def test_what_the_unit_forbids_fails_and_deno_runs(folder: Path) -> None:
    """yt-dlp's JavaScript runtime compiles at run time, which many a filter forbids."""
    (folder / "mine").touch()
    command = [*confined(folder, sys.executable, "-c", ATTEMPTS.replace("mine", str(folder / "mine")))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    refused = "Operation not permitted"
    assert done.stdout.splitlines() == ["(0, 0)", "Read-only file system", refused, refused, refused, "-1"], done.stderr
    deno = Path(sys.executable).with_name("deno")
    command = confined(folder, deno, "eval", "let n = 0; for (let i = 0; i < 1e7; i++) n += i; console.log(n)")
    environment = os.environ | {"HOME": str(folder), "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "49999995000000\n", done.stderr
