"""The judge of the chaos itself: it sees what is wrong, and lets pass what trouble explains."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.evidence import EVERYBODY, Attempt, Trouble, wrong_attempts, wrong_lines
from tests.chaos.share import done_by_kind, share_of_prefect

DONE = Attempt("yt:v:a", "one", claimed=9, began=10, ended=12)
OVERLAPS = Attempt("yt:v:a", "two", claimed=10.9, began=11, ended=13)
AFTER = Attempt("yt:v:a", "two", claimed=19, began=20, ended=21)


def wrong(first: Attempt, second: Attempt, *troubles: Trouble) -> int:
    return len(list(wrong_attempts([first, second], troubles)))


@pytest.mark.parametrize("second", [OVERLAPS, AFTER])
def test_a_second_attempt_without_a_reason_is_wrong(second: Attempt) -> None:
    assert wrong(DONE, second) == 1
    assert wrong(DONE, second, Trouble("kill", "two", 0, 30)) == 1, "that was the other worker"
    assert wrong(DONE, second, Trouble("kill", "one", 0, 5)) == 1, "that was before"
    assert wrong(DONE, second, Trouble("disk", EVERYBODY, 0, 30)) == 1, "it had ended"


@pytest.mark.parametrize("kind", ["kill", "freeze"])
@pytest.mark.parametrize("second", [OVERLAPS, AFTER])
def test_one_after_a_kill_or_a_freeze_is_none(kind: str, second: Attempt) -> None:
    assert wrong(DONE, second, Trouble(kind, "one", 10.5, 10.6)) == 0


def test_one_that_was_frozen_before_it_began_comes_after_its_successor() -> None:
    frozen = Attempt("yt:v:a", "one", claimed=9, began=21, ended=22)
    assert wrong(frozen, AFTER) == 1
    assert wrong(frozen, AFTER, Trouble("freeze", "one", 9.5, 18)) == 0
    assert wrong(frozen, AFTER, Trouble("freeze", "two", 9.5, 18)) == 1


def test_what_was_done_to_all_generations_of_a_worker_was_done_to_each() -> None:
    first = replace(DONE, worker="prefect-3")
    assert wrong(first, AFTER, Trouble("server", "prefect", 10.5, 11)) == 0
    assert wrong(first, AFTER, Trouble("flows", "prefect-3", 10.5, 11)) == 0
    assert wrong(first, AFTER, Trouble("flows", "prefect-4", 10.5, 11)) == 1


@pytest.mark.parametrize("kind", ["network", "crash", "disconnect", "lock", "full"])
def test_a_network_that_drops_lets_nobody_work_beside_another(kind: str) -> None:
    drop = Trouble(kind, EVERYBODY, 10.5, 12.5)
    assert wrong(DONE, AFTER, drop) == 0, "its result could not be recorded"
    assert wrong(DONE, OVERLAPS, drop) == 1


def test_a_failed_attempt_is_made_again_after_it() -> None:
    failed = Attempt("yt:v:a", "one", claimed=9, began=10, failed=12)
    assert wrong(failed, AFTER) == 0
    assert wrong(failed, OVERLAPS) == 1


def test_one_that_vanished_needs_a_reason() -> None:
    vanished = Attempt("yt:v:a", "one", claimed=9, began=10)
    assert wrong(vanished, AFTER) == 1
    assert wrong(vanished, AFTER, Trouble("kill", "one", 11, 11)) == 0


def test_what_is_wrong_with_the_sheet_is_seen() -> None:
    def line(name: str, status: str = "done") -> dict[str, str]:
        return {"URL": f"https://www.youtube.com/watch?v={name}", "Status": status, "LastError": ""}

    lines = [line("a"), line("b"), line("b"), line("d"), line("e", "pending"), line("f")]
    keys = [f"yt:v:{name}" for name in "abcef"]
    attempts = [Attempt(key, "one", 0, claimed=0, ended=1) for key in keys if key != "yt:v:f"]
    assert sorted(wrong_lines(lines, keys, attempts)) == [
        "yt:v:b stands there 2 times",
        "yt:v:c is lost",
        "yt:v:d came from nowhere",
        "yt:v:e is pending: ",
        "yt:v:f is said to be done, and nobody did it",
    ]
    assert list(wrong_lines([line("a")], ["yt:v:a"], attempts)) == []


def test_a_video_counts_for_the_kind_of_worker_that_did_it_first() -> None:
    def attempt(key: str, worker: str, ended: float | None) -> Attempt:
        return Attempt(key, worker, claimed=0, began=1, ended=ended)

    attempts = [
        attempt("a", "prefect-3", ended=9),
        attempt("a", "machine1-4", ended=5),
        attempt("b", "machine0-1", ended=None),
        attempt("b", "prefect-12", ended=7),
        attempt("c", "machine2-2", ended=6),
        attempt("d", "prefect-3", ended=None),
    ]
    assert done_by_kind(attempts) == {"ydc run": 2, "prefect": 1}
    assert share_of_prefect(attempts) == pytest.approx(1 / 3)
    assert share_of_prefect([]) == 0
