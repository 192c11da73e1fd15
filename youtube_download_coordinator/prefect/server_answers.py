"""Wait while Prefect's server is away."""

from __future__ import annotations

import logging
import time

from httpx import HTTPStatusError, TransportError
from prefect.client.orchestration import SyncPrefectClient, get_client

log = logging.getLogger(__name__)

ASK_SECONDS = 5.0
"""Between two attempts to reach a server that does not answer."""


def impatient_client() -> SyncPrefectClient:
    """Return a client that fails at once when the server does not answer. That of the run repeats a request for minutes."""
    # The settings are the default ones; with any, Prefect does not return the run's client.
    return get_client(httpx_settings={}, sync_client=True)


def wait_until_server_answers(max_seconds: float | None = None) -> None:
    """Return when the server answers, or after that many seconds. Any answer will do, but for one of a proxy without a server."""
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
