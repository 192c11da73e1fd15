"""Looking again at recorded YouTube, through the whole library: what is new is found, and what it costs in requests."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import ROOT, Replay

pytestmark = pytest.mark.slow

YT = "https://www.youtube.com"
RUN_SECONDS = 200
PROGRAM = """
import json
from youtube_download_coordinator import Config, Coordinator
for expansion in Coordinator(Config()).expand():
    values = {name: getattr(expansion, name) for name in ("listed", "new", "left_out", "is_source")}
    failure = expansion.failure and str(expansion.failure)
    print(json.dumps(values | {"url": expansion.source.url, "failure": failure}))
"""


@dataclass
class Desk:
    """A queue in a file, and what expanding it asks YouTube for."""

    replay: Replay
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "queue.db"

    def add(self, *urls: str) -> None:
        sources = self.folder / "sources.txt"
        sources.write_text("".join(f"{url}\n" for url in urls))
        self._run(["-m", "youtube_download_coordinator", "add", str(sources)])

    def say(self, **columns: str) -> None:
        """Put these into a person's own columns of every source."""
        self.write("UPDATE sources SET extra = ?", [json.dumps(columns)])

    def expand(self, **settings: str) -> tuple[list[dict[str, Any]], int]:
        """List the due sources. Return the outcome of each, and the number of requests."""
        before = len(self.replay.log())
        lines = self._run(["-c", PROGRAM], **settings).splitlines()
        return [json.loads(line) for line in lines], len(self.replay.log()) - before

    def a_day_passes(self) -> None:
        """Make every source that was listed due again."""
        long_ago = "2020-01-01 00:00:00.000000"
        due = "UPDATE sources SET act_at = ?, checked_at = ? WHERE substr(act_at, 1, 4) < '9000'"
        self.write(due, [long_ago, long_ago])

    def keys(self) -> set[str]:
        return {key for (key,) in self.rows("SELECT key FROM videos")}

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.file)) as database:
            return database.execute(query).fetchall()

    def write(self, query: str, values: Sequence[str]) -> None:
        with closing(sqlite3.connect(self.file)) as database, database:
            database.execute(query, values)

    def forget_the_newest(self, count: int) -> set[str]:
        """Delete the rows of the newest videos: as if they had been uploaded since."""
        keys = [key for (key,) in self.rows(f"SELECT key FROM videos ORDER BY id LIMIT {count}")]
        for key in keys:
            self.write("DELETE FROM videos WHERE key = ?", [key])
        return set(keys)

    def _run(self, arguments: list[str], **settings: str) -> str:
        own = {f"YDC_{name.upper()}": value for name, value in settings.items()}
        environment = {**self.replay.environment, "YDC_DATABASE_URL": f"sqlite:///{self.file}", **own}
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def desk(replay: Replay, tmp_path: Path) -> Desk:
    return Desk(replay, tmp_path)


def test_of_a_channel_of_three_hundred_five_new_videos_cost_two_pages(desk: Desk) -> None:
    """The replay's synthetic channels do not grow: the rows of the newest five are deleted before the second look."""
    desk.add(f"{YT}/channel/UCytkit_000300_000000000")
    (first,), whole = desk.expand()
    assert (first["listed"], first["new"]) == (300, 300)
    assert whole == 10
    new = desk.forget_the_newest(5)
    desk.a_day_passes()
    (second,), again = desk.expand()
    assert (second["new"], second["failure"]) == (5, None)
    assert again == 2
    assert new <= desk.keys()
    assert len(desk.keys()) == 300


def test_across_the_eras_exactly_what_is_new_is_found(desk: Desk) -> None:
    """Two of 57 streams are new; of a playlist of 150 its owner has replaced 131."""
    desk.replay.era("2024-11")
    desk.add(f"{YT}/c/JeffGeerling/streams", f"{YT}/playlist?list=PLoumn5BIsUDeGF1vy5Nylf_RJKn5aL_nr")
    expansions, _ = desk.expand()
    assert sorted(each["new"] for each in expansions) == [0, 55, 150]
    before = desk.keys()
    desk.replay.era("2026")
    desk.a_day_passes()
    expansions, _ = desk.expand()
    assert {each["url"].rpartition("/")[2]: each["new"] for each in expansions} == {
        "streams": 2,
        "playlist?list=PLoumn5BIsUDeGF1vy5Nylf_RJKn5aL_nr": 131,
    }
    assert len(desk.keys() - before) == 133
    assert before <= desk.keys(), "what has gone from a list keeps its row"


def test_a_channel_that_was_added_in_two_ways_is_listed_once(desk: Desk) -> None:
    desk.add("@kurzgesagt", f"{YT}/channel/UCsXVk37bltHxD1rDPwtNM8Q", "https://youtube.com/@Kurzgesagt")
    expansions, _ = desk.expand()
    assert sorted((each["is_source"] or 0, each["listed"]) for each in expansions) == [(0, 30), (2, 0)]
    desk.a_day_passes()
    expansions, requests = desk.expand()
    assert [(each["url"], each["listed"]) for each in expansions] == [(f"{YT}/channel/UCsXVk37bltHxD1rDPwtNM8Q", 30)]
    assert requests == 1


def test_filters_leave_out_and_a_changed_one_finds_it(desk: Desk) -> None:
    desk.add(f"{YT}/channel/UCytkitcomposite00000000")
    desk.say(Kinds="videos", MinDuration="1:00:00")
    (first,), requests = desk.expand()
    assert first["left_out"] == 60 - first["listed"] > 0
    assert requests == 2, "the root, which is the first page of its videos, and the second"
    desk.say(Kinds="videos,shorts")
    desk.a_day_passes()
    (second,), _ = desk.expand()
    assert (second["listed"], second["left_out"]) == (60 + 96, 0)
    assert second["new"] == 60 + 96 - first["listed"]


def test_a_bad_filter_makes_the_source_an_error(desk: Desk) -> None:
    desk.add(f"{YT}/channel/UCsXVk37bltHxD1rDPwtNM8Q")
    desk.say(minduration="soon")
    (said,), requests = desk.expand()
    assert said["failure"].startswith("bad-filter: MinDuration: 'soon' is not a duration; write seconds")
    assert requests == 0
    assert desk.rows("SELECT state FROM sources") == [("error",)]


def test_all_tabs_failing_is_no_end(desk: Desk) -> None:
    desk.add(f"{YT}/channel/UCytkitcomposite00000000")
    desk.replay.faults({"match": "UCytkitcomposite|ytkitcomposite", "status": 500})
    (said,), _ = desk.expand()
    assert said["failure"].startswith("http-500")
    assert desk.rows("SELECT state FROM sources") == [("pending",)]
