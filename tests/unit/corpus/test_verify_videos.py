"""Verify finished videos: the answers that are findings, and the order of requests. YouTube is a table of answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fragile_place import FragilePlace, Killed
from tests.support.memory_place import MemoryPlace
from tests.support.rows import make_queue, new_video
from youtube_download_coordinator.corpus.findings import Finding, FindingKind, unavailable
from youtube_download_coordinator.corpus.verify_videos import VideoVerifier
from youtube_download_coordinator.models import Done, Failure, Lease, Outcome, State, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.canary import Canary
from youtube_download_coordinator.queue.cooldown import FLEET
from youtube_download_coordinator.queue.rate_limit import RateLimit
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Where
from youtube_download_coordinator.queue.tombstones import key_hash, tombstone
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.workers.ask_video import VideoAnswer

GONE = Failure(verdict=Verdict.GONE, reason="gone", message="Video unavailable")
PRIVATE = Failure(verdict=Verdict.PERMANENT, reason="private")
MEMBERS = Failure(verdict=Verdict.PERMANENT, reason="needs-account")
BUSY = Failure(verdict=Verdict.THROTTLED, reason="http-429")
BOT_CHECK = Failure(verdict=Verdict.THROTTLED, reason="bot-check")
BROKEN = Failure(verdict=Verdict.RETRY, reason="error")
OFFLINE = Failure(verdict=Verdict.UNFIT, reason="offline")


class YouTube:
    """Answers by video; the list of what was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, VideoAnswer | Failure | list[VideoAnswer | Failure]] = {}
        self.asked: list[str] = []
        self.canary: Outcome = Done()
        self.canary_asked = 0
        self.refuses_pages = False

    def ask(self, url: str, as_attempts_do: bool) -> VideoAnswer | Failure:
        name = url.rpartition("=")[2]
        self.asked.append(name)
        if self.refuses_pages and not as_attempts_do:
            return BOT_CHECK
        answer = self.answers.get(name, VideoAnswer(title=f"title {name}", license=""))
        return answer.pop(0) if isinstance(answer, list) else answer

    def ask_canary(self, url: str) -> Outcome:
        self.canary_asked += 1
        return self.canary


class Corpus:
    """A queue with videos that are done, and the place with their sidecars."""

    def __init__(self, folder: Path, place: MemoryPlace | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.store = SqlStore(f"sqlite:///{folder}/queue.db")
        self.place = place or MemoryPlace()
        self.youtube = YouTube()
        self.slept: list[float] = []
        self.queue = self._queue()

    def _queue(self) -> Queue:
        queue = make_queue(self.store)
        queue.admission.canary = Canary(
            request=self.youtube.ask_canary, configured_url="https://www.youtube.com/watch?v=canary"
        )
        return queue

    def add(self, *names: str, **sidecar: Any) -> None:
        for number, name in enumerate(names):
            path = f"{name}.m4a"
            lease = Lease(state=State.DONE, detail=path, nonce=f"n{name}{number}")
            url = f"https://www.youtube.com/watch?v={name}"
            self.store.insert(
                VIDEO_TASKS, [new_video(1, url=url, key=f"yt:v:{name}", title=f"title {name}", lease=lease)]
            )
            content = {"youtube": {"title": f"title {name}", **sidecar}}
            self.place.put_if_absent(f"{path}.json", json.dumps(content).encode(), content_type="", metadata={})

    def purge(self, name: str) -> None:
        self.store.bury([tombstone(f"yt:v:{name}")])
        self.queue.erase(VIDEO_TASKS, self.store.scan(VIDEO_TASKS, Where(keys=[f"yt:v:{name}"])))

    def verifier(self, **more: Any) -> VideoVerifier:
        return VideoVerifier(
            queue=self._queue(),
            place=self.place,
            ask=self.youtube.ask,
            pause_seconds=0,
            sleep=self.slept.append,
            **more,
        )

    def verify(self, **more: Any) -> list[tuple[str, str]]:
        """Ask about all videos. Return the kinds and the names of the findings."""
        return [(finding.kind.value, name_of(finding)) for finding in self.verifier().run(Selection(), **more)]


def name_of(finding: Finding) -> str:
    return finding.key.removeprefix("yt:v:")


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    corpus = Corpus(tmp_path)
    yield corpus
    corpus.store.close()


def test_videos_that_are_there_are_no_findings(corpus: Corpus) -> None:
    corpus.add("a", "b")
    verifier = corpus.verifier()
    assert list(verifier.run(Selection())) == []
    assert (verifier.summary.due, verifier.summary.asked, verifier.summary.answered) == (2, 2, 2)
    assert sorted(corpus.youtube.asked) == ["a", "b"]


def test_a_purged_video_is_not_asked_for(corpus: Corpus) -> None:
    corpus.add("a", "b", "c")
    verifier = corpus.verifier(on_plan=lambda count: corpus.purge("c"))  # meanwhile
    corpus.purge("a")
    assert list(verifier.run(Selection())) == []
    assert corpus.youtube.asked == ["b"]
    assert (verifier.summary.due, verifier.summary.asked) == (2, 1)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (PRIVATE, "private"),
        (MEMBERS, "needs-account"),
        (Failure(verdict=Verdict.PERMANENT, reason="removed"), "gone"),
        (Failure(verdict=Verdict.PERMANENT, reason="terminated"), "gone"),
        (Failure(verdict=Verdict.PERMANENT, reason="copyright"), "gone"),
    ],
)
def test_a_certain_answer_is_a_finding_once(corpus: Corpus, answer: Failure, kind: str) -> None:
    corpus.add("a", "b")
    corpus.youtube.answers["a"] = answer
    assert corpus.verify() == [(kind, "a")]
    assert corpus.youtube.asked.count("a") == 1
    assert corpus.verify() == [], "known already"
    assert list(unavailable(corpus.place).values()) == [FindingKind(kind)]


