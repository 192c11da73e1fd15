"""The trouble of a story: a pure function of the seed and of the number of the request.

So a story can be told again with less trouble (`only`), and everything that is left goes wrong as it did before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.fake_google import Fault
from tests.fake_google.faults import Faults

FAULTS: tuple[tuple[str, dict[str, Any], str, float], ...] = (
    ("status", {"status": 429}, "429, the quota is used up", 1),
    ("status", {"status": 500}, "500, nothing is applied", 1),
    ("status", {"status": 503}, "503, nothing is applied", 1),
    ("reset", {}, "the connection breaks before Google has it", 1),
    ("apply_then_reset", {}, "it is applied, and the answer is lost", 1),
    ("garbage", {}, "it is applied, and the answer is no JSON", 1),
    ("apply_late", {"after_requests": 1}, "no answer; it is applied one request later", 0.4),
    ("apply_late", {"after_requests": 6}, "no answer; it is applied six requests later", 0.4),
    ("apply_late", {"after_requests": 40}, "no answer; it is applied forty requests later", 0.4),
)
PAUSES_SECONDS = (20, 70, 200)
"""Some are longer than the lease."""
OUTAGE_REQUESTS = (3, 8, 16)
"""So many requests of one process go wrong, one after the other."""
DELAYS_SECONDS = (3, 12, 30, 50)
"""An answer that takes longer than a minute is a lost one to the library."""
CLOCK_ERRORS_SECONDS = (-7200, -300, -90, 90, 300, 7200)

Name = tuple[int, str]
"""One thing that went wrong: the number of the request before which it did, and its kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chances:
    """The probability of each kind of trouble for a request. All are 0 towards the end of the story."""

    fault: float = 0.05
    person: float = 0.06
    kill: float = 0.004
    pause: float = 0.004
    clock: float = 0.004
    slow: float = 0.01
    outage: float = 0.002
    control: float = 0.02
    """What a person types into Control."""
    failure: float = 0.3
    """Per attempt; it goes on when all else is over, as videos fail everywhere."""
    attempt_seconds: float = 45
    """How long one takes at the most."""
    workers: int = 3
    videos: int = 10
    sources: int = 3
    requests: int = 250
    """How long the trouble lasts."""
    forbidden: tuple[str, ...] = ()
    """What the person does not do."""


NASTY = Chances(
    fault=0.08,
    person=0.2,
    kill=0.008,
    pause=0.008,
    clock=0.008,
    slow=0.02,
    outage=0.005,
    control=0.04,
    workers=4,
    videos=16,
    requests=500,
)


def chances_of(seed: int, actions: Collection[str]) -> Chances:
    """Choose a seed's fleet, trouble and people. They differ by seed, so that one trouble does not always hide another."""
    random = Random(f"{seed} chances")
    return Chances(
        fault=random.choice([0, 0.03, 0.08, 0.15]),
        person=random.choice([0, 0.05, 0.1, 0.2]),
        kill=random.choice([0, 0.005, 0.015]),
        pause=random.choice([0, 0.005, 0.015]),
        clock=random.choice([0, 0.01]),
        workers=random.choice([2, 2, 3, 4]),
        videos=random.choice([3, 6, 10, 20]),
        sources=random.choice([1, 2, 3]),
        requests=random.choice([60, 120, 200, 400]),
        forbidden=tuple(name for name in sorted(set(actions)) if random.random() < 0.25),
        slow=random.choice([0, 0, 0.02, 0.06]),
        outage=random.choice([0, 0.02, 0.04]),
        control=random.choice([0, 0, 0.03, 0.08]),
        failure=random.choice([0.1, 0.3, 0.7]),
        attempt_seconds=random.choice([10, 45, 45, 120]),
    )


class Trouble:
    """Decides what goes wrong; remembers what did."""

    def __init__(self, seed: int, chances: Chances, only: Collection[Name] | None = None) -> None:
        self._seed, self._chances = seed, chances
        self._only = None if only is None else frozenset(only)
        self.is_over = False
        self.happened: list[Name] = []

    def strikes(self, number: int, kind: str, times: int = 1) -> Random | None:
        """Decide whether a kind of trouble strikes before a request. Return its randomness, or None.

        With `times` it is so much more likely.
        """
        random = Random(f"{self._seed} {kind} {number}")
        likely: float = times * getattr(self._chances, kind)
        if self.is_over or random.random() >= likely or (self._only is not None and (number, kind) not in self._only):
            return None
        self.happened.append((number, kind))
        return random


class PlannedFaults(Faults):
    """The simulated API's faults, as a story wants them."""

    def __init__(self, story: Trouble, asker: Callable[[], object]) -> None:
        """Take a function that returns whose request it is."""
        super().__init__()
        self._asker = asker
        self._story = story
        self._number = 0
        self._cut_off: dict[object, list[Random]] = {}
        """Whose network is cut: how each of their next requests goes wrong."""
        self.said = ""
        """What went wrong with the last request, in words."""

    def choose(self, method: str, path: str, body: bytes) -> Fault | None:
        self._number += 1
        self.said = ""
        random = self._story.strikes(self._number, "fault") or self._outage()
        if random is None:
            return None
        ((action, options, self.said, _),) = random.choices(FAULTS, [weight for *_, weight in FAULTS])
        return Fault(action, **options)  # type: ignore[arg-type]

    def _outage(self) -> Random | None:
        """Now and then begin an outage, in which all requests of a process fail. Return its randomness during one."""
        if random := self._story.strikes(self._number, "outage"):
            self._cut_off[self._asker()] = [random] * random.choice(OUTAGE_REQUESTS)
        left = self._cut_off.get(self._asker())
        return left.pop() if left and not self._story.is_over else None
