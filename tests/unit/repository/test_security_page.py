"""docs/security.md: behind each "cannot" stand tests, and they exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/security.md"
HEADING = re.compile(r"^\| (?:they cannot|it cannot|nobody can read) \| tests \|$")


def rows(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each claim of what cannot be done, with the names of its tests."""
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


def test_each_claim_names_tests_that_exist() -> None:
    page = PAGE.read_text(encoding="utf-8")
    tables = len([line for line in page.splitlines() if line.endswith("| tests |")])
    assert tables == len([line for line in page.splitlines() if HEADING.match(line)])
    assert len(list(rows(page))) > 20
    assert unproved(page) == []


def test_a_claim_without_a_test_is_found() -> None:
    page = "| they cannot | tests |\n| --- | --- |\n| fly | `test_a_pig_flies` |\n| swim | |\n"
    assert unproved(page + "| lie | `test_each_claim_names_tests_that_exist` |\n\n| a | b |\n") == ["fly", "swim"]
