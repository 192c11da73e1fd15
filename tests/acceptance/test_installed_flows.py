"""Flows beside an installed, non-editable wheel: ours, deployed as in the image, and those of a user's own repository."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.media_site import make_site, serving
from flows.deploy import JOB_DEFAULTS
from tests.support.prefect_server import POOL, PrefectServer, ending
from youtube_download_coordinator import Config, Coordinator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
TITLES = ("A reading from Recife", "Market talk, Chennai")
ADDRESS = "https://git.example.org/you/fingerprint-corpus.git"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the wheel and with this environment's dependencies. Nothing is downloaded."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, str(next(folder.glob("*.whl")))], check=True, capture_output=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    return python


def environment_in(server: PrefectServer, folder: Path) -> dict[str, str]:
    """Return an environment without the server's password, which is in the folder's `.env`."""
    (folder / ".env").write_text(f"PREFECT_API_AUTH_STRING={server.password}\n", encoding="utf-8")
    return {name: value for name, value in server.environment.items() if not name.endswith("API_AUTH_STRING")}


def run(server: PrefectServer, folder: Path, *command: str | Path) -> str:
    environment = environment_in(server, folder)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def worker(server: PrefectServer, python: Path, folder: Path) -> Iterator[None]:
    """Run a worker of the installed package in a folder without any flows."""
    settings = {
        **environment_in(server, folder),
        "YDC_DATABASE_URL": f"sqlite:///{folder / 'queue.db'}",
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "YDC_ALLOW_OTHER_SITES": "true",
    }
    command = [str(python), "-m", "prefect", "worker", "start", "--pool", POOL]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=log, start_new_session=True)
    with ending(process):
        yield


def test_everything_is_deployed_from_flows_beside_the_wheel(
    prefect_server: PrefectServer, python: Path, tmp_path: Path
) -> None:
    for name in ("flows", "tasks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "prefect.yaml", tmp_path)
    printed = run(prefect_server, tmp_path, python.with_name("ydc"), "deploy")
    assert "the block type: registered\n" in printed
    assert "the deployments: registered\n" in printed
    # The session's server begins with its schedules switched off.
    assert "report: the schedule hourly stays off\n" in printed


def test_a_repository_of_ones_own_is_cloned_and_run(
    prefect_server: PrefectServer, python: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(ROOT / "examples" / "own_repository", repository)
    declared = repository / "prefect.yaml"
    text = declared.read_text(encoding="utf-8")
    assert ADDRESS in text
    declared.write_text(text.replace(ADDRESS, f"file://{repository}"), encoding="utf-8")
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (
        ("git", "init", "--quiet", "--initial-branch=main"),
        ("git", "add", "."),
        (*git, "commit", "-qm", "a"),
    ):
        subprocess.run(command, cwd=repository, env=dict(os.environ), check=True)
    run(prefect_server, repository, python, "-m", "prefect", "--no-prompt", "deploy", "--all")
    coordinator = Coordinator(Config(database_url=f"sqlite:///{tmp_path / 'queue.db'}", allow_other_sites=True))
    with serving(make_site(tmp_path / "site", TITLES), TITLES) as address:
        coordinator.client.add_source(f"{address}/feed.xml")
        list(coordinator.expand())
        with worker(prefect_server, python, tmp_path):
            flow_run = prefect_server.run("fingerprint-corpus/fingerprint-corpus", "max_videos=2", seconds=400)
    assert flow_run["state_name"] == "Completed", flow_run["state"]
    assert "youtube" in flow_run["tags"]
    assert prefect_server.ask(f"/deployments/{flow_run['deployment_id']}")["job_variables"] == JOB_DEFAULTS["process"]
    results = [json.loads(str(row["Result"])) for row in coordinator.client.get_video_tasks()]
    assert len(results) == len(TITLES)
    for result in results:
        assert result["sha256"] == hashlib.sha256((tmp_path / "media" / result["file"]).read_bytes()).hexdigest()
