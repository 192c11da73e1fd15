"""A coordinator that is built before a fork and used after it, as Celery's workers do."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

FORKING = """
    import os, sys
    from tests.support.rows import new_video
    from youtube_download_coordinator import Config, Coordinator
    from youtube_download_coordinator.queue.store import VIDEO_TASKS

    coordinator = Coordinator(Config(claim_jitter_seconds=0, idle_poll_seconds=0))
    coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(60)])
    children = []
    for _ in range(3):  # as Celery does: built before the fork, used after it
        if not (child := os.fork()):
            while coordinator.process_next_task(lambda url: str(os.getpid())):
                pass
            os._exit(0)
        children.append(child)
    while coordinator.process_next_task(lambda url: str(os.getpid())):
        pass
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert {row["Status"] for row in coordinator.client.get_video_tasks()} == {"done"}
    assert len({row["Result"] for row in coordinator.client.get_video_tasks()}) > 1
"""


def test_forked_processes_share_the_queue_and_no_connection(shared_settings: dict[str, str]) -> None:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(FORKING)]
    subprocess.run(command, env=os.environ | shared_settings, check=True, timeout=60)
