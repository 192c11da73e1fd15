"""Leave out of answers what Google leaves out: members that are false, zero or empty; and keep colours in 32 bits."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Any

from tests.fake_google.errors import Json

_CHANNELS = frozenset({"red", "green", "blue", "alpha"})


def lean(answer: Json, keep: Collection[str] = ()) -> Json:
    """Return a message without members that are false, zero or empty, apart from those to keep."""
    cleaned = {name: _clean(name, value, keep) for name, value in answer.items()}
    return {name: value for name, value in cleaned.items() if name in keep or value not in (None, False, 0, {}, [])}


def _clean(name: str, value: Any, keep: Collection[str]) -> Any:
    if isinstance(value, dict):
        return lean(value, keep)
    return _channel(value) if name in _CHANNELS and isinstance(value, int | float) else value


def _channel(value: float) -> int | float:
    """Return a part of a colour as it is kept: in 256 steps, and written as the shortest text of a 32-bit number."""
    step = int(value * 255 + 1e-6) / 255
    (single,) = struct.unpack("f", struct.pack("f", step))
    shortest = next(
        float(f"{step:.{digits}g}")
        for digits in range(1, 18)
        if struct.unpack("f", struct.pack("f", float(f"{step:.{digits}g}")))[0] == single
    )
    return int(shortest) if shortest.is_integer() else shortest


INDEXES = ("startRowIndex", "endRowIndex", "startColumnIndex", "endColumnIndex", "startIndex", "endIndex")
"""Members of ranges that are written even where they are zero."""
