"""A local folder, or a folder of a shared disk (NFS), as a place for files."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import BufferedIOBase
from pathlib import Path

from youtube_download_coordinator.errors import PlaceError, PlaceRefused, PlaceUnavailable, UnfitError
from youtube_download_coordinator.storage.files import make_folder, move_into_place, write_bytes, written_whole
from youtube_download_coordinator.storage.place import (
    Held,
    check_conditional_size,
    check_metadata,
    check_path,
    check_prefix,
)

WORK_FOLDER = ".parts"
"""The subfolder in which files are made. It is not listed."""
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")
"""The name of a file that is being written. A killed process may leave one."""
_DISK = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EFBIG: "disk-full",
    errno.EIO: "disk",
    errno.EROFS: "disk",
    errno.ESTALE: "disk",
}
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE})
"""Errors that may be temporary: a full or broken disk, an unreachable file server."""
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
"""Errors of a file system without hard links (exFAT, an rclone mount), or without links between these two folders."""


class LocalPlace:
    """A local folder as a place. It keeps neither content types nor metadata, which are also in the sidecars."""

    is_local = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def address(self) -> str:
        return str(self._folder)

    def put(
        self, path: str, source: Path, *, content_type: str, metadata: Mapping[str, str], move: bool = False
    ) -> None:
        check_metadata(metadata)
        with _errors(path):
            target = self._target(path)
            if move:
                move_into_place(source, target)
                return
            with written_whole(target) as file, source.open("rb") as content:
                shutil.copyfileobj(content, file)

    def put_if_absent(
        self,
        path: str,
        source: Path | bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        move: bool = False,
    ) -> bool:
        check_metadata(metadata)
        check_conditional_size(source)
        with _errors(path):
            target = self._target(path)
            if os.path.lexists(target):
                return False
            with _copied(source, target, may_share=move) as copy:
                is_new = _link(copy, target)
            if is_new and move and isinstance(source, Path):
                source.unlink(missing_ok=True)
            return is_new

    def get(self, path: str) -> bytes:
        with self.open(path) as file:
            return file.read()

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[BufferedIOBase]:
        with _errors(path):
            # Do not follow a link, and do not wait for a pipe.
            fd = os.open(self._inside(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            yield file

    def download(self, path: str, destination: Path) -> None:
        with self.open(path) as content, written_whole(destination) as file:
            shutil.copyfileobj(content, file)

    def head(self, path: str) -> Held | None:
        with contextlib.suppress(FileNotFoundError), _errors(path):
            if status := _status(self._inside(path)):
                return _held(path, status)
        return None

    def list(self, prefix: str = "") -> Iterator[Held]:
        pending = [self._folder / check_prefix(prefix)]
        while pending:
            with (
                _errors(prefix),
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                os.scandir(pending.pop()) as entries,
            ):
                for entry in entries:
                    path = Path(entry)
                    if entry.is_dir(follow_symlinks=False):
                        pending += [path] if path != self._folder / WORK_FOLDER else []
                    elif not _TEMPORARY.fullmatch(entry.name) and (status := _status(path)):
                        yield _held(path.relative_to(self._folder).as_posix(), status)

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError), _errors(path):
            self._inside(path).unlink()

    def url(self, path: str) -> str:
        return str(self._folder / check_path(path))

    def _inside(self, path: str) -> Path:
        """Return the local path. Raises FileNotFoundError if a parent folder leads out."""
        target = self._folder / check_path(path)
        if not target.parent.resolve().is_relative_to(self._folder.resolve()):
            raise FileNotFoundError(errno.ENOENT, "it leads out of the output folder", str(target))
        return target

    def _target(self, path: str) -> Path:
        """Return the local path, and make its folder."""
        target = self._folder / check_path(path)
        make_folder(target.parent, self._folder)
        return target


@contextlib.contextmanager
def _errors(path: str) -> Iterator[None]:
    """Translate the system's errors into the errors of the contract."""
    try:
        yield
    except UnfitError as error:
        raise PlaceRefused(str(error), reason=error.reason) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(errno.ENOENT, "there is no such file", path) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, "it is a link", path) from error
        raise _place_error(path, error) from error


def _place_error(path: str, error: OSError) -> PlaceError:
    kind = PlaceUnavailable if error.errno in _PASSING else PlaceRefused
    return kind(f"{path}: {error.strerror}", reason=_DISK.get(error.errno or 0, "output-dir"))


@contextlib.contextmanager
def _copied(source: Path | bytes, target: Path, *, may_share: bool) -> Iterator[Path]:
    """Yield a new file with the content, under a temporary name, and remove that name at the end.

    `may_share`: a second name of the same file is enough, because the first name is removed.
    """
    copy = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        if isinstance(source, bytes):
            write_bytes(copy, source)
        elif not (may_share and _has_linked(source, copy)):
            with written_whole(copy) as file, source.open("rb") as content:
                shutil.copyfileobj(content, file)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _has_linked(source: Path, copy: Path) -> bool:
    try:
        os.link(source, copy)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _link(copy: Path, target: Path) -> bool:
    """Give the file a second name, unless that is taken. Return whether it was free."""
    try:
        os.link(copy, target)
    except FileExistsError:
        # NFS repeats a request whose answer was lost, and then finds the name taken by the first try.
        return os.path.lexists(target) and os.path.samestat(copy.lstat(), target.lstat())
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _rename_if_absent(copy, target)
    return True


def _rename_if_absent(copy: Path, target: Path) -> bool:
    """Do the same on a file system without links, under a lock of this machine's processes."""
    fd = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # the file system may not have locks either
            fcntl.flock(fd, fcntl.LOCK_EX)
        if os.path.lexists(target):
            return False
        copy.rename(target)
        return True
    finally:
        os.close(fd)


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a file, or None if it does not exist or is not a file."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _held(path: str, status: os.stat_result) -> Held:
    return Held(path=path, size=status.st_size, modified=datetime.fromtimestamp(status.st_mtime, UTC))
