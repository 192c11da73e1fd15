"""Settings: where they come from, and the one line that says which of them is wrong."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError, UserError
from youtube_download_coordinator.queue.offers import NO_OFFER
from youtube_download_coordinator.queue.rate_limit import RateLimit


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Change to a working directory without a .env, and unset all YDC_ variables. Return the directory."""
    for name in [name for name in os.environ if name.startswith("YDC_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_defaults_are_an_embedded_queue() -> None:
    config = Config()
    assert config.database_url == "sqlite:///coordinator.db"
    assert (config.max_retries, config.lease, config.sources_file_path) == (3, timedelta(minutes=15), None)


def test_an_argument_goes_before_the_environment_before_the_file_before_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("YDC_MAX_RETRIES=5\nYDC_CONCURRENCY=6\nYDC_CLAIM_BATCH_SIZE=7\nOTHERS_NAME=x\n")
    monkeypatch.setenv("YDC_MAX_RETRIES", "8")
    monkeypatch.setenv("YDC_CONCURRENCY", "9")
    config = Config(max_retries=11)
    assert (config.max_retries, config.concurrency, config.claim_batch_size) == (11, 9, 7)
    assert config.idle_poll_seconds == 30


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_MAX_RETRIES", "")
    assert Config().max_retries == 3


def test_a_lease_may_be_a_fraction_of_a_minute() -> None:
    assert Config(stalled_task_timeout_minutes=0.005).lease == timedelta(milliseconds=300)


def test_paths_and_switches_are_read_from_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_SOURCES_FILE_PATH", "my sources.txt")
    monkeypatch.setenv("YDC_ALLOW_OTHER_SITES", "true")
    config = Config()
    assert (config.sources_file_path, config.allow_other_sites) == (Path("my sources.txt"), True)


def test_a_choice_of_numbers_is_read_from_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_AUDIO_CODEC", "wav")
    monkeypatch.setenv("YDC_AUDIO_SAMPLE_RATE_HZ", "16000")
    assert Config().audio_sample_rate_hz == 16000
    monkeypatch.setenv("YDC_AUDIO_SAMPLE_RATE_HZ", "16001")
    with pytest.raises(ConfigError, match="16001"):
        Config()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Config().max_retries = 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_retries": 0}, "max_retries=0: input should be greater than or equal to 1"),
        ({"max_retries": "many"}, "max_retries='many': input should be a valid integer"),
        ({"max_retries": 1.5}, "max_retries=1.5: input should be a valid integer"),
        ({"max_retries": None}, "max_retries=None: input should be a valid integer"),
        ({"attempt_timeout_minutes": -1}, "attempt_timeout_minutes=-1: input should be greater than 0"),
        ({"stalled_task_timeout_minutes": 0}, "stalled_task_timeout_minutes=0: input should be greater than 0"),
        ({"listing_timeout_minutes": "inf"}, "listing_timeout_minutes='inf': input should be a finite number"),
        ({"retry_backoff_seconds": float("nan")}, "retry_backoff_seconds=nan: input should be a finite number"),
        ({"retry_backoff_max_seconds": 1e300}, "retry_backoff_max_seconds=1e+300: input should be less than"),
        ({"idle_poll_seconds": -0.1}, "idle_poll_seconds=-0.1: input should be greater than or equal to 0"),
        ({"concurrency": 0}, "concurrency=0: input should be greater than or equal to 1"),
        ({"claim_batch_size": 10**6}, "claim_batch_size=1000000: input should be less than or equal to 1000"),
        ({"audio_codec": "mp4"}, "audio_codec='mp4': input should be 'best', 'm4a'"),
        ({"allow_other_sites": "perhaps"}, "allow_other_sites='perhaps': input should be a valid boolean"),
        ({"database_url": 7}, "database_url: input should be a valid string"),
        ({"max_retires": 5}, "there is no setting max_retires; did you mean max_retries?"),
        ({"spreadsheet": "x"}, "there is no setting spreadsheet"),
        (
            {"licenses": "creativecommons"},
            "is not one of creative-commons, youtube, unknown; did you mean creative-commons?",
        ),
        ({"licenses": "creative-commons cc-by"}, "cc-by is not one of creative-commons, youtube, unknown"),
        ({"trainable": "None"}, "trainable='None': it must be all, or the name of one company"),
        ({"trainable": "true"}, "trainable='true': it must be all, or the name of one company"),
        ({"trainable": "Adobe, Example"}, "it must be all, or the name of one company"),
        ({"trainability": "yes"}, "trainability='yes': input should be 'off' or 'ask'"),
        ({"trainability_url": "http://user:secret@example.com"}, "trainability_url: it must be an https address"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(**settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UserError)
    assert isinstance(caught.value, ValueError)


def test_every_wrong_setting_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^max_retries=0: .*; concurrency=-1: [^;]*$"):
        Config(max_retries=0, concurrency=-1)


def test_a_wrong_variable_is_named_as_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match=r"^max_retries='0': "):
        Config()


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_MAX_RETRYS", "5")
    with pytest.raises(ConfigError, match=r"^there is no setting YDC_MAX_RETRYS; did you mean max_retries\?$"):
        Config()


def test_a_misspelt_line_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OTHERS=1\nYDC_FROBNICATE=1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^there is no setting YDC_FROBNICATE \(in \.env\)$"):
        Config()


def test_variables_of_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("MAX_RETRYS=5\nYDC_CHECKOUT=/srv\nydc_max_retries=5\n", encoding="utf-8")
    monkeypatch.setenv("YDC_PREFECT_BLOCK", "fleet")
    monkeypatch.setenv("YDC_TEST_POSTGRESQL_URL", "x")
    assert Config().max_retries == 5


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"YDC_MAX_RETRIES=\xff\n")
    with pytest.raises(ConfigError, match=r"\.env in '.*' cannot be read"):
        Config()


@pytest.mark.parametrize("name", Config.model_fields)
def test_every_setting_says_what_it_is_for(name: str) -> None:
    description = Config.model_fields[name].description
    assert description
    assert len(description) > 20
    assert description.endswith(".")


@pytest.mark.parametrize("name", Config.model_fields)
def test_every_number_is_bounded(name: str) -> None:
    field = Config.model_fields[name]
    if field.annotation in {int, float}:
        bounds = {type(limit).__name__ for limit in field.metadata}
        assert bounds & {"Ge", "Gt"}
        assert field.annotation is int or "Le" in bounds


def test_words_of_rights_are_read_whatever_their_spaces_and_case() -> None:
    config = Config(licenses="creative-commons, youtube", trainable="  Example   Inc.")
    assert (config.licenses, config.trainable) == (("creative-commons", "youtube"), "Example Inc.")
    assert Config(trainable="ALL").trainable == "all"
    assert (Config(licenses="").licenses, Config(trainable=" ").trainable) == ((), "")


def test_a_machine_with_cookies_for_what_needs_them_offers_its_account(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    offering = Config(cookies_file=cookies, cookies_use="when-needed", offers="region:br")
    assert str(offering.offer) == "account, region:BR"
    assert (Config(cookies_file=cookies).offer, Config(cookies_use="when-needed").offer) == (NO_OFFER, NO_OFFER)
    limits = [config.rate_limit for config in (Config(cookies_file=cookies), offering, Config())]
    assert limits == [RateLimit(1800), RateLimit(270), RateLimit(270)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("region:UK,account", "offers='region:UK,account': not an offer: region:UK; did you mean region:GB?"),
        ("BR", "offers='BR': not an offer: BR; did you mean region:BR?"),
    ],
)
def test_a_mistake_in_what_is_offered_is_one_line(monkeypatch: pytest.MonkeyPatch, text: str, problem: str) -> None:
    monkeypatch.setenv("YDC_OFFERS", text)
    with pytest.raises(ConfigError) as raised:
        Config()
    assert str(raised.value) == problem


@pytest.mark.parametrize(
    ("url", "is_valid"),
    [
        ("https://sheets.googleapis.com", True),
        ("https://sheets.example:8443/x", True),
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80", True),
        ("http://localhost:1", True),
        ("http://sheets.googleapis.com", False),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://127.0.0.1@example", False),
        ("https://me:hush@sheets.googleapis.com", False),
        ("http://10.0.0.1", False),
        ("ftp://127.0.0.1", False),
        ("https://", False),
        ("https://[::1", False),
        ("https://host:port", False),
        ("", False),
    ],
)
def test_googles_address_is_https_or_this_machine(url: str, is_valid: bool) -> None:
    """Every request there carries the account's token."""
    if is_valid:
        assert Config(sheets_api_url=url).sheets_api_url == url
        return
    with pytest.raises(ConfigError, match=r"sheets_api_url.*must be an https address") as caught:
        Config(sheets_api_url=url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["YDC_SHEETS_API_URL", "ydc_sheets_api_url", "YDC_TRAINABILITY_URL", "YDC_TRUST_ENV_FILE"]
)
def test_what_env_may_not_set_is_one_line(name: str) -> None:
    Path(".env").write_text(f"{name}=https://elsewhere.example\n")
    with pytest.raises(ConfigError, match=r"is not read from \.env"):
        Config()


@pytest.mark.parametrize(
    ("mode", "owner", "is_read"),
    [
        (0o600, "own", True), (0o644, "own", True), (0o664, "own", True), (0o666, "own", False), (0o602, "own", False),
        (0o644, "root", True), (0o600, "other", False), (0o666, "root", False),
    ],
)  # fmt: skip
def test_an_env_file_that_others_write_is_refused(
    monkeypatch: pytest.MonkeyPatch, mode: int, owner: str, is_read: bool
) -> None:
    """The owner of the file is what it is; the process runs as another user."""
    path = Path(".env")
    path.write_text("YDC_MAX_RETRIES=5\n")
    path.chmod(mode)
    real = path.stat()
    numbers = {"own": 4711, "root": 0, "other": 4712}
    status = os.stat_result((*real[:4], numbers[owner], *real[5:]))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    for method in ("stat", "lstat"):
        monkeypatch.setattr(Path, method, lambda self, **_: status)
    if is_read:
        assert Config().max_retries == 5
        return
    with pytest.raises(ConfigError, match="YDC_TRUST_ENV_FILE=true") as caught:
        Config()
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("YDC_TRUST_ENV_FILE", "true")
    assert Config().max_retries == 5


def test_a_link_of_another_user_to_an_env_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("YDC_MAX_RETRIES=5\n")
    Path(".env").symlink_to("settings")
    assert Config().max_retries == 5
    real = Path(".env").lstat()
    other = os.stat_result((*real[:4], os.geteuid() + 1, *real[5:]))
    monkeypatch.setattr(Path, "lstat", lambda self: other)
    with pytest.raises(ConfigError, match="belongs to the user with the number"):
        Config()


@pytest.mark.parametrize(
    ("setting", "built_in", "own"),
    [(None, 2_000_000_000, 0), (0, 0, 0), (500_000_000, 500_000_000, 500_000_000)],
)
def test_a_child_process_has_a_memory_limit_unless_it_runs_code_of_the_user(
    setting: int | None, built_in: int, own: int
) -> None:
    config = Config(max_child_memory_bytes=setting)
    limits = config.child_limits(), config.child_limits(runs_own_code=True)
    assert [limit.memory_bytes for limit in limits] == [built_in, own]


def test_a_memory_limit_that_every_attempt_exceeds_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^max_child_memory_bytes=2000: it must be 0, or at least 100000000"):
        Config(max_child_memory_bytes=2000)
