"""YouTube's answer on training: read with care, asked for rarely, and never a reason to fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.trainability_api import Answer, TrainabilityApi, garbage, permits, trainability_api
from youtube_download_coordinator.youtube import trainability, trainability_state
from youtube_download_coordinator.youtube.network import Network
from youtube_download_coordinator.youtube.trainability import Trainability, request_trainability
from youtube_download_coordinator.youtube.trainability_state import STATE_FILE, TrainabilityState

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # yt-dlp does not close failed connections
VIDEO = "M4gD1WSo5mA"


@pytest.fixture
def api() -> Iterator[TrainabilityApi]:
    with trainability_api() as server:
        yield server


def ask(api: TrainabilityApi, **network: float) -> Trainability:
    return request_trainability(VIDEO, Network(**network), api.url)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "text", "everyone", "adobe"),
    [
        (["all"], "all", True, True),
        (["none"], "none", False, False),
        (["None"], "none", False, False),
        ([], "none", False, False),
        (["Adobe", "Example, Inc."], "Adobe, Example Inc.", False, True),
        (["Adobe", "Adobe", " "], "Adobe", False, True),
        (["  adobe "], "adobe", False, True),
        (["All", "Adobe"], "all", True, True),
        (["Adobe\x00\n=1+1"], "Adobe =1+1", False, False),
    ],
)
def test_what_is_permitted(api: TrainabilityApi, names: list[str], text: str, everyone: bool, adobe: bool) -> None:
    api.answer = permits(*names)
    answer = ask(api)
    assert (str(answer), answer.permits("all"), answer.permits("ADOBE")) == (text, everyone, adobe)
    assert answer.etag == "e1"
    assert answer.asked_at
    assert answer.problem == ""


def test_nobody_is_called_none(api: TrainabilityApi) -> None:
    assert not ask(api).permits("none")


def test_permitted_may_be_one_text(api: TrainabilityApi) -> None:
    api.answer = garbage({"videoId": VIDEO, "permitted": "all"})
    assert str(ask(api)) == "all"


@pytest.mark.parametrize(
    "answer",
    [
        garbage(b""),
        garbage(b"<html>"),
        garbage(b"\xff\xfe"),
        garbage(b"[" * 100_000),
        garbage([]),
        garbage({"videoId": VIDEO}),
        garbage({"videoId": "another0000", "permitted": ["all"]}),
        garbage({"videoId": VIDEO, "permitted": [1]}),
        garbage({"videoId": VIDEO, "permitted": {"all": True}}),
        permits("none", "all"),
        garbage(json.dumps({"videoId": VIDEO, "permitted": ["all"]}).encode() + b" " * 70_000),
        Answer(status=204),
        *[Answer(status=status) for status in (403, 429, 500, 503)],
    ],
)
def test_anything_else_is_unknown_and_permits_nobody(api: TrainabilityApi, answer: Answer) -> None:
    api.answer = answer
    unknown = ask(api)
    assert (str(unknown), unknown.is_known, unknown.permits("all")) == ("unknown", False, False)
    assert unknown.problem
    assert not unknown.is_about_video
    assert api.asked == [VIDEO]


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_video_that_is_not_known_there_says_nothing_about_others(api: TrainabilityApi, status: int) -> None:
    api.answer = Answer(status=status)
    assert ask(api).is_about_video


@pytest.mark.parametrize(
    ("after", "seconds"),
    [("120", 120), ("999999999", 3600), ("soon", 900), ("", 900), ("Sun, 06 Nov 1994 08:49:37 GMT", 900), ("-5", 900)],
)
def test_a_pause_that_is_asked_for_is_kept_and_bounded(api: TrainabilityApi, after: str, seconds: float) -> None:
    api.answer = Answer(status=429, headers={"Retry-After": after})
    assert ask(api).pause_seconds == seconds


def test_silence_is_unknown(api: TrainabilityApi) -> None:
    api.answer = Answer(hangs=True)
    assert not ask(api, socket_timeout_seconds=0.2).is_known


def test_an_answer_without_an_end_is_unknown(api: TrainabilityApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainability, "TIMEOUT_SECONDS", 0.3)
    api.answer = Answer(trickles=True)
    assert "not complete" in ask(api).problem


def test_nobody_listens_there() -> None:
    with trainability_api() as api:
        url = api.url
    assert not request_trainability(VIDEO, Network(), url).is_known


def test_the_request_has_no_cookies(api: TrainabilityApi, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tSID\tsecret\n")
    request_trainability(VIDEO, Network(cookies_file=str(cookies)), api.url)
    assert len(api.headers) == 1
    assert "Cookie" not in api.headers[0]


def test_a_password_of_the_proxy_is_not_repeated(api: TrainabilityApi) -> None:
    network = Network(proxy="http://user:hunter2@127.0.0.1:1", socket_timeout_seconds=0.2)
    assert "hunter2" not in request_trainability(VIDEO, network, api.url).problem


# -- what a machine shares


class Time:
    """A clock that moves when someone sleeps."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds


