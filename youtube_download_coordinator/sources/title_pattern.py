r"""Search titles by regular expressions, which anybody who edits a sheet may write.

RE2 searches in linear time and bounded memory. Its `\w`, `\d`, `\s`, `[:alpha:]` and `\b` support only ASCII, so an expression is
translated: classes to Unicode classes, and `\b` to a mark that is inserted at both ends of each word of the title. `^(?!A)(?=B)C`
becomes three searches. Other look-arounds, references to groups and possessive repetitions are not supported.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

PATTERN_MAX_CHARACTERS = 500
TITLE_MAX_CHARACTERS = 300
"""The length up to which a title is searched. YouTube's titles have at most 100 characters."""
MEMORY_MAX_BYTES = 4 << 20
"""The memory for each search of an expression. RE2 refuses an expression that needs more."""

_MARK = "\ue000"
"""The mark at both ends of each word of a title that is searched for `\\b`: a private character, which titles do not contain."""
_MARK_HERE = r"\x{E000}?"
_TOKEN = re.compile(
    r"""(?P<boundary>\\b)
    |(?P<unknown>\\[BCQE])
    |(?P<start>\^|\\A)
    |(?P<end>\$|\\z)
    |(?P<class>\\[wWdDsS])
    |(?P<property>\\[pP](?:\{\^?[^}]*\}|.))
    |(?P<code>\\u[0-9A-Fa-f]{4})
    |(?P<escape>\\x\{[^}]*\}|\\x[0-9A-Fa-f]{2}|\\.)
    |(?P<set>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\])
    |(?P<look>\(\?<?[=!])
    |(?P<open>\(\?(?:P?<\w+>|[a-zA-Z-]+:|:)|\((?!\?))
    |(?P<close>\))
    |(?P<repeat>\{[0-9]+(?:,[0-9]*)?\}|\{,[0-9]+\})
    |(?P<other>\||[*+?]|\(\?[a-zA-Z-]+\))
    |(?P<dot>\.)
    |(?P<char>.)""",
    re.VERBOSE | re.DOTALL,
)
_WORD, _DIGIT, _SPACE = r"\p{L}\p{M}\p{N}\p{Pc}", r"\p{Nd}", r"\s\x0b\x{85}\p{Z}"
_CLASSES = {r"\w": _WORD, r"\d": _DIGIT, r"\s": _SPACE}
_CLASSES_IN_SETS = _CLASSES | {
    "[:alpha:]": r"\p{L}\p{M}",
    "[:alnum:]": r"\p{L}\p{M}\p{N}",
    "[:word:]": _WORD,
    "[:digit:]": _DIGIT,
    "[:space:]": _SPACE,
}
_IN_SET = re.compile(r"\\[pP](?:\{[^}]*\}|.)|\\u[0-9A-Fa-f]{4}|\\.|\[:\w+:\]", re.DOTALL)


class _Token(NamedTuple):
    kind: str
    text: str


