"""Random stories of a fleet on a sheet: nothing that must never happen happens, whatever is killed, lost or typed."""

from __future__ import annotations

import logging

import pytest

from tests.simulation.chaos import NASTY, Chaos


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A story logs thousands of lines that nobody reads."""
    caplog.set_level(logging.CRITICAL)


REGRESSIONS = {
    2: "A source was shown as in progress for ever: repairs were counted by whoever had written, and that one had left.",
    7: "A worker that slept showed a row that others had changed meanwhile, on a line that had become another row's.",
    117: "A person typed `done` in the dead letters; nobody heeded it, and it stood there for ever.",
    238: "A result whose answer was lost was asked for again with a new word: now the words that were sent are remembered.",
    565: "A draft that a sort had put on a row covered its word, and its video was inserted once more: slots are read too.",
    408: "A row was deleted while it was processed and its URL came anew: another row, which may run (not a violation).",
}


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_a_story_that_once_went_wrong(seed: int) -> None:
    Chaos(seed).run()


@pytest.mark.parametrize("seed", range(1000, 1004))
def test_a_story(seed: int) -> None:
    Chaos(seed).run()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_stories() -> None:
    for seed in range(2000, 2040):
        Chaos(seed).run()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stories_with_more_of_everything_that_goes_wrong() -> None:
    for seed in range(3000, 3020):
        Chaos(seed, NASTY).run()
