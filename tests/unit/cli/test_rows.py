"""The commands that look at rows and ask for them, as `ydc` runs them, in this process: list, show, retry, export, status."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import POLICY, make_queue, new_source, new_video
from youtube_download_coordinator.cli import app
from youtube_download_coordinator.cli.terminal import printable
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.models import Control, Done, Failure, State, Verdict, VideoTask
from youtube_download_coordinator.queue import Claim, Queue
from youtube_download_coordinator.queue.product_requests import ProductRequest, request_of
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS, Where
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.text import no_formula

PRIVATE = Failure(verdict=Verdict.PERMANENT, reason="private", message="This video is private")
BUSY = Failure(verdict=Verdict.RETRY, reason="http-503", message="Service Unavailable")
TITLES = ["One", "=SUM(1;2)", "\x1b]0;owned\x07[red]Three[/red]", "Four, \N{SNOWMAN}", "Five"]
NASTY = "�]0;owned�[red]Three[/red]"

Ydc = Callable[..., tuple[int, str, str]]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """Yield a queue of a source and five videos with the IDs 1 to 5: done, waiting, dead, held, pending."""
    monkeypatch.setenv("YDC_DATABASE_URL", f"sqlite:///{tmp_path}/queue.db")
    store = SqlStore(f"sqlite:///{tmp_path}/queue.db")
    queue = make_queue(store, policy=POLICY)
    queue.add(SOURCES, [new_source(1)])
    queue.add(VIDEO_TASKS, [new_video(n, title=title, accent="pt-BR" * (n < 2)) for n, title in enumerate(TITLES)])
    done, waiting, dead, _held = (held(queue, row_id) for row_id in (1, 2, 3, 4))
    queue.settle([(done, Done(result="x.m4a")), (waiting, BUSY), (dead, PRIVATE)])
    yield queue
    store.close()


def held(queue: Queue, row_id: int) -> Claim[VideoTask]:
    claim = queue.claim_now(VIDEO_TASKS, row_id)
    assert claim
    return claim


@pytest.fixture
def ydc(queue: Queue, capfd: pytest.CaptureFixture[str]) -> Ydc:
    """Run a command; its exit code, and what it said."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = app(map(str, arguments), result_action="return_value", print_error=False, exit_on_error=False)
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def listed(said: str) -> list[int]:
    return [json.loads(line)["ID"] for line in said.splitlines()]


def states(queue: Queue) -> dict[int, State]:
    return {row.id: row.lease.state for table in (VIDEO_TASKS, DEAD_LETTERS) for row in queue.rows(table)}


# --- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ([], [1, 2, 4, 5, 3]),
        (["--status", "pending"], [2, 5]),
        (["--status", "in-progress"], [4]),
        (["--accent", "PT-br"], [1, 2]),
        (["--reason", "http-503"], [2]),
        (["--table", "dead-letters", "--reason", "private"], [3]),
        (["--text", "sum(", "--status", "pending"], [2]),
        (["--table", "sources"], [1]),
        (["--limit", "2"], [1, 2]),
        (["--limit", "0"], [1, 2, 4, 5, 3]),
        (["--status", "error"], [3]),
    ],
)
def test_rows_are_listed_by_what_they_have(ydc: Ydc, arguments: list[str], ids: list[int]) -> None:
    code, out, err = ydc("list", "--json", *arguments)
    assert (code, listed(out)) == (0, ids)
    assert ("only the first 2 rows are shown" in err) is (arguments == ["--limit", "2"])


def test_a_program_reads_every_column_parted_by_tabs(ydc: Ydc) -> None:
    _, out, _ = ydc("list")
    header, first, *_ = [line.split("\t") for line in out.splitlines()]
    row = dict(zip(header, first, strict=True))
    assert (row["ID"], row["Status"], row["Title"], row["Result"]) == ("1", "done", "One", "x.m4a")


