"""The setting of target hours, and what is made of the playing times."""

from __future__ import annotations

import math
import re

import pytest

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.queue.targets import TargetProgress


def targets(value: object) -> dict[str, float]:
    return Config(_env_file=None, target_hours=value).target_hours


@pytest.mark.parametrize(
    ("value", "hours"),
    [
        ("pt-BR:100,en-IE:50", {"pt-BR": 100, "en-IE": 50}),
        (" pt-BR : 0.5 , north: west :2 ", {"pt-BR": 0.5, "north: west": 2}),
        ("Northern Irish:1e3", {"Northern Irish": 1000}),
        ({"pt-BR": 100, "a,b:c": 0.25, "en": "7"}, {"pt-BR": 100, "a,b:c": 0.25, "en": 7}),
        ("", {}),
        ("  ", {}),
        ({}, {}),
        (None, {}),
    ],
)
def test_hours_are_given_by_accent(value: object, hours: dict[str, float]) -> None:
    assert targets(value) == hours


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("pt-BR", "'pt-BR' is not ACCENT:HOURS: write pt-BR:100,en-IE:50"),
        ("pt-BR:100,", "'' is not ACCENT:HOURS"),
        ("pt-BR:12,5", "'5' is not ACCENT:HOURS"),
        (" :100", "' :100' names no accent"),
        ("pt-BR:", "the hours of 'pt-BR' are '', not a positive number: write pt-BR:100,en-IE:50"),
        ("pt-BR:many", "the hours of 'pt-BR' are 'many', not a positive number"),
        ("pt-BR:0", "the hours of 'pt-BR' are '0', not a positive number"),
        ("pt-BR:-1", "the hours of 'pt-BR' are '-1', not a positive number"),
        ("pt-BR:nan", "the hours of 'pt-BR' are 'nan', not a positive number"),
        ("pt-BR:inf", "the hours of 'pt-BR' are 'inf', not a positive number"),
        ({"pt-BR": math.nan}, "the hours of 'pt-BR' are nan, not a positive number"),
        ({"pt-BR": True}, "the hours of 'pt-BR' are True, not a positive number"),
        ({"pt-BR": None}, "the hours of 'pt-BR' are None, not a positive number"),
        ("pt-BR:1,PT-br:2", "the accent 'PT-br' is there twice"),
        ({"Straße": 1, "STRASSE ": 2}, "the accent 'STRASSE' is there twice"),
        (["pt-BR:1"], "write pt-BR:100,en-IE:50"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_setting_and_the_part(value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^target_hours=.*: {re.escape(message)}") as caught:
        targets(value)
    assert "\n" not in str(caught.value)


def test_the_environment_gives_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_TARGET_HOURS", "pt-BR:100, en-IE:50")
    assert Config(_env_file=None).target_hours == {"pt-BR": 100, "en-IE": 50}


@pytest.mark.parametrize(
    ("hours", "on_the_way", "pending", "text"),
    [
        (100.24, 0, 1234, "pt-BR has 100.2 of 100 hours: its 1,234 pending videos are left"),
        (100, 3, 1, "pt-BR has 100.0 of 100 hours: its pending video is left"),
        (99, 1.5, 7, "pt-BR has 99.0 of 100 hours, and 1.5 more are on their way: its 7 pending videos are left"),
        (120, 0, 0, "pt-BR has 120.0 of 100 hours"),
        (99, 0.5, 7, "pt-BR has 99.0 of 100 hours"),
    ],
)
def test_the_progress_is_described_in_a_line(hours: float, on_the_way: float, pending: int, text: str) -> None:
    progress = TargetProgress(
        accent="pt-BR", target_hours=100, hours=hours, hours_on_the_way=on_the_way, pending=pending
    )
    assert str(progress) == text
