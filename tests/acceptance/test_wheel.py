"""The built wheel and source archive, opened and looked into, and installed into an empty environment."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source archive, and the wheel from it. Return the folder with both."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with the wheel and with this environment's dependencies. Nothing is downloaded."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    return folder


def run(folder: Path, *command: str) -> str:
    """Run a command of the environment from elsewhere; what it said."""
    done = subprocess.run([str(folder / "bin" / command[0]), *command[1:]], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_wheel_holds_the_library_and_nothing_that_another_wheel_may_hold(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "youtube_download_coordinator",
        "download_coordinator",
    }
    assert {"youtube_download_coordinator/py.typed", "download_coordinator/py.typed"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_source_archive_holds_what_is_needed_to_run_and_test_it(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "Makefile", "prefect.yaml"} <= names
    assert {"flows/coordinate.py", "tasks/videos.py", "tests/conftest.py", "docs/glossary.md"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".db")) or name.startswith((".venv", "build", "dist"))]


def test_the_wheel_works_where_it_is_installed(installed: Path) -> None:
    code = (
        "import download_coordinator as d, youtube_download_coordinator as y; print(d.Config is y.Config, y.__file__)"
    )
    same, path = run(installed, "python", "-c", code).split()
    assert same == "True"
    assert path.startswith(str(installed))


def test_its_command_runs_from_anywhere(installed: Path) -> None:
    assert "ydc COMMAND" in run(installed, "ydc", "--help")
    assert run(installed, "python", "-m", "youtube_download_coordinator", "--help") == run(installed, "ydc", "--help")
    assert run(installed, "ydc", "--version").strip() in next(
        path.name for path in installed.glob("lib/python*/site-packages/youtube_download_coordinator-*")
    )
    assert "the queue is empty" in run(installed, "ydc", "status", "--database-url", "sqlite:///queue.db")
