"""What an operator sees of a run that processes videos, while it runs: a page that is written anew every few seconds."""

from __future__ import annotations

import threading
import time
from contextvars import copy_context
from types import TracebackType
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from tasks.context import host, unless_prefect_is_away
from tasks.markdown import videos_in_markdown
from youtube_download_coordinator.workers.attempts import Attempt
from youtube_download_coordinator.workers.worker import Summary

INTERVAL_SECONDS = 10.0
"""Between two writings; each is one request to Prefect's server."""
KEY = "processed-videos-so-far"


class Progress:
    """The page of one run, written by a thread of its own: a server that is slow or away keeps no worker from its work."""

    def __init__(self, processor: str, sheet_url: str | None) -> None:
        self._about = f"{processor} on {host()}"
        self._sheet_url = sheet_url
        self._began = time.monotonic()
        self._so_far = Summary()
        self._changed = False
        self._turn = threading.Lock()
        self._artifact: UUID | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if error is None:  # an interrupted flow is to end at once
            self._thread.join()

    def attempt_ended(self, attempt: Attempt) -> None:
        """Take in what has ended."""
        with self._turn:
            self._so_far.results[attempt.result] += 1
            self._so_far.attempts.append(attempt)
            self._changed = True

    def finish(self, summary: Summary) -> None:
        """Write the page for the last time."""
        self._write(self._page(summary))

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            with self._turn:
                page = self._page(self._so_far) if self._changed else ""
                self._changed = False
            if page:
                self._write(page)

    def _page(self, summary: Summary) -> str:
        return videos_in_markdown(summary, self._about, time.monotonic() - self._began, self._sheet_url)

    def _write(self, page: str) -> None:
        with unless_prefect_is_away("the page of processed videos"):
            if self._artifact is None:
                found = create_markdown_artifact(key=KEY, markdown=page, description="What came of the videos so far.")
                self._artifact = found if isinstance(found, UUID) else None
            else:
                with get_client(sync_client=True) as client:
                    client.update_artifact(self._artifact, ArtifactUpdate(data=page))
