"""A sources file as people write it: every good line is taken, every bad one named with its number."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psutil
import pytest

from tests.support.rows import make_queue
from youtube_download_coordinator.errors import BadUrl, SourcesFileError
from youtube_download_coordinator.models import Source
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES
from youtube_download_coordinator.sources.delimited import LINE_MAX_CHARACTERS
from youtube_download_coordinator.sources.sources_file import (
    PROBLEMS_KEPT,
    Ingested,
    ingest_file,
    new_source,
)
from youtube_download_coordinator.stores.sql import SqlStore

CHANNEL = "https://www.youtube.com/channel/UC{:022}"
A, B, C = (CHANNEL.format(number) for number in range(3))


@pytest.fixture
def queue() -> Iterator[Queue]:
    store = SqlStore("sqlite://")
    yield make_queue(store)
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sources.txt"


def ingest(queue: Queue, path: Path, content: str | bytes, *, allow_other_sites: bool = False) -> Ingested:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return ingest_file(queue, path, allow_other_sites=allow_other_sites)


def rows(queue: Queue) -> list[Source]:
    return list(queue.rows(SOURCES))


def urls(queue: Queue) -> list[str]:
    return [row.url for row in rows(queue)]


def test_a_line_is_a_source_with_its_accent_and_type(queue: Queue, path: Path) -> None:
    result = ingest(queue, path, f"{A}|pt-BR|interview\n{B}|Nigerian\n{C}\n")
    assert (result.added, result.known, result.bad) == (3, 0, 0)
    assert [(row.url, row.accent, row.type) for row in rows(queue)] == [
        (A, "pt-BR", "interview"),
        (B, "Nigerian", ""),
        (C, "", ""),
    ]


def test_empty_lines_comments_and_a_header_are_passed_over(queue: Queue, path: Path) -> None:
    result = ingest(queue, path, f"URL|Accent|Type\n\n   \n# {B}\n\t# also\n{A}\n")
    assert (result.added, result.bad) == (1, 0)


def test_a_bad_line_in_the_middle_is_named_and_costs_the_others_nothing(queue: Queue, path: Path) -> None:
    result = ingest(queue, path, f"{A}\n# a comment\nno address\n{B}\n")
    assert (result.added, result.bad) == (2, 1)
    (problem,) = result.problems
    assert problem.startswith(f"{path}, line 3: ")
    assert "no address" in problem
    assert "\n" not in problem
    assert urls(queue) == [A, B]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_any_line_end_will_do(queue: Queue, path: Path, end: str) -> None:
    result = ingest(queue, path, f"{A}|x|y{end}bad{end}{B}|x|y{end}")
    assert (result.added, result.bad) == (2, 1)
    assert "line 2" in result.problems[0]
    assert [row.type for row in rows(queue)] == ["y", "y"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_other_systems_editors_write_is_read(queue: Queue, path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding[-2:] in {"le", "be"} else ""
    result = ingest(queue, path, f"{mark}{A}|São Paulo|x\n".encode(encoding))
    assert (result.added, result.bad) == (1, 0)
    assert [row.accent for row in rows(queue)] == ["São Paulo"]


def test_a_line_that_is_no_utf_8_is_named_and_costs_the_others_nothing(queue: Queue, path: Path) -> None:
    result = ingest(queue, path, f"{A}|ok\n".encode() + f"{B}|São Paulo\n".encode("latin-1") + f"{C}|ok\n".encode())
    assert (result.added, result.bad) == (2, 1)
    assert result.problems == [f"{path}, line 2: not UTF-8 text; save the file as UTF-8"]


def test_tabs_and_blanks_around_fields_are_dropped(queue: Queue, path: Path) -> None:
    ingest(queue, path, f"\t {A} \t|  West African\t| talk show  \n")
    assert [(row.url, row.accent, row.type) for row in rows(queue)] == [(A, "West African", "talk show")]


def test_a_line_of_tabs_instead_of_bars_is_named(queue: Queue, path: Path) -> None:
    assert ingest(queue, path, f"{A}\tpt-BR\tinterview\n").bad == 1


@pytest.mark.parametrize(("fields", "bad"), [("|a|b", 0), ("|a|b|", 1), ("|a|b|c", 1), ("|||||", 1), ("||", 0)])
def test_more_than_three_fields_are_refused(queue: Queue, path: Path, fields: str, bad: int) -> None:
    result = ingest(queue, path, f"{A}{fields}\n")
    assert result.bad == bad
    assert all("a line is URL|Accent|Type" in problem for problem in result.problems)


CSV = {
    f"URL,Accent,Type\n{A},pt-BR,interview\n{B},Nigerian,\n": [(A, "pt-BR", "interview"), (B, "Nigerian", "")],
    f'url;type;accent\n{A};talk;"English; Scottish"\n': [(A, "English; Scottish", "talk")],
    f'"URL","Accent"\r\n"{A}","English, ""Scottish"""\r\n': [(A, 'English, "Scottish"', "")],
    f"sep=;\nType;Channel URL\nnews;{A}\n": [(A, "", "news")],
    f"Accent\tURL\tType\n\t{A}\tnews\nWelsh\t{B}\n": [(A, "", "news"), (B, "Welsh", "")],
    f"Type | Accent | Url\nnews | Welsh, Cardiff | {A}\n": [(A, "Welsh, Cardiff", "news")],
    f"ID,URL,Status,Accent,Note\n1,{A},done,Welsh,mine\n,,,,\n": [(A, "Welsh", "")],
    f'URL,Note,Accent\n{A},"two\nlines",Welsh\n{B},5" x,Scottish\n{C},,Irish\n': [
        (A, "Welsh", ""), (B, "Scottish", ""), (C, "Irish", ""),
    ],
    f'URL,Accent\n{A},"not closed\n{B},Welsh\n': [(A, '"not closed', ""), (B, "Welsh", "")],
    f'URL,Accent\n"=HYPERLINK(""{A}"",""title"")",Welsh\n': [(A, "Welsh", "")],
    f"Link\n{A}\n{B}|Welsh\n": [(A, "", ""), (B, "Welsh", "")],
    f"{A}|English, Scottish|talk, long\n": [(A, "English, Scottish", "talk, long")],
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), CSV.items())
def test_a_header_names_the_fields(
    queue: Queue, path: Path, content: str, expected: list[tuple[str, str, str]]
) -> None:
    assert ingest(queue, path, content).problems == []
    assert [(row.url, row.accent, row.type) for row in rows(queue)] == expected


