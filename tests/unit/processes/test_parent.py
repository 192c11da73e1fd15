"""Child processes: what comes out of one, when it ends, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.waiting import any_alive, wait_until
from youtube_download_coordinator.errors import PermanentError, TransientError, UnfitError
from youtube_download_coordinator.processes import parent, printed
from youtube_download_coordinator.processes import supervisor as supervisor_module

LONG = 60.0


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Check that a test leaves no process, descriptor or thread. Those of earlier tests may end meanwhile."""
    me = psutil.Process()
    descriptors, threads = me.num_fds(), threading.active_count()
    others = {each.pid for each in me.children(recursive=True)}
    yield
    wait_until(lambda: not any_alive([each for each in me.children(recursive=True) if each.pid not in others]), 5)
    assert me.num_fds() <= descriptors
    assert threading.active_count() <= threads


def run(
    target: str, payload: Any = None, seconds: float = LONG
) -> contextlib.AbstractContextManager[parent.ChildProcess]:
    return parent.run(f"tests.support.bad_processors:{target}", payload or {}, deadline_seconds=seconds, name=target)


def family(child: parent.ChildProcess) -> list[psutil.Process]:
    supervisor = psutil.Process(child.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def test_messages_come_as_they_are_sent_and_the_value_at_last() -> None:
    with run("counts", {"to": 3}) as child:
        assert list(child) == [0, 1, 2]
        assert child.result() == {"counted": 3}


def test_a_value_can_be_had_without_reading_messages() -> None:
    with run("counts", {"to": 1000}) as child:
        assert child.result() == {"counted": 1000}


def test_no_file_of_the_working_directory_or_of_the_library_hides_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor is a file of a room, started by its path: without -P, Python would look for modules beside it first."""
    monkeypatch.chdir(tmp_path)
    modules = ["queue", "json", "select", "prefect"]
    rooms = [path.stem for path in Path(supervisor_module.__file__).parent.glob("[!_]*.py")]
    for name in [*modules, *rooms]:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong file')\n")
    with run("where_modules_are", {"names": [*modules, *rooms]}) as child:
        wait_until(lambda: "-P" in psutil.Process(child.pid).cmdline())  # the kernel shows it a moment after the start
        files = child.result()
    assert rooms
    assert {files[name] for name in rooms} == {""}
    assert all(files[name] for name in modules)
    assert not [path for path in files.values() if path.startswith(str(tmp_path))]


def test_a_target_may_ask_and_wait_for_the_answer() -> None:
    target = "tests.support.bad_processors:asks"
    with parent.run(target, {}, deadline_seconds=LONG, name="asks", answered=True) as child:
        for message, answer in zip(child, b"ab.", strict=False):
            assert message == "and now?"
            child.answer(bytes([answer]))
        assert child.result() == "ab."
        child.answer(b"x")  # too late, and no harm


def test_a_target_that_waits_for_an_answer_is_ended_by_the_deadline() -> None:
    target = "tests.support.bad_processors:asks"
    with (
        parent.run(target, {}, deadline_seconds=1, name="asks", answered=True) as child,
        pytest.raises(TransientError) as error,
    ):
        child.result()
    assert error.value.reason == "timeout"


def test_a_message_comes_before_the_next_is_made() -> None:
    with run("hangs") as child:
        assert next(iter(child)) == {"hangs": True}


def test_a_child_waits_while_nobody_reads(tmp_path: Path) -> None:
    finished = tmp_path / "finished"
    with run("sends_much", {"finished": str(finished)}) as child:
        messages = iter(child)
        assert len(next(messages)) == 1000
        worker = family(child)[1]
        wait_until(lambda: worker.status() == psutil.STATUS_SLEEPING)
        assert not finished.exists()
        assert sum(1 for _ in messages) == 999
        assert finished.exists()


def test_a_large_job_arrives() -> None:
    with run("measures", {"text": "é" * 5_000_000}) as child:
        assert child.result() == 5_000_000


@pytest.mark.parametrize("target", ["returns_too_much", "returns_an_object", "emits_too_much"])
def test_what_cannot_be_sent_is_an_error_of_the_child(target: str) -> None:
    with run(target) as child, pytest.raises(TransientError) as caught:
        child.result()
    assert caught.value.reason == "error"


def test_an_attempt_error_comes_through() -> None:
    with run("refuses") as child, pytest.raises(PermanentError, match="never") as caught:
        child.result()
    assert (caught.value.reason, caught.value.systemic) == ("moon", False)


def test_a_systemic_error_comes_through() -> None:
    """What counts towards suspicion is decided in the child and counted in the parent."""
    with run("fails_as_in_an_outage") as child, pytest.raises(TransientError, match="reloaded") as caught:
        child.result()
    assert caught.value.failure.systemic


def test_the_tail_of_what_was_printed_is_kept() -> None:
    with run("prints_and_dies") as child, pytest.raises(TransientError) as caught:
        child.result()
    assert caught.value.reason == "exited"
    assert child.tail.endswith("the last words\n")
    assert len(child.tail) <= printed.TAIL_BYTES


def test_an_answer_stands_however_the_process_ends() -> None:
    with run("answers_and_crashes") as child:
        assert child.result() == "the answer"


# -- stopping


def test_leaving_the_with_ends_the_child_at_once() -> None:
    with run("resists") as child:
        assert next(iter(child))
        processes = family(child)
        start = time.monotonic()
    assert time.monotonic() - start < parent.STOP_SECONDS + 2
    assert not any_alive(processes)
    with pytest.raises(parent.Stopped):
        child.result()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_error_of_the_reader_leaves_nothing(error: type[BaseException]) -> None:
    processes = []
    with pytest.raises(error), run("lives_on_as_a_daemon") as child:  # noqa: PT012  the `with` is what is tested
        assert next(iter(child))
        processes = family(child)
        raise error
    assert not any_alive(processes)


def test_a_child_that_nobody_reads_from_is_ended() -> None:
    with run("sends_much", {"finished": os.devnull}):
        pass


def test_stop_all_ends_what_other_threads_wait_for() -> None:
    begun = threading.Semaphore(0)

    def wait() -> str:
        with run("hangs") as child:
            for _ in child:
                begun.release()
            try:
                return str(child.result())
            except parent.Stopped:
                return "stopped"

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(wait) for _ in range(4)]
        for _ in waiting:
            assert begun.acquire(timeout=20)
        parent.stop_all()
        assert [each.result(timeout=10) for each in waiting] == ["stopped"] * 4


def test_child_processes_of_one_parent_do_not_hold_each_other() -> None:
    with contextlib.ExitStack() as stack:
        several = [stack.enter_context(run("hangs")) for _ in range(4)]
        for child in several:
            assert next(iter(child))
        for index, child in enumerate(several):
            processes = family(child)
            child.hang_up()
            wait_until(lambda gone=processes[1:]: not any_alive(gone), 10)  # type: ignore[misc]
            assert all(psutil.pid_exists(other.pid) for other in several[index + 1 :])


FORKING_PARENT = """
import os, signal
from youtube_download_coordinator.processes import parent, printed
with parent.run("tests.support.bad_processors:hangs", {}, deadline_seconds=60, name="forked") as child:
    next(iter(child))
    fork = os.fork()
    if not fork:
        os.close(1)
        signal.pause()
    print(child.pid, fork, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_child_ends_when_only_a_fork_of_its_parent_holds_the_lifeline() -> None:
    """As multiprocessing makes them: a copy of everything, the lifeline too."""
    parent = subprocess.run([sys.executable, "-c", FORKING_PARENT], stdout=subprocess.PIPE, text=True, check=False)
    supervisor, fork = map(int, parent.stdout.split())
    try:
        assert psutil.pid_exists(fork)
        wait_until(lambda: not psutil.pid_exists(supervisor), supervisor_module.ORPHAN_CHECK_SECONDS + 10)
    finally:
        os.kill(fork, signal.SIGKILL)


# -- the second net


def test_a_supervisor_that_is_stopped_is_killed_with_all_below_it() -> None:
    with run("lives_on_as_a_daemon") as child:
        assert next(iter(child))
        processes = family(child)
        assert len(processes) == 3
        os.kill(child.pid, signal.SIGSTOP)
        child._net = time.monotonic()  # its deadline and the grace have passed
        with pytest.raises(TransientError) as caught:
            child.result()
        assert caught.value.reason == "timeout"
        wait_until(lambda: not any_alive(processes[1:]), 10)


def test_a_supervisor_that_is_killed_takes_the_worker_along() -> None:
    with run("starts_a_program") as child:
        assert next(iter(child))
        processes = family(child)
        assert len(processes) == 3
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(TransientError, match="its supervisor was killed") as caught:
            child.result()
        assert caught.value.reason == "crashed"
    wait_until(lambda: not any_alive(processes), 10)


def test_a_supervisor_that_is_told_to_end_is_no_failure_of_the_target() -> None:
    with run("hangs") as child:
        assert next(iter(child))
        os.kill(child.pid, signal.SIGTERM)
        with pytest.raises(parent.Stopped):
            child.result()


def test_a_machine_that_starts_no_process_is_unfit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(UnfitError, match="no process can be started"), run("hangs"):
        pass


def test_signals_are_as_a_program_expects_them() -> None:
    """A worker that a script started with & ignores SIGINT from its start; its child processes must not."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with run("tells_its_signals") as child:
            assert child.result() == {"term": "SIG_DFL", "int": "default_int_handler", "stdin": ""}
    finally:
        signal.signal(signal.SIGTERM, before)


# -- lines


def test_lines_are_cut_as_they_come() -> None:
    lines = printed.Lines(5)
    fed = [list(lines.feed(part)) for part in (b"ab", b"c\nde", b"fghijk", b"lm\n\nno", b"\n")]
    assert fed == [[], [b"abc"], [], [b"defgh", b""], [b"no"]]


def test_a_progress_bar_is_logged_as_it_was_at_last(caplog: pytest.LogCaptureFixture) -> None:
    lines = printed.Printed("it")
    with caplog.at_level("INFO"):
        lines.feed(b"10%\r50%\r100%\r\n\x1b[31mred\x1b[0m\n\n\xff")
        lines.close()
    assert [record.getMessage() for record in caplog.records] == ["it: 100%", "it: [31mred[0m", "it: �"]


def test_a_line_without_an_end_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    lines = printed.Printed("it")
    with caplog.at_level("INFO"):
        for _ in range(100):
            lines.feed(b"x" * 100_000)
        lines.close()
    assert [len(record.getMessage()) for record in caplog.records] == [len("it: ") + printed.LINE_BYTES]
    assert len(lines.tail) == printed.TAIL_BYTES
