"""Start the command `ydc`; `python -m youtube_download_coordinator` does the same.

While the modules load, Ctrl-C ends the process without a traceback.
"""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line, and run it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # otherwise the parent process ignores it (nohup)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from youtube_download_coordinator.cli import main as run

    run()


if __name__ == "__main__":
    if not sys.flags.safe_path:
        sys.path.append(sys.path.pop(0))  # the working directory: no file in it hides an installed module
    main()
