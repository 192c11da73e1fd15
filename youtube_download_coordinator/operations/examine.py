"""`ydc doctor`: checks one after the other, a line each. One that fails does not stop the others, but those that need it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from youtube_download_coordinator.errors import CoordinatorError

Look = Callable[[], "str | Iterable[tuple[bool, str]]"]
"""Says what it found: a text, or several with whether each is well. Raises CoordinatorError, which says what to do."""


@dataclass(frozen=True, slots=True)
class Check:
    """A look, and the name of the check without which it makes no sense."""

    name: str
    look: Look
    needs: str = ""
    stops: bool = True
    """Whether no worker can work when it fails; else it is a warning."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    ok: bool
    text: str
    stops: bool = True

    def __str__(self) -> str:
        word = "ok" if self.ok else "PROBLEM" if self.stops else "warning"
        return f"{word:<8} {self.name}: {self.text}"


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """Make every check that makes sense; findings come as they are made."""
    failed: set[str] = set()
    for check in checks:
        if check.needs in failed:
            failed.add(check.name)
            continue
        for finding in _look(check):
            if not finding.ok:
                failed.add(check.name)
            yield finding


def _look(check: Check) -> Iterator[Finding]:
    try:
        found = check.look()
        texts = [(True, found)] if isinstance(found, str) else found
        for ok, text in texts:
            yield Finding(check.name, ok, text, check.stops)
    except CoordinatorError as error:
        yield Finding(check.name, False, " ".join(str(error).split()), check.stops)
