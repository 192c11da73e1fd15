"""Field masks, as the guide "Use field masks" and AIP-157 describe them: `a.b,c(d,e/f),*`."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from tests.fake_google.errors import Json, invalid

Mask: TypeAlias = dict[str, Any]
"""Selected names, each with the mask of what is below it; the name `*` selects everything."""

WHOLE: Mask = {"*": {}}
_TOKEN = re.compile(r"\*|[A-Za-z_]\w*|[,./()]")


def parse_mask(text: str) -> Mask:
    """Parse a mask. A space or any other stray character is a 400, as the real API was seen to answer."""
    tokens = _TOKEN.findall(text)
    if not text or "".join(tokens) != text:
        raise invalid("Request contains an invalid argument.")
    mask = _parse_list(tokens)
    if tokens:
        raise invalid("Request contains an invalid argument.")
    return mask


def _parse_list(tokens: list[str]) -> Mask:
    mask: Mask = {}
    while True:
        _parse_path(tokens, mask)
        if not tokens or tokens[0] != ",":
            return mask
        tokens.pop(0)


def _parse_path(tokens: list[str], mask: Mask) -> None:
    if not tokens or tokens[0] in ",./()":
        raise invalid("Request contains an invalid argument.")
    below = mask.setdefault(tokens.pop(0), {})
    if tokens and tokens[0] in "./":
        tokens.pop(0)
        _parse_path(tokens, below)
    elif tokens and tokens[0] == "(":
        tokens.pop(0)
        below.update(_parse_list(tokens))
        if not tokens or tokens.pop(0) != ")":
            raise invalid("Request contains an invalid argument.")
    else:
        below["*"] = {}


def below(mask: Mask, *names: str) -> Mask | None:
    """Give the mask under a path, or None where the path is not selected."""
    for name in names:
        if "*" in mask:
            return WHOLE
        if name not in mask:
            return None
        mask = mask[name]
    return mask


def select(mask: Mask, value: Any) -> Any:
    """Give the part of a JSON value that the mask selects; lists are masked element by element."""
    if "*" in mask:
        return value
    if isinstance(value, list):
        return [select(mask, item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: select(mask[name], item) for name, item in value.items() if name in mask}


def merge(mask: Mask, old: Json, new: Json) -> Json:
    """Give `old` with every field that the mask selects taken from `new`; absent there means cleared."""
    if "*" in mask:
        return dict(new)
    merged = dict(old)
    for name, inner in mask.items():
        value = new.get(name)
        if "*" not in inner and (isinstance(value, dict) or isinstance(merged.get(name), dict)):
            value = merge(inner, merged.get(name) or {}, value or {})
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged
