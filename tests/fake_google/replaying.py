"""Hold the simulated API against recorded traffic of the real one: cassettes of VCR, of betamax and of `ydc doctor --record`.

The interactions of a cassette are sent in their order. Spreadsheets that Drive made are made in the simulator; IDs that Google
chose are asked for, so that later requests fit. Answers are compared by status and field by field, without what no client of a
queue reads: default formats, themes, and what a cell looks like.
"""

from __future__ import annotations

import base64
import copy
import gzip
import itertools
import json
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fake_google.errors import Json
from tests.fake_google.grid import Sheet
from tests.fake_google.simulator import Simulator

_IGNORED = re.compile(
    r"(.*\.)?(properties\.(locale|defaultFormat|spreadsheetTheme|importFunctionsExternalUrlAccessAllowed)|spreadsheetId"
    r"|spreadsheetUrl|effectiveFormat|userEnteredFormat)(\.|$)"
)
_CHOSEN_IDS = {
    "addSheet": ("properties", "sheetId"),
    "addNamedRange": ("namedRange", "namedRangeId"),
    "addProtectedRange": ("protectedRange", "protectedRangeId"),
}


@dataclass(frozen=True)
class Exchange:
    """A recorded request and its answer."""

    method: str
    url: str
    body: str
    status: int
    answer: str

    @property
    def path(self) -> str:
        """The path of the request."""
        return urllib.parse.urlsplit(self.url).path

    @property
    def spreadsheet_id(self) -> str:
        """The spreadsheet that it is about; "" when there is none."""
        match = re.match(r"/v4/spreadsheets/([^/:]+)", self.path)
        return match[1] if match else ""

    @property
    def content(self) -> Json:
        """The answer as JSON."""
        loaded: Json = json.loads(self.answer or "{}")
        return loaded


@dataclass
class Agreement:
    """The number of compared answers, and the differences."""

    compared: int = 0
    quota: int = 0
    """Recorded 429s: they depend on what else the account did."""
    unknown: int = 0
    """About spreadsheets with contents from before the recording."""
    differences: list[str] = field(default_factory=list)
    differing: int = 0
    unsupported: Counter[str] = field(default_factory=Counter)

    @property
    def percent(self) -> float:
        """The part of the compared answers that agree."""
        return 100 * (self.compared - self.differing) / max(1, self.compared)

    def __str__(self) -> str:
        """Give one line."""
        return (
            f"{self.compared - self.differing} of {self.compared} answers agree ({self.percent:.1f} %);"
            f" {self.quota} refusals for the quota and {self.unknown} about unknown contents not compared;"
            f" not simulated: {dict(self.unsupported) or 'none'}"
        )


def exchanges(path: Path) -> list[Exchange]:
    """Read a cassette."""
    recorded = json.loads(path.read_text(encoding="utf-8"))
    return [
        Exchange(
            turn["request"]["method"],
            turn["request"]["uri"],
            _text(turn["request"].get("body")),
            _status(turn["response"]),
            _text(turn["response"].get("body")),
        )
        for turn in recorded.get("interactions") or recorded.get("http_interactions") or []
    ]


def _status(response: Json) -> int:
    status: Any = response.get("status", response.get("status_code"))
    return int(status["code"] if isinstance(status, dict) else status)


def _text(body: Any) -> str:
    if body is None or isinstance(body, str):
        return body or ""
    if "base64_string" in body:
        raw = base64.b64decode(body["base64_string"])
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8", "replace")
    return body.get("string") or ""


def replay(folder: Path) -> Agreement:
    """Replay every cassette in a folder."""
    agreement = Agreement()
    for path in sorted(folder.rglob("*.json")):
        _Replay(agreement, path.stem).run(_in_order(exchanges(path)))
    return agreement


_RACE = re.compile(r'"find": "v1\.\d+ (held by rival \d+)|"deleteNamedRange": \{"namedRangeId": "ydc\d+-(\d+)"')


def _in_order(turns: list[Exchange]) -> list[Exchange]:
    """Return the exchanges with those of a race in the order in which Google applied them: by the step won, refusals last."""
    ordered: list[Exchange] = []
    for race, group in itertools.groupby(turns, _race):
        exchanges_of_race = list(group)
        ordered += sorted(exchanges_of_race, key=_place) if race else exchanges_of_race
    return ordered


def _race(turn: Exchange) -> str:
    match = _RACE.search(turn.body)
    return (match[1] or f"token {match[2]}") if match else ""


def _place(turn: Exchange) -> tuple[int, int]:
    replies = turn.content.get("replies", [])
    return turn.status, -max((index for index, reply in enumerate(replies) if reply.get("findReplace")), default=0)


