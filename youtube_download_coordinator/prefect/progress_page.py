"""Write the progress page of a run that processes videos: an artifact that is updated every few seconds."""

from __future__ import annotations

import threading
import time
from contextvars import copy_context
from types import TracebackType
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.prefect.flow_run import host, tolerate_prefect_errors
from youtube_download_coordinator.prefect.markdown import videos_in_markdown
from youtube_download_coordinator.workers.attempts import Attempt
from youtube_download_coordinator.workers.worker import Summary

INTERVAL_SECONDS = 10.0
"""The time between two updates, each of which is one request to Prefect's server."""
KEY = "processed-videos-so-far"


class ProgressPage:
    """The page of one run, written by a separate thread, so that a slow or unreachable server does not delay the worker."""

    def __init__(self, processor: str, config: Config) -> None:
        self._about = f"{processor} on {host()}"
        self._config = config
        self._began = time.monotonic()
        self._so_far = Summary()
        self._changed = False
        self._lock = threading.Lock()
        self._artifact: UUID | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="progress", daemon=True)

    def __enter__(self) -> ProgressPage:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if error is None:  # an interrupted flow must end at once
            self._thread.join()

    def attempt_ended(self, attempt: Attempt) -> None:
        """Add an attempt that ended."""
        with self._lock:
            self._so_far.results[attempt.result] += 1
            self._so_far.attempts.append(attempt)
            self._changed = True

    def finish(self, summary: Summary) -> None:
        """Write the final page."""
        self._write(self._page(summary))

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            with self._lock:
                page = self._page(self._so_far) if self._changed else ""
                self._changed = False
            if page:
                self._write(page)

    def _page(self, summary: Summary) -> str:
        return videos_in_markdown(summary, self._about, time.monotonic() - self._began, self._config)

    def _write(self, page: str) -> None:
        with tolerate_prefect_errors("the page of processed videos"):
            if self._artifact is None:
                artifact = create_markdown_artifact(key=KEY, markdown=page, description="The results so far.")
                self._artifact = artifact if isinstance(artifact, UUID) else None
            else:
                with get_client(sync_client=True) as client:
                    client.update_artifact(self._artifact, ArtifactUpdate(data=page))
