"""The rate limit: at most so many starts an hour, whoever asks; a clock that is set back delays nobody for long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Control
from youtube_download_coordinator.queue.rate_limit import RateLimit

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def begin_as_fast_as_allowed(rate_limit: RateLimit, seconds: float, line: Control | None = None) -> list[datetime]:
    """Return the times at which attempts begin if one is always waiting."""
    begun, now = [], NOW
    while now < NOW + timedelta(seconds=seconds):
        if (after := rate_limit.take(line, now)) is not None:
            line = after
            begun.append(now)
        else:
            wait = rate_limit.delay(line, now)
            assert wait > timedelta(0)
            now += wait
    return begun


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7, 270, 1800])
def test_no_hour_sees_more_than_the_limit_and_the_next_no_less(limit: int) -> None:
    begun = begin_as_fast_as_allowed(RateLimit(limit), 3 * 3600)
    counts = [sum(start <= moment < start + HOUR for moment in begun) for start in begun]
    assert max(counts) <= limit
    assert len(begun) >= 1.5 * limit


def test_a_burst_is_a_sixth_of_an_hour() -> None:
    assert begin_as_fast_as_allowed(RateLimit(270), 1).count(NOW) == 45


@settings(max_examples=50, deadline=None)
@given(pauses=st.lists(st.floats(0, 2000), min_size=1, max_size=200), limit=st.integers(1, 60))
def test_no_hour_sees_more_however_they_come(pauses: list[float], limit: int) -> None:
    rate_limit, line, now = RateLimit(limit), None, NOW
    begun: list[datetime] = []
    for pause in pauses:
        now += timedelta(seconds=pause)
        if (after := rate_limit.take(line, now)) is not None:
            line = after
            begun.append(now)
    assert all(sum(start <= moment < start + HOUR for moment in begun) <= limit for start in begun)


@pytest.mark.parametrize("back", [timedelta(minutes=5), timedelta(days=3000)])
def test_a_clock_that_was_set_back_stops_nobody_for_hours(back: timedelta) -> None:
    rate_limit = RateLimit(270)
    line = Control(name="pace", until=NOW + rate_limit.burst * rate_limit.interval)
    assert rate_limit.delay(line, NOW - back) <= rate_limit.interval


def test_what_asked_for_nothing_gives_its_place_back() -> None:
    rate_limit = RateLimit(6)
    line = rate_limit.take(None, NOW)
    assert rate_limit.delay(line, NOW) > timedelta(0)
    assert rate_limit.delay(rate_limit.refund(line, NOW), NOW) == timedelta(0)
    assert rate_limit.refund(None, NOW).until == NOW


@pytest.mark.parametrize(
    ("given_limit", "with_cookies", "limit"), [(None, False, 270), (None, True, 1800), (60, True, 60), (0, False, None)]
)
def test_the_limit_is_below_youtubes_own(given_limit: int | None, with_cookies: bool, limit: int | None) -> None:
    config = Config(videos_per_hour=given_limit, cookies_file="cookies.txt" if with_cookies else None)
    assert config.rate_limit == (limit and RateLimit(limit))
