"""Sanitize the fields of a Done. A user's function fills them, so they may contain values of any type."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real

from youtube_download_coordinator.models import INTEGER_MAX, LICENSE_COLUMN, LICENSES, TRAINABLE_COLUMN, Done
from youtube_download_coordinator.text import sanitize, truncate

DEGRADED_MAX_CHARACTERS = 100
CELL_MAX_CHARACTERS = 200
_NOT_IN_A_REASON = re.compile(r"[^\w, -]+")


def storable(done: Done) -> Done:
    """Return the Done with fields that every store can keep. The result is not changed."""
    return replace(
        done,
        asked_youtube=done.asked_youtube is not False,
        degraded=degraded_reasons(done.degraded),
        media_seconds=media_length(done.media_seconds),
        license=_text(done.license),
        trainable=_text(done.trainable),
    )


def media_length(value: object) -> float | None:
    """Return a length in seconds, or None for any other value: text, a bool, a negative, infinite or enormous number."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= INTEGER_MAX else None


def degraded_reasons(value: object) -> str:
    """Return the reasons, separated by ", ", in at most DEGRADED_MAX_CHARACTERS that `Lease.degraded` can read."""
    texts = value if isinstance(value, list | tuple) else [value]
    words = [word for text in texts if isinstance(text, str) for word in _NOT_IN_A_REASON.sub(" ", text).split(",")]
    reasons = dict.fromkeys(" ".join(word.split()) for word in words)
    return ", ".join(filter(None, reasons))[:DEGRADED_MAX_CHARACTERS].rstrip(", ")


def _text(value: object) -> str:
    return truncate(" ".join(sanitize(value).split()), CELL_MAX_CHARACTERS) if isinstance(value, str) else ""


def with_rights(extra: Mapping[str, str], done: Done) -> Mapping[str, str]:
    """Add a video's licence and training permission to its custom columns. Keep a text that a person wrote into License."""
    new = {LICENSE_COLUMN: done.license, TRAINABLE_COLUMN: done.trainable}
    names = {name.strip().casefold(): name for name in extra}
    for column, text in new.items():
        name = names.get(column.casefold(), column)
        is_ours = column != LICENSE_COLUMN or extra.get(name, "").strip() in {"", *LICENSES}
        if text and is_ours and extra.get(name) != text:
            extra = {**extra, name: text}
    return extra
