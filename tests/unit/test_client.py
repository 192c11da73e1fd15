"""The rows of the queue for a program, and what the package offers by name."""

from __future__ import annotations

from typing import Any

import pytest

import youtube_download_coordinator
from tests.support.rows import new_video
from youtube_download_coordinator import AttemptResult, BadUrl, Client, Config, Coordinator, PermanentError, UserError
from youtube_download_coordinator.models import Done, Failure
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.testing import run_processor, temporary_coordinator

VIDEO = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"


def fails(url: str) -> None:
    raise PermanentError("never")


def test_a_program_adds_reads_and_changes_videos() -> None:
    with temporary_coordinator() as coordinator:
        client = coordinator.client
        row_id = client.add_video("youtu.be/dQw4w9WgXcQ?t=1", accent="Scottish", video_type="interview")
        assert client.add_video(VIDEO) == row_id
        with pytest.raises(BadUrl):
            client.add_video("nonsense")
        coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(1, 4)])
        assert client.counts() == {"pending": 4, "in-progress": 0, "done": 0, "error": 0, "dead-letters": 0}
        assert [video.url for video in client.videos(accent="scottish", status="pending")] == [VIDEO]
        assert client.skip(ids=[row_id]) == 1
        assert coordinator.process_next(fails) is AttemptResult.DEAD
        assert client.counts() == {"pending": 2, "in-progress": 0, "done": 1, "error": 0, "dead-letters": 1}
        (dead,) = client.dead_letters(reason="permanent")
        assert [video.id for video in client.videos(status="Dead letters")] == [dead.id]
        assert client.retry(ids=[dead.id]) == 1
        assert client.counts()["pending"] == 3
        assert client.retry(status="done") == 1


def test_a_source_that_is_there_keeps_its_id() -> None:
    with temporary_coordinator() as coordinator:
        first = coordinator.client.add_source(url="https://www.youtube.com/@Kurzgesagt")
        coordinator.client.add_source(url="https://www.youtube.com/playlist?list=PLexample")
        assert coordinator.client.add_source(url="youtube.com/@kurzgesagt") == first
        assert len(coordinator.client.get_sources()) == 2


def test_a_condition_that_is_none_is_refused_and_nothing_is_changed() -> None:
    with temporary_coordinator() as coordinator:
        coordinator.client.add_video(VIDEO)
        wrongs: list[Any] = [{}, {"status": "finished"}, {"acent": "x"}, {"accent": None}]
        for wrong in wrongs:
            with pytest.raises(UserError):
                coordinator.client.skip(**wrong)
        with pytest.raises(UserError, match="expected one of pending, in-progress, done, error, dead letters"):
            coordinator.client.videos(status="held")
        assert coordinator.client.counts()["pending"] == 1


def test_a_program_pauses_the_fleet() -> None:
    with temporary_coordinator() as coordinator:
        coordinator.client.add_video(VIDEO)
        coordinator.client.pause(minutes=5, reason="sorting")
        assert coordinator.process_next(str) is None
        assert coordinator.client.resume()
        assert not coordinator.client.resume()
        assert coordinator.process_next(str) is AttemptResult.DONE


def test_stop_ends_a_run_after_what_runs() -> None:
    with temporary_coordinator() as coordinator:
        coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(3)])

        def processor(url: str) -> None:
            coordinator.stop()

        assert coordinator.process_next_task(processor)
        assert not coordinator.process_next_task(processor)
        assert coordinator.client.counts()["done"] == 1


def test_a_processor_is_run_without_a_queue() -> None:
    assert run_processor(lambda task: f"{task.accent} {task.url}", url=VIDEO, accent="Scottish") == Done(
        result=f"Scottish {VIDEO}"
    )
    outcome = run_processor(fails, url=VIDEO)
    assert isinstance(outcome, Failure)
    assert str(outcome) == "permanent: never"


def test_the_package_says_what_it_offers() -> None:
    names = set(youtube_download_coordinator.__all__)
    assert names <= set(dir(youtube_download_coordinator))
    assert all(getattr(youtube_download_coordinator, name) for name in names)
    assert {"Limits", "AttemptResult", "Summary", "ClaimLost", "ClaimBlock", "Client", "__version__"} <= names
    assert "stalled_task_timeout_minutes\n    The lease" in (Config.__doc__ or "")


def test_a_client_may_be_named_in_annotations() -> None:
    with temporary_coordinator() as coordinator:
        assert isinstance(coordinator.client, Client)
        assert isinstance(coordinator, Coordinator)
