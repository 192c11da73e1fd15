"""Demonstrate on this machine that no video is processed twice, even if a worker is killed: `make demo`.

A small media site on loopback has the sources. Two workers list them and download the audio of each clip. One clip fails at
first, and one worker is killed in the middle of a download. All clips are processed, none of them twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import IO

from examples.media_site import feed, make_site, serving

CLIPS: Mapping[str, Sequence[str]] = {
    "en-NG": ("Interview in Lagos, part 1", "Interview in Lagos, part 2"),
    "pt-BR": ("A reading from Recife",),
    "ta-IN": ("Market talk, Chennai",),
    "en-IE": ("Weather for the fishermen of Cork", "=SUM(1;2) is only a title"),
}
"""The titles of the clips by accent. Each accent is a source."""
TITLES = [title for titles in CLIPS.values() for title in titles]
FAILING = f"clip-{1 + TITLES.index('Market talk, Chennai')}.mp4"
"""The clip whose first request is answered with an error."""
WAIT_SECONDS = 120.0
"""The longest time for a step of the demo."""


class Faults:
    """The answers of the site that make an attempt fail, and keep one worker in a download until it is killed."""

    def __init__(self) -> None:
        self.holds = threading.Event()
        """Set while a download is held up."""
        self.killed = threading.Event()
        self._held = self._has_failed = False

    def on_get(self, address: str) -> HTTPStatus | None:
        """Answer a GET of the site."""
        if not address.endswith(".mp4"):
            return None
        if address.endswith(FAILING) and not self._has_failed:
            self._has_failed = True
            return HTTPStatus.INTERNAL_SERVER_ERROR
        if not self._held and not address.endswith(FAILING):
            self._held = True
            self.holds.set()
            self.killed.wait(WAIT_SECONDS)
        return None


def main() -> int:
    """Run the demo in the folder named on the command line. Return the exit code."""
    began = time.monotonic()
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo").absolute()
    _configure(folder)
    site, faults = make_site(folder / "site", TITLES), Faults()
    with ExitStack() as stack:
        address = stack.enter_context(serving(site, TITLES, faults.on_get))
        _write_sources(folder, address)
        print(
            f"A media site with {len(TITLES)} clips in {len(CLIPS)} accents runs on {address}. Two workers share one queue:"
        )
        first = stack.enter_context(_worker(1))
        _require(faults.holds.wait(WAIT_SECONDS), "worker 1 did not begin a download")
        second = stack.enter_context(_worker(2))
        _wait_for(1)
        first.kill()
        faults.killed.set()
        print("** worker 1 is killed in the middle of a download (SIGKILL) **", flush=True)
        second.wait(WAIT_SECONDS)
    return _print_result(folder, time.monotonic() - began)


def _configure(folder: Path) -> None:
    """Set the environment variables that a user would set. Nothing outside the folder is touched."""
    os.environ |= {
        "YDC_DATABASE_URL": f"sqlite:///{folder / 'coordinator.db'}",
        "YDC_SOURCES_FILE_PATH": str(folder / "sources.txt"),
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "YDC_STATE_DIR": str(folder / "state"),
        "YDC_ALLOW_OTHER_SITES": "true",
        "YDC_ALLOW_PRIVATE_ADDRESSES": "true",  # the site is on this machine
        "YDC_CONCURRENCY": "1",
        "YDC_CLAIM_BATCH_SIZE": "1",
        "YDC_RETRY_BACKOFF_SECONDS": "1",  # a minute otherwise
        "YDC_IDLE_POLL_SECONDS": "1",
    }


def _write_sources(folder: Path, address: str) -> None:
    """Write a feed for each accent, and the sources file that names them."""
    lines, number = ["# URL|Accent|Type"], 1
    for accent, titles in CLIPS.items():
        text = feed(address, titles, first=number, name=f"A media site, {accent}")
        (folder / "site" / f"{accent}.xml").write_text(text, encoding="utf-8")
        lines.append(f"{address}/{accent}.xml|{accent}|interview")
        number += len(titles)
    (folder / "sources.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def _worker(number: int) -> Iterator[subprocess.Popen[str]]:
    """Run `ydc run`, and print its lines with the worker's number. Kill it at the end of the block if it is running."""
    command = [sys.executable, "-m", "youtube_download_coordinator", "run"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    reader = threading.Thread(target=_print_lines, args=(number, process.stdout))
    reader.start()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


def _print_lines(number: int, lines: IO[str]) -> None:
    """Print a worker's log without the report at the end."""
    for line in lines:
        if line.startswith("This run:"):
            break
        if line.strip():
            print(f"  worker {number} | {line.rstrip()}", flush=True)
    for _ in lines:  # if the pipe were not read, the worker would block
        pass


def _rows() -> list[dict[str, object]]:
    from youtube_download_coordinator import Config, Coordinator

    return Coordinator(Config()).client.get_video_tasks()


def _wait_for(count: int) -> None:
    """Wait until `count` clips are done."""
    deadline = time.monotonic() + WAIT_SECONDS
    while sum(row["Status"] == "done" for row in _rows()) < count:
        _require(time.monotonic() < deadline, f"{count} clips were not done in {WAIT_SECONDS:.0f} s")
        time.sleep(0.2)


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise SystemExit(f"demo: {problem}")


def _print_result(folder: Path, seconds: float) -> int:
    from rich.console import Console
    from rich.table import Table

    rows, columns = _rows(), ("ID", "Title", "Accent", "Status", "RetryCount", "Result")
    table = Table(*columns, title="Video Tasks")
    for row in rows:
        table.add_row(*(str(row[name]) for name in columns))
    console = Console(highlight=False)
    console.print(table)
    subprocess.run([sys.executable, "-m", "youtube_download_coordinator", "manifest"], check=True)
    files = sorted(path.relative_to(folder).as_posix() for path in (folder / "media").rglob("*.m4a"))
    console.print("\n".join(["media/manifest.jsonl", *files]))
    done = sum(row["Status"] == "done" for row in rows)
    twice = len(files) - len(set(map(str, (row["Result"] for row in rows))))
    console.print(f"\n{len(rows)} videos, {done} processed, {twice} twice, 1 worker killed, in {seconds:.0f} s.")
    print("Next, with YouTube: cp sources.example.txt sources.txt && make run")
    return 0 if (done, twice) == (len(TITLES), 0) else 1


if __name__ == "__main__":
    sys.exit(main())
