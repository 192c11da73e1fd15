"""Making a story that goes wrong short: less trouble, fewer workers and videos, as long as the same promise is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.simulation.human import ACTIONS
from tests.simulation.telling import Told, tell
from tests.simulation.trouble import Chances, Name, chances_of

RUNS_MAX = 150


class Shrinker:
    """Tells a story again and again, each time with less."""

    def __init__(self, seed: int, mutation: str = "", chances: Chances | None = None) -> None:
        self._seed, self._mutation = seed, mutation
        self.chances = chances or chances_of(seed, ACTIONS)
        self.told = tell(seed, self.chances, mutation=mutation)
        self._promise = self.told.wrong[:3]
        self.runs = 1

    def shrink(self) -> Told:
        """Return the shortest story found. `wrong` is empty when nothing goes wrong in it."""
        if self.told.wrong:
            self._fewer_of_everything()
            self._less_trouble()
        return self.told

    def _fewer_of_everything(self) -> None:
        for name, least in (("workers", 1), ("sources", 1), ("videos", 2), ("requests", 20)):
            while (now := getattr(self.chances, name)) > least:
                if not self._still_wrong(replace(self.chances, **{name: max(least, now // 2)}), None):
                    break

    def _less_trouble(self) -> None:
        """Shrink what went wrong by delta debugging: leave out halves, then smaller and smaller parts."""
        size = max(1, len(self.told.trouble) // 2)
        while self.told.trouble and self.runs < RUNS_MAX:
            shorter = any(self._still_wrong(self.chances, rest) for rest in _without_parts(self.told.trouble, size))
            if not shorter and size == 1:
                return
            size = min(size, max(1, len(self.told.trouble) // 2)) if shorter else max(1, size // 2)

    def _still_wrong(self, chances: Chances, only: Sequence[Name] | None) -> bool:
        if self.runs >= RUNS_MAX:
            return False
        self.runs += 1
        told = tell(self._seed, chances, only=only, mutation=self._mutation)
        if told.wrong[:3] != self._promise:
            return False
        self.chances, self.told = chances, told
        return True


def _without_parts(trouble: Sequence[Name], size: int) -> list[Sequence[Name]]:
    return [[*trouble[:at], *trouble[at + size :]] for at in range(0, len(trouble), size)]
