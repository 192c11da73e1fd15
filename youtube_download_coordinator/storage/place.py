"""The contract of a place for files. Its docstrings are the specification; `tests/unit/storage` checks every place against it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Protocol

MAX_CONDITIONAL_BYTES = 64_000_000
"""The largest file of `put_if_absent`, which is one request with its body in memory."""
MAX_KEY_BYTES = 1024
"""The longest key in S3, GCS and Azure, in UTF-8: the place's prefix and the path."""
SHA256 = "sha256"
"""The metadata's key of a file's SHA-256, in hexadecimal digits."""
ROW_ID = "row_id"
"""The metadata's key of the ID of the row for which the file was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A file in a place."""

    path: str
    size: int
    """The size in bytes."""
    modified: datetime
    """When it was put, by the place's clock, in UTC."""
    content_type: str = ""
    """The given value. Empty in a listing, and from a local folder."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The given value. Empty in a listing, and from a local folder."""

    @property
    def sha256(self) -> str:
        """Return the SHA-256 that was given with the file; empty if it is not known."""
        return self.metadata.get(SHA256, "")


class Place(Protocol):
    """A folder for files that several machines may share.

    A path is relative, with `/` between its parts (`Irish/UKwSQSFN4Nw.m4a`). Every method that takes one raises ValueError for a
    path that leads out of the place or that not every place can keep: see `check_path`.

    A file exists completely or not at all: nobody reads a partial file, whatever process is killed. All methods may be called
    from several threads. A place repeats failing requests for two minutes, and then raises

    * PlaceUnavailable: the network or the place fails. The same call may succeed later.
    * PlaceRefused: a permission, the bucket or the credentials are missing. The message is one line that names them.

    No message contains a secret, and no error has a cause or context that does.
    """

    @property
    def address(self) -> str:
        """Return `s3://bucket/prefix` (`gs://`, `az://`), or the absolute path of a folder, without a slash at its end."""

    @property
    def is_local(self) -> bool:
        """Return whether the place is a folder of this machine, into which a file can be moved."""

    def put(
        self, path: str, source: Path, *, content_type: str, metadata: Mapping[str, str], move: bool = False
    ) -> None:
        """Copy a local file to the place. Replace an existing file.

        The file is read in pieces, so memory does not grow with its size. Content type and metadata are stored with it (see
        `check_metadata`). If the place's answer is lost, check whether the file has arrived. `move`: the source is no longer
        needed. Then a local folder renames it, which costs nothing; in other places the caller has to remove it.
        """

    def put_if_absent(
        self,
        path: str,
        source: Path | bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        move: bool = False,
    ) -> bool:
        """Put a file unless the path exists. Return False if it exists; then neither file is changed.

        Of several simultaneous callers, exactly one receives True. If the place's answer is lost, check whose file exists: True
        means that it was put by this call. After PlaceUnavailable the file may exist or not.

        Raises ValueError if the source is larger than MAX_CONDITIONAL_BYTES.
        """

    def get(self, path: str) -> bytes:
        """Return the content of a small file. Raises FileNotFoundError."""

    def open(self, path: str) -> AbstractContextManager[BufferedIOBase]:
        """Open a file for reading from its beginning to its end, in pieces. It cannot seek. Raises FileNotFoundError."""

    def download(self, path: str, destination: Path) -> None:
        """Copy a file to a local path, in pieces. The destination is replaced at the end. Raises FileNotFoundError."""

    def head(self, path: str) -> Held | None:
        """Return the properties of a file, or None if it does not exist."""

    def list(self, prefix: str = "") -> Iterator[Held]:
        """Yield all files below the folder `prefix`, in any order; all files if it is empty.

        `Irish` lists `Irish/a.m4a`, not `Irish2/a.m4a`. Files are yielded as the place sends them, so memory does not grow with
        their number. A folder that does not exist has no files.
        """

    def delete(self, path: str) -> None:
        """Delete a file if it exists."""

    def url(self, path: str) -> str:
        """Return the file's address for other programs: `s3://bucket/prefix/path` (unsigned), or an absolute local path."""


def check_path(path: str) -> str:
    """Return a path that every place can keep. Raises ValueError.

    It is relative, without empty parts, `.`, `..`, control characters and backslashes. Object storage also refuses a path that is
    longer than MAX_KEY_BYTES with its prefix.
    """
    parts = path.split("/")
    if not all(parts) or not {".", ".."}.isdisjoint(parts):
        raise ValueError(f"{path!r} is not a path below a place")
    if re.search(r"[\x00-\x1f\x7f\\]", path):
        raise ValueError(f"{path!r} contains a character that not every place can keep")
    path.encode()  # raises a ValueError for a lone surrogate
    return path


def check_conditional_size(source: Path | bytes) -> None:
    """Raise ValueError for a source that is too large for `put_if_absent`."""
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size > MAX_CONDITIONAL_BYTES:
        raise ValueError(f"{size} bytes are too many for one request: at most {MAX_CONDITIONAL_BYTES}")


def check_prefix(prefix: str) -> str:
    """Return a prefix without a slash at its end. Raises ValueError."""
    return check_path(prefix.removesuffix("/")) if prefix else ""


def check_metadata(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """Return metadata that every place can keep. Raises ValueError.

    Keys are `[a-z][a-z0-9_]*`, because S3 lowers them and Azure requires identifiers. Values are printable ASCII without a
    space at either end, because they are HTTP headers.
    """
    for key, value in metadata.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", key) or not re.fullmatch(r"[!-~](?:[ -~]{0,998}[!-~])?", value):
            raise ValueError(
                f"metadata {key!r} must be an identifier in small letters, with a value in printable ASCII"
            )
    return metadata
