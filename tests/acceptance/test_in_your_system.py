"""The programs of docs/in-your-system.md, run as they are printed there, and other hosts: each on SQLite and on a sheet.

After each: no video twice, none missing, nothing held, cells as the leases, no process left.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fake_google import Account, SheetsServer, Spreadsheet
from tests.support.recorded import QUEUES
from tests.support.rows import new_video
from tests.support.seed_columns import SEED_VIDEO_COLUMNS
from tests.support.waiting import any_alive, wait_until
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

PAGE = (Path(__file__).parents[2] / "docs" / "in-your-system.md").read_text()
PROGRAMS = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))
VIDEOS = 10
LOGGED = 'def process(url: str) -> str:\n    print(url, file=open("processed", "a"), flush=True)\n    return url\n'


class Google:
    """A simulated Google and an account."""

    def __init__(self, folder: Path, server: SheetsServer) -> None:
        self.server = server
        self.account: Account = server.simulator.accounts.add("worker")
        self.key_file = self.account.write_key_file(folder / "key.json", server.simulator.token_uri)

    def new_book(self) -> Spreadsheet:
        tabs = {"Sources": [], "Video Tasks": [SEED_VIDEO_COLUMNS], "Dead-Letter Queue": [SEED_VIDEO_COLUMNS]}
        return self.server.simulator.create_spreadsheet(tabs, (self.account,), rows=60, columns=24)


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    with SheetsServer() as server:
        yield Google(tmp_path_factory.mktemp("google"), server)
        assert server.simulator.answer_problems == []


class Host:
    """A folder with the page's programs, a queue of videos, and the environment that leads to it."""

    def __init__(self, folder: Path, google: Google | None) -> None:
        self.folder = folder
        for name, text in PROGRAMS.items():
            (folder / name).write_text(text)
        (folder / "work.py").write_text(LOGGED)  # as the page's, but for a line that it writes
        self.settings = {
            "YDC_STATE_DIR": f"{folder}/state",
            "YDC_CLAIM_JITTER_SECONDS": "0.1",
            "YDC_IDLE_POLL_SECONDS": "0",
            "BROKER_URL": "filesystem://",
        }
        self.book = google.new_book() if google else None
        if google and self.book:
            self.settings["YDC_SPREADSHEET_ID"] = self.book.spreadsheet_id
            self.settings["YDC_CREDENTIALS_FILE"] = str(google.key_file)
            self.settings["YDC_SHEETS_API_URL"] = google.server.address
        else:
            self.settings["YDC_DATABASE_URL"] = f"sqlite:///{folder}/queue.db"
        settings = {name[4:].lower(): text for name, text in self.settings.items() if name.startswith("YDC_")}
        self.coordinator = Coordinator(Config.model_validate(settings))
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
        """Check the queue, and first of all the cells: nothing has repaired them since the host ended."""
        wait_until(lambda: not any_alive(self.processes()))
        if self.book:
            check_cells(self.book)
        rows = list(self.coordinator.client.videos())
        assert [(row.lease.state, row.lease.tries, row.result) for row in rows] == [
            (State.DONE, 0, row.url) for row in rows
        ]
        urls = (self.folder / "processed").read_text().split()
        assert Counter(urls) == Counter({row.url: 1 for row in rows})
        assert len(rows) == VIDEOS

    def processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_of_host(process)]

    def _is_of_host(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("YDC_STATE_DIR") == self.settings["YDC_STATE_DIR"]
        except psutil.Error:
            return False


def check_cells(book: Spreadsheet) -> None:
    """Check that people see what the leases say."""
    header, *lines = book.rows("Video Tasks")
    cells = [{str(name): str(cell or "") for name, cell in zip(header, line, strict=False)} for line in lines]
    rows = [line for line in cells if line["URL"]]
    assert len(rows) == VIDEOS
    for line in rows:
        encoded = decode_lease(line["Lease"])
        assert encoded is not None
        assert encoded.lease is not None
        assert (line["Status"], line["Result"], line["RetryCount"]) == ("done", line["URL"], "0"), line
        assert (encoded.lease.state, encoded.lease.detail) == (State.DONE, line["URL"])


@pytest.fixture(params=QUEUES)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path, request.getfixturevalue("google") if request.param == "sheet" else None)
    yield host
    host.coordinator.close()


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
        assert len([line for line in text.splitlines() if line.strip()]) < 20, name
        compile(text, name, "exec")


