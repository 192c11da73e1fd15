"""The rules of a cooldown: what a line means, whatever a person typed, and a story of workers, people and time over one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from youtube_download_coordinator.models import Control
from youtube_download_coordinator.queue import cooldown
from youtube_download_coordinator.queue.cooldown import ControlValue, Pauses, Probe
from youtube_download_coordinator.text import parse_time

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NAME = "cooldown host-a"
PAUSES = Pauses(first_seconds=900, longest_seconds=21_600)
LEASE = timedelta(minutes=15)
LATER, EARLIER = NOW + timedelta(hours=1), NOW - timedelta(hours=1)


def line(value: str = ControlValue.COOLING, until: datetime | None = LATER, pause_seconds: int = 900) -> Control:
    return Control(name=NAME, value=value, until=until, reason="host-a/1: bot-check", pause_seconds=pause_seconds)


# --- what a line means -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["paused", " Paused. ", "PAUSE", "stop", "Stopp!", "bitte warten"])
@pytest.mark.parametrize(("until", "is_paused"), [(None, True), (LATER, True), (EARLIER, False), (NOW, False)])
def test_a_paused_fleet(value: str, until: datetime | None, is_paused: bool) -> None:
    """Also by a word that nobody understands: who types there means that something is wrong."""
    assert cooldown.is_paused(Control(name="fleet", value=value, until=until), NOW) == is_paused


@pytest.mark.parametrize("value", ["", "  ", "running", "Running", "go on", "RESUME"])
def test_a_running_fleet(value: str) -> None:
    assert not cooldown.is_paused(Control(name="fleet", value=value, until=LATER), NOW)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("clear", ControlValue.CLEAR), ("", ControlValue.CLEAR), (" Clear! ", ControlValue.CLEAR), ("ok", ControlValue.CLEAR),
        ("cooling", ControlValue.COOLING), ("Cool down", ControlValue.COOLING), ("what?", ControlValue.COOLING),
        ("probing", ControlValue.PROBING),
    ],
)  # fmt: skip
def test_a_cooldowns_word(value: str, word: ControlValue) -> None:
    assert cooldown.value_of(line(value)) is word
    assert cooldown.is_understood(line(value)) == (value != "what?")


def test_without_a_line_nothing_holds_anybody_back() -> None:
    assert cooldown.value_of(None) is ControlValue.CLEAR
    assert not cooldown.is_paused(None, NOW)
    assert not cooldown.may_be_probed(None, NOW)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-25T08:30:00Z", "08:30"), ("2026-11-25 8:30", "08:30"), ("2026-11-25", "00:00"),
        ("25.11.2026 8:30", "08:30"), ("11/25/2026 8:30:00 PM", "20:30"), ("25/11/2026 8:30", "08:30"),
        ("11/25/2026 12:05 am", "00:05"), ("2026-11-25 09:30+01:00", "08:30"), ("2026/11/25, 8:30 utc", "08:30"),
        ("5/6/2026", None), ("soon", None), ("", None), ("2026-13-25", None), ("31/31/2026", None), ("8:30", None),
    ],
)  # fmt: skip
def test_a_moment_as_people_and_sheets_write_it(text: str, moment: str | None) -> None:
    expected = datetime.fromisoformat(f"2026-11-25T{moment}:00+00:00") if moment else None
    assert parse_time(text) == expected


# --- its life --------------------------------------------------------------------------------------------------------


def test_the_first_throttled_attempt_begins_it() -> None:
    begun = cooldown.throttled(None, NAME, NOW, "host-a/1: bot-check: are you\na robot?", PAUSES)
    until = NOW + timedelta(seconds=900)
    reason = "host-a/1: bot-check: are you a robot?"
    assert begun == Control(name=NAME, value="cooling", until=until, reason=reason, pause_seconds=900)


def test_the_remembered_pause_is_how_long_it_is() -> None:
    begun = cooldown.throttled(line(ControlValue.CLEAR, None, 3600), NAME, NOW, "why", PAUSES)
    assert begun
    assert (begun.until, begun.pause_seconds) == (NOW + timedelta(hours=1), 3600)


@pytest.mark.parametrize("value", [ControlValue.COOLING, ControlValue.PROBING])
@pytest.mark.parametrize("until", [LATER, EARLIER, None])
def test_others_that_fail_in_the_same_episode_change_nothing(value: str, until: datetime | None) -> None:
    assert cooldown.throttled(line(value, until), NAME, NOW, "why", PAUSES) is None


def test_nobody_probes_before_its_end() -> None:
    assert cooldown.probing(line(until=NOW + timedelta(seconds=1)), NOW, "b", LEASE) is None
    assert cooldown.probing(line(ControlValue.CLEAR, EARLIER), NOW, "b", LEASE) is None


def test_a_dead_prober_is_replaced() -> None:
    first = cooldown.probing(line(until=NOW), NOW, "a", LEASE)
    assert first
    assert cooldown.probing(first, NOW + LEASE - timedelta(seconds=1), "b", LEASE) is None
    second = cooldown.probing(first, NOW + LEASE, "b", LEASE)
    assert second
    assert second.reason == "b tries one; before: host-a/1: bot-check"


def test_a_person_s_cooldown_without_an_end_gets_one() -> None:
    dated = cooldown.dated(line("cooling", None), NOW, PAUSES)
    assert dated
    assert dated.until == NOW + timedelta(minutes=15)
    assert cooldown.dated(line(), NOW, PAUSES) is None


def test_a_moment_is_as_exact_as_people_see_it_and_never_earlier() -> None:
    begun = cooldown.throttled(None, NAME, NOW + timedelta(microseconds=1), "why", PAUSES)
    assert begun
    assert begun.until == NOW + timedelta(seconds=901)


def test_what_a_person_lifted_is_remembered() -> None:
    lifted = cooldown.lifted(line(pause_seconds=1800), "by hand")
    assert lifted == Control(name=NAME, value="clear", reason="by hand", pause_seconds=1800)
    assert cooldown.lifted(lifted, "again") is None


# --- a story ---------------------------------------------------------------------------------------------------------


class Episode(RuleBasedStateMachine):
    """Three workers, a person and time over one line, in whatever order."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.line: Control | None = None
        self.probes: dict[str, Probe] = {}
        """What each worker believes to hold; it may have been frozen since."""

    def _set(self, new: Control | None) -> Control | None:
        if new is not None:
            self.line = new
        return new

    @rule(seconds=st.integers(0, 4000))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds, milliseconds=seconds % 7)

    @rule()
    def an_attempt_is_throttled(self) -> None:
        before = self.line
        begun = self._set(cooldown.throttled(self.line, NAME, self.now, "why", PAUSES))
        assert (begun is not None) == (cooldown.value_of(before) is ControlValue.CLEAR)

    @rule(worker=st.sampled_from("abc"))
    def a_worker_wants_to_probe(self, worker: str) -> None:
        before = self.line
        if won := self._set(cooldown.probing(self.line, self.now, worker, LEASE)):
            assert before is not None
            others = {name: probe for name, probe in self.probes.items() if name != worker}
            assert not any(self._is_valid(probe, before) for probe in others.values())
            self.probes[worker] = Probe(line=won, before=before)

    def _is_valid(self, probe: Probe, line: Control | None) -> bool:
        until = probe.line.until
        return cooldown.is_probe(line, probe) and until is not None and self.now < until

    @precondition(lambda self: self.probes)
    @rule(data=st.data(), event=st.sampled_from(["answers", "throttles", "nothing", "goes on"]))
    def a_probe_ends(self, data: st.DataObject, event: str) -> None:
        worker = data.draw(st.sampled_from(sorted(self.probes)))
        probe, before = self.probes[worker], self.line
        match event:
            case "answers":
                new = cooldown.answered(self.line, probe, worker, PAUSES)
                assert new is None or (before and new.pause_seconds <= max(before.pause_seconds, PAUSES.first_seconds))
            case "throttles":
                new = cooldown.throttled_again(self.line, probe, self.now, "why", PAUSES)
                assert new is None or (before and new.pause_seconds >= PAUSES.bounded(before.pause_seconds))
            case "nothing":
                new = cooldown.restored(self.line, probe)
                assert new is None or cooldown.may_be_probed(new, self.now)
            case _:
                new = cooldown.probing_on(self.line, probe, self.now, LEASE)
        assert new is None or cooldown.is_probe(before, probe)
        self._set(new)
        if event == "goes on" and new:
            self.probes[worker] = replace(probe, line=new)
        else:
            del self.probes[worker]

    @rule(value=st.sampled_from(["", "clear", "cooling", "probing", "paused", "??"]), minutes=st.integers(-60, 600))
    def a_person_types(self, value: str, minutes: int) -> None:
        until = self.now.replace(microsecond=0) + timedelta(minutes=minutes) if minutes % 3 else None
        self.line = replace(self.line or Control(name=NAME), value=value, until=until)

    @rule()
    def a_person_deletes_the_line(self) -> None:
        self.line = None

    @invariant()
    def no_two_hold_a_valid_probe(self) -> None:
        assert sum(self._is_valid(probe, self.line) for probe in self.probes.values()) <= 1

    @invariant()
    def the_pause_stays_within_its_bounds(self) -> None:
        assert self.line is None or self.line.pause_seconds in range(PAUSES.longest_seconds + 1)

    def teardown(self) -> None:
        """Check that the next probe that YouTube answers ends the cooldown, whatever happened before."""
        if not hasattr(self, "now"):
            return
        self._set(cooldown.dated(self.line, self.now, PAUSES))
        if self.line is None or cooldown.value_of(self.line) is ControlValue.CLEAR:
            return
        assert self.line.until
        self.now = max(self.now, self.line.until)
        before = self.line
        won = self._set(cooldown.probing(self.line, self.now, "last", LEASE))
        assert won
        cleared = self._set(cooldown.answered(self.line, Probe(line=won, before=before), "last", PAUSES))
        assert cleared
        assert cooldown.value_of(cleared) is ControlValue.CLEAR


Episode.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestEpisode = Episode.TestCase


def test_two_probes_that_began_in_the_same_second_are_told_apart() -> None:
    """A person's Until was over at once, so that another worker began before the first had ended."""
    over = line(until=EARLIER)
    first, second = (cooldown.probing(over, NOW, who, LEASE) for who in ("host-a/1", "host-a/2"))
    assert first
    assert second
    assert first.until == second.until
    assert cooldown.is_probe(first, Probe(line=first, before=over))
    assert not cooldown.is_probe(second, Probe(line=first, before=over))
    assert cooldown.is_probe(replace(first, reason="I said so"), Probe(line=first, before=over))


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("host-a/1: bot-check: Sign in: now", "bot-check"),
        ("host-a/1: throttled", "throttled"),
        ("by hand", ""),
        ("", ""),
    ],
)
def test_the_reason_of_a_cooldown_outlives_its_probes(reason: str, expected: str) -> None:
    over = replace(line(until=EARLIER), reason=reason)
    probing = cooldown.probing(over, NOW, "host-a/1", LEASE)
    assert probing
    again = cooldown.probing(replace(probing, until=EARLIER), NOW, "host-a/2", LEASE)
    assert [cooldown.reason_of(line) for line in (over, probing, again)] == [expected] * 3
