"""Fixtures for tests of listings."""

from __future__ import annotations

from typing import Any

import pytest
import yt_dlp

from tests.support.listing_answers import Answers


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Return the dictionary of yt-dlp's answers by URL: an info, an error to raise, or a function that returns one."""
    known: Answers = {}

    def extract_info(self: object, url: str, *args: object, **named: object) -> Any:
        answer = known[url]() if callable(known[url]) else known[url]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", extract_info)
    return known