def test_columns_of_filters_are_read_and_those_of_the_coordinator_are_not(queue: Queue, path: Path) -> None:
    result = ingest(queue, path, f"URL,Status,Kinds,minduration\n{A},done,shorts,2m\n{B},,films,\n{C},,,\n")
    assert result.ignored_columns == ["Status"]
    assert [(row.url, dict(row.extra)) for row in rows(queue)] == [
        (A, {"Kinds": "shorts", "MinDuration": "2m"}),
        (C, {}),
    ]
    assert len(result.problems) == 1
    assert "line 3" in result.problems[0]


@pytest.mark.parametrize(
    ("header", "reason"), [("URL,Accent,accent", "names the column accent twice"), ("url,Link", "column url twice")]
)
def test_a_header_that_is_ambiguous_is_refused(queue: Queue, path: Path, header: str, reason: str) -> None:
    with pytest.raises(SourcesFileError, match=reason):
        ingest(queue, path, f"{header}\n{A},x,y\n")


@pytest.mark.parametrize(
    "line",
    [f"{A},pt-BR,interview", f"{A};pt-BR", f"{A},{B}", f"{A} {B}", "@name,en,x", "UKwSQSFN4Nw,en", f"{A}?si=x,en,talk"],
)
def test_a_line_without_a_header_is_refused_when_text_would_be_lost(queue: Queue, path: Path, line: str) -> None:
    (problem,) = ingest(queue, path, f"{B}|ok\n{line}\n").problems
    assert problem.startswith(f"{path}, line 2: ")
    assert "a file separates fields by |, or begins with a line of their names" in problem


