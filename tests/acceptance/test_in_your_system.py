"""The programs of docs/in-your-system.md, run as they are printed there, on one queue."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.rows import new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.queue.store import VIDEO_TASKS

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "in-your-system.md").read_text()
PROGRAMS = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))
VIDEOS = 24
LOGGED = 'def process(url: str) -> str:\n    print(url, file=open("processed", "a"), flush=True)\n    return url\n'


class Host:
    """A folder with the page's programs, an empty queue, and the environment that leads to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in PROGRAMS.items():
            (folder / name).write_text(text)
        (folder / "work.py").write_text(LOGGED)  # as the page's, but for a line that it writes
        self.settings = {
            "YDC_DATABASE_URL": f"sqlite:///{folder}/queue.db",
            "YDC_STATE_DIR": f"{folder}/state",
            "YDC_CLAIM_JITTER_SECONDS": "0.1",
            "YDC_IDLE_POLL_SECONDS": "0",
            "BROKER_URL": "filesystem://",
        }
        self.coordinator = Coordinator(
            Config(database_url=self.settings["YDC_DATABASE_URL"], state_dir=folder / "state")
        )
        self.coordinator.queue.add(VIDEO_TASKS, [new_video(number) for number in range(VIDEOS)])

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        environment = os.environ | self.settings | {"PYTHONPATH": str(self.folder)}
        return subprocess.Popen([sys.executable, *command], cwd=self.folder, env=environment)

    def run(self, *command: str) -> None:
        assert self.start(*command).wait(90) == 0

    @property
    def is_done(self) -> bool:
        return self.coordinator.client.counts()["done"] == VIDEOS

    def check(self) -> None:
        """Nothing twice, nothing missing, nothing held."""
        urls = (self.folder / "processed").read_text().split()
        assert Counter(urls) == Counter({video.url: 1 for video in self.coordinator.client.videos()})
        assert self.is_done


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


def test_each_program_is_short() -> None:
    assert {
        "loop.py",
        "service.py",
        "celery_app.py",
        "rq_job.py",
        "scheduled.py",
        "dag.py",
        "assets.py",
    } < PROGRAMS.keys()
    for name, text in PROGRAMS.items():
        assert len([line for line in text.splitlines() if line.strip()]) <= 24, name
        compile(text, name, "exec")


def test_loops(host: Host) -> None:
    loops = [host.start("loop.py") for _ in range(2)]
    assert [loop.wait(90) for loop in loops] == [0, 0]
    host.check()


@needs("fastapi", "uvicorn")
def test_fastapi(host: Host) -> None:
    service = host.start("-m", "uvicorn", "service:app", "--port", "0", "--workers", "2", "--log-level", "warning")
    try:
        wait_until(lambda: host.is_done)
    finally:
        service.terminate()
        service.wait(60)
    host.check()


CELERY = """
from celery_app import app, process_one
app.conf.broker_transport_options = {"data_folder_in": "broker", "data_folder_out": "broker"}
"""


@needs("celery")
@pytest.mark.parametrize("options", [[], ["--max-tasks-per-child", "1"]], ids=["prefork", "one task a child"])
def test_celery(host: Host, options: list[str]) -> None:
    (host.folder / "broker").mkdir()
    (host.folder / "main.py").write_text(CELERY)
    host.run("-c", "from main import process_one\nfor _ in range(4): process_one.delay()")
    worker = host.start("-m", "celery", "-A", "main", "worker", "--concurrency", "2", "--loglevel", "error", *options)
    try:
        wait_until(lambda: host.is_done, 90)
    finally:
        worker.terminate()
        worker.wait(60)
    host.check()


RQ = """
import os
import threading
from fakeredis import TcpFakeServer
from redis import Redis
from rq import Queue, Worker

server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
threading.Thread(target=server.serve_forever, daemon=True).start()
connection = Redis(port=server.server_address[1])
connection.client_info = lambda: {"addr": "127.0.0.1:0"}  # which the fake server answers wrongly, as the next
connection.client_list = lambda *arguments, **options: []
queue = Queue(connection=connection)
jobs = [queue.enqueue("rq_job.process_some", 9) for _ in range(3)]
Worker([queue], connection=connection).work(burst=True, logging_level="ERROR")
assert sum(job.return_value() for job in jobs) == 24, [job.latest_result() for job in jobs]
os._exit(0)  # the fake server's threads never end
"""


@needs("rq", "fakeredis")
def test_rq(host: Host) -> None:
    host.run("-c", RQ)
    host.check()


@needs("apscheduler")
def test_apscheduler(host: Host) -> None:
    program = host.start("-c", "import scheduled\nscheduled.process_what_is_due()\nscheduled.coordinator.close()")
    assert program.wait(60) == 0
    host.check()


MULTIPROCESSING = """
import multiprocessing, sys
from work import process
from youtube_download_coordinator import Config, Coordinator

coordinator = Coordinator(Config())

def work(count):
    return sum(coordinator.process_next_task(process) for _ in range(count))

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        assert sum(pool.map(work, [5] * 4)) == 20
    assert work(5) == 4
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(host: Host, method: str) -> None:
    (host.folder / "pool.py").write_text(MULTIPROCESSING)
    host.run("pool.py", method)
    host.check()
