"""The command `ydc`: the queue from a terminal. A module for each group of commands; here they come together.

Exit codes: 0 all is well; 1 something failed and is told (a video, a source, a line of the file); 2 a mistake that the message
says how to mend; 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import NoReturn

from cyclopts import CycloptsError

from youtube_download_coordinator.cli import readiness, running, sources, status
from youtube_download_coordinator.cli.application import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_MISTAKE, app
from youtube_download_coordinator.errors import CoordinatorError, UserError

__all__ = ["app", "main", "readiness", "running", "sources", "status"]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; every error is one line on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("youtube_download_coordinator").setLevel(logging.ERROR)  # what matters is told below
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(arguments, result_action="return_value", print_error=False, exit_on_error=False)
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
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _stop(message: str, code: int) -> NoReturn:
    print(f"ydc: {message}", file=sys.stderr)
    sys.exit(code)
