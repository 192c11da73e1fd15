"""A person's mistake is one clear line: the run's state, and an error in its log, without a traceback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun, ParameterTypeError

from flows.coordinate import coordinate
from flows.ingest_sources import ingest_sources
from flows.process_videos import process_videos
from flows.recover_stalled import recover_stalled
from tests.flows import seen
from tests.flows.conftest import AddVideos
from tests.support.waiting import wait_until
from youtube_download_coordinator import Coordinator

HERE = "tests.support.sample_processors"


def lines_of(state: State[Any]) -> list[str]:
    """Return the errors in the flow run's log, those of its task runs apart."""
    wait_until(lambda: any("Finished in state" in log.message for log in seen.logs(state) if not log.task_run_id))
    return [log.message for log in seen.logs(state) if log.level >= logging.ERROR and not log.task_run_id]


@pytest.mark.parametrize(
    ("processor", "says"),
    [
        ("no.such.module:f", "there is no module no, "),
        (f"{HERE}:nothing", "there is no nothing in "),
        (f"{HERE}:a_number", f"the processor {HERE}:a_number is a int, which cannot be called"),
        (f"{HERE}:takes_three", f"the processor {HERE}:takes_three is called with one argument, the video, but takes "),
        ("tests.support.sample_tasks:takes_three", "is called with one argument, the video, but takes "),
        (
            "audi",
            "the processor “audi” is neither download, audio, metadata, subtitles nor module:function; did you mean audio?",
        ),
    ],
)
def test_a_processor_that_cannot_be_called(
    coordinator: Coordinator, add_videos: AddVideos, processor: str, says: str
) -> None:
    add_videos(1)
    state = process_videos(processor, return_state=True)
    assert state.name == "Failed"
    assert says in str(state.message)
    assert lines_of(state) == [state.message]
    assert seen.statuses(coordinator) == ["pending"]


def test_a_machine_that_lacks_something_claims_nothing(
    coordinator: Coordinator, add_videos: AddVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YDC_MIN_FREE_DISK_BYTES", str(10**18))
    add_videos(1)
    state = process_videos("audio", return_state=True)
    assert state.name == "Failed"
    assert str(state.message).startswith("this machine cannot process videos yet: ")
    assert lines_of(state) == [state.message]
    assert seen.statuses(coordinator) == ["pending"]


def test_everything_is_not_begun_with_such_a_processor(coordinator: Coordinator, sources_file: Path) -> None:
    state = coordinate("no.such.module:f", sources_file, return_state=True)
    assert state.name == "Failed"
    assert str(state.message).startswith("there is no module no, ")
    assert coordinator.client.get_sources() == []


@pytest.mark.parametrize("flow", [ingest_sources, coordinate])
def test_a_sources_file_that_is_not_there(tmp_path: Path, flow: Callable[..., State[Any]]) -> None:
    state = flow(sources_file=tmp_path / "nothing.txt", return_state=True)
    line = f"the sources file '{tmp_path / 'nothing.txt'}' cannot be read: No such file or directory"
    assert (state.name, state.message) == ("Failed", line)
    assert lines_of(state) == [line]
    assert not [log.message for log in seen.logs(state) if "Traceback" in log.message or "NoneType" in log.message]


def test_no_sources_file_is_no_failure_for_a_schedule_but_said() -> None:
    state = ingest_sources(return_state=True)
    assert state.name == "Skipped"
    assert state.message == "no sources file: give sources_file, or set YDC_SOURCES_FILE_PATH on the worker"


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("YDC_MAX_RETRIES", "0", "max_retries='0': input should be greater than or equal to 1"),
        ("YDC_ATTEMPT_TIMEOUT_MINUTES", "-1", "attempt_timeout_minutes='-1': input should be greater than 0"),
        ("YDC_DATABASE_URL", "sqlite:////no/such/folder/queue.db", "/no/such/folder"),
        ("YDC_DATABASE_URL", "mysql", "this is not a database URL"),
    ],
)
def test_a_setting_that_cannot_be(monkeypatch: pytest.MonkeyPatch, setting: str, value: str, says: str) -> None:
    monkeypatch.setenv(setting, value)
    state = recover_stalled(return_state=True)
    assert state.name == "Failed"
    assert says in str(state.message)
    assert lines_of(state) == [state.message]


def test_a_database_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.db").write_text("this is no database" * 100)
    monkeypatch.setenv("YDC_DATABASE_URL", f"sqlite:///{tmp_path / 'text.db'}")
    state = recover_stalled(return_state=True)
    assert state.name == "Failed"
    assert "text.db" in str(state.message)
    assert lines_of(state) == [state.message]


def test_a_parameter_that_cannot_be_is_refused_by_prefect(coordinator: Coordinator) -> None:
    with pytest.raises(ParameterTypeError, match="max_videos"):
        process_videos("audio", max_videos=0)


def test_who_calls_a_flow_gets_the_line_as_an_error() -> None:
    with pytest.raises(FailedRun, match="there is no module no"):
        process_videos("no.such.module:f")
