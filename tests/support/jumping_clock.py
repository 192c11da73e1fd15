"""A wall clock that can be set while a process runs, for that process and its children alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("wrong_clock.c")
JUMP_SECONDS = 60.0
CLOCK_ERRORS_SECONDS = (0, 7200, -7200, 30, -30, 0, -90, 90)
"""By how much the wall clock is wrong, one after the other, in a long run each for JUMP_SECONDS."""
COMPILER = shutil.which("cc")
NO_COMPILER = "there is no C compiler (cc), so no clock can be made wrong"


class JumpingClock:
    """The wall clock of processes that are started with `environment`. The monotonic clock is not touched."""

    def __init__(self, folder: Path) -> None:
        if not COMPILER:
            raise SystemExit(NO_COMPILER)
        self._file, library = folder / "clock", folder / "wrong_clock.so"
        subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "YDC_TEST_CLOCK": str(self._file)}
        self.set(0)

    def set(self, error_seconds: float) -> None:
        """Let the clock be wrong by so much from now on."""
        replacement = self._file.with_suffix(".new")
        replacement.write_text(f"{error_seconds:.0f}\n")
        replacement.replace(self._file)

    def set_by(self, seconds: float) -> None:
        """Let the clock be wrong as it is after so many seconds of a run."""
        self.set(CLOCK_ERRORS_SECONDS[int(seconds // JUMP_SECONDS) % len(CLOCK_ERRORS_SECONDS)])
