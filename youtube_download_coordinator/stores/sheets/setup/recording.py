"""Record HTTP exchanges with Google as cassettes that tests can replay, without keys, tokens and addresses."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gspread
import requests
from gspread.exceptions import APIError

from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.stores.sheets.api import Json

_SECRETS = (
    (re.compile(r"[\w.+%-]+@[\w-]+\.[\w.-]+"), "account@project.iam.gserviceaccount.com"),
    (re.compile(r"(project_number:|projects/|project(?:=|\s+))\d+"), r"\g<1>0"),
    (re.compile(r"ya29\.[\w.-]+"), "token"),
)
SPREADSHEET = "recorded-spreadsheet"
"""The text that replaces the spreadsheet's ID."""


class Cassette:
    """The exchanges of several connections, in the order of the responses. All headers except Date are left out."""

    def __init__(self, spreadsheet_id: str) -> None:
        self._spreadsheet_id = spreadsheet_id
        self._interactions: list[Json] = []
        self._lock = threading.Lock()

    def client(self, make: Callable[[Any], gspread.HTTPClient]) -> Callable[[Any], gspread.HTTPClient]:
        """Return a function that makes clients whose exchanges are recorded."""

        def recorded(credentials: Any) -> gspread.HTTPClient:
            client = make(credentials)
            send = client.request

            def request(method: Any, endpoint: str, *args: Any, **options: Any) -> requests.Response:
                try:
                    response = send(method, endpoint, *args, **options)
                except APIError as error:
                    self._record(error.response)
                    raise
                self._record(response)
                return response

            client.request = request  # type: ignore[method-assign]
            return client

        return recorded

    def _record(self, response: requests.Response) -> None:
        sent = response.request.body or ""
        request = {
            "method": response.request.method,
            "uri": self._without_secrets(response.request.url or ""),
            "body": self._without_secrets(sent.decode() if isinstance(sent, bytes) else str(sent)),
        }
        answer = {
            "status": {"code": response.status_code},
            "headers": {"Date": [response.headers.get("Date", "")]},
            "body": {"string": self._without_secrets(response.text)},
        }
        with self._lock:
            self._interactions.append({"request": request, "response": answer})

    def _without_secrets(self, text: str) -> str:
        text = text.replace(self._spreadsheet_id, SPREADSHEET)
        for pattern, replacement in _SECRETS:
            text = pattern.sub(replacement, text)
        return text

    def save(self, path: Path) -> None:
        """Write the file. Raises StoreError if it cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"interactions": self._interactions}, indent=1), encoding="utf-8")
        except OSError as error:
            raise StoreError(f"the recording {path} could not be written: {error.strerror or error}") from error
