"""Priority: a column that people add. Of the rows that are due, those with the largest number are claimed first.

The column of *Sources* is copied to the videos of a source, as other custom columns are.
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
from youtube_download_coordinator.queue.store import Store, Table, Where

if TYPE_CHECKING:
    from random import Random  # only its type: randomness is given

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Row)

PRIORITY = "Priority"
PRIORITY_MAX = 1000
"""The numbers are few, because a store looks for due rows of one after the other."""
_NUMBER = re.compile(r"([+-]?\d{1,4})(?:[.,]0{1,2})?")
"""Three zeros after a separator may be a thousand: `1,000` is neither 1 nor 1000 for sure."""


def parse_priority(text: str) -> int:
    """Return the number in a Priority cell; 0 for an empty one. Raises ValueError with what is wrong."""
    plain = text.strip().replace("\N{MINUS SIGN}", "-")
    match = _NUMBER.fullmatch(plain) if plain.isascii() else None
    number = int(match[1]) if match else 0
    if (plain and not match) or abs(number) > PRIORITY_MAX:
        raise ValueError(f"{text!r} is not a whole number from -{PRIORITY_MAX} to {PRIORITY_MAX}")
    return number


@lru_cache(maxsize=1000)
def priority_in(text: str) -> int:
    """Return the number in a Priority cell. One that cannot be read counts as 0, which is logged."""
    try:
        return parse_priority(text)
    except ValueError as error:
        log.warning("Priority: %s, so it counts as 0", error)
        return 0


def priority_of(row: Row) -> int:
    """Return a row's priority."""
    return priority_in(row.custom_column(PRIORITY)) if row.extra else 0


def is_priority(name: str) -> bool:
    """Return whether a column is the one of priorities, in any letter case."""
    return name.strip().casefold() == PRIORITY.casefold()


def claim_order(row: Row) -> tuple[int, int]:
    """Return the sort key of rows that are claimed together."""
    return -priority_of(row), row.id


def scan(store: Store, table: Table[R], now: datetime, count: int, limit: int, *, by_priority: bool) -> list[R]:
    """Return rows that may be due, of which `count` are wanted: with `by_priority` those with the largest one first.

    Rows that YouTube refused are claimed last, whatever their priority, so rows that never had to wait are looked for, too, if
    there are too few others.
    """
    where = Where(state=State.PENDING, due=now, by_priority=by_priority)
    rows = store.scan(table, where, limit=limit)
    others = sum(not row.lease.throttles for row in rows)
    if by_priority and others < min(count, len(rows)):
        known = {row.id for row in rows}
        fresh = store.scan(table, replace(where, due=START_OF_TIME), limit=limit)
        rows += [row for row in fresh if row.id not in known]
    return rows


def choose(rows: Sequence[R], count: int, random: Random) -> list[R]:
    """Return `count` of the rows, those with the largest priority first; of equal ones any, so that workers rarely collide."""
    if len(rows) <= count:
        return random.sample(rows, len(rows))  # in any order too: workers that have read the same rows begin elsewhere
    lowest = sorted((priority_of(row) for row in rows), reverse=True)[count - 1] if count else 0
    above = [row for row in rows if priority_of(row) > lowest]
    equal = [row for row in rows if priority_of(row) == lowest]
    return above + random.sample(equal, count - len(above))
