"""The whole job on this machine: `make demo`.

A small media site on loopback is the source. The `coordinate` flow lists it with yt-dlp and takes the audio of each clip, on a
temporary Prefect server and a SQLite queue, both in the folder that is given.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from examples.media_site import make_site, serving

TITLES = (
    "Interview in Lagos, part 1",
    "Interview in Lagos, part 2",
    "A reading from Recife",
    "Market talk, Chennai",
    "Weather for the fishermen of Cork",
    "=SUM(1;2) is only a title",
)


def main() -> int:
    """Run the demo in the folder named on the command line. Return the exit code."""
    began = time.monotonic()
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo").absolute()
    site = make_site(folder / "site", TITLES)
    _configure(folder)
    print(f"1. A media site with {len(TITLES)} clips is made in {site}")
    with serving(site, TITLES) as address:
        print(f"2. It is served as {address}/feed.xml, and is the source of this run")
        (folder / "sources.txt").write_text(f"# URL|Accent|Type\n{address}/feed.xml|demo|interview\n", encoding="utf-8")
        print("3. Prefect starts a server for this run alone: some 20 seconds", flush=True)
        state = _coordinate()
    return _print_result(folder, state, time.monotonic() - began)


def _configure(folder: Path) -> None:
    """Set the environment variables that a user would set. Nothing outside the folder is touched."""
    os.environ |= {
        "YDC_DATABASE_URL": f"sqlite:///{folder / 'coordinator.db'}",
        "YDC_SOURCES_FILE_PATH": str(folder / "sources.txt"),
        "YDC_OUTPUT_DIR": str(folder / "media"),
        "YDC_STATE_DIR": str(folder / "state"),
        "YDC_ALLOW_OTHER_SITES": "true",
        "YDC_ALLOW_PRIVATE_ADDRESSES": "true",  # the site is on this machine
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    os.environ.pop("PREFECT_API_URL", None)


def _coordinate() -> object:
    from flows.coordinate import coordinate  # Prefect reads its settings when it is imported

    return coordinate(processor="audio", max_minutes=5, return_state=True)


def _print_result(folder: Path, state: object, seconds: float) -> int:
    from rich.console import Console
    from rich.table import Table

    from youtube_download_coordinator import Config, Coordinator

    rows = Coordinator(Config()).client.get_video_tasks()
    table = Table(title="Video Tasks")
    for column in ("ID", "Title", "Accent", "Status", "Result"):
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(row[name]) for name in ("ID", "Title", "Accent", "Status", "Result")))
    console = Console()
    console.print(table)
    done = sum(row["Status"] == "done" for row in rows)
    console.print(f"{done} of {len(TITLES)} done in {seconds:.0f} s; the flow ended as {state}.", highlight=False)
    console.print(f"The files are in {folder / 'media'}, the queue is {folder / 'coordinator.db'}.", highlight=False)
    console.print("Run it again: nothing is listed or processed twice.")
    console.print("Next, with YouTube: cp sources.example.txt sources.txt, then make run SOURCES=sources.txt")
    return 0 if done == len(TITLES) else 1


if __name__ == "__main__":
    sys.exit(main())
