"""Filters on rights, and functions that run in the caller's own program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rows import new_video
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS


@pytest.mark.parametrize("settings", [{"licenses": ("youtube",)}, {"trainable": "all"}])
def test_filters_on_rights_are_not_ignored_for_functions_of_this_program(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    called: list[str] = []
    config = Config(database_url=f"sqlite:///{tmp_path}/queue.db").model_copy(update=settings)
    with Coordinator(config) as coordinator:
        coordinator.queue.add(VIDEO_TASKS, [new_video(1)])
        with pytest.raises(ConfigError, match="do not apply to a function that runs in your own program"):
            coordinator.process_next_task(called.append)
        assert [row.lease.state for row in coordinator.queue.rows(VIDEO_TASKS)] == [State.PENDING]
    assert called == []
