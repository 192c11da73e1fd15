"""A fleet from end to end, on loopback: a Prefect server, two machines with a checkout and a worker each, one Google Sheet.

YouTube is the recorded one where it is there, else a small media site. Whether a video was processed twice is told by what it
was asked for, not by the queue.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule

from examples.media_site import make_site, serving
from tests.acceptance.conftest import REPLAY_PROGRAM, Replay
from tests.fake_google import SheetsServer, Spreadsheet
from tests.support.prefect_server import PrefectServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
YDC = Path(sys.executable).with_name("ydc")
MACHINES = ("one", "two")
SECONDS_BETWEEN_RUNS = {"ingest-sources": 30, "expand-sources": 30, "keep-processing": 30}
"""Instead of minutes."""
FIRST_RUN_SECONDS = 10
"""For the scheduler to see a new schedule."""
APART_SECONDS = 8
"""From the first run of a deployment to that of the next, in the order in which rows move on."""
MEDIA_DELAY_SECONDS = 3.0
"""Until a media file begins to come, so that there is work for both machines at the same time."""
LONG_SECONDS = 300
"""For a step that takes half a minute on an idle machine."""
AT_ONCE_SECONDS = 30
"""For a run with nothing to do, from its start to its end, on a machine that has more to do. On an idle one it takes two."""
ASK_SECONDS = 0.5
"""Between two looks at what the fleet has done, which needs the processors more."""


@dataclass(frozen=True)
class Videos:
    """The videos of two sources: their total number, and how often each was requested so far."""

    sources: tuple[str, str]
    count: int
    asked_for: Callable[[], Mapping[str, float]]
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Fleet:
    """Two machines that share a sheet. Each has a folder: its checkout, its sources file, its key, its media."""

    server: PrefectServer
    videos: Videos
    folder: Path
    book: Spreadsheet
    sheets_api_url: str

    def settings(self, machine: str) -> dict[str, str]:
        """Return the environment of a machine's worker."""
        home = self.folder / machine
        return {
            **self.videos.environment,
            "PREFECT_HOME": str(home / "prefect"),
            "YDC_STATE_DIR": str(home / "state"),  # the lock of a machine is keyed by host name, and both are this host
            "YDC_CHECKOUT": str(home / "checkout"),
            "YDC_SPREADSHEET_ID": self.book.spreadsheet_id,
            "YDC_CREDENTIALS_FILE": str(self.folder / f"{machine}.json"),
            "YDC_SHEETS_API_URL": self.sheets_api_url,
            "YDC_SOURCES_FILE_PATH": str(home / "sources.txt"),
            "YDC_OUTPUT_DIR": str(home / "media"),
            "YDC_CLAIM_BATCH_SIZE": "2",
            "YDC_CONCURRENCY": "2",
            "PYTHONDONTWRITEBYTECODE": "",
        }

    def prepare(self, machine: str) -> None:
        """Make a machine's checkout, and its sources file with the first source."""
        home = self.folder / machine
        for package in ("flows", "tasks"):
            shutil.copytree(ROOT / package, home / "checkout" / package, ignore=shutil.ignore_patterns("__pycache__"))
        (home / "sources.txt").write_text(f"{self.videos.sources[0]}|Irish|reading\n", encoding="utf-8")

    def rows(self) -> list[dict[str, str]]:
        """Return the rows of the tab Video Tasks as a person sees them, by column name."""
        header, *rows = self.book.rows("Video Tasks")
        return [dict(zip(map(str, header), map(str, row), strict=False)) for row in rows]

    def done(self) -> int:
        return sum(row["Status"] == "done" for row in self.rows())

    def media(self, machine: str) -> list[str]:
        return [path.name for path in (self.folder / machine / "media").rglob("*.m4a")]

    def runs(self, deployment: str, **filters: Any) -> list[dict[str, Any]]:
        """Return the flow runs of a deployment, the oldest first."""
        asked = {
            "deployments": {"name": {"any_": [deployment]}},
            "flow_runs": filters,
            "sort": "START_TIME_ASC",
        }
        runs: list[dict[str, Any]] = self.server.ask("/flow_runs/filter", asked)
        return runs


@pytest.fixture(scope="module")
def videos(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Videos]:
    with ExitStack() as stack:
        if REPLAY_PROGRAM.exists():
            replay: Replay = request.getfixturevalue("replay_server")
            stack.callback(replay.reset)
            yield recorded_youtube(replay)
        else:
            yield media_sites(tmp_path_factory.mktemp("sites"), stack)


def recorded_youtube(replay: Replay) -> Videos:
    """Serve two playlists of twelve videos. yt-dlp requests a video's page once in an attempt."""
    replay.reset()
    replay.faults({"match": "videoplayback", "action": "delay", "seconds": MEDIA_DELAY_SECONDS})

    def asked_for() -> Mapping[str, float]:
        pages = [urlsplit(url) for _, method, url, *_ in replay.log() if method == "GET"]
        return Counter(parse_qs(page.query)["v"][0] for page in pages if page.path == "/watch")

    lists = ("PLzMcBGfZo4-mP7qA9cagf68V06sko5otr", "PLZHQObOWTQDMsr9K-rj53DwVRMYO3t5Yr")
    one, two = (f"https://www.youtube.com/playlist?list={name}" for name in lists)
    changed = {name: value for name, value in replay.environment.items() if os.environ.get(name) != value}
    return Videos((one, two), 24, asked_for, changed)


