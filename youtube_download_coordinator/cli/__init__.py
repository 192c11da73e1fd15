"""The command `ydc`: the queue from a terminal. A module for each group of commands; here they come together.

Exit codes: 0 all is well; 1 something failed and is told (a video, a source, a line of the file); 2 a mistake that the message
says how to mend; 130 interrupted.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import traceback
from typing import Annotated, NoReturn

from cyclopts import CycloptsError, MissingArgumentError, Parameter

from youtube_download_coordinator.cli import (
    copying,
    deploying,
    exporting,
    readiness,
    repairs,
    report,
    rows,
    running,
    sources,
    status,
    steering,
)
from youtube_download_coordinator.cli.application import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_MISTAKE, OTHER, app
from youtube_download_coordinator.cli.terminal import printable_lines, say
from youtube_download_coordinator.errors import CoordinatorError, UserError

__all__ = [
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
    "sources",
    "status",
    "steering",
]


class Printable(logging.Formatter):
    """The messages alone. They have titles in them, which a terminal must not obey."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


LIBRARY = logging.getLogger("youtube_download_coordinator")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; every error is one line on stderr."""
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(Printable())
    logging.basicConfig(level=logging.WARNING, handlers=[log])
    LIBRARY.setLevel(logging.ERROR)  # what matters is told below
    LIBRARY.getChild("gate").setLevel(logging.WARNING)  # but for why nothing happens
    signal.signal(signal.SIGTERM, _interrupt)
    _write_whatever_the_locale()
    try:
        code = app.meta(arguments, result_action="return_value", print_error=False, exit_on_error=False)
    except MissingArgumentError as error:
        _stop(_what_is_missing(error), EXIT_MISTAKE)
    except CycloptsError as error:
        _stop(" ".join(str(error).split()), EXIT_MISTAKE)
    except UserError as error:
        _stop(f"{error}", EXIT_MISTAKE)
    except CoordinatorError as error:
        _stop(f"{type(error).__name__}: {error}", EXIT_FAILED)
    except KeyboardInterrupt:
        _stop("interrupted; what was claimed has been given back", EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python itself would complain when it ends
        _stop("nobody reads the output any more; what was claimed has been given back", EXIT_FAILED)
    except Exception as error:  # noqa: BLE001 - a traceback tells nothing to who has not written it
        _stop(f"a fault of its own: {type(error).__name__}: {error}; --debug shows where, for a report", EXIT_FAILED)
    sys.exit(code if isinstance(code, int) else 0)


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


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _what_is_missing(error: MissingArgumentError) -> str:
    """What a command cannot do without, and what it looks like: the first example of its help."""
    argument, command = error.argument, error.target
    if argument is None or argument.tokens or error.keyword:  # an option without its value
        return " ".join(str(error).split())
    lines = (line.strip() for line in (command.__doc__ or "").splitlines())
    example = next((line for line in lines if line.startswith("ydc ")), "")
    return f"{' '.join(error.command_chain or ())} needs {argument.name}{f', as in: {example}' if example else ''}"


def _stop(message: str, code: int) -> NoReturn:
    say(f"ydc: {message}", problem=True)
    sys.exit(code)
