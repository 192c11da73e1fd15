"""Filters: what a person may write, rule by rule, and what each lets through."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import new_source
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import BadFilter, ConfigError
from youtube_download_coordinator.sources.filters import (
    COLUMNS,
    Candidate,
    Filters,
    VideoKind,
    filter_column,
    read_column,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DEFAULT = frozenset({VideoKind.VIDEOS, VideoKind.SHORTS, VideoKind.STREAMS})


def keeps(said: dict[str, str], **video: Any) -> bool:
    filters = Filters.read(said)
    return not filters.excludes(Candidate(**video), kinds=filters.kinds, since=filters.since(NOW))


# --- durations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("90s", 90), ("5m", 300), ("1:02:03", 3723), ("2:05", 125), ("1h30m", 5400), ("1.5h", 5400), ("0.5", 0.5),
        ("10 min", 600), ("2 hours", 7200), ("45 SEC", 45), (" 90 ", 90), ("90:00", 5400), ("off", None), ("0", None),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert read_column("MinDuration", text) == seconds


@pytest.mark.parametrize(
    "text", ["short", "-5", "5 parsecs", "1:2:3", "1:99:999", "1e3", "nan", "9999999999", "1,5m", "5m x"]
)
def test_what_is_no_duration_says_what_may_be_written(text: str) -> None:
    with pytest.raises(
        BadFilter, match=r"^MaxDuration: '.*' is not a duration; write seconds, 90s, 5m, 1:02:03, or off$"
    ):
        read_column("MaxDuration", text)


@pytest.mark.parametrize(("seconds", "kept"), [(59, False), (60, True), (600, True), (601, False), (None, True)])
def test_a_duration_filter_keeps_what_it_cannot_judge(seconds: int | None, kept: bool) -> None:
    assert keeps({"MinDuration": "60", "MaxDuration": "10m"}, duration_seconds=seconds) is kept


def test_a_minimum_above_the_maximum_is_said() -> None:
    with pytest.raises(BadFilter, match="more than MaxDuration"):
        Filters.read({"MinDuration": "10m", "MaxDuration": "60"})


# --- titles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [("interview", True), ("^Sotaque", False), (r"\bpart [12]\b", True), ("off", True), ("(?-i:part)", False)],
)
def test_titles(pattern: str, kept: bool) -> None:
    assert keeps({"TitleMatch": pattern}, title="An INTERVIEW, Part 2") is kept


@pytest.mark.parametrize("text", ["(", "[a", "*", "(?P<x", "a{99999999999}", "\\"])
def test_what_is_no_regular_expression_is_said(text: str) -> None:
    with pytest.raises(BadFilter, match=r"^TitleMatch: .* is not a regular expression: "):
        read_column("TitleMatch", text)


# --- kinds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("videos", {VideoKind.VIDEOS}),
        ("Video, Short", {VideoKind.VIDEOS, VideoKind.SHORTS}),
        ("shorts;live members", {VideoKind.SHORTS, VideoKind.STREAMS, VideoKind.MEMBERS}),
        ("all", set(VideoKind)),
        ("any", set(VideoKind)),
    ],
)
def test_kinds(text: str, kinds: set[VideoKind]) -> None:
    assert read_column("Kinds", text) == kinds


@pytest.mark.parametrize("text", ["clips", "videos, clips", ",", "videosshorts"])
def test_what_is_no_kind_is_said(text: str) -> None:
    with pytest.raises(BadFilter, match=r"^Kinds: .* write one or more of videos, shorts, streams, members"):
        read_column("Kinds", text)


def test_videos_for_members_are_left_out_unless_they_are_asked_for() -> None:
    assert not keeps({}, kind=VideoKind.MEMBERS)
    assert keeps({"Kinds": "members"}, kind=VideoKind.MEMBERS)
    assert all(keeps({}, kind=kind) for kind in DEFAULT)
    assert not keeps({"Kinds": "members"}, kind=VideoKind.VIDEOS)


# --- numbers and times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "1000000000"])
def test_what_is_no_number_of_videos_is_said(text: str) -> None:
    with pytest.raises(BadFilter, match=r"^FirstVideos: .*; write 100, or off$"):
        read_column("FirstVideos", text)
    assert read_column("FirstVideos", "100") == 100


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("30 days", NOW - timedelta(days=30)),
        ("2w", NOW - timedelta(days=14)),
        ("6 Months", NOW - timedelta(days=180)),
        ("1 year", NOW - timedelta(days=365)),
        ("99999 years", NOW - timedelta(days=36500)),
        ("off", None),
    ],
)
def test_ages_and_dates(text: str, since: datetime | None) -> None:
    assert Filters.read({"NewerThan": text}).since(NOW) == since


@pytest.mark.parametrize("text", ["31.1.2026", "yesterday", "30", "-3 days", "3 fortnights"])
def test_what_is_no_date_is_said(text: str) -> None:
    with pytest.raises(BadFilter, match=r"^NewerThan: .*; write 2026-01-31, 30 days, 6 months, or off$"):
        read_column("NewerThan", text)


@pytest.mark.parametrize(("days", "kept"), [(29, True), (31, False), (None, True)])
def test_a_video_without_a_date_is_kept(days: int | None, kept: bool) -> None:
    published = None if days is None else NOW - timedelta(days=days)
    assert keeps({"NewerThan": "30 days"}, published=published) is kept


# --- where they come from --------------------------------------------------------------------------------------------


def test_a_column_goes_before_the_setting_and_lifts_it_with_off() -> None:
    source = new_source(1, extra={"minduration": "5m", " Kinds ": "shorts", "MaxDuration": "off", "Gender": "f"})
    filters = Filters.of(source, {"MinDuration": "60", "MaxDuration": "10m", "TitleMatch": "x"})
    assert filters.text == "Kinds=shorts MinDuration=300 TitleMatch=x"


def test_a_refresh_interval_that_cannot_be_read_is_said_like_a_filter() -> None:
    with pytest.raises(BadFilter, match=r"^RefreshHours: 'daily' is not a number of hours"):
        Filters.of(new_source(1, extra={"RefreshHours": "daily"}), {})


def test_columns_are_known_in_any_capitals() -> None:
    assert filter_column(" kinds") == "Kinds"
    assert filter_column("REFRESHHOURS") == "RefreshHours"
    assert filter_column("Gender") is None


def test_settings_are_checked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_KINDS", "clips")
    with pytest.raises(ConfigError, match=r"kinds='clips': .*one or more of videos"):
        Config()
    monkeypatch.setenv("YDC_KINDS", "videos")
    monkeypatch.setenv("YDC_FIRST_VIDEOS", "100")
    assert Filters.read(Config().filters).text == "Kinds=videos FirstVideos=100"
    assert Config(first_videos=7).filters["FirstVideos"] == "7"
    with pytest.raises(ConfigError, match="MinDuration"):
        Config(min_duration="2m", max_duration="1m")


@given(said=st.dictionaries(st.sampled_from(sorted(set(COLUMNS) - {"RefreshHours", "Priority"})), st.text(max_size=12)))
def test_any_text_is_read_or_refused_in_one_line(said: dict[str, str]) -> None:
    text = "Kinds="
    with contextlib.suppress(BadFilter):
        text = Filters.read(said).text
    assert text.startswith("Kinds=")


SAME = [
    ({"MinDuration": "60"}, {"MinDuration": "1m"}),
    ({"Kinds": "shorts,videos"}, {"Kinds": "video short"}),
    ({}, {"Kinds": "video,short,live"}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_filters_have_the_same_text(one: dict[str, str], other: dict[str, str]) -> None:
    assert Filters.read(one).text == Filters.read(other).text