def media_sites(folder: Path, stack: ExitStack) -> Videos:
    """Serve two sites of three clips each. yt-dlp checks a clip with one GET, and downloads it with the next."""
    titles = ("Interview in Lagos", "A reading from Recife", "Market talk, Chennai")
    asked: Counter[str] = Counter()

    def slowly(url: str) -> None:
        asked[url] += 1
        threading.Event().wait(MEDIA_DELAY_SECONDS)

    sites = (make_site(folder / name, titles) for name in ("one", "two"))
    one, two = (stack.enter_context(serving(site, titles, slowly)) for site in sites)

    def asked_for() -> Mapping[str, float]:
        return {url: times / 2 for url, times in asked.items() if url.endswith(".mp4")}

    return Videos((f"{one}/feed.xml", f"{two}/feed.xml"), 2 * len(titles), asked_for, {"YDC_ALLOW_OTHER_SITES": "true"})


@pytest.fixture(scope="module")
def fleet(prefect_server: PrefectServer, videos: Videos, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Yield two running workers, started as docs/deploy.md has it."""
    folder = tmp_path_factory.mktemp("fleet")
    with ExitStack() as stack:
        sheets = stack.enter_context(SheetsServer())
        accounts = [sheets.simulator.accounts.add(machine) for machine in MACHINES]
        for account, machine in zip(accounts, MACHINES, strict=True):
            account.write_key_file(folder / f"{machine}.json", sheets.simulator.token_uri)
        book = sheets.simulator.create_spreadsheet({"Sheet1": []}, tuple(accounts))
        fleet = Fleet(prefect_server, videos, folder, book, sheets.address)
        subprocess.run(
            [YDC, "init"], env=os.environ | fleet.settings("one"), cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        for machine in MACHINES:
            fleet.prepare(machine)
            worker = prefect_server.worker("--name", machine, "--limit", "4", environment=fleet.settings(machine))
            stack.enter_context(worker)
        yield fleet
        assert sheets.simulator.misses == []


@contextmanager
def scheduled(fleet: Fleet, every_seconds: Mapping[str, int]) -> Iterator[None]:
    """Give deployments another schedule; afterwards none of their runs is left, running or to come."""
    first = datetime.now(UTC) + timedelta(seconds=FIRST_RUN_SECONDS)
    address = fleet.server.environment["PREFECT_API_URL"]
    with SyncPrefectClient(address, auth_string=fleet.server.password) as client, ExitStack() as stack:
        for place, (name, seconds) in enumerate(every_seconds.items()):
            deployment = client.read_deployment_by_name(
                f"{name.replace('keep-processing', 'process-videos')}/{name}"
            ).id
            begin = first + timedelta(seconds=place * APART_SECONDS)
            often = IntervalSchedule(interval=timedelta(seconds=seconds), anchor_date=begin)
            (schedule,) = client.create_deployment_schedules(
                deployment, [DeploymentScheduleCreate(schedule=often, active=True)]
            )
            stack.callback(client.delete_deployment_schedule, deployment, schedule.id)
        yield
    unfinished = {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}}
    for name in every_seconds:
        wait_until(lambda name=name: not fleet.runs(name, state=unfinished), LONG_SECONDS, ASK_SECONDS)  # type: ignore[misc]


def test_schedules_and_a_run_on_demand_process_every_video_once(fleet: Fleet) -> None:
    with scheduled(fleet, SECONDS_BETWEEN_RUNS):
        wait_until(fleet.rows, LONG_SECONDS, ASK_SECONDS)  # of the source in the file
        expand_on_demand(fleet, fleet.videos.sources[1])
        wait_until(lambda: fleet.done() == fleet.videos.count, LONG_SECONDS, ASK_SECONDS)
        idle = next_idle_run(fleet)
    assert Counter(fleet.videos.asked_for().values()) == {1: fleet.videos.count}
    check_the_sheet_and_the_files(fleet)
    print(f"a scheduled run with nothing to do took {idle['total_run_time']:.1f} s")
    assert (idle["state_name"], idle["state"]["message"]) == ("Completed", "no videos")
    assert idle["total_run_time"] < AT_ONCE_SECONDS


def expand_on_demand(fleet: Fleet, source: str) -> None:
    run = fleet.server.run(
        "expand-source/expand-source", f"url={source}", "accent=Irish", "type=talk", seconds=LONG_SECONDS
    )
    assert run["state_name"] == "Completed", run["state"]


def check_the_sheet_and_the_files(fleet: Fleet) -> None:
    """Check that each video has one row and one file, and that both machines made files with the flows of their checkouts."""
    files = {machine: fleet.media(machine) for machine in MACHINES}
    assert all(files.values()), files
    names = [name for made in files.values() for name in made]
    assert len(set(names)) == len(names) == len(fleet.rows()) == fleet.videos.count
    assert {row["Type"] for row in fleet.rows()} == {"reading", "talk"}
    assert all((fleet.folder / machine / "checkout" / "flows" / "__pycache__").is_dir() for machine in MACHINES)


def next_idle_run(fleet: Fleet) -> dict[str, Any]:
    """Wait until a scheduled run that starts from now on has ended, and return it. Every video is done by then."""
    now = datetime.now(UTC).isoformat()
    ended: list[dict[str, Any]] = []

    def has_ended() -> bool:
        state = {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}
        ended[:] = fleet.runs("keep-processing", start_time={"after_": now}, state=state)
        return bool(ended)

    wait_until(has_ended, LONG_SECONDS, ASK_SECONDS)
    return ended[0]
