"""Suspicion of an outage: a machine's evidence, its line in Control, what is given back, and what ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.faulty_store import ClockedStore
from tests.support.rows import PAUSES, make_admission, make_queue, new_source, new_video
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.models import Control, Done, Failure, Outcome, State, Verdict, VideoTask
from youtube_download_coordinator.queue import Queue, cooldown
from youtube_download_coordinator.queue.canary import Canary
from youtube_download_coordinator.queue.cooldown import ControlValue
from youtube_download_coordinator.queue.lifecycle import give_back
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.queue.suspicion import Evidence, OutageLimits, from_text, to_text
from youtube_download_coordinator.reasons import ABOUT_ONE_VIDEO
from youtube_download_coordinator.workers.attempts import AttemptResult, Attempts, attempt_result

KNOWN = Failure(
    verdict=Verdict.RETRY,
    reason="page-reload",
    message="The page needs to be reloaded.",
    systemic=True,
    from_yt_dlp=True,
)
SIGN_IN = replace(KNOWN, verdict=Verdict.PERMANENT, reason="needs-account")
NEW = Failure(verdict=Verdict.RETRY, reason="error", message="code 7731", from_yt_dlp=True)
OWN_BUG = replace(NEW, message="KeyError: 'x'", from_yt_dlp=False)
GONE = replace(NEW, verdict=Verdict.GONE, reason="gone")
PRIVATE = Failure(verdict=Verdict.PERMANENT, reason="private")
BOT_CHECK = Failure(verdict=Verdict.THROTTLED, reason="bot-check")
LIMITS = OutageLimits(known_videos=3, other_videos=5)
OLD, NEWER = "2026.10.26", "2026.11.5"
CANARY = "https://www.youtube.com/watch?v=canary-0001"


@dataclass
class Machine:
    """A host, its installed yt-dlp, and its worker processes."""

    make: Callable[..., Queue]
    name: str = "host-a"
    yt_dlp: str = OLD
    reported: list[Control] = field(default_factory=list)
    upgrade: str = ""

    def worker(self, process: int = 1, **more: Any) -> Attempts[VideoTask]:
        given = {
            "outage_limits": LIMITS, "yt_dlp_version": lambda: self.yt_dlp, "on_suspicion": self.reported.append,
            "find_upgrade": lambda: self.upgrade,
        }  # fmt: skip
        queue = self.make(f"{self.name}/{process}", **given | more)
        return Attempts(queue=queue, table=VIDEO_TASKS, timeout=timedelta(hours=1), claim_batch_size=1)


@pytest.fixture
def machine(worker: Callable[..., Queue]) -> Machine:
    return Machine(worker)


@pytest.fixture
def other(store: ClockedStore) -> Iterator[Machine]:
    """Yield another machine on the same queue."""
    state = ClockedStore()

    def make(name: str, **more: Any) -> Queue:
        queue = make_queue(store, name)
        queue.admission = make_admission(store, name, machine_state=state, **more)
        return queue

    yield Machine(make, "host-b")
    state.close()


def add(store: ClockedStore, count: int = 40, sources: int = 20) -> None:
    videos = [new_video(number, key=f"yt:v:{number:011}", source_id=number % sources + 1) for number in range(count)]
    make_queue(store).add(VIDEO_TASKS, videos)


def attempt(attempts: Attempts[VideoTask], outcome: Outcome) -> VideoTask | None:
    """Make one attempt, as a worker does. None if none may begin."""
    attempts.stopped_by = ""
    claim = attempts.begin_next()
    return attempts.settle(claim, outcome) if claim else None


def fail(attempts: Attempts[VideoTask], count: int, failure: Failure = KNOWN) -> None:
    for _ in range(count):
        assert attempt(attempts, failure) is not None


def line(store: ClockedStore, name: str = f"suspect host-a {OLD}") -> Control:
    lines = {each.name: each for each in store.controls(fresh=True)}
    return lines.get(name, Control(name=name))


def tries(store: ClockedStore) -> set[int]:
    rows = [row for table in (VIDEO_TASKS, DEAD_LETTERS) for row in store.scan(table)]
    return {row.lease.tries for row in rows}


def pass_the_pause(store: ClockedStore) -> None:
    store.ahead += timedelta(seconds=PAUSES.longest_seconds + 1)


# --- what is an outage -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "videos"), [(KNOWN, 3), (SIGN_IN, 3), (NEW, 5), (OWN_BUG, 5), (GONE, 5)],
    ids=["known", "permanent", "new", "own-bug", "gone"],
)  # fmt: skip
def test_enough_different_videos_are_an_outage_and_nothing_is_counted(
    store: ClockedStore, machine: Machine, failure: Failure, videos: int
) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, videos - 1, failure)
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR
    last = attempt(attempts, failure)
    assert last is not None
    assert attempt_result(failure, last) is AttemptResult.GIVEN_BACK
    assert line(store).value == "suspect"
    assert attempt(attempts, failure) is None
    assert attempts.stopped_by.startswith(f"suspect host-a {OLD}: suspect until ")
    assert tries(store) == {0}
    assert store.count(VIDEO_TASKS) == {State.PENDING: 40}
    assert store.count(DEAD_LETTERS) == {}
    assert sum(row.lease.reason == "suspected" for row in store.scan(VIDEO_TASKS)) == videos


def test_dead_letters_of_the_outage_come_back(store: ClockedStore, machine: Machine) -> None:
    add(store, 4)
    attempts = machine.worker()
    fail(attempts, 4, GONE)
    store.ahead += timedelta(hours=1)
    fail(attempts, 4, GONE)
    assert store.count(DEAD_LETTERS) == {State.DEAD: 4}
    add(store, 6)
    fail(attempts, 1, GONE)
    assert store.count(DEAD_LETTERS) == {}
    assert tries(store) == {0}


def test_a_video_keeps_the_attempts_from_before_the_outage(store: ClockedStore, machine: Machine) -> None:
    add(store, 2)
    attempts = machine.worker()
    fail(attempts, 1, replace(NEW, reason="network"))
    assert attempt(machine.worker(2), Done()) is not None  # ends that streak
    store.ahead += timedelta(hours=1)
    add(store, 6)
    fail(attempts, 5, NEW)
    assert line(store).value == "suspect"
    assert tries(store) == {0, 1}


@pytest.mark.parametrize("reason", sorted(ABOUT_ONE_VIDEO))
def test_a_fact_about_one_video_is_never_evidence(store: ClockedStore, machine: Machine, reason: str) -> None:
    add(store, 8)
    fail(machine.worker(), 7, Failure(verdict=Verdict.GONE, reason=reason))
    assert store.controls() == []


def test_a_video_counts_once(store: ClockedStore, machine: Machine) -> None:
    add(store, 2)
    attempts = machine.worker()
    for _ in range(2):
        fail(attempts, 2)
        store.ahead += timedelta(hours=1)
    assert line(store).value == "watching"
    assert tries(store) == {2}


def test_a_success_in_between_begins_anew(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    for _ in range(4):
        fail(attempts, 2)
        assert attempt(attempts, Done()) is not None
    assert line(store).value == "clear"
    assert tries(store) == {0, 1}


def test_a_success_that_began_before_the_failures_proves_nothing(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    long = attempts.begin_next()
    assert long is not None
    store.ahead += timedelta(minutes=5)
    fail(attempts, 2)
    attempts.settle(long, Done())
    fail(attempts, 1)
    assert line(store).value == "suspect"


def test_a_file_that_exists_already_proves_nothing(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 2)
    attempt(attempts, Done(asked_youtube=False))
    fail(attempts, 1)
    assert line(store).value == "suspect"


def test_another_reason_in_between_changes_nothing(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    for failure in (KNOWN, NEW, PRIVATE, KNOWN, PRIVATE, KNOWN):
        attempt(attempts, failure)
    assert line(store).value == "suspect"
    assert tries(store) == {0, 1}, "only the private ones count"


# --- sources ---------------------------------------------------------------------------------------------------------


def test_a_queue_of_one_source_is_enough(store: ClockedStore, machine: Machine) -> None:
    add(store, sources=1)
    fail(machine.worker(), 3)
    assert line(store).value == "suspect"


def test_one_source_of_several_is_no_outage_and_another_is_asked(store: ClockedStore, machine: Machine) -> None:
    """Videos are claimed in the order of their sources, so another one's would come last."""
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(n, key=f"yt:v:{n:011}", source_id=1 if n < 30 else 2) for n in range(40)])
    attempts = machine.worker()
    fail(attempts, 3)
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR
    asked = attempt(attempts, Done())
    assert asked is not None
    assert asked.source_id == 2
    fail(attempts, 3)
    asked = attempt(attempts, KNOWN)
    assert asked is not None
    assert asked.source_id == 2
    assert line(store).value == "suspect"


