"""`make demo`, without the install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_workers_of_which_one_is_killed_process_each_clip_once(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("YDC_")}
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo", str(tmp_path)],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^6 videos, 6 processed, 0 twice, 1 worker killed, in \d+ s\.$", done.stdout, re.MULTILINE)
    assert re.search(r"worker \d \| retry +Market talk, Chennai .*http-500", done.stdout)
    assert len((tmp_path / "media" / "manifest.jsonl").read_text().splitlines()) == 6
    assert len(list((tmp_path / "media").rglob("*.m4a"))) == 6
