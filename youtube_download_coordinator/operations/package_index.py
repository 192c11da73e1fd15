"""Find releases of yt-dlp on the package index, with the pip of this environment and its configuration."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from youtube_download_coordinator.errors import CoordinatorError, UpgradeError, UserError
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.youtube.error_rules import without_logins
from youtube_download_coordinator.youtube.versions import EJS, YT_DLP, installed_version, is_newer

log = logging.getLogger(__name__)

PIP_SECONDS = 300.0
"""The longest time of one pip call. yt-dlp's wheel has 3 MB."""
INTERRUPT_SECONDS = 30.0
"""How long pip may take after an interrupt to restore what it was replacing."""

_UNREACHABLE = re.compile(
    r"connection|max retries|timed out|name resolution|proxyerror|sslerror|HTTP error 5\d\d", re.IGNORECASE
)
_NOT_THERE = re.compile(r"no matching distribution|could not find a version", re.IGNORECASE)
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+(?:\.?(?:dev|post|rc)[0-9]+)?")
_NOT_ALLOWED = re.compile(r"permission denied|read-only file system|not writ(?:e)?able", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Release:
    """A version of yt-dlp, with the version of yt-dlp-ejs that it requires (empty: none)."""

    yt_dlp: str
    ejs: str

    @property
    def packages(self) -> dict[str, str]:
        return {YT_DLP: self.yt_dlp} | ({EJS: self.ejs} if self.ejs else {})


def ejs_version_in(requirements: Iterable[str]) -> str:
    """Return the version of yt-dlp-ejs in the requirements of a yt-dlp release, or an empty string."""
    matches = (re.match(r"yt-dlp-ejs\s*\(?==\s*([\w.]+)", requirement) for requirement in requirements)
    return next((match[1] for match in matches if match), "")


def describe(newest: Release) -> str:
    """Return a line that compares the newest release on the index with the installed version."""
    installed = installed_version(YT_DLP)
    if is_newer(newest.yt_dlp, installed):
        return f"yt-dlp {newest.yt_dlp} is on the package index, and {installed or 'none'} is installed"
    return f"yt-dlp {installed} is installed, and the package index has no newer one"


def advise_upgrade() -> str:
    """Return advice about a newer yt-dlp on the package index. Return an empty text if there is none or the index fails."""
    try:
        newest = release()
    except CoordinatorError as error:
        log.warning("cannot check for a newer yt-dlp: %s", error)
        return ""
    return (
        f"yt-dlp {newest.yt_dlp} is out: ydc upgrade-yt-dlp"
        if is_newer(newest.yt_dlp, installed_version(YT_DLP))
        else ""
    )


def release(version: str = "") -> Release:
    """Return the newest release of yt-dlp on the package index that supports this Python, or the given version.

    Nothing is installed. Raises UpgradeError if the index does not answer, and UserError if a person must do something first.
    """
    if version and not _VERSION.fullmatch(version):
        raise UserError(f"{truncate(version)!r} is not a version of yt-dlp: give one like 2026.10.26")
    requirement = f"{YT_DLP}=={version}" if version else YT_DLP
    report = json.loads(
        pip(
            "install",
            "--dry-run",
            "--ignore-installed",
            "--no-deps",
            "--quiet",
            "--report",
            "-",
            *_PATIENCE,
            requirement,
        )
    )
    chosen = report["install"][0]["metadata"]
    return Release(chosen["version"], ejs_version_in(chosen.get("requires_dist", ())))


_PATIENCE = ("--retries", "1", "--timeout", "20")
"""Without a retry, pip does not print why the index did not answer."""


def pip(*arguments: str, locks: tuple[int, ...] = ()) -> str:
    """Run pip and return its output. It inherits `locks`, so that they are held until it ends.

    Raises UpgradeError or UserError with one line.
    """
    command = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = run_program(command, seconds=PIP_SECONDS, locks=locks)
    if done.returncode != 0:
        raise _error(done.stderr)
    return done.stdout


def run_program(command: list[str], *, seconds: float, locks: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a program and return its result. On Ctrl-C, send it SIGINT and give it time to clean up.

    Raises UpgradeError if it has not ended after `seconds`.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        pass_fds=locks,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException as error:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=INTERRUPT_SECONDS)
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                raise UpgradeError(f"{' '.join(command[2:5])} has not ended after {seconds:.0f} s") from None
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _error(printed: str) -> UpgradeError | UserError:
    """Return the error for pip's output, with advice."""
    lines = [line.strip() for line in without_logins(printed).splitlines() if line.strip()]
    last = truncate(next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1] if lines else ""))
    if re.search(r"No module named '?pip", printed):
        return UserError(
            f"there is no pip in {sys.prefix}: `{sys.executable} -m ensurepip` installs it;"
            " or upgrade yt-dlp in the way it was installed"
        )
    if "externally-managed-environment" in printed:
        return UserError(
            "this Python belongs to the operating system, where pip installs nothing: install the coordinator"
            " in a virtual environment (python3 -m venv)"
        )
    if _NOT_ALLOWED.search(printed):
        return no_permission(Path(sys.prefix))
    if _UNREACHABLE.search(printed):
        return UpgradeError(f"the package index does not answer: check the network and `pip config list` ({last})")
    if _NOT_THERE.search(printed):
        return UserError(f"the package index has no such version for this Python: {last}")
    return UpgradeError(f"pip failed: {last or 'it printed nothing'}")


def no_permission(folder: Path) -> UserError:
    """Return the error for a package folder that this user may not change."""
    return UserError(
        f"{folder} cannot be changed by this user: run the command as the user who installed the coordinator there;"
        " in a container, build the image again"
    )
