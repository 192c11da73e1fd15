"""Object storage as a place for files, by obstore: S3 and compatible services, Google Cloud Storage, Azure."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from youtube_download_coordinator.errors import PlaceUnavailable
from youtube_download_coordinator.storage.address import bucket_and_prefix
from youtube_download_coordinator.storage.files import written_whole
from youtube_download_coordinator.storage.object_errors import Absent, Answer, absent_file, call
from youtube_download_coordinator.storage.place import (
    MAX_KEY_BYTES,
    Held,
    check_conditional_size,
    check_metadata,
    check_path,
    check_prefix,
)
from youtube_download_coordinator.storage.providers import Provider, open_store, provider_of

if TYPE_CHECKING:
    from obstore import ReadableFile

    from youtube_download_coordinator.storage.providers import Store

PATIENCE = timedelta(minutes=2)
"""How long a request is repeated."""
PUT_ID = "put_id"
"""The metadata's key of a random text that identifies the call that put a file. `Held` does not contain it."""
PART_BYTES = 8 * 2**20
"""The size of the parts of a file. A file of at most this size is one request."""
PARTS_AT_ONCE = 4
MAX_PARTS = 9_000
"""The most parts of a file; S3 allows 10,000. Larger files have larger parts."""
READ_BYTES = 8 * 2**20
LIST_CHUNK = 1000


