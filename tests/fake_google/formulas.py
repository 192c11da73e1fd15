"""The few formulas that are calculated: links, and arithmetic on constants. References to cells are not followed."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

SIMULATED = "#SIMULATED!"
"""The result of every other formula."""
_TEXT = r'"((?:[^"]|"")*)"'
_LINK = re.compile(rf"=\s*HYPERLINK\(\s*{_TEXT}\s*(?:[,;]\s*{_TEXT}\s*)?\)\s*", re.IGNORECASE)
_ARITHMETIC = re.compile(r"=[\d\s.()+*/-]{1,200}")
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def link_of(formula: str) -> tuple[str, str] | None:
    """Return the address and the label of a `=HYPERLINK("address", "label")`; None for any other formula."""
    match = _LINK.fullmatch(formula)
    if match is None:
        return None
    address = match[1].replace('""', '"')
    return address, address if match[2] is None else match[2].replace('""', '"')


def result_of(formula: str) -> str | int | float:
    """Return what a formula evaluates to: a link its label, arithmetic its number."""
    link = link_of(formula)
    if link is not None:
        return link[1]
    if _ARITHMETIC.fullmatch(formula) and "**" not in formula and "//" not in formula:
        try:
            number = _number(ast.parse(formula[1:].strip(), mode="eval").body)
        except ZeroDivisionError:
            return "#DIV/0!"
        except (SyntaxError, ValueError):
            return "#ERROR!"
        return int(number) if float(number).is_integer() else number
    return SIMULATED


def _number(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return -_number(node.operand) if isinstance(node.op, ast.USub) else _number(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_number(node.left), _number(node.right))
    raise ValueError("not arithmetic")
