"""Every error of the recorded YouTube, once through the queue: what stands in each row afterwards. Real yt-dlp, no network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Replay
from tests.support import rows
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.models import Row, State
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.reasons import about
from youtube_download_coordinator.sources.sources_file import new_source
from youtube_download_coordinator.workers.expansion import list_in_child
from youtube_download_coordinator.workers.worker import Limits
from youtube_download_coordinator.youtube.listing import ListedVideo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

YT = "https://www.youtube.com"
PENDING, DEAD, ERROR = State.PENDING, State.DEAD, State.ERROR

RECORDED = {
    "8VajtrESJzA": ("private", DEAD, 1),
    "sMJ8bRN2dak": ("needs-account", DEAD, 1),
    "rwcfPqbAx-0": ("needs-account", DEAD, 1),
    "don-t-exist": ("gone", PENDING, 1),
    "it3OtbTxQk0": ("gone", PENDING, 1),
    "X4VbdwhkE10": ("live", PENDING, 0),
}
"""By video: the reason, the row's state and its tries after one attempt."""
PRESETS = {
    "removed": ("removed", DEAD, 1),
    "terminated": ("terminated", DEAD, 1),
    "copyright": ("copyright", DEAD, 1),
    "tos": ("removed", DEAD, 1),
    "age": ("needs-account", DEAD, 1),
    "premiere": ("upcoming", PENDING, 0),
    "liveoffline": ("upcoming", PENDING, 0),
}
"""By the replay's preset, which a video of its own gets for an answer."""
PLAYLIST = f"{YT}/playlist?list=PLXJg25X-OulsVsnvZ7RVtSDW-id9_RzAO"
LISTINGS = {
    "playlist?list=PL" + "1" * 32: ("no-such-source", ERROR),
    "playlist?list=INVALID_ID": ("no-such-source", ERROR),
    "channel/UCTGjY2I-ZUGnwVoWAGRd7XQ": ("terminated", ERROR),
    "channel/UCoaO4U_p7G7AwalqSbGCZOA": ("removed", ERROR),
    "channel/UCAUc4iz6edWerIjlnL8OSSw": ("no-such-source", ERROR),
    "@nonExistingHandleThatWillNeverExist15464": ("gone", PENDING),
    "@kurzgesagt/live": ("not-live", PENDING),
    "channel/UCUaQMQS9lY5lit3vurpXQ6w/streams": ("no-such-source", ERROR),
}
"""By address: the reason and the source's state after it was listed once."""


@pytest.fixture
def coordinator(replay: Replay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Coordinator]:
    for name, value in replay.environment.items():
        monkeypatch.setenv(name, value)
    config = Config(database_url=f"sqlite:///{tmp_path}/queue.db", output_dir=tmp_path / "media", claim_batch_size=50)
    yield Coordinator(config)
    assert not [path for path in (tmp_path / "media").rglob("*") if path.is_file()], "a failed attempt left a file"


def player(video_id: str, preset: str) -> dict[str, Any]:
    return {"match": f"/v1/player.*{re.escape(video_id)}", "action": "json", "preset": preset}


def add(coordinator: Coordinator, *video_ids: str) -> None:
    coordinator.queue.add(
        VIDEO_TASKS, [rows.new_video(1, url=f"{YT}/watch?v={each}", key=f"yt:v:{each}") for each in video_ids]
    )


def listed_videos(coordinator: Coordinator) -> list[str]:
    """Return the IDs of a recorded playlist's videos, which play unless a fault prevents it."""
    source = rows.new_source(1, url=PLAYLIST, key="yt:p:PLXJg25X-OulsVsnvZ7RVtSDW-id9_RzAO")
    items = list_in_child(source, coordinator.config)
    return [item.key.removeprefix("yt:v:") for item in items if isinstance(item, ListedVideo)]


def all_videos(coordinator: Coordinator) -> dict[str, Row]:
    found = [*coordinator.queue.rows(VIDEO_TASKS), *coordinator.queue.rows(DEAD_LETTERS)]
    return {row.key.removeprefix("yt:v:"): row for row in found}


def process_all(coordinator: Coordinator, number: int) -> dict[str, tuple[str, State, int]]:
    """Process the audio of so many videos; by video: the reason, the row's state and its tries."""
    coordinator.process("audio", Limits(concurrency=1, max_videos=number))
    return {name: (row.lease.reason, row.lease.state, row.retry_count) for name, row in all_videos(coordinator).items()}