def test_loops(host: Host) -> None:
    loops = [host.start("loop.py") for _ in range(2)]
    assert [loop.wait(90) for loop in loops] == [0, 0]
    host.check()


# --- services --------------------------------------------------------------------------------------------------------------


@needs("fastapi", "uvicorn")
def test_fastapi(host: Host) -> None:
    service = host.start("-m", "uvicorn", "service:app", "--port", "0", "--workers", "2", "--log-level", "warning")
    try:
        wait_until(lambda: host.is_done, 90, 0.1)
    finally:
        service.terminate()
        service.wait(60)
    host.check()


WSGI = """
from work import process
from youtube_download_coordinator import Config, Coordinator

coordinator = Coordinator(Config())


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(coordinator.process_next_task(process)).encode()]
"""


class UnixConnection(http.client.HTTPConnection):
    """HTTP on a socket that has a path in place of a port."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.path.relpath(self._path))  # an absolute path may be too long


@needs("gunicorn")
def test_gunicorn_that_loads_the_program_before_its_forks(host: Host) -> None:
    (host.folder / "web.py").write_text(WSGI)
    path = host.folder / "socket"
    options = ["--preload", "--workers", "2", "--threads", "2", "--bind", f"unix:{path}", "--log-level", "warning"]
    service = host.start("-m", "gunicorn", "web:app", *options)

    def ask() -> None:
        answer = b"True"
        while answer == b"True":
            connection = UnixConnection(path)
            connection.request("POST", "/")
            answer = connection.getresponse().read()
            connection.close()

    try:
        wait_until(path.exists)
        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    finally:
        service.terminate()
        service.wait(60)
    host.check()


# --- job queues --------------------------------------------------------------------------------------------------------------

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
        wait_until(lambda: host.is_done, 120, 0.1)
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
jobs = [queue.enqueue("rq_job.process_some", 4) for _ in range(3)]
Worker([queue], connection=connection).work(burst=True, logging_level="ERROR")
assert [job.return_value() for job in jobs] == [4, 4, 2], [job.latest_result() for job in jobs]
os._exit(0)  # the fake server's threads never end
"""


@needs("rq", "fakeredis")
def test_rq(host: Host) -> None:
    host.run("-c", RQ)
    host.check()


@needs("apscheduler")
def test_apscheduler(host: Host) -> None:
    host.run("-c", "import scheduled\nscheduled.process_what_is_due()\nscheduled.coordinator.close()")
    host.check()


# --- threads and processes -----------------------------------------------------------------------------------------------

THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from work import process
from youtube_download_coordinator import Config, Coordinator

shared = Coordinator(Config())


def work(number):
    coordinator = shared if sys.argv[1] == "shared" else Coordinator(Config())
    count = 0
    while coordinator.process_next_task(process):
        count += 1
    return count


with ThreadPoolExecutor(4) as pool:
    assert sum(pool.map(work, range(4))) == 10
"""


@pytest.mark.parametrize("coordinators", ["shared", "own"])
def test_threads(host: Host, coordinators: str) -> None:
    (host.folder / "threads.py").write_text(THREADS)
    host.run("threads.py", coordinators)
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
        assert pool.map(work, [2] * 4, chunksize=1) == [2] * 4
    assert work(5) == 2
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(host: Host, method: str) -> None:
    (host.folder / "pool.py").write_text(MULTIPROCESSING)
    host.run("pool.py", method)
    host.check()
