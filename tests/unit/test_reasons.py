"""Every reason that the code can produce is explained, and advice gets into LastError."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import youtube_download_coordinator
from tests.support.rows import POLICY, new_video
from youtube_download_coordinator.errors import AttemptError
from youtube_download_coordinator.models import Failure, State, Verdict
from youtube_download_coordinator.queue import lifecycle
from youtube_download_coordinator.reasons import (
    ABOUT_ONE_VIDEO,
    ADVICE_MAX_CHARACTERS,
    ASKED_FOR,
    BLOCKED,
    HAPPENS,
    MEDIA_BLOCK,
    OTHER_PROCESSOR,
    REASONS,
    SUBTITLES_BLOCK,
    SUSPECTED,
    TOO_LARGE,
    about,
    advice,
    document,
)
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS
from youtube_download_coordinator.youtube import error_rules, wordings

LIBRARY = Path(youtube_download_coordinator.__file__).parent


def produced() -> Iterator[str]:
    """Yield every reason that the library's source contains."""
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "reason" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)
    yield from re.findall(r'Verdict\.\w+, "([a-z0-9-]+)"', Path(error_rules.__file__).read_text(encoding="utf-8"))
    yield from (wording.reason for table in wordings.TABLES for wording in table)
    yield from error_rules._DISK_ERRORS.values()
    yield from (ASKED_FOR, BLOCKED, MEDIA_BLOCK, OTHER_PROCESSOR, SUBTITLES_BLOCK, SUSPECTED, TOO_LARGE)
    yield from (kind.default_reason for kind in AttemptError.__subclasses__())


def test_every_reason_is_explained() -> None:
    found = set(produced()) - {""}
    assert len(found) > 40
    assert sorted(reason for reason in found if about(reason) is None) == []


def test_nothing_else_is() -> None:
    """A reason that nothing produces would mislead."""
    elsewhere = {
        "by-hand",
        "interrupted",
        "purged",
        "unreadable-lease",
        "unreadable-row",
        "unknown-status",
        "duplicate",
        "http-NNN",
        "error",
        "queue-full",
        "upload",
        "place-refused",
        "trainability",
        "no-trainability",
    }
    assert sorted(set(REASONS) - set(produced()) - elsewhere) == []


def test_the_page_is_up_to_date() -> None:
    page = LIBRARY.parent / "docs" / "reasons.md"
    assert page.read_text(encoding="utf-8") == document(), (
        "python -m youtube_download_coordinator.reasons > docs/reasons.md"
    )


def test_every_verdict_is_explained() -> None:
    assert set(HAPPENS) == set(Verdict)


@pytest.mark.parametrize("reason", REASONS)
def test_advice_is_short_and_said_at_length_too(reason: str) -> None:
    known = REASONS[reason]
    assert known.means
    assert len(known.advice) <= ADVICE_MAX_CHARACTERS
    assert known.do or not known.advice


def last_error(reason: str, message: str) -> str:
    at = lifecycle.Moment(now=datetime(2026, 11, 25, tzinfo=UTC), nonce="n")
    held = lifecycle.claim(new_video(1), at, "host/a", POLICY)
    failed = lifecycle.fail(held, at, Failure(verdict=Verdict.PERMANENT, reason=reason, message=message), POLICY)
    assert failed.lease.state is State.DEAD
    assert failed.lease.reason == reason
    return failed.last_error


def test_advice_stands_behind_what_youtube_said() -> None:
    said = last_error("region", "not made available in your country")
    assert said == f"region: not made available in your country → {advice('region')}"


def test_advice_without_a_message_leaves_the_reason_readable() -> None:
    assert last_error("region", "") == f"region: {advice('region')}"


def test_what_youtube_said_comes_first() -> None:
    assert advice("region") not in last_error("region", "x" * 400)
    for length in range(150, 320):
        assert len(last_error("region", "x" * length)) <= DETAIL_MAX_CHARACTERS


def test_a_reason_of_somebodys_own_has_none() -> None:
    assert last_error("no-accent", "nobody speaks") == "no-accent: nobody speaks"
    assert about("http-507") == REASONS["http-NNN"]
    assert about("http-5070") is None


def test_a_wording_has_the_verdict_that_the_page_gives_its_reason() -> None:
    for wording in itertools.chain(*wordings.TABLES):
        assert str(wording.verdict) in str(REASONS[wording.reason].verdict), wording


def test_facts_about_one_video_are_reasons_that_throttle_nobody() -> None:
    assert set(REASONS) >= ABOUT_ONE_VIDEO
    machine = {Verdict.THROTTLED, Verdict.UNFIT}
    assert [reason for reason in ABOUT_ONE_VIDEO if REASONS[reason].verdict in machine] == []
