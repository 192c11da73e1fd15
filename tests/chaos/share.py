"""Measure how many videos Prefect's flow runs process beside `ydc run`, and give them a share.

A flow run takes half a minute to its first video, and `ydc run` a second. Left alone, three `ydc run` do everything. So their
videos take longer while Prefect's share is too small, and Prefect's worker and server are killed only after its runs have worked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.chaos.evidence import Attempt, read_journal

PREFECT = "prefect"
"""The name of the worker that Prefect starts flows in."""
LEAST_SHARE = 0.25
"""Of the videos that were done: with less, a run of the chaos has not tried Prefect."""
WANTED_SHARE = 0.4
WORK_SECONDS, LONG_WORK_SECONDS = 1.0, 10.0
"""The duration of an attempt. The longer one keeps six videos in progress, and is shorter than a lease."""
ATTEMPTS_BEFORE_A_KILL = 8
"""Neither Prefect's worker nor its server is killed before its runs have begun this many attempts."""


def kind_of(worker: str) -> str:
    """Return "prefect" or "ydc run", for the name of a worker."""
    return PREFECT if worker.partition("-")[0] == PREFECT else "ydc run"


def done_by_kind(attempts: Iterable[Attempt]) -> Counter[str]:
    """Count the videos by the kind of worker that did them. A video that was done twice counts for the first."""
    first: dict[str, Attempt] = {}
    for attempt in attempts:
        if attempt.ended is not None and (attempt.key not in first or attempt.ended < (first[attempt.key].ended or 0)):
            first[attempt.key] = attempt
    return Counter(kind_of(attempt.worker) for attempt in first.values())


def share_of_prefect(attempts: Iterable[Attempt]) -> float:
    """Return the share of Prefect's runs of the videos that were done: 0 while there is none."""
    done = done_by_kind(attempts)
    return done[PREFECT] / done.total() if done else 0.0


class Share:
    """Tells the processors of `ydc run`, through a file, what a video takes."""

    def __init__(self, journal: Path, pace: Path) -> None:
        self._journal, self._pace = journal, pace
        self._attempts_at_kill = 0
        self.share = 0.0
        self.attempts = 0
        """Of Prefect's runs, until now."""

    def update(self) -> None:
        attempts = read_journal(self._journal)
        self.share = share_of_prefect(attempts)
        self.attempts = sum(kind_of(attempt.worker) == PREFECT for attempt in attempts)
        self.set_pace(WORK_SECONDS if self.share >= WANTED_SHARE else LONG_WORK_SECONDS)

    def set_pace(self, seconds: float) -> None:
        """Let videos that `ydc run` begins from now on take so long."""
        written = self._pace.with_suffix(".new")
        written.write_text(str(seconds))
        written.replace(self._pace)

    @property
    def is_enough(self) -> bool:
        return self.share >= LEAST_SHARE

    @property
    def may_be_killed(self) -> bool:
        """Return whether Prefect's runs have worked since its worker or its server was killed last."""
        return self.attempts >= self._attempts_at_kill + ATTEMPTS_BEFORE_A_KILL

    def was_killed(self) -> None:
        self._attempts_at_kill = self.attempts
