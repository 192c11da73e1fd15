"""docs/security.md: every "cannot" is tried by tests, which docs/security-tests.md names and which exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/security.md"
TESTS = ROOT / "docs/security-tests.md"
LIST = re.compile(r"^\*\*(?:They cannot|It cannot|Nobody can read):\*\*\n\n((?:(?:\* |  ).*\n)+)", re.MULTILINE)
HEADING = re.compile(r"^\| (?:they cannot|it cannot|nobody can read) \| tests \|$")


def claims(page: str) -> list[str]:
    """Return each claim of what cannot be done, up to its explanation."""
    bullets = (bullet for found in LIST.findall(page) for bullet in re.split(r"^\* ", found, flags=re.MULTILINE)[1:])
    return [re.split(r"\.(?: |$)", " ".join(bullet.split()))[0] for bullet in bullets]


def rows(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each claim of the tables, with the names of its tests."""
    inside = False
    for line in page.splitlines():
        inside = bool(HEADING.match(line)) or (inside and line.startswith("|"))
        if inside and not HEADING.match(line) and not line.startswith("| ---"):
            claim, tests = line.strip("|").split("|")
            yield claim.strip(), re.findall(r"`(\w+)`", tests)


def defined() -> set[str]:
    """Return the names of all tests."""
    files = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for text in files for name in re.findall(r"^\s*def (test_\w+)\(", text, re.MULTILINE)}


def unproved(page: str) -> list[str]:
    known = defined()
    return [claim for claim, tests in rows(page) if not tests or set(tests) - known]


def test_each_claim_is_in_the_tables_of_tests() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(LIST.findall(page)) == len(re.findall(r"^\*\*.*:\*\*$", page, re.MULTILINE))
    assert len(claims(page)) > 40
    assert claims(page) == [claim for claim, _ in rows(TESTS.read_text(encoding="utf-8"))]


def test_each_claim_names_tests_that_exist() -> None:
    page = TESTS.read_text(encoding="utf-8")
    tables = len([line for line in page.splitlines() if line.endswith("| tests |")])
    assert tables == len([line for line in page.splitlines() if HEADING.match(line)])
    assert unproved(page) == []


def test_a_claim_is_read_over_several_lines_and_up_to_its_explanation() -> None:
    page = "**They cannot:**\n\n* fly\n  home. They have no wings.\n* swim.\n\n* They can run.\n"
    assert claims(page) == ["fly home", "swim"]


def test_a_claim_without_a_test_is_found() -> None:
    page = "| they cannot | tests |\n| --- | --- |\n| fly | `test_a_pig_flies` |\n| swim | |\n"
    assert unproved(page + "| lie | `test_each_claim_names_tests_that_exist` |\n\n| a | b |\n") == ["fly", "swim"]
