"""Check a Prefect server before registering anything: whether it accepts the password, and whether it requires one."""

from __future__ import annotations

import httpx  # Prefect's client raises its errors
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import get_current_settings

SERVER_ERRORS = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""Errors of Prefect's client if a server fails or is not reachable. UnicodeError: the host name is invalid."""


def describe_problem(address: str, problem: Exception) -> str:
    """Return one line that explains one of SERVER_ERRORS."""
    if isinstance(problem, httpx.HTTPStatusError) and problem.response.status_code == httpx.codes.UNAUTHORIZED:
        if get_current_settings().api.key:
            return f"{address} refuses the key in PREFECT_API_KEY"
        return (
            f"the Prefect server at {address} requires a password: set PREFECT_API_AUTH_STRING, here or in .env, "
            "to the server's PREFECT_SERVER_API_AUTH_STRING"
        )
    line = (str(problem).splitlines() or [type(problem).__name__])[0]
    return f"the Prefect server at {address} failed or is not reachable: {line}"


def is_open(address: str) -> bool:
    """Return whether the server answers without a password. Raises SERVER_ERRORS."""
    with SyncPrefectClient(address) as client:
        try:
            client.api_version()
        except httpx.HTTPStatusError:
            return False
    return True
