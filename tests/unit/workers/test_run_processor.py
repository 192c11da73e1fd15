"""Processors: whatever one does is recorded as what it is, within its deadline, and nothing of it is left running."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import pytest

from tests.support import bad_processors, rows
from youtube_download_coordinator import errors
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.models import (
    Done,
    Failure,
    Outcome,
    State,
    Verdict,
    VideoTask,
    video_task_from_json,
    video_task_to_json,
)
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS
from youtube_download_coordinator.workers.find_processor import check_processor, resolve_processor
from youtube_download_coordinator.workers.run_processor import as_text, call_in_process, process_video

TASK = rows.new_video(7, url="https://example.org/seven", accent="Scottish")
LONG = 60.0
SHORT = 0.5
MARK = "YDC_TEST_MARK"


@pytest.fixture(autouse=True)
def mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Set and return a mark that every process of a test has in its environment."""
    monkeypatch.setenv(MARK, str(tmp_path))
    return str(tmp_path)


def marked(mark: str) -> list[psutil.Process]:
    processes = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.pid != os.getpid() and process.status() != "zombie":
                processes.append(process)
        except psutil.Error:
            continue
    return processes


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"still not {condition}"
        time.sleep(0.01)


def config(seconds: float = LONG, **settings: Any) -> Config:
    return Config(attempt_timeout_minutes=seconds / 60, **settings)


def process(name: str, seconds: float = LONG, task: VideoTask = TASK) -> Outcome:
    return process_video(f"tests.support.bad_processors:{name}", task, config(seconds))


# -- what becomes of each


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("sleeps", "in sleeps"),
        ("blocks_in_recv", "in blocks_in_recv"),
        ("holds_the_gil", "in match"),
        ("catches_everything", "in catches_everything"),
        ("eats_sigterm", "in eats_sigterm"),
        ("waits_for_a_stubborn_child", ""),
        ("becomes_a_daemon_and_hangs", "in becomes_a_daemon_and_hangs"),
        ("stops_itself", ""),
    ],
)
def test_one_that_does_not_end_times_out(name: str, where: str, mark: str) -> None:
    start = time.monotonic()
    outcome = process(name, SHORT)
    assert time.monotonic() - start < SHORT + 5
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, "timeout")
    assert outcome.message.startswith("not done after 0.5 s")
    # On a slow machine the time may be up before it began.
    assert where in outcome.message or "bad_processors" not in outcome.message
    assert marked(mark) == []


@pytest.mark.parametrize(
    ("name", "verdict", "reason", "says"),
    [
        ("segfaults", Verdict.RETRY, "crashed", "SIGSEGV at __init__.py"),
        ("is_killed", Verdict.RETRY, "crashed", "SIGKILL (out of memory?)"),
        ("ends_its_group", Verdict.RETRY, "crashed", "SIGTERM"),
        ("exits_3", Verdict.RETRY, "exited", "exit code 3 without an answer"),
        ("exits_with_words", Verdict.RETRY, "exited", "exit code 1 without an answer: no licence for this codec"),
        ("exits_0", Verdict.RETRY, "exited", "exit code 0 without an answer"),
        ("exits_at_once", Verdict.RETRY, "exited", "exit code 0 without an answer"),
        ("raises", Verdict.RETRY, "error", "ValueError: this is not an integer"),
        ("raises_without_text", Verdict.RETRY, "error", ""),
        ("raises_keyboard_interrupt", Verdict.RETRY, "error", "KeyboardInterrupt"),
        ("recurses", Verdict.RETRY, "error", "RecursionError"),
        ("needs_too_much_memory", Verdict.RETRY, "memory", "MemoryError"),
        ("fills_the_disk", Verdict.UNFIT, "disk-full", "No space left"),
        ("yields", Verdict.UNFIT, "processor", "must not `yield`"),
        ("returns_a_generator", Verdict.UNFIT, "processor", "must not `yield`"),
        ("is_not_there", Verdict.UNFIT, "processor", "there is no is_not_there"),
    ],
)
def test_one_that_fails_is_recorded_as_what_it_did(
    name: str, verdict: Verdict, reason: str, says: str, mark: str
) -> None:
    outcome = process(name)
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (verdict, reason)
    assert says in outcome.message
    assert marked(mark) == []


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("leaves_a_stubborn_child", "done"),
        ("leaves_a_daemon", "done"),
        ("leaves_a_thread", "done"),
        ("writes_100_megabytes_to_stderr", "done"),
        ("returns_what_no_database_takes", "half a character ? and a NUL ."),
    ],
)
def test_one_that_answers_is_done_whatever_it_leaves(name: str, result: str, mark: str) -> None:
    assert process(name) == Done(result=result)
    assert marked(mark) == []


