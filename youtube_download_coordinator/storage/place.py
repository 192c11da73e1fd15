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
"""The largest file of `put_if_absent`: one request, whose body is held in memory."""
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
    """In bytes."""
    modified: datetime
    """When it was put there, by the place's clock, in UTC."""
    content_type: str = ""
    """As it was given. Empty in a listing, and from a local folder."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """As it was given. Empty in a listing, and from a local folder."""

    @property
    def sha256(self) -> str:
        """Return the SHA-256 that was given with the file; empty if it is not known."""
        return self.metadata.get(SHA256, "")


class Place(Protocol):
    """A folder for files that several machines may share.

    A path is relative, with `/` between its parts (`Irish/UKwSQSFN4Nw.m4a`). Every method that takes one raises ValueError for a
    path that leads out of the place or that not every place can keep: see `check_path`.

    A file is there whole or not at all: nobody reads half of one, whatever is killed. All methods may be called from several
    threads. The place retries by itself for a while (two minutes), then it raises

    * PlaceUnavailable: the network or the place fails. The same call may succeed later.
    * PlaceRefused: a right, the bucket or the credentials are missing. The message is one line that names them.

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
        """Copy a local file to the place. It replaces a file that is there.

        It is read in pieces: memory does not grow with the file. Content type and metadata travel along (see `check_metadata`).
        If the place's answer is lost, the place is asked whether the file has arrived. `move`: the source is no longer needed.
        A local folder then renames it, which costs nothing; elsewhere it stays, for the caller to remove.
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
        """Put a file unless there is one with this path. Return False if there is one; both files stay as they are.

        Of several callers at the same moment exactly one receives True. If the place's answer is lost, the place is asked whose
        file is there: True means that it is the one of this call. After PlaceUnavailable the file may still be there.

        Raises ValueError if the source is larger than MAX_CONDITIONAL_BYTES.
        """

    def get(self, path: str) -> bytes:
        """Return the content of a small file. Raises FileNotFoundError."""

    def open(self, path: str) -> AbstractContextManager[BufferedIOBase]:
        """Open a file for reading from its beginning to its end, in pieces; it cannot be sought. Raises FileNotFoundError."""

    def download(self, path: str, destination: Path) -> None:
        """Copy a file to a local path, in pieces. The destination is replaced at the end. Raises FileNotFoundError."""

    def head(self, path: str) -> Held | None:
        """Return what is known about a file, or None if there is none."""

    def list(self, prefix: str = "") -> Iterator[Held]:
        """Yield the files in the folder `prefix` and all below it, in no order; all files if it is empty.

        `Irish` lists `Irish/a.m4a`, not `Irish2/a.m4a`. Files are yielded as the place sends them: memory does not grow with
        their number. A folder that does not exist has no files.
        """

    def delete(self, path: str) -> None:
        """Delete a file. It is not an error if there is none."""

    def url(self, path: str) -> str:
        """Return how other programs name the file: `s3://bucket/prefix/path`, or an absolute local path. Unsigned."""


def check_path(path: str) -> str:
    """Return a path that every place can keep. Raises ValueError.

    It is relative and has neither empty parts nor `.` or `..`, no control characters and no backslash. Object storage also
    refuses a path that is longer than MAX_KEY_BYTES with its prefix.
    """
    parts = path.split("/")
    if not all(parts) or not {".", ".."}.isdisjoint(parts):
        raise ValueError(f"{path!r} is not a path below a place")
    if re.search(r"[\x00-\x1f\x7f\\]", path):
        raise ValueError(f"{path!r} has a character that not every place can keep")
    path.encode()  # half a character (a surrogate) is a ValueError too
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

    Keys are `[a-z][a-z0-9_]*`: S3 lowers them, and Azure wants identifiers. Values are printable ASCII without a space at
    either end, for they travel as HTTP headers.
    """
    for key, value in metadata.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", key) or not re.fullmatch(r"[!-~](?:[ -~]{0,998}[!-~])?", value):
            raise ValueError(
                f"metadata {key!r} must be an identifier in small letters, with a value in printable ASCII"
            )
    return metadata
