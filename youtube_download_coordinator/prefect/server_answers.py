"""Wait while Prefect's server is away."""

from __future__ import annotations

import logging
import time

from httpx import HTTPStatusError, TransportError
from prefect.client.orchestration import SyncPrefectClient, get_client

log = logging.getLogger(__name__)

ASK_SECONDS = 5.0
"""The time between two attempts to reach a server that does not answer."""


def impatient_client() -> SyncPrefectClient:
    """Return a client that fails at once if the server does not answer. The run's own client repeats requests for minutes."""
    # Default settings, but passed explicitly: otherwise Prefect returns the run's client.
    return get_client(httpx_settings={}, sync_client=True)


def wait_until_server_answers(max_seconds: float | None = None) -> None:
    """Wait until the server answers, for at most `max_seconds`. A proxy's error about a missing server is not an answer."""
    until = time.monotonic() + max_seconds if max_seconds is not None else None
    is_logged = False
    while True:
        with impatient_client() as client:
            error = client.api_healthcheck()
        if not _is_away(error) or (until is not None and time.monotonic() > until):
            return
        if not is_logged:
            log.warning("Prefect's server does not answer; waiting for it: %s", error)
            is_logged = True
        time.sleep(ASK_SECONDS)


def _is_away(error: Exception | None) -> bool:
    if isinstance(error, HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, TransportError)