def test_what_is_printed_is_logged_and_is_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert process("prints_everywhere") == Done(result=TASK.url)
    lines = {record.getMessage() for record in caplog.records if record.levelno == logging.INFO}
    ways = ("print", "a descriptor", "a subprocess", "C")
    assert lines == {f"tests.support.bad_processors:prints_everywhere {TASK.key}: from {way}" for way in ways}


def test_garbage_among_the_messages_is_dropped(caplog: pytest.LogCaptureFixture, mark: str) -> None:
    assert process("writes_garbage_to_every_pipe") == Done(result="done")
    assert caplog.text.count("ignored a line that is not a message") == 4
    assert marked(mark) == []


def test_a_flood_is_logged_up_to_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        process("writes_100_megabytes_to_stderr")
    assert len(caplog.records) == 1001
    assert "more than 1000 lines were printed" in caplog.records[-1].getMessage()


def test_a_long_result_is_cut() -> None:
    outcome = process("returns_much")
    assert isinstance(outcome, Done)
    assert len(outcome.result) == DETAIL_MAX_CHARACTERS
    assert outcome.result.endswith("…")


def test_a_result_that_is_no_json_is_done_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert process("returns_no_json") == Done(result="<class 'set'>")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "not JSON" in caplog.text


def test_nothing_is_left_when_the_parent_is_killed(mark: str, tmp_path: Path) -> None:
    for name in ("sleeps", "eats_sigterm", "becomes_a_daemon_and_hangs"):
        ready = tmp_path / name
        code = f"""
            from tests.support import rows
            from youtube_download_coordinator.config import Config
            from youtube_download_coordinator.workers.run_processor import process_video
            process_video("tests.support.bad_processors:{name}", rows.new_video(1), Config(attempt_timeout_minutes=5))
        """
        environment = os.environ | {bad_processors.READY: str(ready)}
        parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=environment)
        wait_until(ready.exists)
        assert len(marked(mark)) >= 3
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_until(lambda: marked(mark) == [], 5)


# -- verdicts of one's own


@pytest.mark.parametrize(
    "kind",
    [
        errors.TransientError,
        errors.GoneError,
        errors.PermanentError,
        errors.LaterError,
        errors.ThrottledError,
        errors.UnfitError,
    ],
)
def test_an_attempt_error_says_itself_what_becomes_of_the_row(kind: type[errors.AttemptError]) -> None:
    moment = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

    def processor(task: VideoTask) -> None:
        raise kind("tomorrow, perhaps", reason="moon", not_before=moment)

    failure = Failure(verdict=kind.verdict, reason="moon", message="tomorrow, perhaps", not_before=moment)
    assert call_in_process(processor, TASK) == failure


def test_an_attempt_error_comes_out_of_the_child_as_it_was(user_modules: Path) -> None:
    (user_modules / "verdict_of_mine.py").write_text(
        textwrap.dedent("""
        from datetime import datetime, timezone
        from youtube_download_coordinator import LaterError

        def process(task):
            raise LaterError("é \\ud800\\0", reason="moon", not_before=datetime(2030, 1, 2, tzinfo=timezone.utc))
    """)
    )
    assert process_video("verdict_of_mine:process", TASK, config()) == Failure(
        verdict=Verdict.LATER, reason="moon", message="é ?", not_before=datetime(2030, 1, 2, tzinfo=UTC)
    )


