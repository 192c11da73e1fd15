"""Check the journal of attempts and the rows of the queue after the fleet was disturbed.

A video may run again for a reason alone: its first attempt failed, or its worker was killed or frozen, or the queue could not be
reached, before that attempt's result was recorded. Two attempts at once need more: only a frozen worker, which cannot know that
its lease has run out, or one that was killed and whose processor has not ended yet, may have work going beside its successor's.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

EVERYBODY = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A disturbance: its kind, its victim, and its period in seconds of the machine's monotonic clock."""

    kind: str
    worker: str
    """EVERYBODY, where it was the network or a database; a name without its number is all that had it."""
    began: float
    ended: float

    def explains(self, worker: str, since: float, until: float) -> bool:
        return (
            self.worker in (worker, worker.partition("-")[0], EVERYBODY) and self.began <= until and self.ended >= since
        )


@dataclass(slots=True)
class Attempt:
    """A line of the journal with its end, if it has one."""

    key: str
    worker: str
    began: float
    claimed: float = field(kw_only=True)
    """Its worker may have been frozen between the two: then another has had the video before it began."""
    failed: float | None = None
    ended: float | None = None


STOPS = frozenset(("kill", "freeze", "server", "flows"))
"""A worker, or all there is to it."""
HINDERS = frozenset(("network", "tokens", "crash", "disconnect", "lock", "full"))
"""Keep a worker that runs from its queue."""


def read_journal(path: Path) -> list[Attempt]:
    """Return every attempt, in the order of the claims."""
    attempts: dict[str, Attempt] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        event = json.loads(line)
        if event["event"] == "began":
            attempts[event["attempt"]] = Attempt(event["key"], event["worker"], event["at"], claimed=event["claimed"])
        else:
            setattr(attempts[event["attempt"]], event["event"], event["at"])
    return sorted(attempts.values(), key=lambda attempt: (attempt.claimed, attempt.began))


def wrong_attempts(attempts: Iterable[Attempt], troubles: Sequence[Trouble]) -> Iterator[str]:
    """Yield each attempt after another of the same video that nothing explains, in the order of the claims."""
    for key, tries in by_key(attempts).items():
        for first, second in combinations(tries, 2):
            if not is_explained(first, second, troubles):
                yield f"{key}: {first} and then {second}, and nothing was done to {first.worker} meanwhile"


def by_key(attempts: Iterable[Attempt]) -> Mapping[str, list[Attempt]]:
    tries: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        tries[attempt.key].append(attempt)
    return tries


def is_explained(first: Attempt, second: Attempt, troubles: Sequence[Trouble]) -> bool:
    """Return whether the second attempt was due, or could not have been prevented."""
    if first.failed is not None and first.failed <= second.began:
        return True
    at_once = (first.failed or first.ended or first.began) > second.began
    return any(
        trouble.explains(first.worker, first.claimed, second.began)
        for trouble in troubles
        if trouble.kind in STOPS or (trouble.kind in HINDERS and not at_once)
    )


def wrong_lines(lines: Sequence[Mapping[str, Any]], keys: Iterable[str], attempts: Iterable[Attempt]) -> Iterator[str]:
    """Yield what is wrong with the queue: each video must be in it once, done, by an attempt that has ended."""
    found = Counter(key_of(line) for line in lines)
    wanted = set(keys)
    finished = {attempt.key for attempt in attempts if attempt.ended is not None}
    yield from (f"{key} is lost" for key in wanted - set(found))
    yield from (f"{key} stands there {count} times" for key, count in found.items() if count > 1)
    yield from (f"{key} came from nowhere" for key in set(found) - wanted)
    yield from (
        f"{key_of(line)} is {line['Status']}: {line.get('LastError')}" for line in lines if line["Status"] != "done"
    )
    yield from (f"{key} is said to be done, and nobody did it" for key in wanted & set(found) - finished)


def key_of(line: Mapping[str, Any]) -> str:
    return f"yt:v:{str(line['URL']).rpartition('v=')[2]}"
