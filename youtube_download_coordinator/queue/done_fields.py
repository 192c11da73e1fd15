"""What a row keeps of a Done whose fields a user's function filled: anything may be in them, whatever their types are."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from numbers import Real

from youtube_download_coordinator.models import INTEGER_MAX, Done

DEGRADED_MAX_CHARACTERS = 100
_NOT_IN_A_REASON = re.compile(r"[^\w, -]+")


def storable(done: Done) -> Done:
    """Return the Done with fields that every store can keep. Its result stays as it is."""
    return replace(
        done,
        asked_youtube=done.asked_youtube is not False,
        degraded=degraded_reasons(done.degraded),
        media_seconds=media_length(done.media_seconds),
    )


def media_length(value: object) -> float | None:
    """Return a length in seconds, or None for what is not a length: text, a bool, a negative, infinite or enormous number."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= INTEGER_MAX else None


def degraded_reasons(value: object) -> str:
    """Return reasons separated by ", ", at most DEGRADED_MAX_CHARACTERS long, with the characters that `Lease.degraded` reads."""
    texts = value if isinstance(value, list | tuple) else [value]
    words = [word for text in texts if isinstance(text, str) for word in _NOT_IN_A_REASON.sub(" ", text).split(",")]
    reasons = dict.fromkeys(" ".join(word.split()) for word in words)
    return ", ".join(filter(None, reasons))[:DEGRADED_MAX_CHARACTERS].rstrip(", ")