def test_what_no_row_can_keep_does_not_come_out_of_the_child(user_modules: Path) -> None:
    (user_modules / "wrong_types.py").write_text(
        textwrap.dedent("""
        from youtube_download_coordinator import LaterError
        from youtube_download_coordinator.models import Done

        def returns(task):
            return Done(result="whole", media_seconds=float("nan"), degraded={"noisy"}, asked_youtube={1})

        def raises(task):
            raise LaterError("early", not_before="noon", systemic={1})
    """)
    )
    assert process_video("wrong_types:returns", TASK, config()) == Done(result="whole")
    raised = process_video("wrong_types:raises", TASK, config())
    assert raised == Failure(verdict=Verdict.LATER, reason="upcoming", message="early")


def test_yt_dlps_errors_are_understood(user_modules: Path) -> None:
    (user_modules / "uses_yt_dlp.py").write_text(
        textwrap.dedent("""
        def process(url):
            from yt_dlp.utils import DownloadError
            raise DownloadError("ERROR: [youtube] x: Sign in to confirm you’re not a bot.")
    """)
    )
    outcome = process_video("uses_yt_dlp:process", TASK, config())
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.THROTTLED, "bot-check")


def test_the_traceback_of_an_unknown_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        process("raises")
    assert "in raises" in caplog.text


# -- the task in the child


def test_a_task_comes_out_of_json_as_it_was() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    lease = replace(TASK.lease, state=State.HELD, until=moment, holder="host/a", tries=2)
    task = replace(
        TASK, id=7, extra=MappingProxyType({"Speaker": "ö"}), claimed_at=moment, duration_seconds=5, lease=lease
    )
    copy = video_task_from_json(video_task_to_json(task))
    assert copy == replace(task, extra={"Speaker": "ö"})
    assert copy.columns() == task.columns()


def test_a_child_loads_nothing_that_is_heavy(user_modules: Path) -> None:
    heavy = "pydantic", "sqlalchemy", "yt_dlp", "prefect", "subprocess", "asyncio", "logging", "config", "parent"
    (user_modules / "what_is_loaded.py").write_text(
        textwrap.dedent(f"""
        import sys
        def process(task):
            return [name for name in sys.modules if name.rpartition(".")[2] in {heavy}]
    """)
    )
    assert process_video("what_is_loaded:process", TASK, config()) == Done(result="[]")


def test_a_function_of_the_callers_is_called_here() -> None:
    assert call_in_process(lambda url: {"processed": url}, TASK) == Done(result=f'{{"processed":"{TASK.url}"}}')
    assert call_in_process(lambda anything: anything, TASK) == Done(result=TASK.url)
    assert call_in_process(lambda task: task.accent, TASK) == Done(result="Scottish")


def test_its_error_is_a_failure_and_an_interrupt_goes_through() -> None:
    assert call_in_process(bad_processors.raises, TASK) == Failure(
        verdict=Verdict.RETRY, reason="error", message="ValueError: this is not an integer"
    )
    for name, kind in (("raises_keyboard_interrupt", KeyboardInterrupt), ("exits_3", SystemExit)):
        with pytest.raises(kind):
            call_in_process(getattr(bad_processors, name), TASK)


def test_its_result_that_is_no_json_is_kept_as_text(caplog: pytest.LogCaptureFixture) -> None:
    assert call_in_process(bad_processors.returns_no_json, TASK) == Done(result="<class 'set'>")
    assert "not JSON" in caplog.text


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "text", "not_json"),
    [
        (None, "", ""),
        ("text", "text", ""),
        (Path("a/b.m4a"), "a/b.m4a", ""),
        ({"é": [1, 2.5, True, None]}, '{"é":[1,2.5,true,null]}', ""),
        (3, "3", ""),
        (False, "false", ""),
        (float("nan"), "nan", "float"),
        (b"bytes", "b'bytes'", "bytes"),
        ({(1, 2): 3}, "{(1, 2): 3}", "dict"),
        (timedelta(seconds=1), "0:00:01", "timedelta"),
        (Unprintable(), "<Unprintable>", "Unprintable"),
    ],
)
def test_results_are_text(value: object, text: str, not_json: str) -> None:
    assert as_text(value) == (text, not_json)


# -- what a processor is called with


