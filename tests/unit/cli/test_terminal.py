"""`ydc` at a terminal and without one: what it draws, what it imports, and what it says when it is at fault itself."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.rows import make_queue, new_video
from youtube_download_coordinator.cli.progress import Progress, span
from youtube_download_coordinator.models import Failure, Lease, Source, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore
from youtube_download_coordinator.workers.attempts import Attempt, AttemptResult
from youtube_download_coordinator.workers.expansion import Expansion

NASTY_TITLE = "\x1b]0;owned\x07[red]Title[/red]"
RED = "\x1b[31m"
SHOWN_TITLE = "�]0;owned�[red]Title[/red]"
PROCESSOR = "def fine(url):\n    return 'fine'\n"

IMPORTED = """
import sys
from youtube_download_coordinator import cli
try:
    cli.main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code, ended.code
print({name.partition(".")[0] for name in sys.modules} & {"prefect", "gspread", "yt_dlp", "fastapi"}, file=sys.stderr)
"""
AT_FAULT = """
import sys
from youtube_download_coordinator import cli

@cli.app.command
def boom():
    raise ZeroDivisionError("of zero")

cli.main(sys.argv[1:])
"""

LOGS = """
import logging, sys
from youtube_download_coordinator import cli

@cli.app.command
def boom():
    logging.getLogger("youtube_download_coordinator").info("\\x1b]0;owned\\x07 of a title")
    raise ZeroDivisionError("\\x1b]0;owned\\x07 of an error")

cli.main(sys.argv[1:])
"""

INTERRUPTED_WHILE_IT_LOADS = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *more):
        if name == "youtube_download_coordinator.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from youtube_download_coordinator.__main__ import main
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(PROCESSOR)
    return tmp_path


@pytest.fixture
def queue(folder: Path) -> Iterator[Queue]:
    store = SqlStore(f"sqlite:///{folder}/coordinator.db")
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(1, title=NASTY_TITLE)])
    yield queue
    store.close()


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("YDC_") and name != "NO_COLOR"}
    return kept | {"PYTHONPATH": str(Path.cwd()), "TERM": "xterm-256color", "COLUMNS": "120"} | more


def ydc(folder: Path, *arguments: str, code: str = "", more: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run it without a terminal; its exit code, and what it said."""
    command = [sys.executable, *(["-c", code] if code else ["-m", "youtube_download_coordinator"]), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(**(more or {})), capture_output=True, text=True, check=False, timeout=100
    )
    return done.returncode, done.stdout, done.stderr


def at_a_terminal(folder: Path, *arguments: str, **more: str) -> str:
    """Run it at a terminal of its own; everything that reached the screen."""
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "youtube_download_coordinator", *arguments]
    process = subprocess.Popen(command, cwd=folder, env=environment(**more), stdin=its, stdout=its, stderr=its)
    os.close(its)
    said = b""
    with suppress(OSError):  # the end of a terminal
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    assert process.wait(timeout=60) == 0, said
    return said.decode()


@pytest.mark.parametrize("arguments", [["--help"], ["status"]])
def test_nothing_that_is_slow_is_imported_where_it_is_not_needed(folder: Path, arguments: list[str]) -> None:
    code, _, said = ydc(folder, *arguments, code=IMPORTED)
    assert (code, said) == (0, "set()\n")


def test_a_fault_of_our_own_is_one_line_and_with_debug_a_traceback(folder: Path) -> None:
    code, _, said = ydc(folder, "boom", code=AT_FAULT)
    assert code == 1
    assert said == "ydc: internal error: ZeroDivisionError: of zero; please report it, with the output of --debug\n"
    code, _, said = ydc(folder, "boom", "--debug", code=AT_FAULT)
    assert code == 1
    assert "Traceback" in said
    assert said.splitlines()[-1].startswith("ydc: internal error")


def test_an_interruption_while_it_loads_ends_it_without_a_traceback(folder: Path) -> None:
    assert ydc(folder, "status", code=INTERRUPTED_WHILE_IT_LOADS) == (-signal.SIGINT, "", "")


def test_without_a_checkout_there_is_nothing_to_deploy(folder: Path) -> None:
    code, _, said = ydc(folder, "deploy")
    assert code == 2
    assert (
        said
        == f"ydc: there are no flows in '{folder}': run ydc deploy in a checkout of the project, with prefect.yaml\n"
    )


def test_without_a_prefect_server_nothing_is_deployed(folder: Path) -> None:
    """Prefect would start a server of its own for each step, and throw it away."""
    for name in ("flows", "prefect.yaml"):
        (folder / name).symlink_to(Path(__file__).resolve().parents[3] / name)
    code, said, problem = ydc(folder, "deploy", more={"PREFECT_HOME": str(folder), "PREFECT_API_URL": ""})
    assert (code, said) == (1, "")
    assert problem.startswith(
        "PREFECT_API_URL is not set: set it to the address of the Prefect server, http://127.0.0.1:4200/api"
    )
    assert len(problem.splitlines()) == 1


def test_a_locale_without_the_characters_of_a_title_is_no_fault(folder: Path, queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [new_video(2, title="日本語")])
    code, said, _ = ydc(folder, "list", more={"PYTHONIOENCODING": "ascii"})
    assert code == 0
    assert "???" in said


def test_a_terminal_obeys_nothing_in_a_title(folder: Path, queue: Queue) -> None:
    said = at_a_terminal(folder, "list", NO_COLOR="1")
    assert SHOWN_TITLE in said
    assert "\x1b]0" not in said


def test_a_terminal_obeys_nothing_in_a_log_or_a_traceback(folder: Path) -> None:
    _, out, said = ydc(folder, "boom", "--debug", code=LOGS)
    assert not out
    assert "\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER} of a title\n" in said
    assert said.count(" of an error") == 2
    assert not {"\x1b", "\x07"} & set(said)


def test_colours_are_left_out_where_they_are_not_wanted(folder: Path, queue: Queue) -> None:
    fail(queue)
    assert RED in at_a_terminal(folder, "status")
    assert RED not in at_a_terminal(folder, "status", NO_COLOR="1")


def test_a_zero_catches_no_eye(folder: Path, queue: Queue) -> None:
    assert RED not in at_a_terminal(folder, "status")
    fail(queue)
    queue.add(VIDEO_TASKS, [new_video(2)])
    said = at_a_terminal(folder, "status")
    assert "\x1b[2m      0\x1b[0m" in said
    red = [line for line in said.splitlines() if RED in line]
    assert [line.split()[0] for line in red] == ["dead", "(none)", "(none)"], "the row, its accent, and its type"
    assert all(f"{RED}           1\x1b[0m" in line for line in red)


def test_what_is_empty_is_not_shown(folder: Path, queue: Queue) -> None:
    said = plain(folder, "status")
    assert re.search(r"^In +pending +all *$", said, flags=re.MULTILINE), said
    assert re.search(r"^Line +State *$", said, flags=re.MULTILINE), said
    assert "sources" not in said
    listed = plain(folder, "list")
    assert re.search("ID +┃ Status +┃ Title or URL +┃ Result or error", listed), listed
    fail(queue)
    listed = plain(folder, "list")
    assert re.search("ID +┃ Status +┃ Tries +┃ Title or URL +┃ Result or error", listed), listed
    assert "dead letters" in listed


def plain(folder: Path, *arguments: str) -> str:
    """Run a command at a terminal, and return what it shows without its styles."""
    return re.sub("\x1b\\[[0-9;]*m", "", at_a_terminal(folder, *arguments)).replace("\r", "")


def test_a_narrow_terminal_costs_no_number_and_no_title(folder: Path, queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(2, 1300)])
    said = at_a_terminal(folder, "status", COLUMNS="40", NO_COLOR="1")
    assert re.search(r"^videos +1,299", said, flags=re.MULTILINE), said
    listed = at_a_terminal(folder, "list", COLUMNS="40", NO_COLOR="1")
    assert re.search("│ 1 +│ pending │ .+0;ow", listed), listed


def fail(queue: Queue) -> None:
    private = Failure(verdict=Verdict.PERMANENT, reason="private", message="This video is private")
    queue.settle([(claim, private) for claim in queue.claim(VIDEO_TASKS, 1)])


def test_a_run_at_a_terminal_says_how_it_is_getting_on(folder: Path, queue: Queue) -> None:
    said = at_a_terminal(folder, "run", "--processor", "mine:fine")
    assert "0 claimed · 1 done · 0 failed · 0 left" in said
    assert SHOWN_TITLE in said
    assert "\x1b]0" not in said
    assert "This run: 1 done." in said


def test_the_status_is_shown_again_and_again_until_it_is_interrupted(folder: Path, queue: Queue) -> None:
    command = [sys.executable, "-m", "youtube_download_coordinator", "status", "--watch", "--json"]
    with subprocess.Popen(
        [*command, "--interval-seconds", "0.1"], cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert first["counts"]["videos"] == second["counts"]["videos"] == {"pending": 1}
    assert process.returncode == 0


def attempt(ending: AttemptResult) -> Attempt:
    return Attempt(task=new_video(1), result=ending, seconds=1, detail="")


def test_progress_tells_what_is_listed_and_what_is_left_and_for_how_long(queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(2, 12)])
    progress = Progress(queue, began=0.0, monotonic=lambda: 7200.0)
    source = Source(url="https://www.youtube.com/@handle", key="k", lease=Lease(nonce="n"))
    progress.show_listing(Expansion(source=source, listed=40, new=12))
    assert str(progress).splitlines()[0] == "listing https://www.youtube.com/@handle: 40 videos listed, 12 new"
    progress.begin_processing()
    queue.claim(VIDEO_TASKS, 4)
    progress.monotonic = lambda: 7230.0
    for ending in (AttemptResult.DONE, AttemptResult.DONE, AttemptResult.DEAD, AttemptResult.RETRY):
        progress.add_attempt(attempt(ending))
    assert str(progress) == "4 claimed · 2 done · 2 failed · 8 left · 480 per hour · about 1 min to go · 2.0 h so far"


def test_progress_says_that_it_waits_when_nothing_may_be_claimed_yet(queue: Queue) -> None:
    progress = Progress(queue)
    progress.begin_processing()
    progress.add_attempt(attempt(AttemptResult.RETRY))
    assert "0 claimed · 0 done · 1 failed · 1 left · waiting until they are due for a retry" in str(progress)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (600, "10 min"), (7200, "2.0 h"), (47 * 3600, "47.0 h"), (49 * 3600, "2.0 days")],
)
def test_a_length_of_time_is_as_exact_as_people_want_it(seconds: float, text: str) -> None:
    assert span(seconds) == text
