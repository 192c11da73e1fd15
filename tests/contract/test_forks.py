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


BUSY = """
    import os, signal, threading
    from tests.support.rows import new_video
    from youtube_download_coordinator import Config, Coordinator
    from youtube_download_coordinator.queue.store import VIDEO_TASKS

    forks = int(os.environ["FORKS"])
    coordinator = Coordinator(Config(claim_jitter_seconds=0, idle_poll_seconds=0))
    coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(2 * forks)])
    ended = threading.Event()

    def work():
        while not ended.is_set() and coordinator.process_next_task(lambda url: f"thread {os.getpid()}"):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    names = set()
    for _ in range(forks):
        reader, writer = os.pipe()
        if not (child := os.fork()):
            signal.alarm(60)  # one that hangs is killed, and is no 0
            coordinator.process_next_task(lambda url: f"child {os.getpid()}")
            os.write(writer, coordinator.queue.worker.encode())
            os._exit(0)
        os.close(writer)
        assert os.waitpid(child, 0)[1] == 0
        names.add(os.read(reader, 100))
        os.close(reader)
    ended.set()
    thread.join()
    assert len(names | {coordinator.queue.worker.encode()}) == forks + 1
    rows = coordinator.client.get_video_tasks()
    assert sum(row["RetryCount"] for row in rows) == 0
    assert {row["Status"] for row in rows} <= {"done", "pending"}
    assert sum(row["Status"] == "done" for row in rows) >= forks
"""


def test_a_fork_while_a_thread_is_inside_the_queue_works_in_the_child(shared_settings: dict[str, str]) -> None:
    command = [sys.executable, "-c", textwrap.dedent(BUSY)]
    environment = os.environ | shared_settings | {"FORKS": os.environ.get("YDC_TEST_FORKS", "5")}
    subprocess.run(command, env=environment, check=True, timeout=100 * int(environment["FORKS"]))


FLUSHING = """
    import os
    from tests.support.rows import new_video
    from youtube_download_coordinator import Config, Coordinator
    from youtube_download_coordinator.queue.store import VIDEO_TASKS

    coordinator = Coordinator(Config(claim_jitter_seconds=0, idle_poll_seconds=0))
    coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(2)])
    if not (child := os.fork()):
        coordinator.process_next_task(lambda url: "whole")
        os._exit(0)  # as RQ's processes end: nothing is done at exit
    assert os.waitpid(child, 0)[1] == 0
    store = coordinator.queue.store
    if hasattr(store, "_connection"):
        tab = store._spreadsheet.tab(VIDEO_TASKS.name)
        header, *lines = store._connection.values([{"sheetId": tab.sheet_id, "endRowIndex": 3}])[0].rows
        cells = [dict(zip(header, line)) for line in lines]
        assert sorted(line["Status"] for line in cells) == ["done", "pending"], cells
        assert "whole" in {line.get("Result") for line in cells}
"""


def test_a_fork_writes_the_cells_that_people_see_before_it_ends(shared_settings: dict[str, str]) -> None:
    command = [sys.executable, "-c", textwrap.dedent(FLUSHING)]
    subprocess.run(command, env=os.environ | shared_settings, check=True, timeout=60)
