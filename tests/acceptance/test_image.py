"""The container's image, built and looked into, where an engine runs. `make image` does the same by hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "build_image"
ENGINE_SECONDS = 20
BUILD_SECONDS = 900


@pytest.mark.slow
@pytest.mark.timeout(BUILD_SECONDS)
def test_the_image_is_built_and_its_commands_start() -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "info"], capture_output=True, timeout=ENGINE_SECONDS).returncode:
        pytest.skip("no container engine runs here: the image was not built")
    done = subprocess.run([SCRIPT, "youtube-download-coordinator:test"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_without_an_engine_a_line_says_so(tmp_path: Path) -> None:
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "DOCKER_HOST": f"unix://{tmp_path}/none"}
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    docker.chmod(0o755)
    done = subprocess.run([SCRIPT], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "no container engine answers: start Docker, or set DOCKER_HOST\n"
