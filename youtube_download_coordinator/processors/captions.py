"""Read caption files: texts without tags, with their times. Text that scrolls from one caption into the next is kept once."""

from __future__ import annotations

import html
import json
import logging
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree  # its entities cannot grow: expat has limits since 2.4

from youtube_download_coordinator.text import sanitize

_log = logging.getLogger(__name__)

MAX_BYTES = 20_000_000
"""A day of speech has a few megabytes."""
_GAP_SECONDS = 0.1
"""Captions this close to each other are continuous."""
_BY_LIBRARY = {"vtt": "vtt", "srt": "srt", "ttml": "ttml"}
_TAG = re.compile(r"<[^<>]*>")

Caption = tuple[float, float, str]
"""Begin and end in seconds, and the text."""


def captions_in(content: bytes, extension: str, name: str) -> Sequence[Caption]:
    """Return the captions in a file in order of time. If it cannot be read, log a warning and return none."""
    try:
        cues = sorted(_cues(content, extension), key=lambda cue: cue[:2])
    except Exception as error:  # noqa: BLE001  a library reads what anybody may have written; the video is done all the same
        _log.warning("the captions in %s cannot be read: %s: %s", name, type(error).__name__, error)
        return ()
    return _without_repetition(cues)


def _cues(content: bytes, extension: str) -> Iterator[tuple[float, float, list[str]]]:
    """Yield begin, end and lines of each caption."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"{len(content)} bytes are too many for captions")
    text = content.decode("utf-8-sig", "replace")
    if extension in _BY_LIBRARY:
        found = _read_by_library(text, _BY_LIBRARY[extension])
    elif extension == "json3":
        found = _read_json3(text)
    else:
        found = _read_srv(text)
    for begin, end, words in found:
        lines = [" ".join(sanitize(line).split()) for line in html.unescape(_TAG.sub("", words)).splitlines()]
        if math.inf > end > begin >= 0 and (lines := [line for line in lines if line]):
            yield round(begin, 3), round(end, 3), lines


def _read_by_library(text: str, format_name: str) -> Iterator[Caption]:
    import pysubs2  # only products with captions need it

    for event in pysubs2.SSAFile.from_string(text, format_=format_name):
        if not event.is_comment:
            yield event.start / 1000, event.end / 1000, event.plaintext


def _read_json3(text: str) -> Iterator[Caption]:
    events: list[dict[str, Any]] = json.loads(text).get("events") or []
    for event in events:
        begin = float(event.get("tStartMs") or 0) / 1000
        words = "".join(str(part.get("utf8") or "") for part in event.get("segs") or ())
        yield begin, begin + float(event.get("dDurationMs") or 0) / 1000, words


def _read_srv(text: str) -> Iterator[Caption]:
    """Yield the captions of YouTube's XML: srv1 has seconds, srv2 and srv3 have milliseconds."""
    for element in ElementTree.fromstring(text).iter():  # noqa: S314
        names, unit = (("start", "dur"), 1) if "start" in element.attrib else (("t", "d"), 1000)
        if element.tag in {"text", "p"} and names[0] in element.attrib:
            begin, length = (float(element.get(name) or 0) / unit for name in names)
            yield begin, begin + length, html.unescape("".join(element.itertext()))


def _without_repetition(cues: Sequence[tuple[float, float, list[str]]]) -> Sequence[Caption]:
    """Remove lines that repeat the end of the previous caption. A caption without new lines extends the previous one."""
    captions: list[Caption] = []
    before: list[str] = []
    for begin, end, lines in cues:
        is_continuous = bool(captions) and begin <= captions[-1][1] + _GAP_SECONDS
        repeated = _overlap(before, lines) if is_continuous else 0
        if rest := lines[repeated:]:
            captions.append((begin, end, " ".join(rest)))
        else:
            last_begin, last_end, text = captions[-1]
            captions[-1] = (last_begin, max(last_end, end), text)
        before = lines
    return captions


def _overlap(before: Sequence[str], lines: Sequence[str]) -> int:
    """Return how many of the first lines repeat the last lines of the previous caption."""
    longest = min(len(before), len(lines))
    return next((count for count in range(longest, 0, -1) if before[-count:] == lines[:count]), 0)
