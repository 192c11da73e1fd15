"""Nobody who looks at the queue, with whatever, is commanded by a title or a result in it."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import new_video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import Done
from youtube_download_coordinator.text import sanitize
from youtube_download_coordinator.workers.run_processor import process_video


def without_controls(text: str) -> str:
    return "".join(each for each in text if unicodedata.category(each) != "Cc" or each in "\t\n\r")


def test_nothing_in_a_result_is_a_control() -> None:
    outcome = process_video("tests.support.sample_processors:says_more_than_words", new_video(1), Config())
    assert outcome == Done(result="]0;owned031m tab")


@given(st.text())
def test_what_is_stored_has_no_control_characters(text: str) -> None:
    assert sanitize(text) == without_controls(text)
