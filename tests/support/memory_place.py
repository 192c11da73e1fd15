"""A place in the memory of one process, for tests that need no disk and no emulator."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from youtube_download_coordinator.storage.files import write_bytes
from youtube_download_coordinator.storage.place import (
    Held,
    check_conditional_size,
    check_metadata,
    check_path,
    check_prefix,
)


class MemoryPlace:
    """A place in memory. It keeps whole files there, so it is for small ones."""

    is_local = False

    def __init__(self, address: str = "memory://files") -> None:
        self.address = address
        self._files: dict[str, tuple[Held, bytes]] = {}
        self._lock = threading.Lock()

    def put(
        self, path: str, source: Path, *, content_type: str, metadata: Mapping[str, str], move: bool = False
    ) -> None:
        self._put(path, source.read_bytes(), content_type, metadata)

    def put_if_absent(
        self,
        path: str,
        source: Path | bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        move: bool = False,
    ) -> bool:
        content = source if isinstance(source, bytes) else source.read_bytes()
        check_conditional_size(content)
        return self._put(path, content, content_type, metadata, replaces=False)

    def _put(
        self, path: str, content: bytes, content_type: str, metadata: Mapping[str, str], *, replaces: bool = True
    ) -> bool:
        held = Held(
            path=check_path(path),
            size=len(content),
            modified=datetime.now(UTC),
            content_type=content_type,
            metadata=dict(check_metadata(metadata)),
        )
        with self._lock:
            if not replaces and path in self._files:
                return False
            self._files[path] = (held, content)
            return True

    def get(self, path: str) -> bytes:
        try:
            return self._files[check_path(path)][1]
        except KeyError:
            raise FileNotFoundError(2, "there is no such file", path) from None

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[io.BufferedIOBase]:
        yield io.BytesIO(self.get(path))

    def download(self, path: str, destination: Path) -> None:
        write_bytes(destination, self.get(path))

    def head(self, path: str) -> Held | None:
        held = self._files.get(check_path(path))
        return held[0] if held else None

    def list(self, prefix: str = "") -> Iterator[Held]:
        folder = f"{prefix}/" if (prefix := check_prefix(prefix)) else ""
        files = list(self._files.items())
        yield from (replace(held, content_type="", metadata={}) for path, (held, _) in files if path.startswith(folder))

    def delete(self, path: str) -> None:
        with self._lock:
            self._files.pop(check_path(path), None)

    def url(self, path: str) -> str:
        return f"{self.address}/{check_path(path)}"