@pytest.mark.parametrize("line", [f"{A}|{B}", f"{A}|Scottish|{B}|", f"{A}|x\f{B}|y", f"{A}|youtu.be/M4gD1WSo5mA"])
def test_an_address_in_another_field_is_not_lost(queue: Queue, path: Path, line: str) -> None:
    result = ingest(queue, path, f"{line.rstrip('|')}\n{C}\n")
    assert (urls(queue), result.bad) == ([C], 1)
    assert "line 1" in result.problems[0]
    assert "one address per cell or line" in result.problems[0]


def test_a_line_that_a_spreadsheet_saved_as_one_field_is_read(queue: Queue, path: Path) -> None:
    ingest(queue, path, f'"{A}|pt-BR|interview"\n"{B}"\n')
    assert [(row.url, row.accent, row.type) for row in rows(queue)] == [(A, "pt-BR", "interview"), (B, "", "")]


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b\x08\x00", b"%PDF-1.7"])
def test_a_workbook_or_an_archive_is_one_line(queue: Queue, path: Path, start: bytes) -> None:
    with pytest.raises(SourcesFileError, match="not text, but a workbook or an archive: save it as CSV"):
        ingest(queue, path, start + bytes(range(256)) * 9)


def test_a_line_with_more_fields_than_its_header_is_refused(queue: Queue, path: Path) -> None:
    (problem,) = ingest(queue, path, f"URL,Accent,Type\n{A},English, Scottish,talk\n{B},x,y,\n").problems
    assert (
        "line 2: 4 fields; a line is URL,Accent,Type; a field that contains the separator must be in quotes" in problem
    )


