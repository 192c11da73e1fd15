"""Run checks one after the other. If a check fails, only the checks that need it are skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from youtube_download_coordinator.errors import CoordinatorError

CheckFunction = Callable[[], "str | Iterable[tuple[bool, str]]"]
"""Returns a text, or several pairs of success and text. Raises CoordinatorError with a message about what to do."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check, with the name of the check that must succeed first."""

    name: str
    run: CheckFunction
    needs: str = ""
    stops: bool = True
    """Whether no worker can work if the check fails. Otherwise a failure is a warning."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the result."""

    name: str
    ok: bool
    text: str
    stops: bool = True

    def __str__(self) -> str:
        word = "ok" if self.ok else "PROBLEM" if self.stops else "warning"
        return f"{word:<8} {self.name}: {self.text}"


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """Run the checks and yield the findings. Skip a check if the one that it needs has failed."""
    failed: set[str] = set()
    for check in checks:
        if check.needs in failed:
            failed.add(check.name)
            continue
        for finding in _run(check):
            if not finding.ok:
                failed.add(check.name)
            yield finding


def _run(check: Check) -> Iterator[Finding]:
    try:
        result = check.run()
        for ok, text in [(True, result)] if isinstance(result, str) else result:
            yield Finding(check.name, ok, text, check.stops)
    except CoordinatorError as error:
        yield Finding(check.name, False, " ".join(str(error).split()), check.stops)
