"""Install another release of yt-dlp into this environment, or keep the old one if anything fails (`ydc upgrade-yt-dlp`).

Everything is downloaded first. Then no process may import yt-dlp until the new release is installed and a test process has
imported it. Until then the old release is kept as wheels, from which it is installed again if anything fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from youtube_download_coordinator.errors import CoordinatorError, UpgradeError, UserError
from youtube_download_coordinator.operations.package_index import (
    Release,
    describe,
    no_permission,
    pip,
    release,
    run_program,
)
from youtube_download_coordinator.text import truncate
from youtube_download_coordinator.youtube.import_lock import LOCK_FILE, LockBusy, no_imports
from youtube_download_coordinator.youtube.versions import YT_DLP, installed_version, is_newer

IMAGE_VARIABLE = "YDC_IMAGE"
"""Set in the container image (deploy/Dockerfile), because packages installed in a container are lost with it."""
WAIT_SECONDS = 120.0
"""How long the upgrade waits for processes that are importing yt-dlp."""
IMPORT_SECONDS = 120.0
IMPORTS = """
from youtube_download_coordinator.processors import built_in, post_processors
from youtube_download_coordinator.youtube.error_rules import MessageKeeper
from youtube_download_coordinator.youtube.network import Network
Network().youtube_dl({}, MessageKeeper()).close()
from yt_dlp.version import __version__
print(__version__)
"""
"""A program that imports and creates what an attempt needs before it contacts YouTube."""


def upgrade(state_dir: Path, version: str = "") -> Iterator[str]:
    """Install the newest release of yt-dlp, or the version, with the yt-dlp-ejs that it requires. Yield lines for a person.

    Raises UserError if a person must do something first, and UpgradeError if it failed and the old release is in place.
    """
    _check_environment()
    wanted = release(version)
    packages = _packages_to_install(wanted, version)
    if not packages:
        yield describe(wanted)
        return
    changes = ", ".join(f"{name} {installed_version(name) or 'none'} -> {new}" for name, new in packages.items())
    yield f"downloading: {changes}"
    with TemporaryDirectory(prefix="ydc-upgrade-") as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(new), *(f"{name}=={v}" for name, v in packages.items()))
        old.mkdir()
        with _locked(state_dir) as locks:
            yield "installing; no attempt starts meanwhile"
            _replace(wanted, packages, new, old, locks)
    yield f"installed and tested: {changes}. New attempts use it"


def _check_environment() -> None:
    """Raise UserError if nothing should or can be installed here."""
    if os.environ.get(IMAGE_VARIABLE):
        raise UserError(
            "packages installed in a container are lost with it: build the image again instead (docs/deploy.md)"
        )
    packages = Path(sysconfig.get_path("purelib"))
    with contextlib.suppress(metadata.PackageNotFoundError):
        distribution = metadata.distribution(YT_DLP)
        own_place = Path(str(distribution.locate_file("")))
        if not (os.access(packages, os.W_OK) or os.access(own_place, os.W_OK)):
            raise no_permission(own_place)
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        if distribution.files is None or origin.get("dir_info", {}).get("editable"):
            raise UserError(
                f"yt-dlp in {own_place} was not installed as a wheel: upgrade it in the way it was installed"
            )


def _packages_to_install(wanted: Release, version: str) -> dict[str, str]:
    """Return the packages whose versions differ. Unless a version was given, never install an older yt-dlp."""
    installed = installed_version(YT_DLP)
    if not version and is_newer(installed, wanted.yt_dlp):
        return {}
    return {name: new for name, new in wanted.packages.items() if installed_version(name) != new}


@contextlib.contextmanager
def _locked(state_dir: Path) -> Iterator[tuple[int, ...]]:
    try:
        with no_imports(state_dir, wait_seconds=WAIT_SECONDS) as locks:
            yield locks
    except LockBusy as error:
        if str(error) == LOCK_FILE:
            raise UpgradeError(
                f"a worker has been importing yt-dlp for {WAIT_SECONDS:.0f} s: try again later"
            ) from None
        raise UserError("another upgrade of yt-dlp is running on this machine: wait until it ends") from None


# -- under the lock


def _replace(wanted: Release, packages: dict[str, str], new: Path, old: Path, locks: tuple[int, ...]) -> None:
    """Install the new wheels. If that fails, or yt-dlp then cannot be imported, install the old ones again."""
    before = {name: installed_version(name) for name in packages}
    saved = [save_as_wheel(metadata.distribution(name), old) for name, version in before.items() if version]
    try:
        _install(list(new.glob("*.whl")), locks)
        _check_import(wanted.yt_dlp)
    except UserError:
        raise  # pip refused to start
    except BaseException as error:
        _restore(saved, [name for name, version in before.items() if not version], locks)
        if isinstance(error, UpgradeError):
            raise UpgradeError(f"{error}; {_names(before)} is installed again") from None
        raise


def _install(wheels: list[Path], locks: tuple[int, ...]) -> None:
    pip("install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", *map(str, wheels), locks=locks)


def _check_import(version: str) -> None:
    """Raise UpgradeError unless a new process can import the release as an attempt does."""
    done = run_program([sys.executable, "-P", "-c", IMPORTS], seconds=IMPORT_SECONDS)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UpgradeError(f"yt-dlp {version} does not work here: {truncate(lines[-1])}")
    imported = done.stdout.split()[-1]
    if is_newer(imported, version) or is_newer(version, imported):
        raise UpgradeError(f"yt-dlp {version} was installed, but Python imports {imported} from another folder")


def _restore(saved: list[Path], surplus: list[str], locks: tuple[int, ...]) -> None:
    """Install the old packages again. Raises UpgradeError, with the command to run by hand, if that fails."""
    try:
        _remove_half_installed()
        if saved:
            _install(saved, locks)
        if surplus:
            pip("uninstall", "--quiet", "--yes", *surplus, locks=locks)
    except (CoordinatorError, OSError) as error:
        by_hand = " ".join("==".join(path.name.split("-")[:2]) for path in saved)
        raise UpgradeError(
            f"the upgrade failed, and the old version could not be restored ({error}):"
            f" run {sys.executable} -m pip install --force-reinstall {by_hand}"
        ) from None


def _remove_half_installed() -> None:
    """Remove the remains of an installation that failed or was killed. pip cannot replace a package without RECORD itself."""
    folder = Path(sysconfig.get_path("purelib"))
    for name in ("yt_dlp", "yt_dlp_ejs"):
        for info in folder.glob(f"{name}-*.dist-info"):
            if not (info / "RECORD").is_file():
                shutil.rmtree(info)
                shutil.rmtree(folder / name, ignore_errors=True)


def _names(versions: dict[str, str]) -> str:
    return " with ".join(f"{name} {version or 'none'}" for name, version in versions.items())


def save_as_wheel(distribution: metadata.Distribution, folder: Path) -> Path:
    """Write an installed distribution as a wheel, from which pip can install it again without an index.

    Commands and bytecode are left out, because pip writes them again.
    """
    data_folder = Path(sysconfig.get_path("data")).resolve()
    packages = Path(str(distribution.locate_file(""))).resolve()
    name = distribution.metadata["Name"].replace("-", "_")
    base = f"{name}-{distribution.version}"
    members: dict[str, Path] = {}
    for file in distribution.files or ():
        path = Path(str(file.locate())).resolve()
        if path.suffix == ".pyc" or path.name in _WRITTEN_BY_PIP or not path.is_file():
            continue
        if path.is_relative_to(packages):
            members[path.relative_to(packages).as_posix()] = path
        elif path.is_relative_to(data_folder / "share"):
            members[f"{base}.data/data/{path.relative_to(data_folder).as_posix()}"] = path
    info = next(member.split("/")[0] for member in members if member.endswith(".dist-info/METADATA"))
    wheel = folder / f"{base}-{_tag(distribution)}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for member, path in members.items():
            archive.write(path, member)
        archive.writestr(f"{info}/RECORD", "".join(f'"{member}",,\n' for member in [*members, f"{info}/RECORD"]))
    return wheel


_WRITTEN_BY_PIP = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


def _tag(distribution: metadata.Distribution) -> str:
    """Return the tag of the wheel from which it was installed, such as py3-none-any for pure Python."""
    lines = (distribution.read_text("WHEEL") or "").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")), "py3-none-any")
