"""One random story of a fleet on a sheet: workers, faults, kills, pauses and a person, watched by an oracle all the while."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from random import Random
from typing import Any

from tests.simulation.human import Human, source_url, video_url
from tests.simulation.world import Actor, World
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import StoreUnavailable
from youtube_download_coordinator.lifecycle import Policy
from youtube_download_coordinator.models import (
    Done,
    Failure,
    Lease,
    Outcome,
    Source,
    State,
    Verdict,
    VideoTask,
    utc_text,
)
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Table
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.stores.sheets.rows import status_text
from youtube_download_coordinator.stores.sheets.words import Word, read_word, version
from youtube_download_coordinator.urls import source_target, video_target

SEED_COLUMNS = ["ID", "SourceID", "URL", "Status", "ClaimedBy", "ClaimedAt", "Accent", "Type", "Duration", "RetryCount"]
TABS = {
    "Sources": [["ID", "URL", "Status", "Notes"]],
    "Video Tasks": [[*SEED_COLUMNS, "Notes"]],
    "Dead-Letter Queue": [SEED_COLUMNS],
}
VIDEO_TABS = ("Video Tasks", "Dead-Letter Queue")
POLICY = Policy(
    lease=timedelta(seconds=60), max_retries=3, backoff=timedelta(seconds=4), backoff_max=timedelta(seconds=20)
)


@dataclass(kw_only=True)
class Chances:
    """How likely each thing is, per request; all of it is off when the story comes to its end."""

    fault: float = 0.05
    person: float = 0.06
    kill: float = 0.004
    pause: float = 0.004
    workers: int = 4
    videos: int = 16
    sources: int = 4
    requests: int = 500
    """How long the trouble lasts."""
    forbidden: tuple[str, ...] = field(default=())
    """What the person does not do."""


NASTY = Chances(fault=0.08, person=0.2, kill=0.008, pause=0.008)


_word = cache(read_word)


class Violation(AssertionError):
    """Something happened that must never happen."""


class Chaos:
    """A story that is told until everything is quiet again."""

    def __init__(self, seed: int, chances: Chances | None = None) -> None:
        self.seed, self.chances = seed, chances or Chances()
        self.world = World(seed, TABS)
        self.random = Random(f"{seed} chaos")
        self.queues: dict[Actor, Queue] = {}
        self.quiet = self.stopping = False
        self.requests = self.begun = 0
        self.config = Config(spreadsheet_id=self.world.book.spreadsheet_id, sheets_patience_seconds=30)
        self.oracle = Oracle(self)
        self.human = Human(self)
        self.world.checks = [self.after]
        self.world.person = self.human.maybe_act
        for action, more in (
            ("status", {"status": 429}), ("status", {"status": 500}), ("status", {"status": 503}), ("reset", {}),
            ("apply_then_reset", {}), ("apply_late", {"after_requests": 1}), ("apply_late", {"after_requests": 6}),
            ("apply_late", {"after_requests": 40}), ("garbage", {}),
        ):  # fmt: skip
            probability = self.chances.fault * (0.4 if action == "apply_late" else 1)
            self.world.simulator.faults.add(action, times=None, probability=probability, path="", **more)  # type: ignore[arg-type]

    # --- the story ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Trouble, then quiet, then everything must be right."""
        try:
            for number in range(self.chances.workers):
                self.start_worker(number)
            while self.requests < self.chances.requests:
                self.world.step()
                self._kill_or_pause()
            self._calm()
            self._until(self.oracle.is_settled, seconds=3600, what="a row that nothing will ever move again")
            self._until(lambda: False, seconds=200, what="")
            self.stopping = True
            while self.world.step():
                pass
            self.world.start("janitor", self.look_twice)
            while self.world.step():
                pass
            self.oracle.check_the_end()
        finally:
            self.world.close()

    def _calm(self) -> None:
        self.quiet = True
        self.world.simulator.faults.clear()
        self.world.simulator.faults.release_late()
        self.oracle.after(None)

    def _until(self, condition: Callable[[], bool], *, seconds: float, what: str) -> None:
        ends = self.world.clock.now() + seconds
        while not condition():
            if self.world.clock.now() > ends:
                if what:
                    raise Violation(f"{what}: {self.oracle.unsettled()}")
                return
            self.world.step()

    def _kill_or_pause(self) -> None:
        alive = [actor for actor in self.world.actors if not actor.ended]
        if self.random.random() < self.chances.kill and len(alive) > 1:
            victim = self.random.choice(alive)
            self.queues.pop(victim, None)
            victim.kill()
            self.start_worker(len(self.world.actors))
        elif self.random.random() < self.chances.pause:
            self.random.choice(alive).wakes_at += self.random.choice([20, 70, 200])

    def after(self, actor: Actor) -> None:
        """After each request."""
        self.requests += 1
        self.oracle.after(actor)

    # --- workers -----------------------------------------------------------------------------------------------------

    def start_worker(self, number: int) -> None:
        self.world.start(f"w{number}", lambda actor: self.work(actor, Random(f"{self.seed} worker {number}")))

    def work(self, actor: Actor, random: Random) -> None:
        """A worker's life."""
        store = self.again(actor, lambda: SheetsStore(self.config, actor.outside()))
        queue = Queue(
            store=store, worker=f"host/{actor.name}", video_policy=POLICY, source_policy=replace(POLICY, max_retries=None),
            monotonic=self.world.clock.now, random=random,
        )  # fmt: skip
        self.queues[actor] = queue
        self.again(actor, lambda: queue.add(SOURCES, self.some_sources(random)))
        for _ in range(2):
            self.again(actor, lambda: queue.add(VIDEO_TASKS, self.some_videos(random)))
        while not self.stopping:
            self.one_round(actor, queue, random)
        self.again(actor, store.close)

    def look_twice(self, actor: Actor) -> None:
        """Whoever comes next repairs what nobody shows for a minute."""
        store = SheetsStore(self.config, actor.outside())
        tables: list[Table[Any]] = [SOURCES, VIDEO_TASKS, DEAD_LETTERS]
        for table in tables * 2:
            store.count(table)
            actor.rest(30)
        store.close()

    def again(self, actor: Actor, call: Callable[[], Any]) -> Any:
        while True:
            try:
                return call()
            except StoreUnavailable:
                actor.rest(3)

    def some_videos(self, random: Random) -> list[VideoTask]:
        numbers = random.sample(range(self.chances.videos), self.chances.videos // 2)
        return [
            VideoTask(
                url=video_url(n), key=video_target(video_url(n)).key, title=f"=1+{n}",
                extra={"Notes": f"n{n}"}, lease=Lease(nonce=""),
            )
            for n in numbers
        ]  # fmt: skip

    def some_sources(self, random: Random) -> list[Source]:
        numbers = random.sample(range(self.chances.sources), max(self.chances.sources // 2, 1))
        return [
            Source(url=source_url(n), key=source_target(source_url(n)).key, extra={"Notes": f"s{n}"}, lease=Lease(nonce=""))
            for n in numbers
        ]  # fmt: skip

    def one_round(self, actor: Actor, queue: Queue, random: Random) -> None:
        table: Table[Any] = SOURCES if random.random() < 0.15 else VIDEO_TASKS
        try:
            if random.random() < 0.1:
                queue.recover(table)
            claims = queue.claim(table, random.randint(1, 4))
        except StoreUnavailable:
            claims = []
        for claim in claims:
            self.attempt(actor, queue, claim, random)
        if not claims:
            actor.rest(random.uniform(1, 15))

    def attempt(self, actor: Actor, queue: Queue, claim: Claim[Any], random: Random) -> None:
        if not queue.is_valid(claim):
            return self.let_go(actor, queue, claim)
        self.oracle.begins(claim)
        for _ in range(random.choice([1, 1, 2, 4])):
            actor.rest(random.uniform(0.5, 18))
            try:
                queue.renew()
            except StoreUnavailable:
                continue
        outcome = self.outcome(random)
        self.oracle.over.append(claim)
        while True:
            try:
                (row,) = queue.settle([(claim, outcome)])
                return self.oracle.ended(claim, row)
            except StoreUnavailable:
                if not queue.is_valid(claim):
                    return queue.forget([claim])
                actor.rest(1)

    def let_go(self, actor: Actor, queue: Queue, claim: Claim[Any]) -> None:
        self.oracle.over.append(claim)
        try:
            queue.release([claim])
        except StoreUnavailable:
            queue.forget([claim])

    def outcome(self, random: Random) -> Outcome:
        chance = random.random()
        if self.quiet or chance < 0.7:
            return Done(result=f"=1+1 by {random.random():.6f}")
        verdict = random.choice([Verdict.RETRY, Verdict.GONE, Verdict.PERMANENT, Verdict.LATER, Verdict.THROTTLED])
        return Failure(verdict=verdict, reason="=boom", message="it\nbroke")


class Oracle:
    """Reads the simulator's grid directly, and knows what must never happen."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos, self.book = chaos, chaos.world.book
        self.asked: set[int] = set()
        """IDs in whose Status a person typed something: what is done may be undone."""
        self.freed: set[str] = set()
        """Keys with whose rows a person did something that may make them run again."""
        self.seen_version = -1
        self.states: dict[tuple[str, int], Word] = {}
        self.own: Counter[tuple[str, str, str]] = Counter()
        self.over: list[Claim[Any]] = []
        """Claims whose attempt has ended: their holder works no more on them."""
        self.inserted: set[tuple[str, str, str]] = set()
        self.ended_keys: Counter[str] = Counter()

    # --- reading -----------------------------------------------------------------------------------------------------

    def lines(self, *tabs: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Every line of tabs that has anything, by column name."""
        for tab in tabs:
            header, *rows = self.book.rows(tab)
            for row in rows:
                yield (
                    tab,
                    {
                        str(name): str(cell)
                        for name, cell in zip(header, [*row, *[""] * len(header)], strict=False)
                        if name
                    },
                )

    def words(self, *tabs: str) -> Iterator[tuple[str, dict[str, str], Word]]:
        for tab, line in self.lines(*tabs):
            word = _word(line.get("Lease", ""))
            if word and word.lease:
                yield tab, line, word

    def _own_cells(self) -> Counter[tuple[str, str, str]]:
        kinds = {"Sources": "s", "Video Tasks": "v", "Dead-Letter Queue": "v"}
        return Counter(
            (kinds[tab], line["URL"], line.get("Notes", "")) for tab, line in self.lines(*kinds) if line.get("URL")
        )

    # --- after each request ------------------------------------------------------------------------------------------

    def after(self, actor: Actor | None) -> None:
        self.no_two_hold_one_row()
        if self.book.version == self.seen_version or "Lease" not in self.book.rows("Video Tasks")[0]:
            return
        self.seen_version = self.book.version
        self.nobodys_cells_changed()
        self.nothing_is_undone()

    def no_two_hold_one_row(self) -> None:
        holders: dict[tuple[str, str], str] = {}
        for actor, queue in list(self.chaos.queues.items()):
            for claim in queue._held:
                # A URL whose row a person has deleted or sent again may be worked on as another row.
                name = (claim.table.name, str(claim.row.id) if claim.row.key in self.freed else claim.row.key)
                if actor.ended or claim in self.over or not queue.is_valid(claim):
                    continue
                if holders.setdefault(name, actor.name) != actor.name:
                    raise Violation(f"(1) {holders[name]} and {actor.name} hold {name}")

    def nobodys_cells_changed(self) -> None:
        """Lines of a person's cells are only ever added, by an insertion."""
        now = self._own_cells()
        if missing := self.own - now:
            raise Violation(f"(2)(4) lost or changed: {dict(missing)}, now {dict(now - self.own)}")
        for (kind, url, notes), count in (now - self.own).items():
            twice = (kind, url, notes) in self.inserted and url not in self.freed
            if count > 1 or notes[:1] not in ("n", "s") or twice:
                raise Violation(f"(3) added: {kind, url, notes}")
            self.inserted.add((kind, url, notes))
        self.own = now

    def nothing_is_undone(self) -> None:
        found = {
            (("s" if tab == "Sources" else "v"), word.row_id): word
            for tab, _, word in self.words("Sources", *VIDEO_TABS)
        }
        for name, word in found.items():
            before = self.states.get(name)
            if not before or not before.lease or not word.lease or before == word:
                continue
            if word.lease.state is before.lease.state and word.lease.version == before.lease.version:
                continue  # the same outcome, recorded once more by a holder who did not hear that it was
            if (
                before.lease.state is State.DONE
                and name[1] not in self.asked
                and not word.lease.detail.startswith("duplicate")
            ):
                raise Violation(f"(1) {before} was undone: {word}")
            if word.lease.version < before.lease.version:
                raise Violation(f"(1) {before} went back to {word}")
        self.states |= found

    # --- attempts ----------------------------------------------------------------------------------------------------

    def begins(self, claim: Claim[Any]) -> None:
        self.chaos.begun += 1
        if self.ended_keys[claim.row.key] and claim.row.key not in self.freed:
            raise Violation(f"(1) {claim.row.key} is processed again after it was done")

    def ended(self, claim: Claim[Any], row: VideoTask | Source | None) -> None:
        if row is not None and row.lease.state is State.DONE:
            self.ended_keys[row.key] += 1
            if self.ended_keys[row.key] > 1 and row.key not in self.freed:
                raise Violation(f"(1) {row.key} has two results")

    # --- at the end --------------------------------------------------------------------------------------------------

    def unsettled(self) -> list[str]:
        rows = [line for _, line, word in self.words("Sources", *VIDEO_TABS) if not _is_final(word)]
        bare = [line for _, line in self.lines("Sources", *VIDEO_TABS) if line["URL"] and not read_word(line["Lease"])]
        drafts = [
            line for _, line in self.lines("Sources", *VIDEO_TABS) if (w := read_word(line["Lease"])) and not w.lease
        ]
        astray = [
            line for tab, line, word in self.words(*VIDEO_TABS)
            if word.lease and (tab == "Dead-Letter Queue") != (word.lease.state is State.DEAD)
        ]  # fmt: skip
        return [str(line) for line in [*rows, *bare, *drafts, *astray]]

    def is_settled(self) -> bool:
        return not self.unsettled()

    def check_the_end(self) -> None:
        for group in (("Sources",), VIDEO_TABS):
            words = list(self.words(*group))
            ids = Counter(word.row_id for _, _, word in words)
            if twice := [row_id for row_id, count in ids.items() if count > 1]:
                raise Violation(f"(2) IDs that stand twice: {twice}")
            keys = Counter(word.key for _, _, word in words if word.key != "none" and not _is_duplicate(word))
            if twice_keys := [key for key, count in keys.items() if count > 1]:
                raise Violation(f"(3) two rows: {twice_keys}")
            for tab, line, word in words:
                self.is_shown(tab, line, word)
        if formulas := [each for each in self.book.formulas() if each[0] != "Control"]:
            raise Violation(f"formulas: {formulas}")
        if self.chaos.world.simulator.answer_problems or self.chaos.world.simulator.misses:
            raise Violation(f"{self.chaos.world.simulator.answer_problems} {self.chaos.world.simulator.misses}")

    def is_shown(self, tab: str, line: dict[str, str], word: Word) -> None:
        lease = word.lease
        assert lease is not None
        done = lease.state is State.DONE
        expected = {
            "ID": str(word.row_id), "Status": status_text(lease.state), "Shown": version(word.row_id, lease),
            "RetryCount": str(lease.tries), "NotBefore": utc_text(lease.not_before), "LastError": "" if done else lease.detail,
        } | ({} if tab == "Sources" else {"Result": lease.detail if done else ""})  # fmt: skip
        if wrong := {name: (line.get(name, ""), text) for name, text in expected.items() if line.get(name, "") != text}:
            raise Violation(f"shown wrong in {tab}: {wrong} of {line}")


def _is_duplicate(word: Word) -> bool:
    return word.lease is not None and word.lease.detail.startswith("duplicate of")


def _is_final(word: Word) -> bool:
    return word.lease is not None and word.lease.state in {State.DONE, State.ERROR, State.DEAD}
