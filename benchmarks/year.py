"""Simulate a year of a fleet: outages, blocks, expired cookies, and videos that only some machines can process.

Why: "runs for weeks, unattended" must be true on bad days too. Each video has a label with its required result, whatever happens
in the meantime: done, or a dead letter. The real Worker, Admission, rules, coordinator's rounds and SQL store run, as in
benchmarks/faults.py; only YouTube and the clock are made up. Videos arrive all year, and each attempt takes one to three minutes.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from random import Random

from yt_dlp.utils import DownloadError

from benchmarks.faults import HOUR, OUTAGES, POISONS, Fleet, Machine
from benchmarks.figures import Figure, alone
from youtube_download_coordinator.errors import PermanentError, UnfitError
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import DEAD_LETTERS, VIDEO_TASKS
from youtube_download_coordinator.workers.attempts import Attempt, AttemptResult

DAYS, MACHINES, VIDEOS_A_DAY = 365, 16, 40
LAST_DAYS = 14
"""No videos are added in the last days, so that all can be finished."""
TOLERANCE = 0.001
"""The allowed difference between dead letters and labels, as a part of all videos."""
IDLE_SECONDS, POLL_SECONDS = 6 * HOUR, HOUR


def _refusal(text: str) -> DownloadError:
    return DownloadError(f"ERROR: [youtube] v: {text}")


GONE = _refusal("Video unavailable")
PRIVATE = _refusal("Private video. Sign in if you've been granted access to this video")
REGION = _refusal("The uploader has not made this video available in your country")
ACCOUNT = _refusal("Sign in to confirm your age. This video may be inappropriate for some users.")
NETWORK = _refusal("Unable to download API page: HTTP Error 503: Service Unavailable")
STALE = UnfitError("the cookies are no longer valid", reason="stale-cookies")
ONLY_IN_BRAZIL = PermanentError("not available in your country", reason="region", regions=("BR",))

LABELS = {
    "good": 880, "flaky": 20, "brazil": 20, "elsewhere": 10, "account": 15, "account in brazil": 3,
    "private": 25, "gone": 15, "nowhere": 5, "members": 4, "poisoned": 3,
}  # fmt: skip
"""The number of videos with each label, in a thousand."""
DEAD = frozenset({"private", "gone", "nowhere", "members", "poisoned"})
"""Labels of videos that no machine can process."""


@dataclass(frozen=True)
class Trouble:
    """A failure of every attempt of some machines, for some days."""

    first_day: float
    days: float
    error: Exception
    machines: int = MACHINES
    """How many machines are affected, from the first one on."""
    ends_with: str = ""
    """The version of yt-dlp that is not affected."""

    def hits(self, machine: Machine, number: int, day: float) -> bool:
        is_fixed = bool(self.ends_with) and machine.yt_dlp >= self.ends_with
        return number < self.machines and self.first_day <= day < self.first_day + self.days and not is_fixed


def _outages(days: float) -> list[Trouble]:
    """Return eight outages, spread over the time; two of them end with an upgrade."""
    names = list(OUTAGES)
    chosen = ("page reload", "error 152", "player", "a new code", "this app", "a new refusal", "sign in", "only images")
    assert set(chosen) <= set(names)
    every = days / (len(chosen) + 1)
    return [
        Trouble(
            first_day=every * (index + 0.5),
            days=min(every / 4, 0.5 + 1.3 * index),
            error=_refusal(OUTAGES[name]),
            ends_with=f"2026.11.{index}" if index in {2, 5} else "",
        )
        for index, name in enumerate(chosen)
    ]


def _waves(days: float) -> list[Trouble]:
    """Return three blocks of half of the machines."""
    names = ("a bot check", "HTTP 429", "a bot check")
    return [
        Trouble(days * place, min(2.0, days / 20), POISONS[name], machines=MACHINES // 2)
        for name, place in zip(names, (0.2, 0.55, 0.8), strict=True)
    ]


@dataclass
class Year(Fleet):
    """A fleet of machines in several countries, some of them with cookies."""

    days: int = DAYS
    troubles: list[Trouble] = field(default_factory=list)
    done: Counter[int] = field(default_factory=Counter)
    """The number of recorded successes of a video."""
    added: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.troubles = [*_outages(self.days), *_waves(self.days)]
        random = Random(self.seed)
        labels = [label for label, count in LABELS.items() for _ in range(count)]
        self.labels = ["", *(random.choice(labels) for _ in range(self.days * VIDEOS_A_DAY))]
        """The labels by the number of a video."""
        self.failures: Counter[int] = Counter()

    def recorded(self, attempt: Attempt) -> None:
        super().recorded(attempt)
        self.done[attempt.task.id] += attempt.result is AttemptResult.DONE

    def live(self) -> None:
        """Let the days pass, each with its new videos and sometimes an upgrade."""
        for machine in self.machines:
            self.world.start(machine.name, partial(self._work, machine=machine))
        for day in range(self.days):
            if day < self.days - LAST_DAYS:
                first = self.added + 1
                self.added += VIDEOS_A_DAY
                self.store.insert(VIDEO_TASKS, [self._video(number) for number in range(first, self.added + 1)])
            self._upgrade(day)
            ends = (day + 1) * 24
            while self.hours < ends:
                self.world.step()

    def _upgrade(self, day: int) -> None:
        """Upgrade the machines, one half after the other, a day or two after the start of an outage that an upgrade ends."""
        for trouble in self.troubles:
            for number, machine in enumerate(self.machines):
                is_time = day >= trouble.first_day + min(trouble.days / 2, 1 + number % 2)
                if trouble.ends_with and is_time:
                    machine.yt_dlp = max(machine.yt_dlp, trouble.ends_with)

    # --- YouTube -------------------------------------------------------------------------------------------------------

    def respond(self, machine: Machine, video: int, hours: float) -> Exception | None:
        """Return what YouTube answers."""
        day, number = hours / 24, self.machines.index(machine)
        for trouble in self.troubles:
            if trouble.hits(machine, number, day):
                return trouble.error
        label = self.labels[video]
        in_brazil, has_account = "region:BR" in machine.offers, "account" in machine.offers
        if label in {"account", "account in brazil", "members"} and has_account and self._cookies_are_dead(day):
            return STALE
        if label in {"brazil", "account in brazil"} and not in_brazil:
            return ONLY_IN_BRAZIL if video % 2 else REGION
        if label == "flaky":
            self.failures[video] += 1
            return NETWORK if self.failures[video] <= 2 else None
        answers: dict[str, Exception | None] = {
            "elsewhere": REGION if number % 4 in {0, 2} else None,
            "account": None if has_account else ACCOUNT,
            "account in brazil": None if has_account else ACCOUNT,
            "private": PRIVATE, "gone": GONE, "nowhere": REGION, "members": ACCOUNT, "poisoned": POISONS["a bot check"],
        }  # fmt: skip
        return answers.get(label)

    def _cookies_are_dead(self, day: float) -> bool:
        """Return whether the cookies of all accounts have expired. A person renews them a few days later."""
        return any(place * self.days <= day < place * self.days + min(3.0, self.days / 20) for place in (0.3, 0.7))

    # --- results -----------------------------------------------------------------------------------------

    def figures(self, name: str) -> Iterator[Figure]:
        """Compare the results of the videos with their labels."""
        dead = {row.id for row in self.store.scan(DEAD_LETTERS, limit=self.added + 1)}
        open_rows = [
            row for row in self.store.scan(VIDEO_TASKS, limit=self.added + 1) if row.lease.state is not State.DONE
        ]
        labelled = {number for number in range(1, self.added + 1) if self.labels[number] in DEAD}
        lost = self.added - self.states()[State.DONE] - self.states()[State.DEAD]
        twice = sum(count > 1 for count in self.done.values())
        wrong = dead ^ labelled
        yield Figure(
            what=f"{name}: videos that are neither done nor dead at its end", value=lost, unit="",
            beside=f"of {self.added:,}", bar="0", met=lost == 0 == len(open_rows),
        )  # fmt: skip
        yield Figure(what=f"{name}: videos that were done twice", value=twice, unit="", bar="0", met=twice == 0)
        yield Figure(
            what=f"{name}: dead letters", value=len(dead), unit="", beside=f"{len(labelled):,} videos that no machine can do",
            bar=f"that, ± {TOLERANCE:.1%} of all", met=abs(len(dead) - len(labelled)) <= TOLERANCE * self.added,
        )  # fmt: skip
        yield Figure(
            what=f"{name}: videos that ended otherwise than labelled", value=len(wrong), unit="",
            bar=f"at most {TOLERANCE:.1%}", met=len(wrong) <= TOLERANCE * self.added,
        )  # fmt: skip
        yield Figure(
            what=f"{name}: attempts and canaries a video",
            value=(len(self.attempts) + len(self.canaries)) / self.added,
            unit="",
        )


def machines(count: int) -> list[Machine]:
    """Return machines: a quarter of them in Brazil, one there with an account, and one elsewhere with one."""
    offers = [("region:DE",), ("region:BR",), (), ("region:US",)]
    fleet = [Machine(f"host-{number}", offers=offers[number % 4]) for number in range(count)]
    fleet[1].offers = ("region:BR", "account")
    fleet[-1].offers = (*fleet[-1].offers, "account")
    return fleet


def live(days: int, count: int) -> Year:
    """Let `count` machines work for `days` days. The caller closes the year."""
    year = Year(0, lambda machine, video, hours: None, machines(count), days=days, seed=1)
    year.answer = year.respond
    year.idle_seconds, year.poll_seconds = IDLE_SECONDS, POLL_SECONDS
    year.live()
    return year


def measure() -> list[Figure]:
    logging.getLogger("youtube_download_coordinator").setLevel(logging.CRITICAL)  # thousands of refusals
    with closing(live(DAYS, MACHINES)) as year:
        return list(year.figures(f"a year of {MACHINES} machines"))


if __name__ == "__main__":
    alone("benchmarks.year", measure)
