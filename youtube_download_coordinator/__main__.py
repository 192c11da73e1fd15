"""`ydc`, which `python -m youtube_download_coordinator` is too. As long as it loads, Ctrl-C ends it without a word."""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line, and run it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started it wants it to be ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from youtube_download_coordinator.cli import main as run

    run()


if __name__ == "__main__":
    if not sys.flags.safe_path:
        sys.path.append(sys.path.pop(0))  # the working directory: no file in it hides an installed module
    main()
