"""Caption files of every format that subtitles are downloaded in become times and plain text."""

from __future__ import annotations

import json
import logging

import pytest

from youtube_download_coordinator.processors.captions import MAX_BYTES, captions_in

VTT = """WEBVTT
Kind: captions
Language: en

NOTE not spoken

STYLE
::cue { color: red }

1
00:00:01.000 --> 00:00:03.500 align:start position:0%
<v Roger>Hello <c.yellow>there</c>, R&amp;D
second <i>line</i>

00:04.000 --> 00:05.000
Short <00:00:04.500><c>time</c>
"""
SRT = """1
00:00:01,000 --> 00:00:03,500
<i>Hello</i> {\\an8}there, R&amp;D
second line

2
00:00:04,000 --> 00:00:05,000
Short time
"""
TTML = """<?xml version="1.0" encoding="utf-8" ?>
<tt xml:lang="en" xmlns="http://www.w3.org/ns/ttml"><body><div>
<p begin="00:00:01.000" end="00:00:03.500">Hello there, R&amp;D<br/>second line</p>
<p begin="00:00:04.000" end="00:00:05.000">Short time</p>
</div></body></tt>"""
JSON3 = json.dumps(
    {
        "events": [
            {"tStartMs": 0, "dDurationMs": 9000, "id": 1, "wpWinPosId": 1},
            {"tStartMs": 1000, "dDurationMs": 2500, "segs": [{"utf8": "Hello there,"}, {"utf8": " R&D\nsecond line"}]},
            {"tStartMs": 4000, "dDurationMs": 1000, "segs": [{"utf8": "Short"}, {"utf8": " time"}]},
        ]
    }
)
SRV1 = """<?xml version="1.0" encoding="utf-8" ?><transcript>
<text start="1" dur="2.5">Hello there, R&amp;amp;D
second line</text><text start="4" dur="1">Short time</text></transcript>"""
SRV2 = """<?xml version="1.0" encoding="utf-8" ?><timedtext>
<text t="1000" d="2500">Hello there, R&amp;D
second line</text><text t="4000" d="1000">Short time</text></timedtext>"""
SRV3 = """<?xml version="1.0" encoding="utf-8" ?><timedtext format="3"><body>
<p t="1000" d="2500">Hello there, <s>R&amp;D</s>
second line</p><p t="4000" d="1000"><s>Short</s><s t="200"> time</s></p></body></timedtext>"""


@pytest.mark.parametrize(
    ("extension", "text"),
    [
        ("vtt", VTT),
        ("srt", SRT),
        ("ttml", TTML),
        ("json3", JSON3),
        ("srv1", SRV1),
        ("srv2", SRV2),
        ("srv3", SRV3),
        ("vtt", f"\ufeff{VTT}"),
    ],
)
def test_each_format_is_read_without_tags(extension: str, text: str) -> None:
    captions = captions_in(text.encode(), extension, "x")
    assert captions == [(1.0, 3.5, "Hello there, R&D second line"), (4.0, 5.0, "Short time")]


def vtt(*cues: tuple[str, str, str]) -> bytes:
    return "\n\n".join(
        ["WEBVTT", *(f"00:00:{begin}.000 --> 00:00:{end}.000\n{text}" for begin, end, text in cues)]
    ).encode()


def test_lines_that_scroll_up_are_kept_once() -> None:
    content = vtt(("01", "03", "one"), ("03", "05", "one\ntwo"), ("05", "06", "two\nthree"), ("06", "07", "three"))
    assert captions_in(content, "vtt", "x") == [(1.0, 3.0, "one"), (3.0, 5.0, "two"), (5.0, 7.0, "three")]


def test_what_is_said_again_later_is_kept() -> None:
    content = vtt(("01", "02", "yes"), ("04", "05", "yes"))
    assert captions_in(content, "vtt", "x") == [(1.0, 2.0, "yes"), (4.0, 5.0, "yes")]


def test_captions_without_text_or_length_are_left_out_and_the_rest_is_in_order() -> None:
    content = vtt(("05", "06", "two"), ("03", "03", "none"), ("01", "02", "one"), ("07", "08", "<b> </b>"))
    assert captions_in(content, "vtt", "x") == [(1.0, 2.0, "one"), (5.0, 6.0, "two")]


BOMB = b'<!DOCTYPE x [<!ENTITY a "' + b"ha" * 1000 + b'">' + b"".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 100}">'.encode() for i in range(5)
) + b"]><transcript><text start='1' dur='1'>&f;</text></transcript>"  # fmt: skip


@pytest.mark.parametrize(
    ("extension", "content"),
    [
        ("json3", b"{"),
        ("json3", b"[1]"),
        ("json3", b'{"events":[{"tStartMs":"soon"}]}'),
        ("json3", b"[" * 100_000),
        ("srv3", b"<html"),
        ("srv1", BOMB),
        ("ttml", b"<tt><p begin='x'"),
        ("vtt", b"x" * (MAX_BYTES + 1)),
    ],
)
def test_a_file_that_cannot_be_read_has_no_captions(
    extension: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert captions_in(content, extension, "Irish/x") == ()
    assert "Irish/x" in caplog.text


@pytest.mark.parametrize("number", ["1e400", "NaN"])
def test_a_caption_without_an_end_is_left_out(number: str) -> None:
    """JSON has no such numbers: one of them would make a whole file of recordings unreadable."""
    text = f'{{"events": [{{"tStartMs": 1, "dDurationMs": {number}, "segs": [{{"utf8": "x"}}]}}]}}'
    assert captions_in(text.encode(), "json3", "x") == []


def test_a_page_in_place_of_captions_has_none() -> None:
    assert captions_in(b"<html><body>Sorry</body></html>", "vtt", "x") == []
    assert captions_in(b"\xff\xfe\x00", "srt", "x") == []
