"""Check bodies, query parameters and field masks against Google's discovery document of the Sheets API v4.

The document is the one that google-api-python-client ships. `normalized` takes the spellings that Google's parser takes as well:
names in snake_case, and lists of messages as one message or nested. Stricter in one point: integers must be numbers.
"""

from __future__ import annotations

import functools
import json
import re
from importlib import resources
from typing import Any

from tests.fake_google.errors import Json, invalid
from tests.fake_google.masks import Mask

UNIONS = {
    "Request": ("kind", None),
    "ExtendedValue": ("value", None),
    "FindReplaceRequest": ("scope", ("range", "sheetId", "allSheets")),
}
"""Messages of which one member may be set ("Union field ... can be only one of the following"): name, members."""


@functools.cache
def document() -> Json:
    """Load the discovery document."""
    path = resources.files("googleapiclient") / "discovery_cache" / "documents" / "sheets.v4.json"
    loaded: Json = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@functools.cache
def methods() -> dict[str, Json]:
    """Give every method of the API by its ID, such as `sheets.spreadsheets.values.get`."""
    found: dict[str, Json] = {}
    pending = [document()]
    while pending:
        node = pending.pop()
        found.update({method["id"]: method for method in node.get("methods", {}).values()})
        pending.extend(node.get("resources", {}).values())
    return found


def check_body(schema: str, body: Any, under: str = "") -> None:
    """Raise Google's 400 where a request body does not fit its schema. Its fields are named `under` a name, if there is one."""
    found = problems(schema, body, under)
    if found:
        violations = [
            {"field": field, "description": text} if field else {"description": text} for field, text in found
        ]
        details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]
        raise invalid("\n".join(text for _field, text in found), details)


def normalized(schema: str, body: Any) -> Any:
    """Return a body with its names in lowerCamelCase, and its lists of messages flat."""
    if not isinstance(body, dict):
        return body
    properties = document()["schemas"][schema].get("properties", {})
    renamed = {name if name in properties else camel(name): value for name, value in body.items()}
    return {name: _normalized_value(properties.get(name, {}), value) for name, value in renamed.items()}


def _normalized_value(node: Json, value: Any) -> Any:
    if "$ref" in node:
        return normalized(node["$ref"], value)
    if node.get("format") == "google-fieldmask" and isinstance(value, str):
        return camel(re.sub(r",\s+", ",", value))
    schema = node.get("items", {}).get("$ref")
    if schema is None or not isinstance(value, list | dict):
        return value
    return [normalized(schema, item) for item in _flat(value)]


def _flat(value: Any) -> list[Any]:
    return [inner for item in value for inner in _flat(item)] if isinstance(value, list) else [value]


def camel(name: str) -> str:
    """Return snake_case as lowerCamelCase."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def check_query(method: str, query: dict[str, list[str]]) -> None:
    """Raise Google's 400 for a query parameter that the method does not have, or a value that it cannot take."""
    known = document()["parameters"] | methods()[method].get("parameters", {})
    for name, given in query.items():
        if name not in known or known[name]["location"] != "query":
            raise invalid(
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                f"Field '{name}' could not be found in request message."
            )
        for text in given:
            _check_parameter(name, known[name], text)


def _check_parameter(name: str, parameter: Json, text: str) -> None:
    if "enum" in parameter and text not in parameter["enum"]:
        raise invalid(f"Invalid value at '{_snake(name)}' (type.googleapis.com/{name}), \"{text}\"")
    if parameter["type"] == "boolean" and text.lower() not in ("true", "false"):
        raise invalid(f"Invalid value at '{_snake(name)}' (TYPE_BOOL), \"{text}\"")


def problems(schema: str, body: Any, path: str = "") -> list[tuple[str, str]]:
    """List what is wrong with a body as (field, description); empty when it fits."""
    if not isinstance(body, dict):
        return [
            (path, f"Invalid value at '{path}' (type.googleapis.com/google.apps.sheets.v4.{schema}), {_shown(body)}")
        ]
    properties = document()["schemas"][schema].get("properties", {})
    found = _union_problems(schema, body, path)
    for name, value in body.items():
        if name not in properties:
            where = f" at '{path}'" if path else ""
            found.append((path, f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'))
        elif value is not None:
            found.extend(_value_problems(properties[name], value, f"{path}.{_snake(name)}".lstrip(".")))
    return found


def _union_problems(schema: str, body: Json, path: str) -> list[tuple[str, str]]:
    if schema not in UNIONS:
        return []
    union, members = UNIONS[schema]
    given = [name for name, value in body.items() if value is not None and (members is None or name in members)]
    where = f"Invalid value at '{path}' (oneof), oneof field '{union}' is already set. Cannot set "
    return [(path, f"{where}'{_snake(name)}'") for name in given[1:]]


def _value_problems(node: Json, value: Any, path: str) -> list[tuple[str, str]]:
    if "$ref" in node:
        return problems(node["$ref"], value, path)
    kind = node["type"]
    if kind == "array":
        return _array_problems(node["items"], value, path)
    if kind == "object":
        return _map_problems(node["additionalProperties"], value, path)
    return [] if _fits(node, value) else [(path, f"Invalid value at '{path}' ({_type_name(node)}), {_shown(value)}")]


def _array_problems(items: Json, value: Any, path: str) -> list[tuple[str, str]]:
    if not isinstance(value, list):
        return [(path, f"Invalid value at '{path}' ({_type_name(items)}), {_shown(value)}")]
    if items.get("type") == "any":  # the cells of a ValueRange: many, and any JSON will do
        return []
    return [problem for i, item in enumerate(value) for problem in _value_problems(items, item, f"{path}[{i}]")]


def _map_problems(items: Json, value: Any, path: str) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return [(path, f"Invalid value at '{path}' (map), {_shown(value)}")]
    return [problem for key, item in value.items() for problem in _value_problems(items, item, f"{path}[{key}]")]


def _fits(node: Json, value: Any) -> bool:
    kind = node["type"]
    if kind == "any":
        return value is None or isinstance(value, str | int | float | bool | list | dict)
    if kind == "boolean" or isinstance(value, bool):
        return kind == "boolean" and isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and -(2**31) <= value < 2**31
    if kind == "number":
        return isinstance(value, int | float)
    return isinstance(value, str) and value in node.get("enum", [value])


def _type_name(node: Json) -> str:
    if node.get("type") == "array":
        return "type.googleapis.com/google.protobuf.ListValue"
    if "enum" in node or "$ref" in node:
        return f"type.googleapis.com/google.apps.sheets.v4.{node.get('$ref', 'enum')}"
    return {"integer": "TYPE_INT32", "number": "TYPE_DOUBLE", "boolean": "TYPE_BOOL"}.get(node["type"], "TYPE_STRING")


def check_mask(schema: str, mask: Mask, path: str = "") -> None:
    """Raise a 400 for a path of a field mask that the schema does not have."""
    properties = document()["schemas"][schema].get("properties", {})
    for name, inner in mask.items():
        if name == "*":
            continue
        here = f"{path}.{name}".lstrip(".")
        if name not in properties:
            raise invalid(f"Error expanding 'fields' parameter. Cannot find matching fields for path '{here}'.")
        node = properties[name].get("items", properties[name])
        if "$ref" in node:
            check_mask(node["$ref"], inner, here)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), name)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]
