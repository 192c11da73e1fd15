"""Files in the folder where `ydc` is called are not run as plugins of yt-dlp, nor in place of installed modules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAKES_YDL = """
import sys
from youtube_download_coordinator.youtube.network import Network, MessageKeeper
before = list(sys.path)
Network().youtube_dl({}, MessageKeeper())
assert sys.path == before
"""
PLACES = ("yt_dlp_plugins/extractor/evil.py", "yt_dlp_plugins/postprocessor/evil.py", "yt_dlp/__init__.py")


@pytest.mark.parametrize("path", ["", ".", "{folder}"])
def test_no_plugin_of_the_working_directory_is_loaded(tmp_path: Path, path: str) -> None:
    for place in PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{path.format(folder=tmp_path)}"}
    done = subprocess.run(
        [sys.executable, "-c", MAKES_YDL], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "ran").exists()


def test_no_file_of_the_working_directory_hides_an_installed_module(tmp_path: Path) -> None:
    for name in ("cyclopts", "rich", "yt_dlp", "prefect"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    command = [sys.executable, "-m", "youtube_download_coordinator", "status"]
    environment = os.environ | {"YDC_DATABASE_URL": f"sqlite:///{tmp_path}/queue.db"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()
