"""Generate the page of settings from Config: `python -m tools.docs.settings_page > docs/settings.md`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from youtube_download_coordinator.config import SECRETS, Config

SECTIONS = {
    "spreadsheet_id": "A Google Sheet as the queue",
    "database_url": "A database as the queue",
    "sources_file_path": "The sources file",
    "max_retries": "Attempts and leases",
    "cooldown_minutes": "YouTube's limits",
    "claim_batch_size": "How much at a time",
    "output_dir": "Files",
    "processor": "The processors",
    "refresh_after_hours": "Looking again, and filters",
    "proxy": "How YouTube is asked",
}
"""The first field of each section. The fields are in the order of Config."""
TYPES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Path: "path", SecretStr: "text"}
DOCS = Path(__file__).parents[2] / "docs"
CELL_MAX_WORDS = 25
"""A longer meaning is continued below its table."""
FIRST = """# Settings

*For operators: which settings exist, what are their defaults, and what do they do?*

* A setting is an argument of `Config(...)`, or an environment variable: `YDC_` and the setting's name in capitals.
* Variables may also be in a file `.env` in the working directory.
* Arguments take precedence over the environment, the environment over `.env`, and `.env` over the defaults.
* An empty variable is treated as not set.
* An invalid value stops a command with one line that names the setting. So does a misspelt setting, and in `.env` any unknown
  name with `YDC_`. `ydc doctor` and `ydc run` report other variables `YDC_...` that are not settings.
* *Secret*: the value is never printed. With Prefect, it belongs in the [block](prefect.md#settings-and-secrets).
* `YDC_CHECKOUT` and `YDC_PREFECT_BLOCK` are used by the flows only, and described there.

This page is generated from `Config` by `python -m tools.docs.settings_page`."""


def document() -> str:
    """Return the text of docs/settings.md. Raises ValueError if the first field of a section does not exist."""
    if unknown := SECTIONS.keys() - Config.model_fields.keys():
        raise ValueError(f"Config has no {', '.join(sorted(unknown))}")
    return "\n".join((FIRST, *_rows())) + "\n"


def _rows() -> Iterator[str]:
    notes: list[str] = []
    for name, field in Config.model_fields.items():
        if name in SECTIONS:
            yield from _below(notes)
            notes = []
            yield from (
                "",
                f"## {SECTIONS[name]}",
                "",
                "| variable | type | default | meaning |",
                "| --- | --- | --- | --- |",
            )
        variable = f"YDC_{name.upper()}"
        cell, rest = _split(_meaning(field))
        if rest:
            notes.append(f"* **`{variable}`**: {rest}")
        yield f'| <span id="{name}">`{variable}`</span> | {_type(name, field)} | {_default(field)} | {cell} |'
    yield from _below(notes)


def _below(notes: Sequence[str]) -> Iterator[str]:
    if notes:
        yield from ("", *notes)


def _meaning(field: FieldInfo) -> str:
    text = " ".join((field.description or "").split()).replace("|", "\\|")
    return re.sub(r"\bdocs/([\w-]+)\.md\b", _link, text)


def _link(page: re.Match[str]) -> str:
    return f"[{page[1]}]({page[1]}.md)" if (DOCS / f"{page[1]}.md").exists() else page[0]


def _split(meaning: str) -> tuple[str, str]:
    """Return the first sentences, which fit into a cell, and the others."""
    first, *others = re.split(r"(?<=\.)\s+(?=[A-Z0-9`])", meaning)
    while others and len(f"{first} {others[0]}".split()) <= CELL_MAX_WORDS:
        first = f"{first} {others.pop(0)}"
    return first, " ".join(others)


def _type(name: str, field: FieldInfo) -> str:
    limits = [limit for constraint in field.metadata if (limit := _limit(constraint))]
    words = ", ".join((_words(field.annotation), *limits))
    return f"{words}; *secret*" if name in SECRETS else words


def _words(annotation: Any) -> str:
    """Return the name of a type for people who set a value in the environment."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = [limit for metadata in arguments[1:] for limit in _limits_within(metadata)]
        return ", ".join((_words(arguments[0]), *limits))
    if origin in (Union, UnionType):
        return _words(next(argument for argument in arguments if argument is not NoneType))
    if origin is Literal:
        return " ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return "a list, with commas"
    if origin is dict:
        return "`ACCENT:HOURS`, with commas" if arguments == (str, float) else "JSON"
    return TYPES[annotation]


def _limits_within(metadata: Any) -> Iterator[str]:
    for constraint in getattr(metadata, "metadata", (metadata,)):
        if limit := _limit(constraint):
            yield limit


def _limit(constraint: Any) -> str:
    for attribute, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most")):
        if (number := getattr(constraint, attribute, None)) is not None:
            return f"{words} {number:,}"
    return ""


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined or value in (None, "", {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


if __name__ == "__main__":
    print(document(), end="")
