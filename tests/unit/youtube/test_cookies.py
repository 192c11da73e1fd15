"""A file of cookies: what yt-dlp gets of it, and whether its login holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from youtube_download_coordinator.errors import UnfitError
from youtube_download_coordinator.youtube.cookies import check_cookies, read_cookies

NOW = datetime(2026, 11, 25, tzinfo=UTC)
MONTH = timedelta(days=30)


def line(name: str, ends: datetime | None = NOW + MONTH, domain: str = ".youtube.com", before: str = "") -> str:
    expires = int(ends.timestamp()) if ends else 0
    return f"{before}{domain}\tTRUE\t/\tTRUE\t{expires}\t{name}\tsecret-value"


def write(path: Path, *lines: str) -> Path:
    path.write_text("# Netscape HTTP Cookie File\n\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cookies.txt"


LOGIN = (line("LOGIN_INFO"), line("SAPISID"))


def test_a_login_holds_until_its_first_part_expires(path: Path) -> None:
    write(path, line("LOGIN_INFO", NOW + 2 * MONTH, before="#HttpOnly_"), line("SAPISID"), line("PREF", NOW - MONTH))
    assert check_cookies(path, NOW).endswith("has a login for YouTube until 2026-12-25T00:00:00Z")


def test_the_signature_that_lasts_longest_counts(path: Path) -> None:
    write(path, *LOGIN, line("__Secure-3PAPISID", NOW - MONTH))
    assert "has a login" in check_cookies(path, NOW)


def test_a_login_of_the_session_has_no_end(path: Path) -> None:
    write(path, line("LOGIN_INFO", None), line("SAPISID", None))
    assert check_cookies(path, NOW).endswith("has a login for YouTube")


def test_cookies_without_a_login_are_a_guests(path: Path) -> None:
    write(path, line("PREF"))
    assert "YouTube treats requests as a guest's" in check_cookies(path, NOW)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (line("LOGIN_INFO", NOW - MONTH) + "\n" + line("SAPISID"), "expired at 2026-10-26"),
        (line("LOGIN_INFO", domain=".example.org"), "has no cookies of youtube.com"),
        (line("LOGIN_INFO", domain=".notyoutube.com"), "has no cookies of youtube.com"),
        ('[{"domain": ".youtube.com"}]', "is JSON, not the Netscape format"),
        ("", "has no cookies in it"),
        (line("LOGIN_INFO").replace("\t", " "), "has no cookies in it"),
    ],
)
def test_what_is_of_no_use_says_what_to_do(path: Path, content: str, says: str) -> None:
    path.write_text(content)
    with pytest.raises(UnfitError) as caught:
        check_cookies(path, NOW)
    assert says in str(caught.value)
    assert "YDC_COOKIES_FILE" in str(caught.value)
    assert "secret-value" not in str(caught.value)
    assert caught.value.reason == "cookies"


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, lambda path: path.write_bytes(b"\xff\xfe\0")])
def test_what_cannot_be_read_is_said(path: Path, make: object) -> None:
    assert callable(make)
    make(path)
    with pytest.raises(UnfitError, match="cannot be read"):
        check_cookies(path, NOW)


def test_a_line_that_yt_dlp_would_print_does_not_reach_it(path: Path) -> None:
    write(path, *LOGIN, "half a line with secret-value", line("X").replace(str(int((NOW + MONTH).timestamp())), "soon"))
    assert read_cookies(path).splitlines()[1:] == list(LOGIN)
