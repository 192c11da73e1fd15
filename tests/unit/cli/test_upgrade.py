"""`ydc upgrade-yt-dlp` with real pip, in an environment of its own, against wheels that the test builds."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from tests.unit.youtube.test_import_lock import is_free
from youtube_download_coordinator.errors import CoordinatorError, UpgradeError, UserError
from youtube_download_coordinator.operations import package_index
from youtube_download_coordinator.youtube.import_lock import TURNSTILE_FILE, importing

OLD, NEW, OLD_EJS, NEW_EJS = "2031.1.1", "2031.2.2", "7.0.0", "7.1.0"
PROJECT = Path(__file__).parents[3]
WORKS = """
class YoutubeDL:
    def __init__(self, params): pass
    def get_info_extractor(self, name): import yt_dlp_ejs
    def close(self): pass
"""
BREAKS = "raise ImportError('this release is broken')"
HANGS = "import time; time.sleep(100)"


def build_yt_dlp(folder: Path, version: str, ejs: str = "", *, code: str = WORKS, record: bool = True) -> None:
    """Write a wheel with what the coordinator imports of yt-dlp, a command and a page in `share`."""
    requires = f"Requires-Dist: yt-dlp-ejs=={ejs}; extra == 'default'\n" if ejs else ""
    files = {
        "yt_dlp/__init__.py": code,
        "yt_dlp/version.py": f"__version__ = '{version.replace('.', '.0')}'\n",
        "yt_dlp/postprocessor/__init__.py": "",
        "yt_dlp/postprocessor/ffmpeg.py": "class FFmpegExtractAudioPP: pass\n",
        f"yt_dlp/only_in_{version.replace('.', '_')}.py": "",
        f"yt_dlp-{version}.data/data/share/doc/yt_dlp/README.txt": version,
        f"yt_dlp-{version}.dist-info/entry_points.txt": "[console_scripts]\nyt-dlp = yt_dlp:main\n",
    }
    _write_wheel(folder, "yt-dlp", version, requires, files, record=record)


def build_ejs(folder: Path, version: str) -> None:
    _write_wheel(folder, "yt-dlp-ejs", version, "", {"yt_dlp_ejs/__init__.py": f"version = '{version}'\n"})


def _write_wheel(
    folder: Path, name: str, version: str, requires: str, files: dict[str, str], *, record: bool = True
) -> None:
    base = f"{name.replace('-', '_')}-{version}"
    files = files | {
        f"{base}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{base}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{base}-py3-none-any.whl", "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
        if record:
            archive.writestr(f"{base}.dist-info/RECORD", "".join(f"{member},,\n" for member in files))


@dataclass
class Environment:
    """A virtual environment that has everything but yt-dlp from the one of the tests, and an index of wheels."""

    folder: Path
    wheels: Path
    state_home: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.folder)}))

    @property
    def state_dir(self) -> Path:
        return self.state_home / "youtube-download-coordinator"

    @property
    def variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("YDC_", "PIP_"))}
        pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        return kept | pip | {"XDG_STATE_HOME": str(self.state_home), "COLUMNS": "200"}

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start `ydc upgrade-yt-dlp` there."""
        command = [str(self.python), "-m", "youtube_download_coordinator", "upgrade-yt-dlp", *arguments]
        pipe = subprocess.PIPE
        given = {name: value for name, value in (self.variables | variables).items() if value}
        return subprocess.Popen(command, cwd=self.state_home, env=given, stdout=pipe, stderr=pipe, text=True)

    def upgrade(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        with self.start(*arguments, **variables) as process:
            output, errors = process.communicate(timeout=100)
        assert "Traceback" not in errors
        return process.returncode, output, errors

    def install(self, *requirements: str) -> None:
        command = [str(self.python), "-P", "-m", "pip", "install", "--quiet", "--no-deps", *requirements]
        subprocess.run(command, env=self.variables, check=True, timeout=100)

    def installed(self) -> dict[str, str]:
        """Return the versions of yt-dlp and its scripts, by what is in the folder of packages."""
        names = [path.name.removesuffix(".dist-info") for path in self.packages.glob("yt_dlp*.dist-info")]
        return dict(sorted(name.split("-") for name in names))

    def has_nothing_left(self, of: str) -> bool:
        """Return whether no file of a version, and none that pip set aside, is in the environment."""
        files = [path.name for path in self.packages.rglob("*")]
        page = (self.folder / "share" / "doc" / "yt_dlp" / "README.txt").read_text()
        return f"only_in_{of.replace('.', '_')}.py" not in files and page != of and not any(f[0] == "~" for f in files)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a virtual environment in which yt-dlp OLD is installed, with the scripts that it asks for."""
    environment = _environment(tmp_path_factory.mktemp("template"))
    build_yt_dlp(environment.wheels, OLD, OLD_EJS)
    build_ejs(environment.wheels, OLD_EJS)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment.folder)], check=True, timeout=100)
    _lead_to_others(environment)
    environment.install(f"yt-dlp=={OLD}", f"yt-dlp-ejs=={OLD_EJS}")
    return environment.folder.parent


@pytest.fixture
def environment(tmp_path: Path, template: Path) -> Environment:
    """Copy the template: the prefix of a virtual environment is where its python is."""
    environment = _environment(tmp_path)
    shutil.copytree(template / "wheels", environment.wheels)
    shutil.copytree(template / "venv", environment.folder, symlinks=True)
    _lead_to_others(environment)
    return environment


def _environment(folder: Path) -> Environment:
    (folder / "state").mkdir()
    return Environment(folder / "venv", folder / "wheels", folder / "state")


def _lead_to_others(environment: Environment) -> None:
    others = environment.folder.parent / "others"
    others.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("yt_dlp", "__pycache__")):
            (others / path.name).symlink_to(path)
    (environment.packages / "others.pth").write_text(f"{PROJECT}\n{others}\n")


BEFORE = {"yt_dlp": OLD, "yt_dlp_ejs": OLD_EJS}
AFTER = {"yt_dlp": NEW, "yt_dlp_ejs": NEW_EJS}


# -- all is well


def test_the_newest_version_is_installed_with_the_scripts_that_it_asks_for(environment: Environment) -> None:
    build_yt_dlp(environment.wheels, NEW, NEW_EJS)
    build_ejs(environment.wheels, NEW_EJS)
    build_ejs(environment.wheels, "7.2.0")  # newer, but not the one that it asks for
    code, output, errors = environment.upgrade()
    assert (code, errors) == (0, "")
    changes = f"yt-dlp {OLD} -> {NEW}, yt-dlp-ejs {OLD_EJS} -> {NEW_EJS}"
    assert output.splitlines() == [
        f"downloading: {changes}",
        "installing; no attempt starts meanwhile",
        f"installed and tested: {changes}. New attempts use it",
    ]
    assert environment.installed() == AFTER
    assert environment.has_nothing_left(OLD)
    assert (environment.folder / "bin" / "yt-dlp").exists()


def test_nothing_is_installed_when_there_is_nothing_newer(environment: Environment) -> None:
    nothing_newer = (0, f"yt-dlp {OLD} is installed, and the package index has no newer one\n", "")
    assert environment.upgrade() == nothing_newer
    (environment.wheels / f"yt_dlp-{OLD}-py3-none-any.whl").unlink()
    build_yt_dlp(environment.wheels, "2030.9.9", OLD_EJS)
    assert environment.upgrade() == nothing_newer, "it never goes back by itself"
    assert environment.installed() == BEFORE


def test_check_only_reports(environment: Environment) -> None:
    build_yt_dlp(environment.wheels, NEW)
    line = f"yt-dlp {NEW} is on the package index, and {OLD} is installed\n"
    assert environment.upgrade("--check") == (0, line, "")
    assert environment.installed() == BEFORE


@pytest.mark.slow
def test_a_version_that_is_asked_for_is_installed_also_an_older_one(environment: Environment) -> None:
    build_yt_dlp(environment.wheels, "2030.9.9", OLD_EJS)
    build_yt_dlp(environment.wheels, NEW, OLD_EJS)
    code, output, _ = environment.upgrade("--version", "2030.9.9")
    assert code == 0
    assert f"yt-dlp {OLD} -> 2030.9.9. New attempts" in output
    assert environment.installed() == {"yt_dlp": "2030.9.9", "yt_dlp_ejs": OLD_EJS}
    code, _, errors = environment.upgrade("--version", "2029.1.1")
    assert code == 2
    assert errors.startswith("ydc: the package index has no such version for this Python: ERROR: No matching")
    assert len(errors.splitlines()) == 1


@pytest.mark.slow
def test_scripts_of_another_version_are_replaced(environment: Environment) -> None:
    build_ejs(environment.wheels, NEW_EJS)
    environment.install(f"yt-dlp-ejs=={NEW_EJS}")
    code, output, _ = environment.upgrade()
    assert (code, environment.installed()) == (0, BEFORE)
    assert f"downloading: yt-dlp-ejs {NEW_EJS} -> {OLD_EJS}" in output


# -- a release that does not work


@pytest.mark.slow
@pytest.mark.parametrize("ejs", [NEW_EJS, OLD_EJS])
def test_a_release_that_cannot_be_imported_is_rolled_back(environment: Environment, ejs: str) -> None:
    build_yt_dlp(environment.wheels, NEW, ejs, code=BREAKS)
    build_ejs(environment.wheels, NEW_EJS)
    code, _, errors = environment.upgrade()
    assert code == 1
    with_ejs = f" with yt-dlp-ejs {OLD_EJS}" if ejs == NEW_EJS else ""
    assert errors == (
        f"ydc: UpgradeError: yt-dlp {NEW} does not work here: ImportError: this release is broken;"
        f" yt-dlp {OLD}{with_ejs} is installed again\n"
    )
    assert environment.installed() == BEFORE
    assert environment.has_nothing_left(NEW)
    code, output, _ = environment.upgrade("--check")
    assert (code, f"and {OLD} is installed" in output) == (0, True)


@pytest.mark.slow
def test_scripts_that_were_not_installed_before_are_removed_again(environment: Environment) -> None:
    command = [str(environment.python), "-P", "-m", "pip", "uninstall", "--quiet", "--yes", "yt-dlp-ejs"]
    subprocess.run(command, env=environment.variables, check=True, timeout=100)
    build_yt_dlp(environment.wheels, NEW, NEW_EJS, code=BREAKS)
    build_ejs(environment.wheels, NEW_EJS)
    code, _, errors = environment.upgrade()
    assert code == 1
    assert f"yt-dlp {OLD} with yt-dlp-ejs none is installed again" in errors
    assert environment.installed() == {"yt_dlp": OLD}


@pytest.mark.slow
def test_an_installation_that_fails_is_rolled_back(environment: Environment) -> None:
    build_yt_dlp(environment.wheels, NEW, OLD_EJS, record=False)  # pip notices when it installs
    code, _, errors = environment.upgrade()
    assert code == 1
    assert "RECORD" in errors
    assert errors.endswith(f"; yt-dlp {OLD} is installed again\n")
    assert environment.installed() == BEFORE
    assert environment.has_nothing_left(NEW)


@pytest.mark.slow
def test_an_interrupted_upgrade_is_rolled_back(environment: Environment) -> None:
    build_yt_dlp(environment.wheels, NEW, OLD_EJS, code=HANGS)
    with environment.start() as process:
        wait_until(lambda: environment.installed().get("yt_dlp") == NEW)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=100)
    assert (process.returncode, errors.startswith("ydc: interrupted")) == (130, True), errors
    assert environment.installed() == BEFORE
    assert environment.has_nothing_left(NEW)


# -- while workers work


def test_it_waits_for_attempts_that_are_importing_yt_dlp(environment: Environment) -> None:
    build_yt_dlp(environment.wheels, NEW, OLD_EJS)
    with ExitStack() as attempt:
        attempt.enter_context(importing(str(environment.state_dir)))
        with environment.start() as process:
            wait_until(lambda: not is_free(environment.state_dir / TURNSTILE_FILE))
            assert environment.installed() == BEFORE
            attempt.close()
            _, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (0, "")
    assert environment.installed() == {"yt_dlp": NEW, "yt_dlp_ejs": OLD_EJS}


# -- what a person must do first


def test_an_image_is_to_be_built_again(environment: Environment) -> None:
    build_yt_dlp(environment.wheels, NEW, OLD_EJS)
    code, output, errors = environment.upgrade(YDC_IMAGE="1")
    assert (code, output) == (2, "")
    assert errors == (
        "ydc: packages installed in a container are lost with it: build the image again instead (docs/deploy.md)\n"
    )
    assert environment.upgrade("--check", YDC_IMAGE="1")[0] == 0
    assert environment.installed() == BEFORE


def test_without_pip_the_line_says_how_to_get_it(environment: Environment) -> None:
    for path in (environment.folder.parent / "others").glob("pip*"):
        path.unlink()
    for arguments in ([], ["--check"]):
        code, output, errors = environment.upgrade(*arguments)
        assert (code, output) == (2, "")
        assert errors.startswith(f"ydc: there is no pip in {environment.folder}: `{environment.python} -m ensurepip`")
        assert len(errors.splitlines()) == 1


def test_without_a_network_the_line_says_so(environment: Environment) -> None:
    with closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        index = f"http://me:hush@127.0.0.1:{closed.getsockname()[1]}/simple"
        begun = time.monotonic()
        code, output, errors = environment.upgrade(PIP_NO_INDEX="", PIP_FIND_LINKS="", PIP_INDEX_URL=index)
    assert (code, output) == (1, "")
    assert errors.startswith(
        "ydc: UpgradeError: the package index does not answer: check the network and `pip config list`"
    )
    assert len(errors.splitlines()) == 1
    assert "hush" not in errors
    assert time.monotonic() - begun < 60
    assert environment.installed() == BEFORE


@pytest.mark.parametrize("origin", ['{"url": "file:///src", "dir_info": {"editable": true}}', ""])
def test_a_yt_dlp_that_pip_cannot_replace_is_kept(environment: Environment, origin: str) -> None:
    """Installed from a folder that somebody edits, or by the system, without a record of its files."""
    build_yt_dlp(environment.wheels, NEW, OLD_EJS)
    info = environment.packages / f"yt_dlp-{OLD}.dist-info"
    if origin:
        (info / "direct_url.json").write_text(origin)
    else:
        (info / "RECORD").unlink()
    code, _, errors = environment.upgrade()
    assert (code, len(errors.splitlines())) == (2, 1), errors
    assert "was not installed as a wheel" in errors
    assert environment.installed() == BEFORE


def test_a_folder_that_this_user_may_not_change(environment: Environment) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may change every folder")
    build_yt_dlp(environment.wheels, NEW, OLD_EJS)
    environment.packages.chmod(0o555)
    try:
        code, _, errors = environment.upgrade()
    finally:
        environment.packages.chmod(0o755)
    assert (code, "cannot be changed by this user" in errors) == (2, True), errors


# -- the messages of pip


@pytest.fixture
def failing_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def make(text: str) -> None:
        (tmp_path / "pip").mkdir()
        (tmp_path / "pip" / "__init__.py").touch()
        (tmp_path / "pip" / "__main__.py").write_text(f"import sys\nsys.exit({text!r})\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return make


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            "error: externally-managed-environment\n\n× This environment is externally managed",
            "UserError",
            "this Python belongs to the operating system",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/usr/lib/x'",
            "UserError",
            "cannot be changed by this user",
        ),
        ("ERROR: [Errno 30] Read-only file system: '/opt'", "UserError", "in a container, build the image again"),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'ReadTimeoutError(\"timed out\")': /simple/yt-dlp/\n"
            "ERROR: No matching distribution found for yt-dlp",
            "UpgradeError",
            "the package index does not answer",
        ),
        ("ERROR: No matching distribution found for yt-dlp==1", "UserError", "has no such version for this Python"),
        ("ERROR: http://me:hush@host/x is odd", "UpgradeError", "pip failed: ERROR: http://host/x is odd"),
        ("ERROR: [Errno 28] No space left on device", "UpgradeError", "pip failed: ERROR: [Errno 28] No space left"),
        ("", "UpgradeError", "pip failed: it printed nothing"),
    ],
)
def test_each_failure_of_pip_is_one_line(
    failing_pip: Callable[[str], None], text: str, kind: str, message: str
) -> None:
    failing_pip(text or " ")
    with pytest.raises(CoordinatorError) as caught:
        package_index.pip("install", "x")
    assert type(caught.value).__name__ == kind
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "version",
    [
        "latest",
        "*",
        "==1.0",
        "1.0,<3",
        "../x",
        "git+https://host/x",
        "2031.1.1; python_version < '3'",
        "2031.1.1 --pre",
        "2031.1.1\n",
    ],
)
def test_a_version_that_is_none_does_not_reach_pip(failing_pip: Callable[[str], None], version: str) -> None:
    failing_pip("pip was called")
    shown = " ".join(version.split())
    with pytest.raises(UserError) as caught:
        package_index.release(version)
    assert str(caught.value) == f"{shown!r} is not a version of yt-dlp: give one like 2026.10.26"


@pytest.mark.parametrize("version", ["2026.10.26", "2026.10.26.232815.dev0", "2026.1.1.post1"])
def test_a_version_reaches_pip(failing_pip: Callable[[str], None], version: str) -> None:
    failing_pip("pip was called")
    with pytest.raises(UpgradeError, match="pip was called"):
        package_index.release(version)


def test_a_pip_that_hangs_is_ended(failing_pip: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    failing_pip("")
    main = Path(os.environ["PYTHONPATH"]) / "pip" / "__main__.py"
    main.write_text("import time\ntime.sleep(100)\n")
    monkeypatch.setattr(package_index, "PIP_SECONDS", 0.5)
    with pytest.raises(UpgradeError, match=r"has not ended after 0 s|has not ended after 1 s"):
        package_index.pip("install", "x")