def test_a_row_that_waits_for_a_machine_says_for_which(ydc: Ydc, queue: Queue) -> None:
    queue.store.set_control(
        "offers account", lambda line: Control(name="offers account", until=queue.store.now() + timedelta(hours=1))
    )
    queue.settle([(held(queue, 5), Failure(verdict=Verdict.PERMANENT, reason="needs-account", message="Sign in"))])
    said = "It waits for a machine that offers account (YDC_OFFERS). To try it on any: ydc retry 5"
    assert said in ydc("show", 5)[1]
    assert "needs-account: Sign in (waits for account)" in ydc("list", "--status", "pending")[1]
    assert json.loads(ydc("status", "--json")[1])["waiting"] == {"account": 1}
    assert "waits for account" in ydc("status")[1]
    assert ydc("retry", 5)[0] == 0
    assert "(waits for" not in ydc("show", 5)[1]


def test_where_nothing_fits_it_is_said_where_something_would(ydc: Ydc, queue: Queue) -> None:
    name = f"queue: {queue.store.name}\n"
    source = queue.claim_now(SOURCES, 1)
    assert source
    queue.settle([(source, PRIVATE)])
    said = "ydc: no row of videos or dead-letters matches; 1 of sources would: ydc list --table sources\n"
    assert ydc("list", "--reason", "private")[2] == name
    assert ydc("skip", 3)[0] == 0
    assert ydc("list", "--reason", "private") == (0, "", f"{name}{said}")
    assert ydc("retry", "--reason", "private", "--yes") == (0, "0 tried again\n", said)
    assert ydc("list", "--reason", "nothing") == (0, "", f"{name}ydc: no row of videos or dead-letters matches\n")


@pytest.mark.parametrize("arguments", [["list", "--table", "dead-letters"], ["show", "3"], ["show", "3", "--json"]])
def test_nothing_in_a_title_reaches_a_terminal_as_a_control(ydc: Ydc, arguments: list[str]) -> None:
    _, out, _ = ydc(*arguments)
    assert "\x1b" not in out
    assert "\x07" not in out
    assert NASTY in out or "\\u001b]0;owned\\u0007[red]" in out


@given(st.text())
def test_printable_text_is_one_line_that_no_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert all(each.isprintable() or each in "\u200c\u200d" for each in shown)


@pytest.mark.parametrize(
    ("row_id", "what_can_be_done"),
    [
        (1, "It is done. To process it again: ydc retry 1"),
        (2, "To try it now: ydc retry 2"),
        (3, "private: The video or the playlist is private."),
        (3, "It failed permanently. Once the cause is fixed: ydc retry 3"),
        (4, "host/a holds it until "),
        (5, "It is waiting for a worker, such as ydc run."),
    ],
)
def test_a_row_is_shown_with_what_can_be_done_about_it(ydc: Ydc, row_id: int, what_can_be_done: str) -> None:
    code, out, _ = ydc("show", row_id)
    assert code == 0
    assert f"ID\t{row_id}\n" in out
    assert what_can_be_done in out


