"""Kill, freeze, starve and cut off a fleet of real processes, then look whether a video was lost or made twice.

Three `ydc run` and a worker of Prefect's share a queue: a sheet (the simulated API, over HTTP), an SQLite file, or a database on
the PostgreSQL server that YDC_TEST_POSTGRESQL_URL names, which loses its tables. A seed decides what happens next; the machine
decides what the fleet is doing then, so a seed does not tell the same story twice (the simulation's seeds do). What is judged is
not what the queue says of itself: the processor writes a journal, and the rows are read as a person reads them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Literal

from cyclopts import App

from tests.chaos.evidence import Attempt, by_key, read_journal, wrong_attempts, wrong_lines
from tests.chaos.scene import Scene
from tests.chaos.share import LEAST_SHARE, PREFECT, WORK_SECONDS, done_by_kind, share_of_prefect
from tests.chaos.stores import PLACES
from tests.chaos.trouble import Troubles
from tests.simulation.fleet import video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.queue.store import VIDEO_TASKS

app = App(name="python -m tests.chaos", help=__doc__)

Store = Literal["sheet", "sqlite", "postgresql"]

BACKLOG_VIDEOS = 30
"""With fewer that are not done, more are added."""
BATCH_VIDEOS = 24
CALM_SECONDS = 6.0
"""Between two troubles."""
END_SECONDS = 300
"""For everything to be done, once nothing happens any more."""


class Chaos:
    """A run."""

    def __init__(self, scene: Scene, random: Random) -> None:
        self._scene, self._random = scene, random
        self.troubles = Troubles(scene, random, scene.keep_working)
        self._queue = Coordinator(Config(**scene.place.settings)).queue
        self.added: list[str] = []

    def rage(self, seconds: float) -> None:
        """Alternate trouble and calm. Videos are added in the calm, because adding them is not tested here.

        It takes up to twice as long while Prefect's runs have not done their share.
        """
        until = time.monotonic() + seconds
        last = until + seconds if self._scene.has_prefect else until
        while time.monotonic() < (until if self._scene.share.is_enough else last):
            if len(self._scene.unfinished()) < BACKLOG_VIDEOS:
                self._add()
            self.troubles.wait(self._random.uniform(0.5, 1) * CALM_SECONDS)
            if trouble := self.troubles.happen():
                print(f"{until - time.monotonic():5.0f} s left: {trouble.kind} {trouble.worker}", flush=True)

    def _add(self) -> None:
        videos = [video(len(self.added) + number) for number in range(BATCH_VIDEOS)]
        self._queue.add(VIDEO_TASKS, videos)
        self.added += [each.key for each in videos]

    def settle(self) -> None:
        """Wait until everything is done."""
        self._scene.share.set_pace(WORK_SECONDS)
        until = time.monotonic() + END_SECONDS
        while self._scene.unfinished() and time.monotonic() < until:
            self.troubles.wait(1)
        self._scene.stop()

    def wrong(self) -> list[str]:
        attempts = read_journal(self._scene.journal)
        return [
            *wrong_attempts(attempts, self.troubles.happened),
            *wrong_lines(self._scene.place.lines(), self.added, attempts),
            *self._wrong_share(attempts),
        ]

    def _wrong_share(self, attempts: list[Attempt]) -> list[str]:
        share = share_of_prefect(attempts)
        if share >= LEAST_SHARE or not self._scene.has_prefect:
            return []
        return [f"Prefect's runs did {share:.0%} of the videos, less than {LEAST_SHARE:.0%}: they were not tried"]


@app.default
def run(
    *, store: Store = "sheet", minutes: float = 10, seed: int = 1, prefect: bool = True, folder: Path | None = None
) -> int:
    """Let it rage for so long; 1 when something went wrong.

    Parameters
    ----------
    prefect
        Whether Prefect's server and worker are there too; they take a minute to begin.
    folder
        Where journal and logs are to stay; else they go when it is over.
    """
    if folder:
        folder.mkdir(parents=True)
        return _run(store, minutes, seed, prefect, folder.absolute())
    with tempfile.TemporaryDirectory(prefix="ydc-chaos-") as made:
        return _run(store, minutes, seed, prefect, Path(made))


def _run(store: Store, minutes: float, seed: int, prefect: bool, folder: Path) -> int:
    began = time.monotonic()
    with ExitStack() as stack:
        scene = Scene(folder, stack, PLACES[store](folder, stack), prefect=prefect)
        print(f"the fleet works after {time.monotonic() - began:.0f} s", flush=True)
        chaos = Chaos(scene, Random(seed))
        chaos.rage(minutes * 60)
        chaos.settle()
        wrong = chaos.wrong()
        _tell(chaos, read_journal(scene.journal), seed, time.monotonic() - began)
        for line in wrong:
            print(f"WRONG: {line}", flush=True)
    return 1 if wrong else 0


def _tell(chaos: Chaos, attempts: list[Attempt], seed: int, seconds: float) -> None:
    happened = Counter(trouble.kind for trouble in chaos.troubles.happened)
    again = sum(len(tries) > 1 for tries in by_key(attempts).values())
    places = Counter(attempt.worker.partition("-")[0] for attempt in attempts)
    print(f"seed {seed}, {seconds:.0f} s: {', '.join(f'{count} {kind}' for kind, count in sorted(happened.items()))}")
    print(
        f"{len(chaos.added)} videos, {len(attempts)} attempts ({', '.join(f'{n} by {p}' for p, n in sorted(places.items()))})"
    )
    done = done_by_kind(attempts)
    kinds = ", ".join(f"{count} by {kind}" for kind, count in sorted(done.items()))
    print(f"done: {kinds} ({done[PREFECT] / max(done.total(), 1):.0%} by Prefect's runs)")
    print(f"{sum(attempt.ended is None for attempt in attempts)} of them did not end, {again} videos were tried again")


if __name__ == "__main__":
    sys.exit(app(sys.argv[1:], result_action="return_value"))
