"""Some weeks of the year that benchmarks/year.py measures: all of its outages, blocks and dead cookies, one after the other."""

from __future__ import annotations

import logging
from contextlib import closing

import pytest

from benchmarks.year import LAST_DAYS, live


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_video_becomes_what_its_label_says(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    with closing(live(LAST_DAYS + 6, 4)) as year:
        assert [figure.what for figure in year.figures("three weeks") if not figure.met] == []
        assert len(year.attempts) > year.added