def test_the_place_is_shown_without_credentials_for_it(ydc: Ydc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_OUTPUT_DIR", "s3://bucket/corpus/")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no address")
    assert "Place\ts3://bucket/corpus\n" in ydc("show", 1)[1]


def test_a_row_that_is_not_there_is_said(ydc: Ydc) -> None:
    with pytest.raises(UserError, match="there is no row 77 in videos or dead-letters"):
        ydc("show", 77)


def test_the_status_says_what_failed_and_who_holds_what(ydc: Ydc) -> None:
    _, out, _ = ydc("status", "--json")
    found = json.loads(out)
    assert found["counts"]["videos"] == {"done": 1, "in-progress": 1, "pending": 2}
    assert found["counts"]["dead letters"] == {"dead letters": 1}
    assert found["reasons"]["dead letters"] == {"private": 1}
    assert found["holders"] == {"host/a": 1}
    assert (found["left"]["videos"], found["left"]["machines"], found["left"]["are_all_listed"]) == (3, 1, False)
    assert found["left"]["seconds"] is None
    assert found["left"]["bytes"] is None  # no length is known
    _, plain, _ = ydc("status")
    assert "What is left\ttime left\ttoo early to say: 1 video is done" in plain
    assert "Rows\tIn\tpending\tin-progress\tdone\tdead letters\tall\n" in plain
    assert "Rows\tvideos\t2\t1\t1\t0\t4\n" in plain
    assert "Who holds what\thost/a\t1\n" in plain


def test_a_queue_that_is_named_counts_more_than_a_sheet_in_the_environment(
    ydc: Ydc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YDC_SPREADSHEET_ID", "1AbC")
    url = f"sqlite:///{tmp_path}/queue.db"
    assert ydc("list", "--json", "--database-url", url)[0] == 0
    with pytest.raises(UserError, match="name two queues"):
        ydc("list", "--database-url", url, "--spreadsheet-id", "1AbC")


DEAD_LETTERS_BY_NAME = ["dead", "dead letters", "dead-letters", "dead_letter", " Dead  Letters "]


@pytest.mark.parametrize("word", DEAD_LETTERS_BY_NAME)
def test_what_failed_for_good_is_the_dead_letters(ydc: Ydc, queue: Queue, tmp_path: Path, word: str) -> None:
    assert [json.loads(line)["ID"] for line in ydc("list", "--json", "--status", word)[1].splitlines()] == [3]
    assert ydc("export", tmp_path / "dead.csv", "--status", word)[1] == f"1 rows in {tmp_path / 'dead.csv'}\n"
    assert ydc("skip", "--yes", "--status", word)[1] == "1 skipped\n"
    assert ydc("list", "--status", word)[2].endswith("ydc: no row of videos or dead-letters matches\n")
    assert states(queue)[3] is State.DONE


def test_dead_letters_are_tried_again(ydc: Ydc, queue: Queue) -> None:
    assert ydc("retry", "--yes", "--status", "dead letters")[1] == "1 tried again\n"
    assert states(queue)[3] is State.PENDING


@pytest.mark.parametrize("command", [["list"], ["export"], ["retry", "--yes"], ["skip", "--yes"]])
def test_an_unknown_status_is_told_with_the_words_there_are(ydc: Ydc, command: list[str]) -> None:
    words = "expected one of pending, in-progress, done, error, dead letters"
    with pytest.raises(UserError, match=f"^--status='held': {words}$"):
        ydc(*command, "--status", "held")


# --- asking ----------------------------------------------------------------------------------------------------------


def test_rows_are_tried_again_by_id_wherever_they_stand(ydc: Ydc, queue: Queue) -> None:
    assert ydc("retry", 1, 2, 3) == (0, "3 tried again\n", "")
    assert states(queue) == {n: State.HELD if n == 4 else State.PENDING for n in range(1, 6)}
    assert {row.not_before for row in queue.rows(VIDEO_TASKS) if row.id != 4} == {None}


def test_what_could_not_be_done_for_an_id_is_said_and_the_exit_code_says_so(ydc: Ydc, queue: Queue) -> None:
    code, out, err = ydc("retry", 4, 5, 77)
    assert (code, out) == (1, "0 tried again\n1 unchanged: already in that state\n")
    assert err.splitlines() == ["1 unchanged: a worker holds them", "ydc: no matching row with ID 77"]
    assert states(queue)[4] is State.HELD


def test_a_filter_leaves_what_is_done_unless_it_says_so(ydc: Ydc, queue: Queue) -> None:
    assert ydc("retry", "--accent", "pt-BR", "--yes")[1] == "1 tried again\n"
    assert states(queue)[1] is State.DONE
    assert ydc("retry", "--accent", "pt-BR", "--status", "done", "--yes")[1] == "1 tried again\n"
    assert states(queue)[1] is State.PENDING


def test_what_is_done_is_asked_for_a_further_product(ydc: Ydc, queue: Queue) -> None:
    done = ydc("retry", 1, 2, "--product", "subtitles,metadata")
    assert done == (0, "1 asked for it\n1 unchanged: not done yet\n", "")
    (row,) = queue.rows(VIDEO_TASKS, Where(ids=[1]))
    assert (row.lease.state, row.lease.reason, row.retry_count) == (State.PENDING, "asked-for", 0)
    assert request_of(row.lease) == ProductRequest(products=("subtitles", "metadata"), result="x.m4a")
    assert ydc("retry", "--product", "metadata", "--all", "--yes")[1] == "0 asked for it\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--product", "subtitels", "--all"], "did you mean subtitles"),
        (["--product", "audio,download", "--all"], "cannot be combined"),
        (["--product", "subtitles"], "which rows"),
        (["--product", "subtitles", "--table", "sources", "--all"], "leave out --table"),
    ],
)
def test_a_product_that_makes_no_sense_is_refused(ydc: Ydc, arguments: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        ydc("retry", *arguments)


def test_dead_letters_are_requeued(ydc: Ydc, queue: Queue) -> None:
    assert ydc("requeue", "--reason", "http-503", "--yes")[1] == "0 tried again\n"
    assert ydc("requeue", "--all", "--yes")[1] == "1 tried again\n"
    assert states(queue)[3] is State.PENDING


@pytest.mark.parametrize(
    "arguments", [[3], [4, 77], ["--all", "--yes"], ["--reason", "http-503", "--yes"], ["--status", "done", "--yes"]]
)
def test_requeue_is_an_alias_of_retry_among_the_dead_letters(ydc: Ydc, queue: Queue, arguments: list[object]) -> None:
    requeued, after = ydc("requeue", *arguments), states(queue)
    if after[3] is State.PENDING:
        held_again = held(queue, 3)
        queue.settle([(held_again, PRIVATE)])
    assert ydc("retry", "--table", "dead-letters", *arguments) == requeued
    assert states(queue) == after


def test_rows_are_skipped(ydc: Ydc, queue: Queue) -> None:
    assert ydc("skip", 3, 5)[:2] == (0, "2 skipped\n")
    assert {row.id: row.result for row in queue.rows(VIDEO_TASKS)}[3] == "skipped by hand"


@pytest.mark.parametrize("command", ["retry", "requeue", "skip"])
def test_nothing_is_changed_when_it_is_not_said_which_rows(ydc: Ydc, queue: Queue, command: str) -> None:
    before = states(queue)
    with pytest.raises(UserError, match="which rows"):
        ydc(command)
    assert states(queue) == before


def test_a_filter_is_not_acted_on_where_nobody_can_be_asked(
    ydc: Ydc, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UserError, match="2 rows will be tried again"):
        ydc("retry", "--text", "http", "--status", "pending")
    assert states(queue)[3] is State.DEAD


@pytest.mark.parametrize(("answer", "is_changed"), [("y", True), ("yes", True), ("", False), ("n", False)])
def test_a_person_is_asked_first(
    ydc: Ydc, queue: Queue, monkeypatch: pytest.MonkeyPatch, answer: str, is_changed: bool
) -> None:
    terminal = io.StringIO(f"{answer}\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    if is_changed:
        assert ydc("requeue", "--reason", "private")[1] == "1 tried again\n"
    else:
        with pytest.raises(UserError, match="nothing was changed"):
            ydc("requeue", "--reason", "private")
    assert (states(queue)[3] is State.PENDING) is is_changed


# --- exporting -------------------------------------------------------------------------------------------------------


def test_a_table_is_exported_whole(ydc: Ydc, tmp_path: Path) -> None:
    path = tmp_path / "videos.csv"
    assert ydc("export", path)[:2] == (0, f"5 rows in {path}\n")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert [row["Title"] for row in rows] == ["One", "'=SUM(1;2)", "Four, \N{SNOWMAN}", "Five", TITLES[2]]
    assert rows[0]["Result"] == "x.m4a"
    assert list(tmp_path.glob(".videos*")) == []


def test_titles_are_exact_for_a_program(ydc: Ydc, tmp_path: Path) -> None:
    raw, lines = tmp_path / "raw.csv", tmp_path / "dead.jsonl"
    ydc("export", raw, "--raw", "--status", "pending")
    assert [row["Title"] for row in csv.DictReader(raw.read_text(encoding="utf-8").splitlines())] == [
        "=SUM(1;2)",
        "Five",
    ]
    ydc("export", lines, "--table", "dead-letters")
    (row,) = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert (row["Title"], row["LastError"]) == (TITLES[2], "private: This video is private")


def test_people_s_own_columns_are_exported(ydc: Ydc, queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [new_video(9, extra={"Gender": "f"})])
    rows = list(csv.DictReader(io.StringIO(ydc("export")[1])))
    assert [row["Gender"] for row in rows] == ["", "", "", "", "f", ""]


def test_an_export_reads_each_row_once(ydc: Ydc) -> None:
    pages: list[str] = []

    def record(_: object, __: object, statement: str, *___: object) -> None:
        pages.extend([statement] if "FROM videos" in statement and "videos.url" in statement else [])

    sa.event.listen(sa.Engine, "before_cursor_execute", record)
    assert len(ydc("export")[1].splitlines()) == 6
    sa.event.remove(sa.Engine, "before_cursor_execute", record)
    assert len(pages) == 4  # of the videos and of the dead letters one with rows, and one that is empty


def test_a_table_without_rows_is_a_header(ydc: Ydc, tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    assert ydc("export", path, "--reason", "no-such")[:2] == (0, f"0 rows in {path}\n")
    ydc("export", tmp_path / "all.csv")
    header = (tmp_path / "all.csv").read_text(encoding="utf-8").splitlines(keepends=True)[0]
    assert path.read_text(encoding="utf-8") == header
    assert ydc("export", "--table", "sources", "--reason", "no-such")[1].startswith("ID,URL,Status,")
    assert ydc("export", "--reason", "no-such", "--format", "jsonl")[1] == ""


def test_what_is_exported_to_the_standard_output_by_another_name_is_nothing_but_rows(ydc: Ydc) -> None:
    assert ydc("export", "/dev/fd/1") == ydc("export", "-")


def test_a_file_that_cannot_be_written_keeps_what_it_was(ydc: Ydc, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be written: No such file or directory"):
        ydc("export", tmp_path / "nowhere" / "videos.csv")
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(UserError, match="cannot be written: Is a directory"):
        ydc("export", folder)
    assert list(tmp_path.glob(".folder*")) == []


@given(st.text() | st.text(alphabet="=+-@＝＋－＠﹢\t\r\n\u2028\ufeff\u200b '\"a"))
def test_no_text_is_left_that_a_spreadsheet_takes_for_a_formula(text: str) -> None:
    """Nor any line of it: some programs split at line breaks, skip blanks and invisible characters, and know full-width signs."""
    safe = no_formula(text)
    for line in safe.splitlines():
        visible = line.replace("\ufeff", "").replace("\u200b", "").strip()
        assert not line.startswith(("\t", "\r"))
        assert not unicodedata.normalize("NFKC", visible).startswith(("=", "+", "-", "@"))
    assert safe.replace("'", "") == text.replace("'", "")


def test_no_name_of_a_column_is_left_that_a_spreadsheet_takes_for_a_formula(
    ydc: Ydc, queue: Queue, tmp_path: Path
) -> None:
    name = "=HYPERLINK(1)"
    queue.add(VIDEO_TASKS, [new_video(99, extra={name: "＝1+1", "Note": "a\n=2"})])
    ydc("export", tmp_path / "safe.csv")
    ydc("export", tmp_path / "raw.csv", "--raw")
    texts = [(tmp_path / file).read_bytes().decode() for file in ("safe.csv", "raw.csv")]
    tables = [list(csv.reader(io.StringIO(text, newline=""))) for text in texts]
    assert [(table[0][-2:], max(row[-2:] for row in table[1:])) for table in tables] == [
        ([f"'{name}", "Note"], ["'＝1+1", "a\n'=2"]),
        ([name, "Note"], ["＝1+1", "a\n=2"]),
    ]
