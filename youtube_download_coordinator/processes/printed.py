"""Read a child process's output in lines: messages for its parent, and printed text, which is logged."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

_log = logging.getLogger(__name__)

LINE_BYTES = 2000
"""A printed line is logged up to this length."""
LOGGED_LINES = 1000
"""The most lines logged for one child process: a printing loop must not fill a disk. The last lines are kept for errors."""
TAIL_BYTES = 8192


class Lines:
    """A splitter of bytes into lines of at most `max_bytes`. The rest of a longer line is discarded."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._part = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        *whole, rest = data.split(b"\n")
        for part in whole:
            yield self._joined(part)
            self._part = b""
        self._part = self._joined(rest)

    def _joined(self, part: bytes) -> bytes:
        room = self._max_bytes - len(self._part)
        return self._part + part[:room] if room > 0 else self._part


class Printed:
    """The printed lines of a child process. The first ones are logged, the last ones are kept."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines = Lines(LINE_BYTES)
        self._logged = 0
        self._tail = b""

    @property
    def tail(self) -> str:
        return self._tail.decode("utf-8", "replace")

    @property
    def where(self) -> str:
        """Return the innermost frame of the stack that faulthandler wrote, as ` at file.py:12 in name`."""
        frames = _STACK.findall(self.tail)
        return f" at {Path(frames[-1][0]).name}:{frames[-1][1]} in {frames[-1][2]}" if frames else ""

    @property
    def last_words(self) -> str:
        lines = [line for line in self.tail.splitlines() if line.strip()]
        return f": {lines[-1][:LINE_BYTES]}" if lines else ""

    def feed(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        self._log_lines(data)

    def close(self) -> None:
        """Log the last line, which may be unfinished."""
        self._log_lines(b"\n")

    def _log_lines(self, data: bytes) -> None:
        if self._logged <= LOGGED_LINES:
            for line in self._lines.feed(data):
                self._log_line(line)

    def _log_line(self, line: bytes) -> None:
        """Log one line. If a progress bar was drawn repeatedly in it, log only the last state."""
        text = _UNPRINTABLE.sub("", line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2])
        if not text:
            return
        self._logged += 1
        if self._logged <= LOGGED_LINES:
            _log.info("%s: %s", self._name, text)
        elif self._logged == LOGGED_LINES + 1:
            _log.info("%s: more than %d lines were printed; the rest is not logged", self._name, LOGGED_LINES)


_STACK = re.compile(r'^Current thread .*\n  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
