"""Estimate the rest: the number of videos, the time, and the space for their files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.faulty_store import FaultyStore
from tests.support.rows import make_queue, new_source, new_video
from tests.support.sheet import sheet_desk
from youtube_download_coordinator import Config
from youtube_download_coordinator.corpus.index import Index
from youtube_download_coordinator.corpus.size_rate import LEAST_PRODUCTS, size_rate
from youtube_download_coordinator.models import Done, Failure, Verdict
from youtube_download_coordinator.operations.estimate import Amount, Estimate, Pace
from youtube_download_coordinator.operations.overview import overview
from youtube_download_coordinator.operations.space import Space, describe_bytes, space_for
from youtube_download_coordinator.operations.summary import describe_span, page
from youtube_download_coordinator.processors.facts import FileFacts, ProductFacts
from youtube_download_coordinator.processors.facts_spool import Spool
from youtube_download_coordinator.processors.usual_sizes import SizeRate
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.queue.targets import Targets
from youtube_download_coordinator.storage.local import LocalPlace

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class StillStore(FaultyStore):
    """A store whose clock does not move until a test sets it."""

    time = NOW

    def now(self) -> datetime:
        return self.time


def work(queue: Queue, store: StillStore, numbers: range, every: timedelta, result: str = "x.m4a") -> None:
    """Process videos one after the other. The clock is then where the last one ended."""
    for _ in numbers:
        (claim,) = queue.claim(VIDEO_TASKS, 1)
        queue.settle([(claim, Done(result=result))])
        store.time += every


@pytest.fixture
def store() -> StillStore:
    return StillStore()


def texts(queue: Queue, space: Space | None = None) -> dict[str, Any]:
    """Return the table of what is left, as the page shows it."""
    sections = page(overview(queue), space).sections
    return {str(row[0]): row[1] for section in sections if section.title == "What is left" for row in section.rows}


# --- the time --------------------------------------------------------------------------------------------------------


def test_the_pace_is_that_of_the_last_hour(store: StillStore) -> None:
    """Twenty videos of an hour ago are not in it. One is held by another machine, which is left too."""
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(number, duration_seconds=600) for number in range(100)])
    work(queue, store, range(20), timedelta(minutes=1))
    store.time += HOUR
    work(queue, store, range(30), timedelta(minutes=1))
    make_queue(store, "other/b").claim(VIDEO_TASKS, 1)
    queue.claim(VIDEO_TASKS, 1)
    left = overview(queue).left
    assert (left.videos, left.media_seconds, left.pace.done.videos) == (50, 30_000, 30)
    assert (left.pace.span, left.time) == (timedelta(minutes=30), timedelta(minutes=50))
    assert texts(queue) == {
        "videos": "50",
        "their playing time": "about 8.3 h",
        "time left": "about 50 min, at 60 videos an hour (last 30 min, 2 machines at work)",
    }


def test_what_was_not_processed_gives_no_pace(store: StillStore) -> None:
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(20)])
    work(queue, store, range(6), timedelta(minutes=2), "skipped, licence youtube")
    assert texts(queue) == {
        "videos": "14",
        "time left": "unknown: no video that was claimed in the last hour is done",
    }


def test_a_run_that_just_began_says_so(store: StillStore) -> None:
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(20)])
    work(queue, store, range(9), timedelta(seconds=30))
    assert texts(queue)["time left"] == "too early to say: 9 videos are done, and the first was claimed 4 min ago"
    work(queue, store, range(1), timedelta(seconds=30))
    assert texts(queue)["time left"] == "about 5 min, at 120 videos an hour (last 5 min, no machine at work)"


def test_few_videos_give_no_pace(store: StillStore) -> None:
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(20)])
    work(queue, store, range(1), timedelta(minutes=40))
    assert texts(queue)["time left"] == "too early to say: 1 video is done, and the first was claimed 40 min ago"


def test_nothing_is_left_of_a_queue_that_is_empty_or_done(store: StillStore) -> None:
    queue = make_queue(store)
    assert texts(queue) == {}
    queue.add(SOURCES, [new_source(1)])
    assert texts(queue) == {}
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(9)])
    work(queue, store, range(9), timedelta(minutes=1))
    assert texts(queue) == {}
    assert overview(queue).left.time == timedelta(0)


def test_a_retry_is_left_and_what_failed_for_good_is_not(store: StillStore) -> None:
    """Nor is a video that waits for a machine which nobody offers."""
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(4)])
    claims = queue.claim(VIDEO_TASKS, 3)
    failures = [
        Failure(verdict=Verdict.RETRY, reason="http-503"),
        Failure(verdict=Verdict.PERMANENT, reason="private"),
        Failure(verdict=Verdict.PERMANENT, reason="region", regions=("BR",)),
    ]
    other = make_queue(store, "other/b")
    other.offer = other.offer.__class__(regions=frozenset({"BR"}))
    other.renew_offer()
    queue.settle(list(zip(claims, failures, strict=True)))
    assert (overview(queue).left.videos, dict(overview(queue).waiting)) == (3, {"region:BR": 1})
    store.time += 30 * HOUR
    assert (overview(queue).left.videos, dict(overview(queue).waiting)) == (2, {"region:BR": 1})


def test_sources_that_are_still_to_be_listed_are_named(store: StillStore) -> None:
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(1)])
    queue.add(SOURCES, [new_source(1)])
    assert texts(queue)["videos"] == "1 of those listed so far: sources are still to be listed"
    queue.settle([(claim, Done()) for claim in queue.claim(SOURCES, 1)])
    assert texts(queue)["videos"] == "1"


def test_unknown_lengths_count_as_the_mean_of_the_known_ones(store: StillStore) -> None:
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(1, duration_seconds=600)])
    work(queue, store, range(1), HOUR)
    queue.add(VIDEO_TASKS, [new_video(2)])
    assert overview(queue).left.media_seconds == 600  # that of the video which is done
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(3, 6)] + [new_video(7, duration_seconds=100)])
    assert overview(queue).left.media_seconds == 500
    assert Amount(3).length_seconds(None) is None


def test_a_sheet_has_the_same_estimate_in_the_same_requests() -> None:
    with sheet_desk() as desk:
        queue = desk.queue()
        queue.add(VIDEO_TASKS, [new_video(number, duration_seconds=60) for number in range(10)])
        for _ in range(5):
            (claim,) = queue.claim(VIDEO_TASKS, 1)
            desk.clock.advance(120)
            queue.settle([(claim, Done(result="x.m4a"))])
        queue.store.close()
        another = desk.queue("another")
        another.claim(VIDEO_TASKS, 1)
        before = desk.simulator.stats()["requests"]
        left = overview(another).left
        assert desk.simulator.stats()["requests"] - before <= 2  # the look, and the line that waits longest
        assert (left.videos, left.media_seconds, left.pace.done, left.pace.machines) == (5, 300, Amount(5, 5, 300), 1)
        assert left.time
        assert timedelta(minutes=9) < left.time < timedelta(minutes=13)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(20, "a minute"), (70 * 60, "1 h 10 min"), (76 * 3600, "3 d 4 h"), (1e9, "11,574 d"), (86_399, "1 d")],
)
def test_times_have_two_units(seconds: float, text: str) -> None:
    assert describe_span(timedelta(seconds=seconds) or timedelta(minutes=1)) == text


# --- the space -------------------------------------------------------------------------------------------------------

LEFT = Estimate(
    videos=1_000_000,
    media_seconds=3.6e9,
    time=None,
    pace=Pace(Amount(), timedelta(0), 0),
    is_partial=False,
)


def config_in(folder: Path, **settings: Any) -> Config:
    return Config(output_dir=folder / "media", state_dir=folder / "state", database_url="sqlite://", **settings)


def made(number: int, **values: Any) -> ProductFacts:
    some: dict[str, Any] = {"kind": "audio", "product": "audio-m4a", "media_seconds": 100.0}
    files = [FileFacts(path=f"{number}.m4a", bytes=1_000_000)]
    return ProductFacts(key=f"yt:v:{number}", **{"files": files, **some, **values})


def test_the_space_is_measured_on_what_was_made(tmp_path: Path) -> None:
    """Neither another product counts, nor a file whose size or length is not known."""
    config = config_in(tmp_path)
    index = Index(LocalPlace(tmp_path / "media"), tmp_path / "state")
    index.add(made(number) for number in range(LEAST_PRODUCTS - 1))
    index.add([made(50, product="audio-wav"), made(51, media_seconds=None), made(52, files=[FileFacts(path="x")])])
    assert size_rate(config) == SizeRate(58e6 / 3600, "usual for m4a")
    index.add([made(99)])
    assert size_rate(config) == SizeRate(10_000, "measured on 10 videos")
    index.flush()
    assert size_rate(config) == SizeRate(10_000, "measured on 10 videos")
    assert size_rate(config, "my_module:transcribe") is None


def test_several_products_are_added_up(tmp_path: Path) -> None:
    index = Index(LocalPlace(tmp_path / "media"), tmp_path / "state")
    index.add(made(number) for number in range(20))
    index.add(
        made(number, kind="metadata", product="metadata", media_seconds=None, stated_seconds=50.0)
        for number in range(20)
    )
    rate = size_rate(config_in(tmp_path, processor="audio,metadata"))
    assert rate
    assert rate.bytes_per_second == 30_000


def test_in_object_storage_only_what_waits_on_this_machine_is_read(tmp_path: Path) -> None:
    config = Config(output_dir="s3://bucket/corpus", state_dir=tmp_path, database_url="sqlite://")
    Spool.of(tmp_path, "s3://bucket/corpus").add(made(number) for number in range(20))
    rate = size_rate(config)
    assert rate == SizeRate(10_000, "measured on 20 videos")
    space = space_for(LEFT, config, rate)
    assert space
    assert (space.free_bytes, space.fits, space.place) == (None, True, "s3://bucket/corpus")


@pytest.mark.parametrize(
    ("settings", "megabytes_an_hour"),
    [
        ({}, 58),
        ({"audio_codec": "wav", "audio_sample_rate_hz": 16000, "audio_mono": True}, 115),
        ({"audio_codec": "wav"}, 691),
        ({"audio_codec": "mp3", "audio_sample_rate_hz": 16000, "audio_mono": True}, 11),
        ({"audio_codec": "flac", "audio_sample_rate_hz": 16000}, 235),
        ({"processor": "download,subtitles"}, 900),
    ],
)
def test_usual_sizes_are_those_of_the_documentation(
    tmp_path: Path, settings: dict[str, Any], megabytes_an_hour: int
) -> None:
    rate = size_rate(config_in(tmp_path, **settings))
    assert rate
    assert round(rate.bytes_per_second * 3600 / 1e6) == megabytes_an_hour
    assert f"{megabytes_an_hour}" in Path("docs/files.md").read_text(encoding="utf-8")


def test_every_codec_has_a_usual_size(tmp_path: Path) -> None:
    codecs = ["best", "m4a", "opus", "mp3", "vorbis", "flac", "alac", "wav"]
    assert all(size_rate(config_in(tmp_path, audio_codec=codec)) for codec in codecs)
    with pytest.raises(Exception, match=", ".join(f"'{codec}'" for codec in codecs[:2])):
        Config(audio_codec="x", database_url="sqlite://")


def test_a_disk_that_is_too_small_is_warned_of(
    tmp_path: Path, store: StillStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(number, duration_seconds=3600) for number in range(200)])
    config, rate = config_in(tmp_path, min_free_disk_bytes=1_000_000_000), SizeRate(10_000, "usual for m4a")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=13_000_000_000))
    space = space_for(overview(queue).left, config, rate)
    found = texts(queue, space)
    assert found["space needed"] == "about 7.2 GB (36 MB an hour, usual for m4a)"
    assert found["space"] == f"12 GB free in {tmp_path / 'media'}"
    assert "warning" not in found
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000_000))
    found = texts(queue, space_for(overview(queue).left, config, rate))
    assert found["warning"] == "what is left does not fit on this disk: about 5.2 GB are missing"


def test_a_disk_that_cannot_be_asked_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    space = space_for(LEFT, config_in(tmp_path), SizeRate(10_000, ""))
    assert space
    assert (space.free_bytes, space.warning) == (None, "")


def test_unknown_lengths_need_an_unknown_space(tmp_path: Path, store: StillStore) -> None:
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(1)])
    left = overview(queue).left
    assert left.media_seconds is None
    assert "space needed" not in texts(queue, space_for(left, config_in(tmp_path), SizeRate(1, "")))


def test_a_million_videos_are_readable(tmp_path: Path) -> None:
    space = space_for(LEFT, config_in(tmp_path), SizeRate(58e6 / 3600, "usual for m4a"))
    assert space
    assert space.needed_bytes
    assert describe_bytes(space.needed_bytes) == "58 TB"
    assert [describe_bytes(count) for count in (0, 5e5, 4.1e9, 41e9, 1.25e15)] == [
        "0 MB", "0 MB", "4.1 GB", "41 GB", "1.2 PB",
    ]  # fmt: skip
    assert json.dumps(space.needed_bytes) == "58000000000000"


# --- targets ---------------------------------------------------------------------------------------------------------


def fill(queue: Queue, finish: Callable[[], None]) -> None:
    """Of pt-BR an hour is done and two are left, with one of unknown length; of en-IE half an hour is left. 4 have no target."""
    queue.add(VIDEO_TASKS, [new_video(number, accent="PT-br", duration_seconds=1200) for number in range(3)])
    for _ in range(3):
        finish()
    queue.add(VIDEO_TASKS, [new_video(number, accent="pt-BR", duration_seconds=1200) for number in range(10, 15)])
    queue.add(VIDEO_TASKS, [new_video(20, accent="pt-BR"), new_video(21, accent="en-IE", duration_seconds=1800)])
    queue.add(VIDEO_TASKS, [new_video(number, accent="gd", duration_seconds=1200) for number in range(30, 34)])


WANTED = {"pt-BR": 2.0, "en-IE": 50.0, "cy": 1000.0, "Pt": 0.001}


def test_targets_end_what_is_left(store: StillStore) -> None:
    """Three of the six of pt-BR reach its target. Three videos, an hour of them, were done in an hour."""
    queue = make_queue(store)
    fill(queue, lambda: work(queue, store, range(1), timedelta(minutes=20)))
    queue.targets = Targets(hours=WANTED)  # as in the process of `ydc status`, which has counted nothing yet
    left = overview(queue).left
    assert (left.videos, left.media_seconds) == (3 + 1 + 4, 3600 + 1800 + 4 * 1200)
    assert left.time == timedelta(hours=1 + 0.5 + 4 / 3)
    assert [(each.progress.accent, each.missing_hours) for each in left.targets] == [
        ("pt-BR", 0), ("en-IE", 49.5), ("cy", 1000), ("Pt", 0.001),
    ]  # fmt: skip
    found = {section.title: section.rows for section in page(overview(queue)).sections}
    assert found["Target hours"] == [
        ("pt-BR", "1.0 of 2 h", "50 %", "", 6),
        ("en-IE", "0.0 of 50 h", "0 %", "49.5 h", 1),
        ("cy", "0.0 of 1,000 h", "0 %", "1,000 h", 0),
        ("Pt", "0.0 of 0.001 h", "0 %", "0.0 h", 0),
    ]
    assert found["What is left"][0] == ("videos", "8 up to the targets")
    assert found["What is left"][2] == (
        "time left",
        "about 2 h 50 min, at 3 videos (1.0 h) an hour (last hour, no machine at work)",
    )


def test_a_target_that_is_reached_leaves_nothing(store: StillStore) -> None:
    queue = make_queue(store)
    queue.targets = Targets(hours={"a": 1})
    queue.add(VIDEO_TASKS, [new_video(number, accent="A", duration_seconds=3601) for number in range(3)])
    work(queue, store, range(1), HOUR)
    assert overview(queue).left.videos == 0
    found = {section.title: section.rows for section in page(overview(queue)).sections}
    assert found["Target hours"] == [("a", "1.0 of 1 h", "100 %", "", 2)]
    assert "What is left" not in found


def test_videos_of_unknown_length_may_all_be_needed(store: StillStore) -> None:
    queue = make_queue(store)
    queue.targets = Targets(hours={"a": 1})
    queue.add(VIDEO_TASKS, [new_video(number, accent="a") for number in range(10)])
    work(queue, store, range(5), timedelta(minutes=12))
    left = overview(queue).left
    assert (left.videos, left.media_seconds, left.time) == (5, None, HOUR)
    assert [each.missing_hours for each in left.targets] == [0]


def test_on_a_sheet_targets_cost_no_request_more() -> None:
    costs = {}
    known = {"pt-BR": 2.0, "en-IE": 50.0}  # an accent that no row has costs one more, for the names that there are
    for is_targeted in (False, True):
        with sheet_desk() as desk:
            desk.config = desk.config.model_copy(update={"target_hours": known if is_targeted else {}})
            queue = desk.queue()
            fill(queue, lambda queue=queue, desk=desk: desk.finish(queue, Done(result="x.m4a")))  # type: ignore[misc]
            queue.store.close()
            another = desk.queue("another")
            another.targets = Targets(hours=known if is_targeted else {})
            before = desk.simulator.stats()["requests"]
            left = overview(another).left
            costs[is_targeted] = desk.simulator.stats()["requests"] - before
            assert left.videos == (8 if is_targeted else 11)
    assert costs[True] == costs[False]