def test_unavailable_counts_when_it_is_answered_twice_and_youtube_answers_for_others(corpus: Corpus) -> None:
    corpus.add("a", "b")
    corpus.youtube.answers["a"] = GONE
    assert corpus.verify() == [("gone", "a")]
    assert corpus.youtube.asked.count("a") == 2
    corpus.youtube.answers["b"] = [GONE, VideoAnswer(title="title b", license="")]
    assert corpus.verify() == [], "a short failure"


def test_without_any_other_answer_the_canary_decides(corpus: Corpus) -> None:
    corpus.add("a")
    corpus.youtube.answers["a"] = GONE
    corpus.youtube.canary = GONE
    verifier = corpus.verifier()
    assert list(verifier.run(Selection())) == []
    assert verifier.summary.unanswered == {"not confirmed": 1}
    corpus.youtube.canary = Done()
    assert corpus.verify() == [("gone", "a")]


def test_without_a_canary_the_video_that_was_answered_last_is_asked_for_again(corpus: Corpus) -> None:
    names = [f"v{number:02}" for number in range(10)]
    corpus.add(*names)
    corpus.youtube.answers = dict.fromkeys(names[1:], GONE)
    verifier = corpus.verifier()
    verifier.queue.admission.canary = None
    assert sorted(map(name_of, verifier.run(Selection()))) == names[1:]
    assert 1 <= corpus.youtube.asked.count(names[0]) <= 2
    assert len(corpus.youtube.asked) <= 1 + 1 + 2 * 9


def test_an_outage_marks_nothing(corpus: Corpus) -> None:
    names = [f"v{number:02}" for number in range(60)]
    corpus.add(*names)
    corpus.youtube.answers = dict.fromkeys(names, GONE)
    corpus.youtube.canary = GONE
    verifier = corpus.verifier()
    assert list(verifier.run(Selection())) == []
    assert len(corpus.youtube.asked) == 20
    assert "an outage is suspected" in verifier.summary.stopped_by
    assert unavailable(corpus.place) == {}
    corpus.youtube.answers = {}
    assert corpus.verify(older_than_days=30) == []
    assert len(corpus.youtube.asked) == 80, "all of them are still due"