class _Search(NamedTuple):
    """A search in a title. It must find something, or must not."""

    expression: Any
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class TitlePattern:
    """A regular expression to search in titles, in any letter case."""

    pattern: str
    _searches: Sequence[_Search]
    _has_boundaries: bool

    @classmethod
    def compile(cls, pattern: str) -> TitlePattern:
        """Return the compiled pattern. Raises ValueError with the mistake in it."""
        if len(pattern) > PATTERN_MAX_CHARACTERS:
            raise ValueError(f"it has more than {PATTERN_MAX_CHARACTERS} characters")
        tokens = [_Token(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(pattern)]
        has_boundaries = any(token.kind == "boundary" for token in tokens)
        translate = _translate_marked if has_boundaries else _translate
        looks, rest = _split_looks(tokens)
        searches = [_search([_Token("start", "^"), *look], translate, is_wanted) for look, is_wanted in looks]
        return cls(pattern, [*searches, _search(rest, translate, True)], has_boundaries)

    def is_found_in(self, title: str) -> bool:
        """Return whether a title matches."""
        text = title[:TITLE_MAX_CHARACTERS].encode("utf-8", "replace").decode().replace(_MARK, "")
        text = _marked(text) if self._has_boundaries else text
        return all((search.expression.search(text) is not None) is search.is_wanted for search in self._searches)


def _search(tokens: Sequence[_Token], translate: Callable[[_Token], str], is_wanted: bool) -> _Search:
    import re2  # imported only if it is used

    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = MEMORY_MAX_BYTES
    try:
        return _Search(re2.compile("".join(map(translate, tokens)), options), is_wanted)
    except re2.error as error:
        (problem,) = error.args
        raise ValueError(problem.decode("utf-8", "replace") if isinstance(problem, bytes) else problem) from None


def _split_looks(tokens: Sequence[_Token]) -> tuple[list[tuple[list[_Token], bool]], list[_Token]]:
    """Return the look-aheads at the start of an anchored expression, each with whether it must match, and the rest.

    If a `|` outside of groups separates alternatives, there are none.
    """
    looks: list[tuple[list[_Token], bool]] = []
    rest = list(tokens)
    is_anchored = bool(rest) and rest[0].kind == "start" and not any(_is_bar(token) for token in _outside(rest))
    while is_anchored and len(rest) > 1 and rest[1].text in {"(?=", "(?!"}:
        end = _closing(rest, 1)
        looks.append(([_Token("open", "(?:"), *rest[2:end], _Token("close", ")")], rest[1].text == "(?="))
        del rest[1 : end + 1]
    return looks, rest


def _is_bar(token: _Token) -> bool:
    return token == _Token("other", "|")


def _outside(tokens: Sequence[_Token]) -> Iterator[_Token]:
    """Yield the tokens outside of groups."""
    depth = 0
    for token in tokens:
        depth += (token.kind in {"open", "look"}) - (token.kind == "close")
        if depth == 0:
            yield token


def _closing(tokens: Sequence[_Token], start: int) -> int:
    """Return the index of the parenthesis that closes the one at `start`. Raises ValueError."""
    depth = 0
    for index in range(start, len(tokens)):
        depth += (tokens[index].kind in {"open", "look"}) - (tokens[index].kind == "close")
        if depth == 0:
            return index
    raise ValueError("missing )")


# -- from the usual syntax to RE2's


def _translate(token: _Token) -> str:
    """Return a token for RE2. Raises ValueError if RE2 does not support it."""
    match token.kind:
        case "unknown":
            raise ValueError(f"{token.text} cannot be used here")
        case "look":
            raise ValueError(f"{token.text}...) can only be used at the start, as in ^(?!.*trailer)")
        case "class":
            return _class(token.text)
        case "code":
            return rf"\x{{{token.text[2:]}}}"
        case "set":
            return _set(token.text)
        case "repeat":
            return _repeat(token.text)
        case _:
            return token.text


def _repeat(text: str) -> str:
    least, _, most = text[1:-1].partition(",")
    if max(len(least), len(most)) > 4:  # RE2 treats it as ordinary characters
        raise ValueError(f"{text} is more than 1000 repetitions")
    return f"{{{least or 0}{text[len(least) + 1 :]}"


def _class(text: str) -> str:
    return f"[{'^' if text[1].isupper() else ''}{_CLASSES[text.lower()]}]"


def _set(text: str) -> str:
    r"""Return a bracketed set. A `\W` in it becomes a separate alternative."""
    if r"\W" not in text:
        return _IN_SET.sub(_in_set, text)
    if text.startswith("[^"):
        raise ValueError(rf"\W cannot be used in {text}: write \p{{L}} for a letter")
    others = text[1:-1].replace(r"\W", "")
    return f"(?:{_class(chr(92) + 'W')}|{_set(f'[{others}]')})" if others else _class(r"\W")


def _in_set(match: re.Match[str]) -> str:
    text = match[0]
    if text.startswith(r"\u"):
        return rf"\x{{{text[2:]}}}"
    return rf"\P{_CLASSES[text.lower()][2:]}" if text == r"\D" else _CLASSES_IN_SETS.get(text, text)


_CONSUMING = frozenset({"class", "property", "code", "escape", "set", "dot", "char"})


def _translate_marked(token: _Token) -> str:
    """Return a token for a search in a title with marks, where each character may have a mark before it."""
    if token.kind == "boundary":
        return r"\x{E000}"
    if token.kind == "end":
        return f"(?:{_MARK_HERE}{token.text})"
    if token.kind not in _CONSUMING:
        return _translate(token)
    return f"(?:{_MARK_HERE}{_without_mark(token)})"


def _without_mark(token: _Token) -> str:
    """Return a pattern that matches the same characters as the token, except for the mark."""
    if token.kind == "dot":
        return r"[^\n\x{E000}]"
    if token.kind == "property" and (token.text[1] == "P") != token.text.startswith((r"\p{^", r"\P{^")):
        return rf"[^\p{token.text[2:].replace('{^', '{')}\x{{E000}}]"
    if token.kind == "set" and not token.text.startswith("[^") and re.search(r"\\[WDSP]|\\p\{\^|\[:\^", token.text):
        raise ValueError(rf"{token.text} cannot be used together with \b: write its contents as (?:...|...)")
    text = _translate(token)
    return rf"[^\x{{E000}}{text[2:]}" if text.startswith("[^") else text


def _marked(title: str) -> str:
    """Return a title with a mark at both ends of each word."""
    parts: list[str] = []
    was_word = False
    for character in title:
        is_word = unicodedata.category(character)[0] in "LMN" or unicodedata.category(character) == "Pc"
        parts.append(_MARK + character if is_word is not was_word else character)
        was_word = is_word
    return "".join(parts) + (_MARK if was_word else "")