class ObjectPlace:
    """A bucket, and a prefix in it. The first request opens the store, in its own process."""

    is_local = False

    def __init__(self, address: str, *, patience: timedelta = PATIENCE) -> None:
        """Prepare the place without a request. `patience`: how long a failing request is repeated."""
        self.address = address
        self._patience = patience
        self._prefix_bytes = len(bucket_and_prefix(address)[1].encode()) + 1

    def __repr__(self) -> str:
        return f"ObjectPlace({self.address!r})"

    @property
    def provider(self) -> Provider:
        return provider_of(self.address)

    @cached_property
    def _store(self) -> Store:
        return open_store(self.address, self._patience)

    def connect(self) -> None:
        """Open the store, without a request. Raises ConfigError if obstore or a variable is missing."""
        _ = self._store

    def put(
        self, path: str, source: Path, *, content_type: str, metadata: Mapping[str, str], move: bool = False
    ) -> None:
        key, put_id = self._key(path), uuid.uuid4().hex
        attributes = {"Content-Type": content_type, **check_metadata(metadata), PUT_ID: put_id}
        size = source.stat().st_size
        try:
            self._call(
                "put",
                lambda store: store.put(
                    key,
                    source,
                    attributes=attributes,
                    use_multipart=size > PART_BYTES,
                    chunk_size=max(PART_BYTES, -(-size // MAX_PARTS)),
                    max_concurrency=PARTS_AT_ONCE,
                ),
            )
        except PlaceUnavailable:  # the upload may be complete, if only the last answer was lost
            if not self._is_from(key, put_id):
                raise

    def put_if_absent(
        self,
        path: str,
        source: Path | bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        move: bool = False,
    ) -> bool:
        key, put_id = self._key(path), uuid.uuid4().hex
        check_conditional_size(source)
        attributes = {"Content-Type": content_type, **check_metadata(metadata), PUT_ID: put_id}
        content = source if isinstance(source, bytes) else source.read_bytes()
        for is_last in self._tries():
            try:
                self._call("put", lambda store: store.put(key, content, attributes=attributes, mode="create"))
            except PlaceUnavailable:  # the file that exists decides, not the answer
                if (found := self._attributes(key)) is not None:
                    return found.get(PUT_ID) == put_id
                if is_last:
                    raise
            else:
                return True
        raise AssertionError("the last try returns or raises")

    def _tries(self) -> Iterator[bool]:
        """Yield for each try whether it is the last one, with growing pauses: obstore does not repeat conditional requests."""
        end, pause = time.monotonic() + self._patience.total_seconds(), 0.2
        while time.monotonic() + pause < end:
            yield False
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, 15.0)
        yield True

    def _is_from(self, key: str, put_id: str) -> bool:
        """Return whether the existing file was put by the call with this ID."""
        attributes = self._attributes(key)
        return attributes is not None and attributes.get(PUT_ID) == put_id

    def _attributes(self, key: str) -> dict[str, str] | None:
        try:
            return self._call("get", lambda store: dict(store.get(key, options={"head": True}).attributes))
        except Absent:
            return None

    def get(self, path: str) -> bytes:
        key = self._key(path)
        try:
            return self._call("get", lambda store: bytes(store.get(key).bytes()))
        except Absent:
            raise absent_file(path) from None

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[io.BufferedIOBase]:
        from obstore import open_reader

        key = self._key(path)
        try:
            reader = self._call("get", lambda store: open_reader(store, key, buffer_size=READ_BYTES))
        except Absent:
            raise absent_file(path) from None
        with io.BufferedReader(_Pieces(self, path, reader), READ_BYTES) as file:
            yield file

    def download(self, path: str, destination: Path) -> None:
        with self.open(path) as content, written_whole(destination) as file:
            shutil.copyfileobj(content, file, READ_BYTES)

    def head(self, path: str) -> Held | None:
        key = self._key(path)
        try:
            answer = self._call("get", lambda store: store.get(key, options={"head": True}))
        except Absent:
            return None
        attributes = dict(answer.attributes)
        content_type = attributes.pop("Content-Type", "")
        own = {name: value for name, value in attributes.items() if name.islower() and name != PUT_ID}
        return _held(answer.meta, content_type, own)

    def list(self, prefix: str = "") -> Iterator[Held]:
        folder, last = check_prefix(prefix), ""
        tries = self._tries()
        while True:
            before = last
            try:
                for held in self._list(folder, last):
                    last = held.path
                    yield held
            except PlaceUnavailable:
                tries = self._tries() if last != before else tries
                if next(tries):
                    raise
            else:
                return

    def _list(self, folder: str, last: str) -> Iterator[Held]:
        """Yield the files after `last`. Providers list in order of paths, and obstore does not repeat an interrupted page."""
        chunks = self._call(
            "list", lambda store: iter(store.list(folder or None, offset=last or None, chunk_size=LIST_CHUNK))
        )
        while chunk := self._call("list", lambda _: next(chunks, None)):
            yield from map(_held, chunk)

    def delete(self, path: str) -> None:
        key = self._key(path)
        with contextlib.suppress(Absent):
            self._call("delete", lambda store: store.delete(key))

    def url(self, path: str) -> str:
        return f"{self.address}/{check_path(path)}"

    def _key(self, path: str) -> str:
        if self._prefix_bytes + len(check_path(path).encode()) > MAX_KEY_BYTES:
            raise ValueError(f"{path[:40]!r}... is longer than {MAX_KEY_BYTES} bytes with the prefix of {self.address}")
        return path

    def _call(self, doing: str, request: Callable[[Store], Answer]) -> Answer:
        return call(self.address, doing, lambda: request(self._store))


class _Pieces(io.RawIOBase):
    """A file that is read by requests of READ_BYTES, each of which is repeated if it fails."""

    def __init__(self, place: ObjectPlace, path: str, reader: ReadableFile) -> None:
        self._place = place
        self._path = path
        self._reader = reader

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            piece = call(self._place.address, "get", lambda: self._reader.read(min(len(buffer), READ_BYTES)))
        except Absent:
            raise absent_file(self._path) from None
        buffer[: len(piece)] = piece
        return len(piece)


def _held(meta: Mapping[str, Any], content_type: str = "", metadata: Mapping[str, str] | None = None) -> Held:
    return Held(
        path=meta["path"],
        size=meta["size"],
        modified=meta["last_modified"],
        content_type=content_type,
        metadata=metadata or {},
    )
