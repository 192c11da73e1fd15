"""A TitleMatch: the usual syntax means what it does elsewhere, and none costs more than a moment and a few megabytes."""

from __future__ import annotations

import resource
import time
from contextlib import suppress

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from youtube_download_coordinator.errors import BadFilter
from youtube_download_coordinator.sources.filters import read_column
from youtube_download_coordinator.sources.title_pattern import TITLE_MAX_CHARACTERS, TitlePattern

ALPHABET = "aAbé2٣_ -.ﬁçº"
PATTERNS = [
    r"\bolá\b", r"\bol\b", r"^(?!.*trailer)", r"^(?=.*a)(?!.*b).*c", r"\A(?!a)\w", r"\w+ção\b", r"a\b b", r"\b\d+\b", r"[\W_]a",
    r"\bé[^a]$", r"a{,3}b$", r"\u00e9", r"\x{E9}|\x62", r"é$", r"\ba.b\b", r"^\ba", r"b\b$", r"(a|b)\bé", r"[[:alpha:]]+é",
    r"[\d\s]{2}", r".\b", r"\P{L}\bb", r"\p{^L}\ba", r"(?-i:A)", r"(?<x>a)b", r"(?P<x>a)|b", r"[]a]\b", r"[^]a]b", r"\.",
    r"\D\S\W", r"(?:a|b){2,}\s*\b", r"^a|^b", r"[\u00e9b]?a", r"\w{2}(?i)É",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@given(title=st.text(alphabet=ALPHABET, max_size=12))
def test_an_expression_finds_what_it_finds_elsewhere(pattern: str, title: str) -> None:
    expected = regex.search(pattern.replace(r"\x{E9}", r"\xe9"), title, regex.IGNORECASE)
    assert TitlePattern.compile(pattern).is_found_in(title) is bool(expected)


BOMBS = [
    "((a{0,10}){0,10}){0,10}" * 20,  # 1 GB and more with a backtracking engine
    "(((((a{100}){100}){100}){100}){100})",
    "(?:" * 120 + "a" + "){2}" * 90 + ")" * 30,
    r"(?:\p{L}{1,30}){1,30}x",
    r"\w{1000}",
    r"(a+)+$",
    r"(a|aa)+\b!",
    r"(?:\b\w{0,10}\b.{0,10}){8}z",
    "^" + "(?!.*a?a?a?a?a?a?a?a?b)" * 18,
    "(" * 250 + "a" + ")" * 249,
    "a" * 10_000,
    "[" * 500,
    "(?=" * 160,
    "\\" * 499,
]


@pytest.mark.parametrize("pattern", BOMBS)
def test_no_expression_takes_much_time_or_memory(pattern: str) -> None:
    """`a` repeated is the title for which most of these have no end with a backtracking engine."""
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    with suppress(ValueError):
        TitlePattern.compile(pattern).is_found_in("a" * 2_000_000 + "!")
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        (r"(a)\1", "invalid escape sequence"),
        (r"a++", "bad repetition"),
        (r"(?<=a)b", r"\(\?<=\.\.\.\) can only be used at the start"),
        (r"(?!a)b|c", "can only be used at the start"),
        (r"^(?!a(?=b))", "can only be used at the start"),
        (r"^(?!a", r"missing \)"),
        (r"\Bx", "cannot be used"),
        (r"\Qx\E", "cannot be used"),
        (r"[^\W\d]", r"write \\p\{L\}"),
        (r"[\S]\b", r"together with \\b"),
        ("a{1001}", "invalid repetition size"),
        ("a{99999999999}", "more than 1000"),
        ("a" * 501, "more than 500 characters"),
        ("\ud800", "surrogates"),
    ],
)
def test_what_cannot_be_searched_is_one_clear_line(pattern: str, problem: str) -> None:
    with pytest.raises(BadFilter, match=problem) as raised:
        read_column("TitleMatch", pattern)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) <= 1000


@settings(deadline=None)  # a class of Unicode takes a while to compile
@given(pattern=st.text(max_size=60) | st.text(alphabet=r"\()[]{}|^$*+?.:=!<>PpLbBdDwWsSuxQE,-_01a&'", max_size=60))
def test_whatever_is_written_compiles_or_is_an_error_of_its_source(pattern: str) -> None:
    try:
        found = TitlePattern.compile(pattern).is_found_in("Uma entrevista – 2ª parte")
    except ValueError:
        return
    assert isinstance(found, bool)


def test_what_is_beyond_the_longest_title_is_not_searched() -> None:
    assert TitlePattern.compile("b").is_found_in("a" * (TITLE_MAX_CHARACTERS - 1) + "b")
    assert not TitlePattern.compile("b").is_found_in("a" * TITLE_MAX_CHARACTERS + "b")