def test_sources_that_fail_are_not_evidence_but_wait(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    queue = attempts.queue
    queue.add(SOURCES, [new_source(number) for number in range(5)])
    for _ in range(4):
        (claim,) = queue.claim(SOURCES, 1)
        queue.settle([(claim, KNOWN)])
    assert store.controls() == []
    fail(attempts, 3)
    assert queue.claim(SOURCES, 1) == []


# --- machines, processes and versions --------------------------------------------------------------------------------


def test_the_processes_of_a_machine_and_those_after_a_restart_count_together(
    store: ClockedStore, machine: Machine
) -> None:
    add(store)
    for process in range(3):
        fail(machine.worker(process), 1)
    assert line(store).value == "suspect"
    assert tries(store) == {0}
    assert attempt(machine.worker(9), KNOWN) is None


def test_machines_are_evidence_for_each_other(store: ClockedStore, machine: Machine, other: Machine) -> None:
    add(store)
    fail(machine.worker(), 2)
    assert line(store).value == "watching"
    fail(other.worker(), 1)
    assert line(store, f"suspect host-b {OLD}").value == "suspect"
    assert " 1 video of 1 source on 2 machines since " in line(store, f"suspect host-b {OLD}").reason


def test_a_machine_needs_a_quarter_of_the_failures_itself(
    store: ClockedStore, machine: Machine, other: Machine
) -> None:
    """One whose processor has a bug must not stop another that meets the same word once."""
    add(store)
    fail(machine.worker(), 5, OWN_BUG)
    assert line(store).value == "suspect"
    working = other.worker()
    fail(working, 1, NEW)
    assert cooldown.value_of(line(store, f"suspect host-b {OLD}")) is ControlValue.CLEAR
    fail(working, 1, NEW)
    assert line(store, f"suspect host-b {OLD}").value == "suspect"


@pytest.mark.parametrize(
    "change",
    [
        lambda line: replace(line, reason="do not touch this"),
        lambda line: replace(line, reason="a: page-reload: 99999999999999999999 videos of many sources "),
        lambda line: replace(line, name=f"suspect host-c {NEWER}"),
        lambda line: replace(line, until=line.until - timedelta(hours=2)),
        lambda line: replace(line, until=None),
    ],
    ids=["rewritten", "nonsense", "another-version", "over", "without-a-time"],
)
def test_what_is_no_evidence_of_another_machine(
    store: ClockedStore, machine: Machine, other: Machine, change: Callable[[Control], Control]
) -> None:
    add(store)
    fail(machine.worker(), 2)
    changed = change(line(store))
    store.set_control(line(store).name, lambda line: line and replace(line, reason="", until=None))
    store.set_control(changed.name, lambda line: changed)
    fail(other.worker(), 2)
    assert line(store, f"suspect host-b {OLD}").value == "watching"


def test_an_upgraded_machine_goes_on_at_once_and_an_old_one_waits(
    store: ClockedStore, machine: Machine, other: Machine
) -> None:
    add(store)
    attempts, old = machine.worker(), other.worker()
    fail(attempts, 3)
    fail(old, 1)
    machine.yt_dlp = NEWER
    assert attempt(attempts, Done()) is not None
    assert attempt(old, Done()) is None
    assert line(store).value == "clear", "the line of the version before is put right"
    assert line(store).reason == f"host-a/1: yt-dlp {NEWER} works"


def test_a_new_version_begins_without_evidence(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 2)
    machine.yt_dlp = NEWER
    fail(attempts, 2)
    assert line(store, f"suspect host-a {NEWER}").value == "watching"


def test_it_works_without_a_machine_state(store: ClockedStore) -> None:
    add(store)
    machine = Machine(lambda name, **more: _without_state(store, name, **more))
    fail(machine.worker(), 3)
    assert line(store).value == "suspect"
    assert tries(store) == {0}


def _without_state(store: ClockedStore, name: str, **more: Any) -> Queue:
    queue = make_queue(store, name)
    queue.admission = make_admission(store, name, **more)
    return queue


# --- probes ----------------------------------------------------------------------------------------------------------


def test_one_video_a_pause_is_tried_and_the_pause_grows(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    tried, pauses = set(), []
    for _ in range(3):
        pauses.append(line(store).pause_seconds)
        assert attempt(attempts, KNOWN) is None
        pass_the_pause(store)
        row = attempt(attempts, NEW)  # another reason is no success
        assert row is not None
        tried.add(row.id)
        assert line(store).value == "suspect"
    assert pauses == [900, 1800, 3600]
    assert len(tried) == 3
    assert tries(store) == {0}


def test_a_success_ends_it(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    pass_the_pause(store)
    assert attempt(attempts, Done()) is not None
    assert line(store).value == "clear"
    fail(attempts, 2)
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR, "nothing is left of the evidence"


@pytest.mark.parametrize("outcome", [PRIVATE, replace(PRIVATE, verdict=Verdict.LATER, reason="upcoming")])
def test_a_fact_about_the_probe_shows_nothing(store: ClockedStore, machine: Machine, outcome: Failure) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    pass_the_pause(store)
    assert attempt(attempts, outcome) is not None
    assert (line(store).value, line(store).pause_seconds) == ("suspect", 900)
    assert attempt(attempts, Done()) is None


def test_a_throttled_probe_begins_a_cooldown(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    pass_the_pause(store)
    assert attempt(attempts, BOT_CHECK) is not None
    assert (line(store, "cooldown host-a").value, line(store).value) == ("cooling", "suspect")
    pass_the_pause(store)
    assert attempt(attempts, Done()) is not None  # the cooldown's probe proves that an attempt works, too
    assert (line(store, "cooldown host-a").value, line(store).value) == ("clear", "clear")


def test_what_ends_while_it_is_suspected_is_not_counted(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    running = [attempts.begin_next() for _ in range(4)]
    for claim, failure in zip(running, (KNOWN, KNOWN, KNOWN, NEW), strict=True):
        assert claim is not None
        attempts.settle(claim, failure)
    assert tries(store) == {0}


# --- the canary ------------------------------------------------------------------------------------------------------


def test_the_canary_ends_it_and_the_videos_count(store: ClockedStore, machine: Machine) -> None:
    """A channel that was deleted is not an outage, however many videos it has."""
    add(store, 12)
    asked: list[str] = []

    def request(url: str) -> Outcome:
        asked.append(url)
        return Done()

    attempts = machine.worker(canary=Canary(request=request, configured_url=CANARY))
    for _ in range(5):
        while attempt(attempts, GONE):
            pass
        store.ahead += timedelta(hours=2)
    assert store.count(DEAD_LETTERS) == {State.DEAD: 12}
    assert len(asked) <= 30 / LIMITS.other_videos
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR
    assert machine.reported == []


def test_a_canary_that_fails_too_is_asked_in_place_of_a_video(store: ClockedStore, machine: Machine) -> None:
    add(store)
    answers: list[Outcome] = [GONE, GONE, BOT_CHECK, Done()]
    canary = Canary(request=lambda url: answers.pop(0), configured_url=CANARY)
    attempts = machine.worker(canary=canary)
    fail(attempts, 5, GONE)
    assert line(store).value == "suspect"
    pass_the_pause(store)
    assert attempt(attempts, Done()) is None, "the canary was asked, and no video"
    assert line(store).pause_seconds == 1800
    pass_the_pause(store)
    assert attempt(attempts, GONE) is not None, "a block says nothing about the outage"
    pass_the_pause(store)
    assert attempt(attempts, PRIVATE) is not None
    assert (line(store).value, answers) == ("clear", [])


def test_no_canary_is_asked_about_a_bug_of_the_users_own(store: ClockedStore, machine: Machine) -> None:
    add(store)
    answers: list[Outcome] = [Done()]
    attempts = machine.worker(canary=Canary(request=lambda url: answers.pop(), configured_url=CANARY))
    fail(attempts, 5, OWN_BUG)
    pass_the_pause(store)
    fail(attempts, 1, OWN_BUG)
    assert (line(store).value, answers) == ("suspect", [Done()])


# --- people ----------------------------------------------------------------------------------------------------------


def test_control_an_event_and_the_log_say_it(
    store: ClockedStore, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    add(store)
    machine.upgrade = f"yt-dlp {NEWER} is out: ydc upgrade-yt-dlp"
    fail(machine.worker(), 3)
    (reported,) = machine.reported
    assert reported == line(store)
    assert reported.reason.startswith("host-a/1: page-reload: 3 videos of 3 sources on 1 machine since 20")
    assert f", yt-dlp {OLD}; to do: yt-dlp {NEWER} is out: ydc upgrade-yt-dlp; last: The page needs" in reported.reason
    assert [record.message for record in caplog.records if "an outage is suspected" in record.message] == [
        f"an outage is suspected, so failures are not counted: {cooldown.describe(reported)}"
    ]
    assert cooldown.shown(store.controls())[-1] == reported


def test_a_probe_that_fails_reports_it_again_with_what_is_new(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    machine.upgrade = f"yt-dlp {NEWER} is out: ydc upgrade-yt-dlp"
    for _ in range(2):
        pass_the_pause(store)
        fail(attempts, 1)
    assert [each.reason.count(NEWER) for each in machine.reported] == [0, 1, 1]
    assert machine.reported[-1] == line(store)


def test_a_person_may_end_it_and_it_counts_anew(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    assert attempts.queue.admission.lift("by hand") is not None
    fail(attempts, 2)
    assert cooldown.value_of(line(store)) is ControlValue.CLEAR
    fail(attempts, 1)
    assert line(store).value == "suspect"
    assert tries(store) == {0}


@pytest.mark.parametrize("value", ["no idea", "suspected!", "cooling", "probing"])
@pytest.mark.parametrize("reason", ["", "what is this?", "a: b: c: d"])
def test_nobodys_edit_breaks_a_worker(store: ClockedStore, machine: Machine, value: str, reason: str) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 3)
    store.set_control(
        line(store).name, lambda line: Control(name=line.name if line else "", value=value, reason=reason)
    )
    assert attempt(attempts, KNOWN) is None
    pass_the_pause(store)
    fail(attempts, 1)
    pass_the_pause(store)
    assert attempt(attempts, Done()) is not None
    assert line(store).value == "clear"
    assert tries(store) == {0}


# --- when things break -----------------------------------------------------------------------------------------------


def test_what_could_not_be_given_back_is_given_back_by_the_next_probe(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 2)
    claim = attempts.begin_next()
    assert claim is not None
    attempts.queue.settle([(claim, KNOWN)])  # and the process is killed
    assert tries(store) == {0, 1}
    pass_the_pause(store)
    fail(machine.worker(2), 1)
    assert tries(store) == {0}


def test_an_outcome_may_be_recorded_twice(store: ClockedStore, machine: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 2)
    claim = attempts.begin_next()
    assert claim is not None
    store.fails = lambda verb: verb == "swap"
    with pytest.raises(StoreUnavailable):
        attempts.queue.settle([(claim, KNOWN)])
    store.fails = lambda verb: False
    assert attempts.settle(claim, KNOWN) is not None
    assert line(store).value == "suspect"
    assert tries(store) == {0}


def test_a_video_that_somebody_holds_is_given_back_later(store: ClockedStore, machine: Machine, other: Machine) -> None:
    add(store)
    attempts = machine.worker()
    fail(attempts, 2)
    store.ahead += timedelta(minutes=5)
    held = other.worker().queue.claim(VIDEO_TASKS, 40)
    other.make("host-b/2").release(held[5:])
    del held[5:]
    fail(attempts, 1)
    queue = other.worker().queue
    for claim in held:
        assert claim.row.lease.state is State.HELD
    queue.release(held)
    pass_the_pause(store)
    fail(attempts, 1)
    assert tries(store) == {0}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"streaks": {"a": {}}}', '{"streaks": {"a": 1}}', '{"streaks": 1}', "null"]
)
def test_evidence_that_cannot_be_read_is_none(text: str) -> None:
    assert from_text(text) == Evidence()
    assert to_text(Evidence()) == ""


def test_an_attempt_is_never_given_back_twice(store: ClockedStore) -> None:
    add(store, 1)
    queue = make_queue(store)
    (row,) = store.scan(VIDEO_TASKS)
    once = give_back(replace(row, lease=replace(row.lease, tries=1, detail="gone: x")), queue._moment(), 0)
    assert (once.lease.tries, once.lease.reason, once.lease.detail) == (0, "suspected", "suspected: gone: x")