def test_many_videos_are_gone_while_youtube_answers_for_the_canary(corpus: Corpus) -> None:
    names = [f"v{number:02}" for number in range(25)]
    corpus.add(*names)
    corpus.youtube.answers = dict.fromkeys(names, GONE)
    assert sorted(corpus.verify()) == [("gone", name) for name in names]
    assert len(corpus.youtube.asked) == 50
    assert corpus.youtube.canary_asked == 2, "after 20 in a row, and before the second question"


def test_a_video_that_comes_back_is_a_finding(corpus: Corpus) -> None:
    corpus.add("a", "b")
    corpus.youtube.answers["a"] = PRIVATE
    corpus.verify()
    del corpus.youtube.answers["a"]
    assert corpus.verify() == [("back", "a")]
    assert unavailable(corpus.place) == {}
    assert corpus.verify() == []


def test_changed_titles_and_licences(corpus: Corpus) -> None:
    corpus.add("a", license="Creative Commons")
    corpus.add("b")
    corpus.youtube.answers |= {
        "a": VideoAnswer(title="title a", license=""),
        "b": VideoAnswer(title="Another", license=""),
    }
    findings = {finding.kind.value: finding for finding in corpus.verifier().run(Selection())}
    assert set(findings) == {"license-changed", "title-changed"}
    assert "'Creative Commons' → 'none'" in str(findings["license-changed"])
    assert "'title b' → 'Another'" in str(findings["title-changed"])
    assert sorted(corpus.youtube.asked) == ["a", "a", "b"], "a licence is asked for twice"
    assert corpus.verify() == []


def test_a_licence_that_is_missing_once_has_not_changed(corpus: Corpus) -> None:
    corpus.add("a", license="Creative Commons")
    right = VideoAnswer(title="title a", license="Creative Commons")
    corpus.youtube.answers["a"] = [VideoAnswer(title="title a", license=""), right]
    assert corpus.verify() == []


def test_without_a_sidecar_the_first_answer_is_what_later_ones_are_compared_with(corpus: Corpus) -> None:
    corpus.add("a")
    corpus.place.delete("a.m4a.json")
    corpus.youtube.answers["a"] = VideoAnswer(title="First", license="CC")
    assert corpus.verify() == []
    corpus.youtube.answers["a"] = VideoAnswer(title="Second", license="CC")
    assert corpus.verify() == [("title-changed", "a")]


@pytest.mark.parametrize("fact", [{"availability": "subscriber_only"}, {"age_limit": 18}])
def test_a_video_that_always_needed_an_account_is_no_finding(corpus: Corpus, fact: dict[str, Any]) -> None:
    corpus.add("a", **fact)
    corpus.youtube.answers["a"] = MEMBERS
    assert corpus.verify() == []


def test_a_refusal_begins_the_cooldown_and_ends_the_run(corpus: Corpus) -> None:
    corpus.add("a", "b", "c")
    corpus.youtube.answers = dict.fromkeys("abc", BUSY)
    corpus.youtube.canary = BUSY
    verifier = corpus.verifier()
    assert list(verifier.run(Selection())) == []
    assert len(corpus.youtube.asked) == 1
    assert verifier.summary.stopped_by.startswith("cooldown host: cooling")
    again = corpus.verifier()
    assert list(again.run(Selection())) == []
    assert (len(corpus.youtube.asked), again.summary.asked) == (1, 0), "a machine that is blocked asks nothing"


def test_a_refusal_of_one_video_alone_stops_nothing(corpus: Corpus) -> None:
    corpus.add("a", "b", "c")
    corpus.youtube.answers["a"] = BUSY
    verifier = corpus.verifier()
    assert list(verifier.run(Selection())) == []
    assert (verifier.summary.answered, verifier.summary.stopped_by) == (2, "")
    assert corpus.youtube.canary_asked == 1


def test_a_paused_fleet_asks_nothing(corpus: Corpus) -> None:
    corpus.add("a")
    corpus.queue.admission.pause(None, "maintenance")
    verifier = corpus.verifier()
    assert list(verifier.run(Selection())) == []
    assert verifier.summary.stopped_by == "the fleet is paused: maintenance"
    assert any(line.name == FLEET for line in corpus.store.controls())
    assert corpus.youtube.asked == []