def test_utf_16_without_a_mark_is_read(queue: Queue, path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        assert ingest(queue, path, f"{A}|São Paulo\n".encode(encoding)).problems == []


def test_a_missing_url_is_named(queue: Queue, path: Path) -> None:
    assert "line 1: empty" in ingest(queue, path, "|pt-BR|interview\n").problems[0]


def test_the_same_source_in_another_form_is_known(queue: Queue, path: Path) -> None:
    result = ingest(
        queue,
        path,
        "https://www.youtube.com/watch?v=UKwSQSFN4Nw\nhttp://youtu.be/UKwSQSFN4Nw?t=3\nUKwSQSFN4Nw|first|wins\n"
        "https://m.youtube.com/@Kurzgesagt\nyoutube.com/@kurzgesagt/\n",
    )
    assert (result.added, result.known, result.bad) == (2, 3, 0)


@pytest.mark.parametrize(
    "address",
    [
        "https://www.youtube.com.example.org/watch?v=M_gD1WSo5_A", "https://www.youtube.com@example.org/watch?v=M_gD1WSo5_A",
        "https://www.youtube.com:443@example.org/", "https://example.org/https://youtu.be/M_gD1WSo5_A",
        "https://example.org\\@www.youtube.com/watch?v=M_gD1WSo5_A", "https://example.org\\.youtube.com/watch?v=M_gD1WSo5_A",
        "https://youtube.com%2eexample.org/watch?v=M_gD1WSo5_A", "https://example.org#.youtube.com/watch?v=M_gD1WSo5_A",
        "https://example.org?.youtube.com/watch?v=M_gD1WSo5_A", "https://youtub\u0435.com/watch?v=M_gD1WSo5_A",
        "https://notyoutube.com/watch?v=M_gD1WSo5_A", "https://youtu.be.example.org/M_gD1WSo5_A",
        "//example.org/watch?v=M_gD1WSo5_A", "https://www.google.com/url?q=https://example.org/x",
        "https://www.youtube.com/redirect?q=https://example.org/x", "https://consent.youtube.com/m?continue=https://example.org/x",
        "https://web.archive.org/web/2020/https://www.youtube.com/watch?v=M_gD1WSo5_A",
    ],
)  # fmt: skip
def test_an_address_that_only_looks_like_youtubes_is_refused(queue: Queue, path: Path, address: str) -> None:
    refused = ingest(queue, path, f"{address}\n")
    assert (refused.added, refused.bad) == (0, 1)


def test_what_is_not_youtube_is_refused_unless_it_is_allowed(queue: Queue, path: Path) -> None:
    refused = ingest(queue, path, "https://example.org/feed.xml\n")
    assert refused.bad == 1
    assert "YDC_ALLOW_OTHER_SITES" in refused.problems[0]
    assert ingest(queue, path, "https://example.org/feed.xml\n", allow_other_sites=True).added == 1


def test_what_is_no_address_of_a_page_is_never_taken(queue: Queue, path: Path) -> None:
    content = "file:///etc/passwd\njavascript:alert(1)\nhttps://user:secret@www.youtube.com/@x\n"
    result = ingest(queue, path, content, allow_other_sites=True)
    assert (result.added, result.bad) == (0, 3)
    assert "secret" not in " ".join(result.problems)


def test_a_file_of_another_kind_is_a_bad_line_each_and_no_flood(queue: Queue, path: Path) -> None:
    result = ingest(queue, path, Random(1).randbytes(500_000))
    assert result.added == 0
    assert result.bad > PROBLEMS_KEPT
    assert len(result.problems) == PROBLEMS_KEPT
    assert all(problem.isprintable() and len(problem) < 500 for problem in result.problems)


@pytest.mark.parametrize("extra", [1, 2, 3, 10**7])
def test_an_endless_line_is_named(queue: Queue, path: Path, extra: int) -> None:
    result = ingest(queue, path, f"{A}\n{'x' * (LINE_MAX_CHARACTERS + extra)}\n{B}\nbad\n")
    assert (result.added, result.bad) == (2, 2)
    assert result.problems[0] == f"{path}, line 2: more than 10000 characters; a line is URL|Accent|Type"
    assert "line 4" in result.problems[1]


def test_half_of_an_address_is_never_taken(queue: Queue, path: Path) -> None:
    assert ingest(queue, path, " " * (LINE_MAX_CHARACTERS - 40) + A).bad == 1


def test_nothing_is_lost_by_a_nul(queue: Queue, path: Path) -> None:
    ingest(queue, path, f"{A}|a\0b|c\n")
    assert [row.accent for row in rows(queue)] == ["ab"]


def test_an_argument_that_is_no_text_can_be_kept(queue: Queue) -> None:
    queue.add(SOURCES, [new_source(A, os.fsdecode(b"caf\xe9"))])
    assert [row.accent for row in rows(queue)] == ["caf?"]


def test_an_empty_file_is_fine(queue: Queue, path: Path) -> None:
    assert str(ingest(queue, path, "")) == "0 new, 0 already known, 0 invalid"


def test_a_last_line_without_an_end_counts(queue: Queue, path: Path) -> None:
    assert ingest(queue, path, f"{A}\n{B}").added == 2


def test_a_missing_file_is_said_in_one_line(queue: Queue, path: Path) -> None:
    with pytest.raises(SourcesFileError, match=r"^the sources file '.*sources\.txt' cannot be read: No such file"):
        ingest_file(queue, path)


def test_a_directory_is_said_in_one_line(queue: Queue, tmp_path: Path) -> None:
    with pytest.raises(SourcesFileError, match=r"cannot be read: Is a directory$"):
        ingest_file(queue, tmp_path)


def test_a_file_that_changes_between_runs_adds_what_is_new_and_takes_nothing_away(queue: Queue, path: Path) -> None:
    assert ingest(queue, path, f"{A}\n{B}\n").added == 2
    again = ingest(queue, path, f"{B}|edited|later\n{C}\n")
    assert (again.added, again.known) == (1, 1)
    assert [(row.url, row.accent) for row in rows(queue)] == [(A, ""), (B, ""), (C, "")]


def test_new_source_says_what_is_wrong_with_a_url() -> None:
    with pytest.raises(BadUrl, match="front page"):
        new_source("https://www.youtube.com/")


def test_twenty_thousand_lines_are_taken_batch_by_batch(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    with path.open("w") as file:
        for number in range(1, 20_001):
            file.write("no address\n" if number == 10_001 else f"{CHANNEL.format(number)}|accent|type\n")
    store = SqlStore(f"sqlite:///{tmp_path}/queue.db")
    queue = make_queue(store)
    process = psutil.Process()
    before = process.memory_info().rss
    result = ingest_file(queue, path)
    grown = process.memory_info().rss - before
    assert (result.added, result.known, result.bad) == (19_999, 0, 1)
    assert "line 10001" in result.problems[0]
    assert sum(queue.counts(SOURCES).values()) == 19_999
    assert grown < 30 * 2**20
    store.close()
