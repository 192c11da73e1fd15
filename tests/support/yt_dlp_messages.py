"""Find, in the sources of the installed yt-dlp, the messages that its YouTube extractor can raise or warn of.

python -m tests.support.yt_dlp_messages       records those without a rule as the baseline
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yt_dlp.extractor.youtube
from yt_dlp.utils import ExtractorError
from yt_dlp.version import __version__

from youtube_download_coordinator.youtube import wordings
from youtube_download_coordinator.youtube.error_rules import MessageKeeper, classify

SOURCES = Path(yt_dlp.extractor.youtube.__file__).parent
BASELINE = Path(__file__).parents[1] / "unit" / "youtube" / "yt_dlp_messages.json"
RAISED = frozenset(
    {"ExtractorError", "UserNotLive", "raise_no_formats", "raise_login_required", "raise_geo_restricted"}
)
WARNED = frozenset({"report_warning"})
PLACEHOLDER = "X"
"""Stands for what is known only when yt-dlp runs."""


MAX_DEPTH = 6
"""Of names that stand for names."""


def without_rule(folder: Path = SOURCES) -> dict[str, list[str]]:
    """Return the messages in the sources that no table of wordings knows, errors and warnings apart."""
    errors, warnings = messages(folder, RAISED), messages(folder, WARNED)
    return {
        "errors": sorted(text for text in errors if classify(ExtractorError(text, expected=True)).reason == "error"),
        "warnings": sorted(text for text in warnings if not _is_known_warning(text)),
    }


def recorded() -> dict[str, Any]:
    """Return the baseline: the version of yt-dlp, and what had no rule in it."""
    baseline: dict[str, Any] = json.loads(BASELINE.read_text(encoding="utf-8"))
    return baseline


def record() -> None:
    """Make what has no rule now the baseline."""
    content = {"yt_dlp": __version__, **without_rule()}
    BASELINE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_known_warning(text: str) -> bool:
    keeper = MessageKeeper()
    keeper.warning(text)
    vague = classify(ExtractorError("No video formats found!", expected=True), keeper.messages)
    return (
        classify(ExtractorError(text, expected=True)).reason != "error"
        or (vague.reason, vague.systemic) != ("no-formats", False)
        or wordings.STALE_COOKIES in text
    )


def messages(folder: Path, names: frozenset[str]) -> set[str]:
    """Return the messages that calls of these names are given."""
    return set(_messages(folder, names))


def _messages(folder: Path, names: frozenset[str]) -> Iterator[str]:
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and _name(call.func) in names and call.args:
                    texts = (text.replace("{}", PLACEHOLDER) for text in _texts(call.args[0], function))
                    yield from filter(_has_words, texts)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _has_words(text: str) -> bool:
    return any(word != PLACEHOLDER for word in text.split())


def _texts(node: ast.expr, function: ast.FunctionDef, depth: int = 0) -> list[str]:
    """Return the texts that an expression may be."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if depth > MAX_DEPTH:
        return [PLACEHOLDER]
    if pieces := _pieces(node):
        return _product([_texts(piece, function, depth + 1) for piece in pieces])
    alternatives = _alternatives(node, function)
    return [text for alternative in alternatives for text in _texts(alternative, function, depth + 1)] or [PLACEHOLDER]


def _pieces(node: ast.expr) -> list[ast.expr]:
    """Return the parts that are put one after the other."""
    match node:
        case ast.JoinedStr(values=values):
            return values
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [left, right]
    return []


def _alternatives(node: ast.expr, function: ast.FunctionDef) -> list[ast.expr]:
    """Return the expressions of which one is taken: both sides of an `or`, each value that a name is given."""
    match node:
        case ast.BoolOp(values=values):
            return values
        case ast.IfExp(body=body, orelse=orelse):
            return [body, orelse]
        case (
            ast.Call(func=ast.Attribute(value=text, attr="format"))
            | ast.Call(func=ast.Name(id="bug_reports_message"), args=[text, *_])
            | ast.FormattedValue(value=ast.Name() as text)
        ):
            return [text]
        case ast.Name(id=name):
            return [value for value in _assigned(name, function) if not _mentions(name, value)]
    return []


def _product(parts: list[list[str]]) -> list[str]:
    texts = [""]
    for part in parts:
        texts = [text + more for text in texts for more in part]
    return texts


def _assigned(name: str, function: ast.FunctionDef) -> Iterator[ast.expr]:
    """Yield what a name is given in a function; what is added to it counts as a text of its own."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            yield node.value
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            yield node.value


def _mentions(name: str, node: ast.expr) -> bool:
    """Return whether an expression contains a name: a text that is made of itself would never end."""
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


if __name__ == "__main__":
    record()
    print(f"recorded what yt-dlp {__version__} can say without a rule: {BASELINE}")
