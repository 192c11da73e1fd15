"""Run `ydc`, the command line. Each module of this package contains a group of commands.

Exit codes: 0 success; 1 something failed and was reported (a video, a source, a line of the file); 2 a usage error, whose
message says how to fix it; 128 and the number of the signal that interrupted it (130 Ctrl-C, 143 SIGTERM, 129 a hangup).
"""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import Annotated, NoReturn

from cyclopts import CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from youtube_download_coordinator.cli import (
    add,
    card,
    changes,
    copy,
    deploy,
    export,
    manifest,
    pause,
    publish,
    publish_hub,
    purge,
    readiness,
    repairs,
    rows,
    run,
    status,
    upgrade,
    verify,
)
from youtube_download_coordinator.cli.application import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_MISTAKE,
    OTHER,
    Interrupted,
    app,
)
from youtube_download_coordinator.cli.terminal import printable_lines, say
from youtube_download_coordinator.errors import CoordinatorError, UserError

__all__ = [
    "add",
    "app",
    "card",
    "changes",
    "copy",
    "deploy",
    "export",
    "main",
    "manifest",
    "pause",
    "publish",
    "publish_hub",
    "purge",
    "readiness",
    "repairs",
    "rows",
    "run",
    "status",
    "upgrade",
    "verify",
]


class PrintableFormatter(logging.Formatter):
    """A formatter that replaces control characters, because messages contain titles from YouTube."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Error numbers for a disk or a file that cannot be written."""
LIBRARY = logging.getLogger("youtube_download_coordinator")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line. Report every error as one line on stderr."""
    _replace_closed_streams()
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(PrintableFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[log])
    LIBRARY.setLevel(logging.ERROR)  # the commands print what matters
    LIBRARY.getChild("queue.admission").setLevel(logging.WARNING)  # why nothing is claimed
    LIBRARY.getChild("workers.wait_log").setLevel(logging.INFO)  # why nothing starts yet
    LIBRARY.getChild("wiring").setLevel(logging.WARNING)  # whether the settings may name the wrong queue
    _catch_signals()
    _replace_unknown_characters()
    try:
        code: object = app.meta(arguments, result_action="return_value", print_error=False, exit_on_error=False)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a traceback does not help a user
        if isinstance(error, OSError):
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # Python would report the error again at exit
        message, code = _message_and_exit_code(error)
        with suppress(OSError):  # the terminal is gone
            say(f"ydc: {message}", problem=True)
    sys.exit(code if isinstance(code, int) else 0)


def _catch_signals() -> None:
    """Make stop signals interrupt the command, except those that the parent process ignores (nohup)."""
    signal.signal(signal.SIGTERM, _interrupt)
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise Interrupted(number)


def _message_and_exit_code(error: BaseException) -> tuple[str, int]:
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    # After a hangup, writing fails too: report the interruption, not the failed write.
    interruption = error.__context__ if isinstance(error, OSError) else error
    if isinstance(interruption, KeyboardInterrupt):
        code = interruption.exit_code if isinstance(interruption, Interrupted) else EXIT_INTERRUPTED
        return f"interrupted{notes}", code
    match error:
        case CycloptsError() | UserError():
            return _usage_error(error) if isinstance(error, CycloptsError) else f"{error}", EXIT_MISTAKE
        case CoordinatorError():
            return f"{type(error).__name__}: {error}", EXIT_FAILED
        case BrokenPipeError():
            return f"the output was closed{notes}", EXIT_FAILED
        case OSError() if error.errno in DISK_ERRORS:
            return f"cannot write: {error.strerror}{notes}", EXIT_FAILED
        case _:
            problem = f"{type(error).__name__}: {error}"
            return f"internal error: {problem}; please report it, with the output of --debug", EXIT_FAILED


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    debug: Annotated[bool, Parameter(negative="", group=OTHER)] = False,
) -> object:
    """Run one command.

    Parameters
    ----------
    debug
        Log more, and print the traceback of an error.
    """
    if debug:
        LIBRARY.setLevel(logging.INFO)
    try:
        return app(tokens, result_action="return_value", print_error=False, exit_on_error=False)
    except Exception:
        if debug:
            print(printable_lines(traceback.format_exc()), file=sys.stderr, end="")
        raise


def _replace_unknown_characters() -> None:
    """Make the output print a question mark for a character that the locale cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _replace_closed_streams() -> None:
    """Open /dev/null in place of a stream that the shell has closed (`ydc status >&-`). Python sets such a stream to None."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open until the process ends


def _usage_error(error: CycloptsError) -> str:
    command = " ".join(error.command_chain or ())
    if isinstance(error, UnusedCliTokensError):
        return f"{command} does not take {' '.join(error.unused_tokens or ())!r}: ydc {command} --help"
    if isinstance(error, MissingArgumentError) and error.argument and not (error.argument.tokens or error.keyword):
        lines = (line.strip() for line in (error.target.__doc__ or "").splitlines())
        example = next((line for line in lines if line.startswith("ydc ")), "")
        return f"{command} needs {error.argument.name}{f', as in: {example}' if example else ''}"
    return " ".join(str(error).split())
