"""The lock of what a machine does once at a time: by host and queue, and free when its process ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, ConfigError, wiring
from youtube_download_coordinator.stores.machine import hold_machine_lock

HOLDER = """
import pathlib, signal, sys
from youtube_download_coordinator.stores.machine import hold_machine_lock
folder = pathlib.Path(sys.argv[1])
with hold_machine_lock(folder, "process", "host-a", "queue") as held:
    (folder / "held").touch()
    signal.pause()
"""


def test_one_process_holds_it_and_its_death_frees_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)]) as holder:
        wait_until((tmp_path / "held").exists)
        with hold_machine_lock(tmp_path, "process", "host-a", "queue") as held:
            assert not held
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with hold_machine_lock(tmp_path, "process", "host-a", "queue") as held:
        assert held


@pytest.mark.parametrize(
    "other", [("coordinate", "host-a", "queue"), ("process", "host-b", "queue"), ("process", "host-a", "another queue")]
)
def test_another_purpose_host_or_queue_has_its_own(tmp_path: Path, other: tuple[str, str, str]) -> None:
    with hold_machine_lock(tmp_path, "process", "host-a", "queue"), hold_machine_lock(tmp_path, *other) as held:
        assert held


def test_the_files_name_contains_no_password(tmp_path: Path) -> None:
    config = Config(database_url="postgresql+psycopg://user:secret@host/queue", state_dir=tmp_path)
    with wiring.hold_machine_lock(config, "process") as held:
        assert held
    assert not [path for path in tmp_path.iterdir() if "secret" in path.name]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"^state_dir=.*cannot be written"),
        hold_machine_lock(tmp_path / "file" / "folder", "process", "host-a", "queue"),
    ):
        pass
