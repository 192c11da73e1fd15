"""Point the real gspread at the simulated API, and provide a desk with everything that a test needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gspread
import requests
from google.oauth2.service_account import Credentials

from tests.fake_google import Account, Clock, SheetsServer, Simulator, Spreadsheet

GOOGLE = "https://sheets.googleapis.com"
SCOPES = ["https://www.googleapis.com/auth/spreadsheets"]
Json = dict[str, Any]
HEADER = ["ID", "Lease", "URL", "Notes"]


class LoopbackClient(gspread.HTTPClient):
    """gspread's own client with another address: its URLs are constants, so they are rewritten on their way out."""

    address = GOOGLE

    def request(self, method: str, endpoint: str, *args: Any, **options: Any) -> requests.Response:
        """Send the request to `address`."""
        return super().request(method, endpoint.replace(GOOGLE, self.address, 1), *args, **options)


class OfflineCredentials(Credentials):
    """google-auth's own, without the lookup at iamcredentials.googleapis.com that it starts in a thread."""

    def _is_regional_access_boundary_lookup_required(self) -> bool:
        return False


@dataclass
class Desk:
    """A running simulator, a spreadsheet on it, and gspread clients for as many accounts as wanted."""

    server: SheetsServer
    book: Spreadsheet
    clients: list[gspread.Client]

    @property
    def simulator(self) -> Simulator:
        """The simulator behind the server."""
        return self.server.simulator

    def client(self, name: str = "worker-1", role: str = "writer", timeout: float | None = 20) -> gspread.Client:
        """Give a gspread client of an account with whom the spreadsheet is shared."""
        account: Account = self.simulator.accounts.add(name)
        self.book.share(account.email, role)
        key = account.key_info(self.simulator.token_uri)
        credentials = OfflineCredentials.from_service_account_info(key, scopes=SCOPES)  # type: ignore[no-untyped-call]
        client = gspread.Client(credentials, http_client=LoopbackClient)
        client.http_client.address = self.server.address  # type: ignore[attr-defined]
        client.set_timeout(timeout)
        self.clients.append(client)
        return client

    def open(self, name: str = "worker-1", **options: Any) -> gspread.Spreadsheet:
        """Open the spreadsheet as an account."""
        return self.client(name, **options).open_by_key(self.book.spreadsheet_id)

    def close(self) -> None:
        """Close the clients' connections, those for the token endpoint too, and then the server."""
        for client in self.clients:
            client.http_client.session.close()
            client.http_client.session._auth_request_session.close()  # type: ignore[attr-defined]
        self.server.close()


@contextmanager
def desk(
    rows: int = 20, tabs: Mapping[str, list[list[Any]]] | None = None, clock: Clock | None = None
) -> Iterator[Desk]:
    """Give a desk whose spreadsheet has the tabs `Tasks` and `Dead`; check every answer against Google's schema."""
    server = SheetsServer(clock=clock).start()
    lines = [[str(i), f"v{i}.0 pending", f"https://youtu.be/{i}", ""] for i in range(1, 4)]
    given = tabs or {"Tasks": [HEADER, *lines], "Dead": [HEADER]}
    book = server.simulator.create_spreadsheet(given, rows=rows, columns=6)
    here = Desk(server, book, [])
    try:
        yield here
        assert here.simulator.answer_problems == []
    finally:
        here.close()


def swap(find: str, replacement: str, sheet_id: int = 0, column: int = 1) -> Json:
    """Return the findReplace that swaps an encoded lease."""
    area = {"sheetId": sheet_id, "startRowIndex": 1, "startColumnIndex": column, "endColumnIndex": column + 1}
    options = {"matchEntireCell": True, "matchCase": True, "range": area}
    return {"findReplace": {"find": find, "replacement": replacement, **options}}


def rows_of(sheet_id: int, start: int, end: int, dimension: str = "ROWS") -> Json:
    """Give a DimensionRange."""
    return {"sheetId": sheet_id, "dimension": dimension, "startIndex": start, "endIndex": end}


def cell(text: str) -> Json:
    """Give the CellData of a text."""
    return {"userEnteredValue": {"stringValue": text}}