@pytest.mark.parametrize(
    ("attribute", "result"),
    [
        ("ByObject", "object {url}"),
        ("an_object", "object {url}"),
        ("an_object.method", "method Scottish"),
        ("ByObject.Inner.process", "inner {url}"),
        ("partly", "partial {url}"),
        ("unannotated", "unannotated {url}"),
        ("by_name", "{url}"),
        ("optional", "optional {url}"),
        ("unknown_to_the_interpreter", "unknown {url}"),
        ("named_str", "str {url}"),
        ("asynchronous", "async {url}"),
    ],
)
def test_a_processor_gets_the_url_or_the_task(attribute: str, result: str) -> None:
    outcome = process_video(f"tests.support.bad_processors:{attribute}", TASK, config())
    assert outcome == Done(result=result.format(url=TASK.url))


# -- finding one


@pytest.fixture
def user_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to an operator's working directory, which a console script does not have on sys.path."""
    known, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in path if entry])
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_built_ins_are_known_by_name() -> None:
    for name in ("download", "audio", "metadata"):
        assert resolve_processor(name).__module__ == "youtube_download_coordinator.processors.built_in"


def test_a_module_of_the_working_directory_is_found(user_modules: Path) -> None:
    (user_modules / "found_here.py").write_text("def process(task): return task.accent")
    check_processor("found_here:process")
    assert process_video("found_here:process", TASK, config()) == Done(result="Scottish")
    assert resolve_processor("found_here:process")(TASK) == "Scottish"


def test_a_built_in_function_without_a_signature_is_let_through() -> None:
    assert resolve_processor("builtins:int") is int


SOURCE = """
    import sys
    number = 7
    def process(task): ...
    def two(task, other): ...
    def none(): ...
    def keyword(*, task): ...
    class Broken:
        def __init__(self): raise ValueError("no key")
        def __call__(self, task): ...
    class Nothing: ...
    def generates(task):
        yield task
    async def generates_async(task):
        yield task
"""


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("nonsense", "neither download, audio, metadata, subtitles nor module:function"),
        ("audi", "did you mean audio?"),
        (":process", "neither download"),
        ("mine:", "neither download"),
        ("mine.py:process", "without .py"),
        ("./mine:process", "without .py and slashes"),
        ("not_there:process", "there is no module not_there"),
        ("mine.deeper:process", "there is no module mine.deeper"),
        ("needs_more:process", "needs_more cannot be imported: it imports not_installed, which is not installed"),
        ("raises:process", "raises cannot be imported: ValueError: no key"),
        ("exits:process", "exits cannot be imported: it calls sys.exit(2)"),
        ("broken:process", "broken cannot be imported: SyntaxError"),
        ("mine:proces", "did you mean process?"),
        ("mine:process.deeper", "there is no deeper in process"),
        ("mine:number", "is a int, which cannot be called"),
        ("mine:two", "takes (task, other)"),
        ("mine:none", "takes ()"),
        ("mine:keyword", "takes (*, task)"),
        ("mine:Broken", "cannot be instantiated: ValueError: no key"),
        ("mine:Nothing", "is a Nothing, which cannot be called"),
        ("mine:generates", "must not `yield`"),
        ("mine:generates_async", "must not `yield`"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(spec: str, says: str, user_modules: Path) -> None:
    (user_modules / "mine.py").write_text(textwrap.dedent(SOURCE))
    (user_modules / "needs_more.py").write_text("import not_installed")
    (user_modules / "raises.py").write_text("raise ValueError('no\\nkey')")
    (user_modules / "exits.py").write_text("import sys; sys.exit(2)")
    (user_modules / "broken.py").write_text("def process(task")
    with pytest.raises(errors.ProcessorError) as caught:
        resolve_processor(spec)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import ctypes; ctypes.string_at(0)", "crashed, SIGSEGV"),
        ("import os; os._exit(0)", "exited, exit code 0"),
        ("import sys; sys.exit(2)", "it calls sys.exit(2)"),
        ("def process(task): ...", ""),
    ],
)
def test_a_check_survives_what_a_module_does(source: str, says: str, user_modules: Path) -> None:
    (user_modules / "wild.py").write_text(source)
    if not says:
        check_processor("wild:process")
        return
    with pytest.raises(errors.ProcessorError, match="wild") as caught:
        check_processor("wild:process")
    assert says in str(caught.value)