def test_every_error_in_processing(coordinator: Coordinator, replay: Replay) -> None:
    names = dict(zip(listed_videos(coordinator), PRESETS, strict=False))
    assert len(names) == len(PRESETS)
    replay.faults(*(player(name, preset) for name, preset in names.items()))
    add(coordinator, *RECORDED, *names)
    coordinator.process("audio", Limits(concurrency=2, max_videos=len(RECORDED) + len(names)))
    wanted = RECORDED | {name: PRESETS[preset] for name, preset in names.items()}
    found = {
        name: (row.lease.reason, row.lease.state, row.retry_count) for name, row in all_videos(coordinator).items()
    }
    assert found == wanted
    for row in all_videos(coordinator).values():
        assert row.last_error.startswith(f"{row.lease.reason}: ")
        known = about(row.lease.reason)
        assert known
        assert known.advice in row.last_error
        later = row.lease.state is PENDING
        assert (row.not_before is not None) is later


def test_gone_is_believed_the_second_time(coordinator: Coordinator) -> None:
    """A pause lies between the two: here nobody waits for it."""
    hurried = Coordinator(coordinator.config.model_copy(update={"retry_backoff_seconds": 0.0}))
    add(hurried, "don-t-exist")
    hurried.process("metadata", Limits(concurrency=1, max_videos=1))
    assert all_videos(hurried)["don-t-exist"].lease.state is PENDING
    hurried.process("metadata", Limits(concurrency=1, max_videos=1))
    row = all_videos(hurried)["don-t-exist"]
    assert (row.lease.state, row.retry_count, row.lease.reason) == (DEAD, 2, "gone")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"action": "json", "preset": "botcheck"}, "bot-check"),
        ({"action": "json", "preset": "ratelimit"}, "rate-limit"),
        ({"status": 429}, "http-429"),
    ],
)
def test_throttling_costs_no_attempt(
    coordinator: Coordinator, replay: Replay, fault: dict[str, Any], reason: str
) -> None:
    replay.faults({"match": "/v1/player", **fault})
    add(coordinator, "UKwSQSFN4Nw")
    coordinator.process("audio", Limits(concurrency=1))
    row = all_videos(coordinator)["UKwSQSFN4Nw"]
    assert (row.lease.reason, row.lease.state, row.retry_count) == (reason, PENDING, 0)


def test_refused_media_are_counted_for_their_row_alone(coordinator: Coordinator, replay: Replay) -> None:
    """The others are downloaded meanwhile: no cooldown begins."""
    good, *poisoned = listed_videos(coordinator)[:3]
    replay.faults(*({"match": f"videoplayback.*{re.escape(name)}", "status": 403} for name in poisoned))
    add(coordinator, *poisoned, good)
    found = process_all(coordinator, 3)
    assert found[good][:2] == ("", State.DONE)
    assert {name: found[name] for name in poisoned} == dict.fromkeys(poisoned, ("media-403", PENDING, 1))
    made = [path for path in coordinator.config.work_dir.rglob("*") if path.is_file()]
    assert made
    assert all(good in path.name for path in made)
    shutil.rmtree(coordinator.config.work_dir)


def test_an_answer_that_nobody_has_seen_is_tried_again(coordinator: Coordinator, replay: Replay) -> None:
    unplayable = {"playabilityStatus": {"status": "UNPLAYABLE", "reason": "The moon is too bright"}}
    replay.faults({"match": "/v1/player", "action": "json", "body": unplayable})
    names = listed_videos(coordinator)[:2]
    add(coordinator, *names)
    assert process_all(coordinator, 2) == dict.fromkeys(names, ("error", PENDING, 1))
    assert all("The moon is too bright" in row.last_error for row in all_videos(coordinator).values())


@pytest.mark.parametrize("processor", ["asks_yt_dlp", "runs_yt_dlp"])
def test_what_yt_dlp_says_to_a_processor_of_ones_own_is_understood(
    coordinator: Coordinator, replay: Replay, processor: str
) -> None:
    (blocked,) = listed_videos(coordinator)[:1]
    replay.faults(player(blocked, "botcheck"))
    add(coordinator, "8VajtrESJzA", "rwcfPqbAx-0", "don-t-exist", blocked)
    coordinator.process(f"tests.support.sample_processors:{processor}", Limits(concurrency=1))
    found = {
        name: (row.lease.reason, row.lease.state, row.retry_count) for name, row in all_videos(coordinator).items()
    }
    assert found == {
        "8VajtrESJzA": ("private", DEAD, 1),
        "rwcfPqbAx-0": ("needs-account", DEAD, 1),
        "don-t-exist": ("gone", PENDING, 1),
        blocked: ("bot-check", PENDING, 0),
    }


def test_every_error_in_listing(coordinator: Coordinator) -> None:
    sources = {url: new_source(f"{YT}/{url}") for url in LISTINGS}
    coordinator.queue.add(SOURCES, list(sources.values()))
    list(coordinator.expand())
    found = {row.key: (row.lease.reason, row.lease.state) for row in coordinator.queue.rows(SOURCES)}
    assert found == {sources[url].key: wanted for url, wanted in LISTINGS.items()}