class Machine:
    """The state of a machine with its clock, and a source of answers that is counted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.time = folder, Time()
        self.asked: list[str] = []
        self.answer = Trainability(permitted=("all",), etag="e1", asked_at=datetime(2026, 11, 29, tzinfo=UTC))

    @property
    def state(self) -> TrainabilityState:
        """Open it, as another process does."""
        return TrainabilityState(self.folder, lambda: self.time.now, self.time.sleep)

    def ask(self, video_id: str = VIDEO) -> Trainability:
        def request() -> Trainability:
            self.asked.append(video_id)
            return self.answer

        return self.state.answer(video_id, request)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "state")


def test_a_known_answer_is_asked_for_once(machine: Machine) -> None:
    assert [machine.ask(), machine.ask()] == [machine.answer, machine.answer]
    assert machine.asked == [VIDEO]
    assert (machine.folder / STATE_FILE).stat().st_mode & 0o077 == 0


def test_an_old_answer_is_asked_for_again(machine: Machine) -> None:
    machine.ask()
    machine.time.now += 31 * 86400
    machine.ask()
    assert machine.asked == [VIDEO, VIDEO]


def test_an_answer_from_the_future_is_asked_for_again(machine: Machine) -> None:
    """The clock was set back."""
    machine.ask()
    machine.time.now -= 86400
    machine.ask()
    assert machine.asked == [VIDEO, VIDEO]


def test_requests_are_a_second_apart(machine: Machine) -> None:
    for number in range(4):
        machine.ask(f"v{number}")
    assert machine.time.slept == [1, 1, 1]


def test_a_long_queue_is_not_waited_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainability_state, "WAIT_MAX_SECONDS", 4)
    state = TrainabilityState(machine.folder, lambda: machine.time.now, lambda seconds: None)  # all at the same moment
    problems = [state.answer(f"v{number}", lambda: machine.answer).problem for number in range(8)]
    assert problems == [""] * 5 + ["too many requests of this machine are waiting"] * 3


def test_a_clock_that_was_set_back_stops_nobody(machine: Machine) -> None:
    machine.ask("v1")
    machine.time.now -= 1e6
    machine.ask("v2")
    assert machine.time.slept == []


def test_failures_in_a_row_make_the_machine_pause_for_longer_each_time(machine: Machine) -> None:
    machine.answer = Trainability(problem="HTTP 500")
    pauses = []
    for number in range(12):
        machine.ask(f"v{number}")
        pauses.append(round(machine.state.pause_seconds()))
        machine.time.now += pauses[-1] + 1
    assert pauses == [0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_nobody_is_asked_during_a_pause(machine: Machine) -> None:
    machine.answer = Trainability(problem="HTTP 429", pause_seconds=100)
    machine.ask("v1")
    assert machine.ask("v2").problem == "this machine pauses after failed requests"
    assert machine.asked == ["v1"]
    machine.time.now += 101
    machine.answer = Trainability(permitted=("none",), asked_at=datetime(2026, 11, 29, tzinfo=UTC))
    assert machine.ask("v2").is_known
    machine.answer = Trainability(problem="HTTP 500")
    machine.ask("v3")
    assert machine.state.pause_seconds() == 0  # the first failure in a row again


def test_who_waits_for_a_turn_when_a_pause_begins_does_not_ask(machine: Machine) -> None:
    machine.ask("v1")
    refused = Trainability(problem="HTTP 429", pause_seconds=100)

    def sleep(seconds: float) -> None:
        TrainabilityState(machine.folder, lambda: machine.time.now, lambda _: None).answer("v2", lambda: refused)
        machine.time.sleep(seconds)

    machine.time.now += 2
    first = TrainabilityState(machine.folder, lambda: machine.time.now, sleep)
    machine.ask("v3")
    assert first.answer("v4", lambda: machine.answer).problem == "this machine pauses after failed requests"


@pytest.mark.parametrize(
    "answer",
    [
        Trainability(permitted=("all",)),
        Trainability(problem="HTTP 404", is_about_video=True),
        Trainability(problem="HTTP 500"),
    ],
)
def test_an_answer_to_an_earlier_request_ends_no_pause(machine: Machine, answer: Trainability) -> None:
    def request() -> Trainability:
        machine.time.now += 5
        machine.answer = Trainability(problem="HTTP 429", pause_seconds=100)
        machine.ask("v2")  # sent later, answered first
        return answer

    machine.state.answer("v1", request)
    assert machine.state.pause_seconds() == 100


def test_an_unknown_answer_is_not_kept(machine: Machine) -> None:
    machine.answer = Trainability(problem="HTTP 404", is_about_video=True)
    machine.ask()
    machine.ask()
    assert machine.asked == [VIDEO, VIDEO]


@pytest.mark.parametrize("damage", [b"not a database" * 1000, b"SQLite format 3\x00" + b"\xff" * 9000])
def test_a_damaged_file_is_replaced(machine: Machine, damage: bytes) -> None:
    machine.folder.mkdir()
    (machine.folder / STATE_FILE).write_bytes(damage)
    assert [machine.ask().is_known, machine.ask().is_known, machine.ask().is_known] == [True] * 3
    assert len(machine.asked) < 3


def test_a_folder_that_cannot_be_used_only_costs_requests(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.folder.write_text("a file")
    assert machine.ask() == machine.answer
    assert machine.ask() == machine.answer
    assert machine.asked == [VIDEO, VIDEO]
    assert "cannot be cached" in caplog.text
