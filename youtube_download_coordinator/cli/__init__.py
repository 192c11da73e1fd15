"""The command `ydc`: the queue from a terminal. A module for each group of commands; here they come together.

Exit codes: 0 all is well; 1 something failed and is told (a video, a source, a line of the file); 2 a mistake that the message
says how to mend; 130 interrupted.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import sys
import traceback
from typing import Annotated, NoReturn

from cyclopts import CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from youtube_download_coordinator.cli import (
    adding,
    copying,
    deploying,
    exporting,
    readiness,
    repairs,
    report,
    rows,
    running,
    status,
    steering,
)
from youtube_download_coordinator.cli.application import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_MISTAKE, OTHER, app
from youtube_download_coordinator.cli.terminal import printable_lines, say
from youtube_download_coordinator.errors import CoordinatorError, UserError

__all__ = [
    "adding",
    "app",
    "copying",
    "deploying",
    "exporting",
    "main",
    "readiness",
    "repairs",
    "report",
    "rows",
    "running",
    "status",
    "steering",
]


class Printable(logging.Formatter):
    """The messages alone. They have titles in them, which a terminal must not obey."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What the system says of a disk or a file that takes no more."""
LIBRARY = logging.getLogger("youtube_download_coordinator")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; every error is one line on stderr."""
    _take_streams_that_are_closed()
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(Printable())
    logging.basicConfig(level=logging.WARNING, handlers=[log])
    LIBRARY.setLevel(logging.ERROR)  # what matters is told below
    LIBRARY.getChild("queue.admission").setLevel(logging.WARNING)  # but for why nothing happens
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _write_whatever_the_locale()
    try:
        code = app.meta(arguments, result_action="return_value", print_error=False, exit_on_error=False)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a traceback tells nothing to who has not written it
        if isinstance(error, OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would complain when it ends
        said, code = _ending(error)
        say(f"ydc: {said}", problem=True)
    sys.exit(code if isinstance(code, int) else 0)


def _ending(error: BaseException) -> tuple[str, int]:
    """What is said of an error, in one line, and the exit code."""
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    match error:
        case CycloptsError() | UserError():
            return _mistake(error) if isinstance(error, CycloptsError) else f"{error}", EXIT_MISTAKE
        case CoordinatorError():
            return f"{type(error).__name__}: {error}", EXIT_FAILED
        case KeyboardInterrupt():
            return f"interrupted{notes}", EXIT_INTERRUPTED
        case BrokenPipeError():
            return f"nobody reads the output any more{notes}", EXIT_FAILED
        case OSError() if error.errno in FULL:
            return f"nothing can be written any more: {error.strerror}{notes}", EXIT_FAILED
        case _:
            return (
                f"a fault of its own: {type(error).__name__}: {error}; --debug shows where, for a report",
                EXIT_FAILED,
            )


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    debug: Annotated[bool, Parameter(negative="", group=OTHER)] = False,
) -> object:
    """Run one command.

    Parameters
    ----------
    debug
        Say more, and show where in the code an error comes from.
    """
    if debug:
        LIBRARY.setLevel(logging.INFO)
    try:
        return app(tokens, result_action="return_value", print_error=False, exit_on_error=False)
    except Exception:
        if debug:
            print(printable_lines(traceback.format_exc()), file=sys.stderr, end="")
        raise


def _write_whatever_the_locale() -> None:
    """A title has characters that an old locale has not; a queue is no less worked on for that."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _take_streams_that_are_closed() -> None:
    """Python has none where the shell has closed one (`ydc status >&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _mistake(error: CycloptsError) -> str:
    """What is wrong with a command line."""
    command = " ".join(error.command_chain or ())
    if isinstance(error, UnusedCliTokensError):
        return f"{command} takes no {' '.join(error.unused_tokens or ())!r}: ydc {command} --help"
    if isinstance(error, MissingArgumentError) and error.argument and not (error.argument.tokens or error.keyword):
        lines = (line.strip() for line in (error.target.__doc__ or "").splitlines())
        example = next((line for line in lines if line.startswith("ydc ")), "")
        return f"{command} needs {error.argument.name}{f', as in: {example}' if example else ''}"
    return " ".join(str(error).split())
