"""Random stories of a fleet on a sheet: nothing that must never happen happens, whatever is killed, lost or typed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.shrinking import Shrinker
from tests.simulation.story import LINES_MAX, describe_story
from tests.simulation.telling import first_that_goes_wrong, tell, tell_all
from tests.simulation.trouble import NASTY

FLEETS = 40
SEEDS_TO_CATCH = 60
"""A mutation is caught within so many stories; docs/proof-history.md shows how many it took."""
RARELY_MET = frozenset({
    "adoption_forgets_what_it_covered", "begun_on_a_lease_that_ran_out", "claimed_before_a_cooldown_begun_after_it",
    "each_process_counts_for_itself", "everybody_probes", "nonsense_goes_on", "nothing_is_given_back", "one_video_is_an_outage",
    "rows_are_blamed_for_a_block_of_their_machine",
})  # fmt: skip
"""Mutations that take a dozen stories or more: minutes. `make mutations` tells them too."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Silence the log: a story logs thousands of lines that nobody reads."""
    caplog.set_level(logging.CRITICAL)


RECORDED_AGAIN_AFTER_THE_PROBE = 62033
"""A story in which a refusal is recorded again, because the answer was lost, after a probe has ended its cooldown."""


@pytest.mark.parametrize("seed", [*range(1000, 1008), RECORDED_AGAIN_AFTER_THE_PROBE])
def test_a_story(seed: int) -> None:
    assert tell(seed).wrong == ""


def test_a_seed_tells_the_same_story_again_to_the_last_byte() -> None:
    first, second, other = tell(7), tell(7), tell(8)
    assert first == second
    assert first.trace != other.trace


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_tells_the_same_story(hash_seed: str) -> None:
    """Also where Python puts sets of text into another order."""
    code = "import logging; logging.disable(50); from tests.simulation.telling import tell; print(tell(7).trace)"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == tell(7).trace


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_story_that_goes_wrong_becomes_short_and_is_told_in_words() -> None:
    mutation = "lost_answer_taken_for_a_failure"
    caught = first_that_goes_wrong(range(SEEDS_TO_CATCH), mutation)
    assert caught is not None
    shrinker = Shrinker(caught.seed, mutation)
    before = len(shrinker.told.trouble)
    short = shrinker.shrink()
    assert short.wrong[:3] == caught.wrong[:3]
    assert len(short.trouble) <= before
    text = describe_story(short.events, short.wrong)
    assert text.count("\n") <= LINES_MAX + 1
    assert text.endswith(short.wrong)
    assert "held host" in text, text


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutation", [name for name in MUTATIONS if name not in RARELY_MET][::4])
def test_a_deliberate_mistake_is_caught(mutation: str) -> None:
    caught = first_that_goes_wrong(range(SEEDS_TO_CATCH), mutation)
    assert caught is not None
    assert not caught.wrong.startswith("TypeError"), "the mutation no longer fits the code that it changes"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_fleets() -> None:
    told = list(tell_all(range(2000, 2000 + FLEETS)))
    assert [(each.seed, each.wrong) for each in told if each.wrong] == []
    assert len(told) == FLEETS
    assert sum(each.attempts for each in told) > FLEETS


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fleets_with_more_of_everything_that_goes_wrong() -> None:
    told = list(tell_all(range(3000, 3008), NASTY))
    assert [(each.seed, each.wrong) for each in told if each.wrong] == []
