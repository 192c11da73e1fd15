"""The control plane, /__kit/...: what a test in another process may do to the simulator.

POST /__kit/accounts {"name"}                      -> {"email", "key"}; the key is the JSON of a service-account file
POST /__kit/spreadsheet {"tabs", "share_with"...}  -> {"spreadsheetId"}; the arguments of create_spreadsheet
GET  /__kit/spreadsheet/{id}                       -> {"tabs": {title: rows}, "namedRanges", "formulas", "version"}
POST /__kit/share {"spreadsheetId", "email", "role"}
POST /__kit/person {"spreadsheetId", "action", ...arguments of the method of Person}
POST /__kit/faults {"action", ...fields of Fault}; {"clear": true} drops all rules
POST /__kit/release_late                           -> {"released": n}
POST /__kit/quota {"per_user", "per_project", "minute_seconds"}
POST /__kit/clock {"offset_seconds"}
POST /__kit/service {"enabled": bool, "revoke_tokens": bool}
GET  /__kit/log?since=n, GET /__kit/stats?since=n
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable
from typing import Any

from tests.fake_google.errors import ApiError, Json
from tests.fake_google.people import ACTIONS, Person
from tests.fake_google.simulator import Answer, Simulator

CONTROL_PREFIX = "/__kit/"


def control(simulator: Simulator, method: str, path: str, query: str, body: bytes) -> Answer:
    """Answer a request of the control plane."""
    name, _slash, rest = path.removeprefix(CONTROL_PREFIX).partition("/")
    given = dict(urllib.parse.parse_qsl(query)) | (json.loads(body) if body else {}) | ({"id": rest} if rest else {})
    verb = _VERBS.get((method, name))
    if verb is None:
        return _answer(404, {"error": f"no {method} {path}"})
    try:
        return _answer(200, verb(simulator, given))
    except (ApiError, KeyError, TypeError, ValueError) as error:
        return _answer(400, {"error": f"{type(error).__name__}: {error}"})


def _answer(status: int, content: Json) -> Answer:
    return status, {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(content).encode()


def _add_account(simulator: Simulator, given: Json) -> Json:
    account = simulator.accounts.add(**given)
    return {"email": account.email, "key": account.key_info(simulator.token_uri)}


def _create(simulator: Simulator, given: Json) -> Json:
    shared = tuple(given.pop("share_with", ()))
    return {"spreadsheetId": simulator.create_spreadsheet(share_with=shared, **given).spreadsheet_id}


def _dump(simulator: Simulator, given: Json) -> Json:
    book = simulator.spreadsheets[given["id"]]
    with book.lock:
        return {
            "tabs": {sheet.title: book.rows(sheet.title) for sheet in book.contents.sheets},
            "namedRanges": list(book.contents.named_ranges.values()),
            "formulas": book.formulas(),
            "version": book.version,
        }


def _share(simulator: Simulator, given: Json) -> Json:
    simulator.spreadsheets[given["spreadsheetId"]].share(given["email"], given.get("role", "writer"))
    return {}


def _person(simulator: Simulator, given: Json) -> Json:
    person, action = Person(simulator.spreadsheets[given.pop("spreadsheetId")]), given.pop("action")
    if action not in ACTIONS:
        raise ValueError(f"unknown action {action}; there are {', '.join(ACTIONS)}")
    getattr(person, action)(**given)
    return {}


def _faults(simulator: Simulator, given: Json) -> Json:
    if given.pop("clear", False):
        simulator.faults.clear()
    if given:
        simulator.faults.add(**given)
    return {"rules": len(simulator.faults.rules)}


def _release_late(simulator: Simulator, _given: Json) -> Json:
    return {"released": simulator.faults.release_late()}


def _quota(simulator: Simulator, given: Json) -> Json:
    simulator.quota.set(**given)
    return {}


def _clock(simulator: Simulator, given: Json) -> Json:
    simulator.clock.offset_seconds = float(given["offset_seconds"])
    return {"now": simulator.clock.now()}


def _service(simulator: Simulator, given: Json) -> Json:
    simulator.enabled = bool(given.get("enabled", simulator.enabled))
    if given.get("revoke_tokens"):
        simulator.accounts.revoke_all()
    return {"enabled": simulator.enabled}


def _log(simulator: Simulator, given: Json) -> Json:
    since = int(given.get("since", 0))
    return {"entries": [entry.as_json() for entry in list(simulator.log) if entry.number > since]}


def _stats(simulator: Simulator, given: Json) -> Json:
    return simulator.stats(int(given.get("since", 0)))


_VERBS: dict[tuple[str, str], Callable[[Simulator, dict[str, Any]], Json]] = {
    ("POST", "accounts"): _add_account,
    ("POST", "spreadsheet"): _create,
    ("GET", "spreadsheet"): _dump,
    ("POST", "share"): _share,
    ("POST", "person"): _person,
    ("POST", "faults"): _faults,
    ("POST", "release_late"): _release_late,
    ("POST", "quota"): _quota,
    ("POST", "clock"): _clock,
    ("POST", "service"): _service,
    ("GET", "log"): _log,
    ("GET", "stats"): _stats,
}
