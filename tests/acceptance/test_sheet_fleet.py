"""Eight worker processes on one sheet over real HTTP, with every fault and a person at the sheet: never twice, none lost."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from examples.media_site import serving
from tests.contract.test_many_processes import Fleet
from tests.fake_google import Person, SheetsServer, Simulator, Spreadsheet
from tests.simulation.fleet import video
from tests.support.seed_columns import SEED_VIDEO_COLUMNS
from tests.support.waiting import wait_until
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.sources.sources_file import new_source
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROCESSES, VIDEOS, KILLED = 8, 300, 3
FAULT = 0.05
SEED = 7
COLUMNS = [*SEED_VIDEO_COLUMNS, "Gender"]


class Scene:
    """A simulated Google, a spreadsheet shared with two accounts, and processes that work on it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.server = stack.enter_context(SheetsServer(seed=SEED))
        self.folder, self.stack = folder, stack
        self.simulator = self.server.simulator
        accounts = [self.simulator.accounts.add(name) for name in ("one", "two")]
        tabs = {"Sources": [], "Video Tasks": [COLUMNS], "Dead-Letter Queue": [COLUMNS]}
        self.book: Spreadsheet = self.simulator.create_spreadsheet(tabs, tuple(accounts), rows=400, columns=14)
        self.keys = [
            account.write_key_file(folder / f"{number}.json", self.simulator.token_uri)
            for number, account in enumerate(accounts)
        ]
        self.random = Random(SEED)
        self.copied: set[str] = set()

    def settings(self, account: int = 0, **more: str) -> dict[str, str]:
        return {
            "YDC_SPREADSHEET_ID": self.book.spreadsheet_id, "YDC_CREDENTIALS_FILE": str(self.keys[account]),
            "YDC_SHEETS_API_URL": self.server.address, "YDC_SHEETS_PATIENCE_SECONDS": "60", **more,
        }  # fmt: skip

    def coordinator(self) -> Coordinator:
        """Return a coordinator of the test's own process on the same spreadsheet."""
        given = {name.removeprefix("YDC_").lower(): value for name, value in self.settings().items()}
        coordinator = Coordinator(Config(**given))
        self.stack.callback(coordinator.queue.store.close)
        return coordinator

    def start(self, job: str, count: int, *options: str, **more: str) -> Fleet:
        """Start processes, which use the two accounts in turn."""
        fleet = Fleet(self.folder, {}, self.stack)
        for number in range(count):
            fleet._environment |= self.settings(number % 2, **more)
            hang = options if number < KILLED else ()
            fleet.start(job, *hang)
        return fleet

    def trouble(self) -> None:
        """Let every fault happen from now on, and a person act."""
        faults = self.simulator.faults
        for status in (429, 500, 503):
            faults.add("status", status=status, times=None, probability=FAULT / 3, path="/v4/")
        for action in ("reset", "apply_then_reset", "garbage"):
            faults.add(action, times=None, probability=FAULT, path="/v4/")
        faults.add("apply_late", times=None, probability=FAULT, path=":batchUpdate", after_requests=5)
        self.simulator.between_requests = self._person

    def quiet(self) -> None:
        self.simulator.between_requests = None
        self.simulator.faults.clear()
        self.simulator.faults.release_late()

    def _person(self, simulator: Simulator, method: str, book: Spreadsheet) -> None:
        if self.random.random() > FAULT:
            return
        rows, person = book.rows("Video Tasks"), Person(book)
        line = self.random.randrange(1, max(len(rows), 2))
        action = self.random.choice(["sort", "sort", "blank", "copy", "edit"])
        if action == "sort":
            person.sort(
                "Video Tasks",
                self.random.choice(["ID", "URL", "Status", "Lease"]),
                descending=self.random.random() < 0.5,
            )
        elif action == "blank":
            person.insert_row("Video Tasks", line)
        elif action == "edit":
            person.edit("Video Tasks", line, "Gender", f"own {self.random.random()}")
        elif line < len(rows):
            word = decode_lease(str(dict(zip(rows[0], rows[line], strict=False)).get("Lease", "")))
            self.copied.add(word.key if word else "")
            person.duplicate_row("Video Tasks", line)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(tmp_path, stack)


def check(scene: Scene, fleet: Fleet, coordinator: Coordinator, victims: range = range(0)) -> int:
    """Check that each video ran once, but for those of killed workers and lost claims. Return how many ran again."""
    coordinator.queue.recover(VIDEO_TASKS)
    rows = [row for row in coordinator.queue.rows(VIDEO_TASKS) if not row.lease.detail.startswith("duplicate of")]
    assert Counter(row.lease.state for row in rows) == {State.DONE: VIDEOS}
    assert len({row.key for row in rows}) == len({row.id for row in rows}) == VIDEOS
    lost = {event["id"] for event in fleet.every_event("recorded") if event["ending"] == "lost"}
    again = 0
    for row_id, attempts in fleet.attempts().items():
        killed = any(attempt.worker in victims for attempt in attempts)
        assert len(attempts) == 1 or killed or row_id in lost, attempts
        for first, second in pairwise(attempts):
            again += 1
            assert first.ended is None or second.began >= first.ended or row_id in lost
    return again


def test_eight_processes_with_every_fault_and_a_person(scene: Scene) -> None:
    coordinator = scene.coordinator()
    coordinator.queue.add(VIDEO_TASKS, [video(number) for number in range(VIDEOS)])
    fleet = scene.start("claim", PROCESSES)
    scene.trouble()
    fleet.go()
    fleet.join()
    scene.quiet()
    assert check(scene, fleet, coordinator) == 0
    assert scene.book.formulas() == []