class _Replay:
    """A cassette on a separate simulator."""

    def __init__(self, agreement: Agreement, name: str) -> None:
        self.agreement, self.name = agreement, name
        self.simulator = Simulator()
        self.account = self.simulator.accounts.add("replay")
        self.token = self.simulator.accounts.token(self.account, self.simulator.clock.now() + 10**9)
        self.ids: dict[str, str] = {}
        self.unknown: set[str] = set()

    def run(self, turns: list[Exchange]) -> None:
        for turn in turns:
            host = urllib.parse.urlsplit(turn.url).netloc
            if host == "www.googleapis.com":
                self._drive(turn)
            elif host.startswith("sheets.") or "/v4/spreadsheets" in turn.path:
                self._sheets(turn)

    def _drive(self, turn: Exchange) -> None:
        """Make the spreadsheets that Drive made. The contents of a copy or an upload are not known."""
        if turn.method != "POST" or turn.status != 200:
            return
        if turn.path.rstrip("/") == "/drive/v3/files" and "spreadsheet" in turn.content.get("mimeType", ""):
            self.ids[turn.content["id"]] = self._create(turn.content["name"])
        elif turn.path.endswith("/copy"):
            self.unknown.add(turn.content["id"])

    def _create(self, title: str) -> str:
        return self.simulator.create_spreadsheet(share_with=(self.account,), title=title).spreadsheet_id

    def _sheets(self, turn: Exchange) -> None:
        key = turn.spreadsheet_id
        if turn.status == 429:
            self.agreement.quota += 1
        elif not key and turn.status == 200:
            self.ids[turn.content["spreadsheetId"]] = self._create(turn.content["properties"]["title"])
        elif key in self.unknown or not (key in self.ids or self._open(turn)):
            self.agreement.unknown += 1
        else:
            self._compare(turn)

    def _open(self, turn: Exchange) -> bool:
        """Make a spreadsheet that was there before, as an answer shows it. What its cells contain is not known."""
        key = turn.spreadsheet_id
        if turn.status == 404:
            self.ids[key] = key
        elif turn.status == 403:
            self.ids[key] = self.simulator.create_spreadsheet(title="private").spreadsheet_id
        elif "sheets" in turn.content:
            properties = turn.content.get("properties", {})
            self.ids[key] = self._create(properties.get("title", ""))
            with self.simulator.spreadsheets[self.ids[key]].edit() as draft:
                draft.properties = {**draft.properties, **properties}
                draft.sheets = [_sheet_as_shown(shown) for shown in turn.content["sheets"]]
        return key in self.ids

    def _compare(self, turn: Exchange) -> None:
        url = urllib.parse.urlsplit(turn.url)
        path = urllib.parse.unquote(url.path.replace(turn.spreadsheet_id, self.ids[turn.spreadsheet_id], 1))
        headers = {"Authorization": f"Bearer {self.token}"}
        body = _ask_for_ids(turn).encode()
        quoted = urllib.parse.quote(path, safe="/:!'")
        status, _headers, payload = self.simulator.handle(turn.method, quoted, url.query, headers, body)
        answer = json.loads(payload or b"{}")
        message = answer.get("error", {}).get("message", "")
        if "not simulated" in message:
            self.agreement.unsupported[message] += 1
            return
        self.agreement.compared += 1
        problems = [("status", turn.status, status)] if status != turn.status else []
        differences = problems or list(_differences(turn.content, _rename(answer, self.account.email)))
        self.agreement.differing += bool(differences)
        self.agreement.differences += [
            f"{self.name}: {where}: {real!r}, not {ours!r}" for where, real, ours in differences
        ]


def _sheet_as_shown(shown: Json) -> Sheet:
    properties = {name: value for name, value in shown["properties"].items() if name != "index"}
    sheet = Sheet({"sheetId": 0, **properties})
    sheet.protected_ranges = shown.get("protectedRanges", [])
    sheet.merges = shown.get("merges", [])
    sheet.basic_filter = shown.get("basicFilter")
    return sheet


def _rename(answer: Json, email: str) -> Json:
    """Return an answer with the address that stands in the recordings for an account's."""
    renamed: Json = json.loads(json.dumps(answer).replace(email, "account@project.iam.gserviceaccount.com"))
    return renamed


def _ask_for_ids(turn: Exchange) -> str:
    """Return the body with the IDs that Google chose in its answer."""
    body = json.loads(turn.body) if turn.body.startswith("{") else None
    replies = turn.content.get("replies") if turn.status == 200 else None
    if not body or not replies or not isinstance(body.get("requests"), list) or len(body["requests"]) != len(replies):
        return turn.body
    body = copy.deepcopy(body)
    for request, reply in zip(body["requests"], replies, strict=True):
        for kind, (name, identifier) in _CHOSEN_IDS.items():
            if kind in request and kind in reply:
                request[kind].setdefault(name, {})[identifier] = reply[kind][name].get(identifier, 0)
        if "duplicateSheet" in request:
            request["duplicateSheet"]["newSheetId"] = reply["duplicateSheet"]["properties"]["sheetId"]
    return json.dumps(body)


def _differences(real: Any, ours: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    if _IGNORED.match(where):
        return
    if isinstance(real, dict) and isinstance(ours, dict):
        for name in sorted({*real, *ours}):
            yield from _differences(real.get(name), ours.get(name), f"{where}.{name}".lstrip("."))
    elif isinstance(real, list) and isinstance(ours, list):
        for one, other in zip(real, ours, strict=False):
            yield from _differences(one, other, where)
        if len(real) != len(ours):
            yield where, real, ours
    elif real != ours or isinstance(real, bool) != isinstance(ours, bool):
        yield where, real, ours
