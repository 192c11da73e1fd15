"""Register the deployments, start a worker and run everything, as an operator does, on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.media_site import make_site, serving
from tasks import automations
from tests.support.prefect_server import POOL, PrefectServer
from tests.support.rows import new_video
from tests.support.sample_processors import READY_FOLDER
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.prefect.flow_run import host
from youtube_download_coordinator.queue.store import VIDEO_TASKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

ROOT = Path(__file__).resolve().parents[2]
BEGUN_SECONDS = 120
"""Until a flow has begun its first video."""
TITLES = ("Interview in Lagos", "A reading from Recife", "Market talk, Chennai")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="module")
def worker(prefect_server: PrefectServer, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    settings = {
        READY_FOLDER: str(folder),
        "YDC_DATABASE_URL": f"sqlite:///{folder / 'queue.db'}",
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "YDC_ALLOW_OTHER_SITES": "true",
    }
    with prefect_server.worker(environment=settings) as worker:
        yield worker


@pytest.fixture(scope="module")
def sources_file(folder: Path) -> Iterator[Path]:
    path = folder / "sources.txt"
    with serving(make_site(folder / "site", TITLES), TITLES) as address:
        path.write_text(f"{address}/feed.xml|Cork|reading\n", encoding="utf-8")
        yield path


def test_one_command_has_made_everything_known(prefect_server: PrefectServer) -> None:
    deployments = {deployment["name"] for deployment in prefect_server.ask("/deployments/filter", {})}
    assert deployments == {deployment["name"] for deployment in declared()["deployments"]}
    assert [pool["name"] for pool in prefect_server.ask("/work_pools/filter", {})] == [POOL]
    assert automations.NAME in {each["name"] for each in prefect_server.ask("/automations/filter", {})}
    assert prefect_server.ask("/block_types/slug/youtube-coordinator")["name"]


def declared() -> Any:
    return yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))


@pytest.mark.usefixtures("worker")
def test_a_deployed_run_processes_every_video(prefect_server: PrefectServer, folder: Path, sources_file: Path) -> None:
    run = prefect_server.run("coordinate/coordinate", f"sources_file={sources_file}", "processor=audio")
    assert (run["name"], run["state_name"]) == (f"coordinate on {host()}: audio", "Completed"), run["state"]
    assert run["state"]["message"] == f"{len(TITLES)} done"
    coordinator = Coordinator(Config(database_url=f"sqlite:///{folder / 'queue.db'}"))
    rows = coordinator.client.get_video_tasks()
    assert {row["Title"]: row["Status"] for row in rows} == dict.fromkeys(TITLES, "done")
    assert all((folder / "media" / str(row["Result"])).stat().st_size for row in rows)
    listed = messages(prefect_server, "youtube_download_coordinator.workers.expansion")
    assert listed.count(f"A small media site: {len(TITLES)} videos listed, {len(TITLES)} new") == 1


@pytest.mark.usefixtures("worker")
def test_a_mistake_is_one_line_in_the_runs_log(prefect_server: PrefectServer) -> None:
    run = prefect_server.run("process-videos/process-videos", "processor=no.such.module:f")
    assert run["state_name"] == "Failed"
    assert run["state"]["message"].startswith("there is no module no, ")
    errors = [log["message"] for log in logs(prefect_server) if log["flow_run_id"] == run["id"] and log["level"] >= 40]
    assert errors == [run["state"]["message"]]


def test_when_a_workers_flows_are_ended_they_give_back_what_they_hold(
    prefect_server: PrefectServer, folder: Path, worker: subprocess.Popen[bytes]
) -> None:
    """As the systemd unit and the container do it before they stop a worker."""
    coordinator = Coordinator(Config(database_url=f"sqlite:///{folder / 'queue.db'}"))
    coordinator.queue.add(VIDEO_TASKS, [new_video(77)])
    (video,) = [row for row in coordinator.queue.rows(VIDEO_TASKS) if row.lease.state is State.PENDING]
    hangs = "processor=tests.support.sample_processors:hangs_with_a_child"
    prefect_server.prefect("deployment", "run", "process-videos/process-videos", "--param", hangs)
    wait_until((folder / str(video.id)).exists, BEGUN_SECONDS)
    subprocess.run([sys.executable, ROOT / "deploy" / "end_flows.py", str(worker.pid)], check=True)
    (row,) = [row for row in coordinator.queue.rows(VIDEO_TASKS) if row.id == video.id]
    assert (row.lease.state, row.retry_count) == (State.PENDING, 0)
    assert worker.poll() is None


def messages(server: PrefectServer, logger: str) -> list[str]:
    """Return the messages that this logger wrote in flow runs."""
    return [log["message"] for log in logs(server) if log["name"] == logger]


def logs(server: PrefectServer) -> list[dict[str, Any]]:
    every: list[dict[str, Any]] = server.ask("/logs/filter", {"limit": 200, "sort": "TIMESTAMP_DESC"})
    return every
