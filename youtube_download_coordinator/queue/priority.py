"""The optional column Priority: rows that are due are claimed in descending order of its number.

Like other custom columns, the column of *Sources* is copied to the videos of a source.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from youtube_download_coordinator.models import START_OF_TIME, Row, State
from youtube_download_coordinator.queue.store import AccentOrder, Store, Table, Where

if TYPE_CHECKING:
    from random import Random  # only its type: randomness is given

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

PRIORITY = "Priority"
PRIORITY_MAX = 1000
"""The range is small, because a store searches for due rows of each number separately."""
_NUMBER = re.compile(r"([+-]?\d{1,4})(?:[.,]0{1,2})?")
"""Digits with a separator are ambiguous: `1,000` may be 1 or 1000."""


def parse_priority(text: str) -> int:
    """Return the number in a Priority cell, or 0 for an empty cell. Raises ValueError with a message."""
    plain = text.strip().replace("\N{MINUS SIGN}", "-")
    match = _NUMBER.fullmatch(plain) if plain.isascii() else None
    number = int(match[1]) if match else 0
    if (plain and not match) or abs(number) > PRIORITY_MAX:
        raise ValueError(f"{text!r} is not a whole number from -{PRIORITY_MAX} to {PRIORITY_MAX}")
    return number


@lru_cache(maxsize=1000)
def priority_in(text: str) -> int:
    """Return the number in a Priority cell. If it cannot be parsed, log a warning and return 0."""
    try:
        return parse_priority(text)
    except ValueError as error:
        log.warning("Priority: %s; using 0", error)
        return 0


def priority_of(row: Row) -> int:
    """Return a row's priority."""
    return priority_in(row.custom_column(PRIORITY)) if row.extra else 0


def is_priority(name: str) -> bool:
    """Return whether a column is Priority, in any letter case."""
    return name.strip().casefold() == PRIORITY.casefold()


def preference(row: Row, accents: AccentOrder | None) -> tuple[int, float]:
    """Return the sort key by which rows are preferred: their priority, then the rank of their accent."""
    return -priority_of(row), (accents.rank_of(row) or 0.0) if accents else 0.0


def scan(
    store: Store,
    table: Table[R],
    now: datetime,
    count: int,
    limit: int,
    *,
    by_priority: bool,
    accents: AccentOrder | None = None,
) -> list[R]:
    """Return rows that may be due, of which `count` are wanted. With `by_priority`, rows with the largest priority come first.

    Rows that YouTube refused are claimed last, whatever their priority. If there are too few other rows, scan for rows that
    never had to wait as well.
    """
    where = Where(state=State.PENDING, due=now, by_priority=by_priority, accents=accents)
    rows = store.scan(table, where, limit=limit)
    others = sum(not row.lease.throttles for row in rows)
    if by_priority and others < min(count, len(rows)):
        known = {row.id for row in rows}
        fresh = store.scan(table, replace(where, due=START_OF_TIME), limit=limit)
        rows += [row for row in fresh if row.id not in known]
    return rows


def choose(rows: Sequence[R], count: int, random: Random, accents: AccentOrder | None = None) -> list[R]:
    """Return `count` of the rows, those that are preferred first, in random order among equals.

    The random order makes it rare that two workers claim the same rows.
    """
    if len(rows) <= count:
        return random.sample(rows, len(rows))  # workers that read the same rows start with different ones
    keys = [preference(row, accents) for row in rows]
    last = sorted(keys)[count - 1] if count else (-PRIORITY_MAX - 1, 0.0)
    before = [row for row, key in zip(rows, keys, strict=True) if key < last]
    equal = [row for row, key in zip(rows, keys, strict=True) if key == last]
    return before + random.sample(equal, count - len(before))
