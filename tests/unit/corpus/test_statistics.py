"""The numbers of a corpus."""

from __future__ import annotations

import pytest

from tests.support.recordings import recording
from youtube_download_coordinator.corpus.recordings import Segment
from youtube_download_coordinator.corpus.statistics import (
    _VALUES_IN_MEMORY,
    ACCENT,
    CAPTIONS,
    CHANNEL,
    COLLECTED,
    DEGRADED,
    PRODUCT,
    SHOWN,
    UPLOADED,
    gather,
)


def test_hours_and_videos_are_counted_by_each_property() -> None:
    numbers = gather(
        [
            recording(1, accent="Irish", seconds=3600, upload_date="20240105", collected_at="2026-11-02T10:00:00Z"),
            recording(2, accent="Scots", seconds=1800, upload_date="20250105", collected_at="2026-10-02T10:00:00Z"),
            recording(3, accent="Irish", seconds=1800, upload_date="20240205", collected_at="2026-11-05T10:00:00Z"),
        ]
    )

    assert (numbers.videos, numbers.hours, numbers.files, numbers.bytes) == (3, 2.0, 3, 3000)
    assert [(share.value, share.hours, share.videos) for share in numbers.shares[ACCENT].first] == [
        ("Irish", 1.5, 2),
        ("Scots", 0.5, 1),
    ]
    assert [share.value for share in numbers.shares[UPLOADED].first] == ["2024", "2025"]
    assert [share.value for share in numbers.shares[COLLECTED].first] == ["2026-11", "2026-10"]
    assert (numbers.first_collected, numbers.last_collected) == ("2026-10-02T10:00:00Z", "2026-11-05T10:00:00Z")
    assert (numbers.first_uploaded, numbers.last_uploaded) == ("20240105", "20250105")


def test_a_video_with_two_files_counts_once() -> None:
    text = (Segment(0.0, 1.0, "hello"),)
    numbers = gather(
        [
            recording(1, product="audio-m4a", seconds=60, segments=text, caption_language="en"),
            recording(1, product="download", seconds=61, path="1.mp4", degraded="low-bit-rate, format-18"),
        ]
    )

    assert (numbers.videos, numbers.milliseconds, numbers.files, numbers.with_text) == (1, 61_000, 2, 1)
    assert [share.value for share in numbers.shares[PRODUCT].first] == ["audio-m4a", "download"]
    assert [share.value for share in numbers.shares[DEGRADED].first] == ["format-18", "low-bit-rate"]
    assert [share.value for share in numbers.shares[CAPTIONS].first] == ["en"]


def test_channels_beyond_those_shown_are_summed_up() -> None:
    numbers = gather(recording(number, channel_id=f"UC{number:03}", channel=f"C{number}") for number in range(1, 100))

    channels = numbers.shares[CHANNEL]
    assert channels.different == 99
    assert len(channels.first) == SHOWN
    assert (channels.others.videos, channels.others.label) == (99 - SHOWN, "74 others")


def test_a_renamed_channel_has_its_last_name() -> None:
    numbers = gather([recording(1, channel_id="UC1", channel="old"), recording(2, channel_id="UC1", channel="new")])

    assert [(share.label, share.videos) for share in numbers.shares[CHANNEL].first] == [("new", 2)]


@pytest.mark.parametrize(("seconds", "index"), [(59.9, 0), (60, 1), (299, 1), (7200, 7), (90_000, 7)])
def test_lengths_are_counted_in_ranges(seconds: float, index: int) -> None:
    assert gather([recording(1, seconds=seconds)]).durations[index] == 1


def test_a_video_of_unknown_length_is_counted_as_such() -> None:
    numbers = gather([recording(1, seconds=None)])

    assert (numbers.without_length, sum(numbers.durations), numbers.hours) == (1, 0, 0)


def test_many_channels_are_counted_in_a_scratch_file() -> None:
    count = _VALUES_IN_MEMORY + 500
    numbers = gather(recording(number, channel_id=f"UC{number % count}") for number in range(1, count + 11))

    channels = numbers.shares[CHANNEL]
    assert (channels.different, channels.first[0].videos) == (count, 2)
    assert sum(share.videos for share in channels.first) + channels.others.videos == count + 10


def test_what_is_not_known_is_no_channel() -> None:
    shares = gather([recording(1, channel_id="", channel=""), recording(2)]).shares[CHANNEL]
    assert (shares.different, len(shares.first)) == (1, 2)