def test_three_are_killed_and_leases_last_seconds(scene: Scene) -> None:
    coordinator = scene.coordinator()
    coordinator.queue.add(VIDEO_TASKS, [video(number) for number in range(VIDEOS)])
    fleet = scene.start("claim", PROCESSES, "--hang-after", "6", YDC_STALLED_TASK_TIMEOUT_MINUTES="0.2")
    scene.trouble()
    victims, others = range(KILLED), range(KILLED, PROCESSES)
    fleet.go(*victims)  # first: one that has to repeat its requests would find that the others have left it nothing
    for victim in victims:
        wait_until(lambda victim=victim: fleet.count(victim, "begin") > 6, 120)  # type: ignore[misc]
    fleet.go(*others)
    wait_until(lambda: any(fleet.count(other, "begin") for other in others), 120)
    for victim in victims:
        fleet.kill(victim)
    fleet.join(*others)
    scene.quiet()
    assert check(scene, fleet, coordinator, victims) >= 1


def test_two_machines_take_in_the_same_file_at_once(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "sources.txt"
    path.write_text("".join(f"https://www.youtube.com/channel/UC{number:022}|a|b\n" for number in range(120)))
    fleet = scene.start("ingest", 2, YDC_SOURCES_FILE_PATH=str(path))
    fleet.go()
    fleet.join()
    rows = list(scene.coordinator().queue.rows(SOURCES))
    assert len({row.key for row in rows}) == len(rows) == 120
    assert [row.id for row in rows] == list(range(1, 121))


def test_two_machines_expand_overlapping_sources_at_the_same_time(scene: Scene, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    with serving(site, ()) as address:
        for name, numbers in (("a", range(200)), ("b", range(100, 300))):
            items = "".join(_item(address, number) for number in numbers)
            text = f"<rss version='2.0'><channel><title>{name}</title>{items}</channel></rss>"
            (site / f"{name}.xml").write_text(text, encoding="utf-8")
        coordinator = scene.coordinator()
        sources = [new_source(f"{address}/{name}.xml", allow_other_sites=True) for name in "ab"]
        coordinator.queue.add(SOURCES, sources)
        fleet = scene.start("expand", 2, YDC_ALLOW_OTHER_SITES="true")
        fleet.go()
        fleet.join()
    expanded = fleet.every_event("expanded")
    assert [event["listed"] for event in expanded] == [200, 200], expanded
    assert sum(event["new"] for event in expanded) == 300
    rows = list(coordinator.queue.rows(VIDEO_TASKS))
    assert len({row.key for row in rows}) == 300
    assert [row.id for row in rows] == list(range(1, 301))


def _item(address: str, number: int) -> str:
    enclosure = f"<enclosure url='{address}/v{number}.mp4' type='video/mp4' length='1'/>"
    return f"<item><title>video {number}</title><guid>v{number}</guid>{enclosure}</item>"


def test_a_late_result_from_a_frozen_process_is_refused_and_said(scene: Scene) -> None:
    """Stopped with SIGSTOP for longer than its lease, then let go on: another has done its videos meanwhile."""
    coordinator = scene.coordinator()
    coordinator.queue.add(VIDEO_TASKS, [video(number) for number in range(40)])
    go_on = scene.folder / "go-on"
    fleet = scene.start("claim", 2, f"--not-before={go_on}", YDC_STALLED_TASK_TIMEOUT_MINUTES="0.1")
    frozen = fleet.processes[0]
    fleet.go(0)
    wait_until(lambda: fleet.count(0, "begin") > 0)
    frozen.send_signal(signal.SIGSTOP)
    go_on.touch()
    fleet.go(1)
    fleet.join(1)
    assert coordinator.queue.counts(VIDEO_TASKS) == {State.DONE: 40}
    done_by = {row.id: row.result for row in coordinator.queue.rows(VIDEO_TASKS)}
    frozen.send_signal(signal.SIGCONT)
    fleet.join(0)
    assert {row.id: row.result for row in coordinator.queue.rows(VIDEO_TASKS)} == done_by
    assert "lost" in {event["ending"] for event in fleet.every_event("recorded")}


def test_a_wall_clock_that_is_six_hours_off_changes_nothing(scene: Scene) -> None:
    """Google itself would not let such a machine sign in; the queue would not notice it."""
    coordinator = scene.coordinator()
    coordinator.queue.add(VIDEO_TASKS, [video(number) for number in range(60)])
    fleet = Fleet(scene.folder, {}, scene.stack)
    for number, hours in enumerate(("0", "6", "-6")):
        fleet._environment |= scene.settings(number % 2)
        fleet.start("claim", f"--clock-off-hours={hours}")
    fleet.go()
    fleet.join()
    assert coordinator.queue.counts(VIDEO_TASKS) == {State.DONE: 60}
    assert all(len(attempts) == 1 for attempts in fleet.attempts().values())


def test_another_time_zone_changes_nothing(scene: Scene) -> None:
    coordinator = scene.coordinator()
    coordinator.queue.add(VIDEO_TASKS, [video(number) for number in range(60)])
    fleet = Fleet(scene.folder, {}, scene.stack)
    for number, zone in enumerate(("UTC", "Pacific/Kiritimati", "America/Los_Angeles")):
        fleet._environment |= scene.settings(number % 2, TZ=zone)
        fleet.start("claim")
    fleet.go()
    fleet.join()
    assert coordinator.queue.counts(VIDEO_TASKS) == {State.DONE: 60}
    assert all(len(attempts) == 1 for attempts in fleet.attempts().values())