def test_a_page_that_is_refused_is_asked_for_as_attempts_do(corpus: Corpus) -> None:
    corpus.add("a", "b", "c")
    corpus.youtube.refuses_pages = True
    assert corpus.verify() == []
    assert len(corpus.youtube.asked) == 4, "one page, then all as attempts do"


def test_an_unfit_machine_stops(corpus: Corpus) -> None:
    corpus.add("a", "b")
    corpus.youtube.answers = dict.fromkeys("ab", OFFLINE)
    verifier = corpus.verifier()
    assert list(verifier.run(Selection())) == []
    assert verifier.summary.stopped_by.startswith("this machine cannot make requests: offline")
    assert len(corpus.youtube.asked) == 1


def test_what_is_not_answered_is_due_again(corpus: Corpus) -> None:
    corpus.add("a", "b")
    corpus.youtube.answers["a"] = BROKEN
    assert corpus.verify(older_than_days=30) == []
    corpus.youtube.asked.clear()
    assert corpus.verify(older_than_days=30) == []
    assert corpus.youtube.asked == ["a"]


def test_a_run_goes_on_where_the_last_one_was_killed(corpus: Corpus) -> None:
    names = [f"v{number:02}" for number in range(10)]
    corpus.add(*names)
    assert corpus.verify(limit=4) == []
    first = list(corpus.youtube.asked)
    assert len(first) == 4
    assert corpus.verify(older_than_days=30) == []
    assert sorted(corpus.youtube.asked) == names, "each once"


@pytest.mark.parametrize("is_after", [False, True])
def test_a_run_that_is_killed_at_any_request_loses_no_finding(tmp_path: Path, is_after: bool) -> None:
    kinds = {"gone": GONE, "private": PRIVATE, "needs-account": MEMBERS}
    kills = 0
    for number in range(8):
        place = FragilePlace()
        corpus = Corpus(tmp_path / str(number), place)
        corpus.add(*kinds, "there")
        corpus.youtube.answers |= kinds
        place.left, place.is_after = number, is_after
        try:
            corpus.verify()
        except Killed:
            kills += 1
            place.left = 10**9
            corpus.verify(older_than_days=30)
        assert unavailable(place) == {key_hash(f"yt:v:{name}"): name for name in kinds}
        corpus.store.close()
    assert 1 < kills < 8, "each request was the last of one process"


def test_two_machines_take_different_videos(corpus: Corpus) -> None:
    names = [f"v{number:03}" for number in range(150)]
    corpus.add(*names)
    one, other = corpus.verifier(), corpus.verifier()
    other.queue.worker = "another/b"
    runs = [one.run(Selection(), limit=150), other.run(Selection(), limit=150)]
    corpus.youtube.answers = dict.fromkeys(names, PRIVATE)
    for _ in range(100):  # in turn: what one of them has put, the other does not ask about
        for run in runs:
            next(run, None)
    for run in runs:
        list(run)
    assert set(corpus.youtube.asked) == set(names)
    assert len(corpus.youtube.asked) < 2 * len(names)


def test_a_pace_of_its_own(corpus: Corpus) -> None:
    corpus.add("a", "b")
    verifier = corpus.verifier(pace=RateLimit(5), is_over=lambda: len(corpus.slept) >= 3)
    assert list(verifier.run(Selection())) == []
    assert len(corpus.youtube.asked) == 1
    assert corpus.slept == [1.0, 1.0, 1.0]
    assert verifier.summary.stopped_by == ""


def test_nothing_in_the_place_names_a_video(corpus: Corpus) -> None:
    corpus.add("secretvideo")
    corpus.youtube.answers["secretvideo"] = PRIVATE
    corpus.verify()
    written = [corpus.place.get(held.path) for held in corpus.place.list(".corpus")]
    assert len(written) == 2
    assert not any(b"secretvideo" in content for content in written)
