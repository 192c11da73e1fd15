"""Help users to test: open a temporary queue, or run a processor without a queue.

def test_my_processor() -> None:
    assert run_processor(transcribe, url="https://youtu.be/dQw4w9WgXcQ") == Done(result="whole")

def test_my_loop() -> None:
    with temporary_coordinator() as coordinator:
        coordinator.client.add_video("https://youtu.be/dQw4w9WgXcQ", accent="Scottish")
        assert coordinator.process_next(transcribe) is AttemptResult.DONE
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.coordinator import Coordinator
from youtube_download_coordinator.models import Done, Failure, Outcome, VideoTask
from youtube_download_coordinator.sources.sources_file import NO_LEASE
from youtube_download_coordinator.sources.urls import video_target
from youtube_download_coordinator.workers.find_processor import Processor, check_callable
from youtube_download_coordinator.workers.run_processor import call_in_process

__all__ = ["Done", "Failure", "run_processor", "temporary_coordinator"]


@contextmanager
def temporary_coordinator(**settings: Any) -> Iterator[Coordinator]:
    """Open a coordinator on an empty, temporary queue, which is removed afterwards. It never waits between attempts.

    `settings` are settings of Config. The environment's settings of the queue are not used.
    """
    with tempfile.TemporaryDirectory() as folder:
        defaults: dict[str, Any] = {
            "spreadsheet_id": None,
            "sources_file_path": None,
            "database_url": f"sqlite:///{folder}/queue.db",
            "state_dir": Path(folder) / "state",
            "output_dir": Path(folder) / "files",
            "claim_jitter_seconds": 0,
            "idle_poll_seconds": 0,
            "retry_backoff_seconds": 0,
            "videos_per_hour": 0,
        }
        with Coordinator(Config(**defaults | settings)) as coordinator:
            yield coordinator


def run_processor(
    processor: Processor,
    *,
    url: str,
    accent: str = "",
    type: str = "",
    title: str = "",
    columns: Mapping[str, str] | None = None,
) -> Outcome:
    """Call a function with one video as an attempt does, without a queue. Return the outcome that would be recorded.

    Raises BadUrl, and ProcessorError if the function cannot be called with one video. SystemExit is not caught.
    """
    check_callable(processor, getattr(processor, "__name__", repr(processor)))
    target = video_target(url, allow_other_sites=True)
    task = VideoTask(
        url=target.url, key=target.key, accent=accent, type=type, title=title, extra=columns or {}, lease=NO_LEASE
    )
    return call_in_process(processor, task)
