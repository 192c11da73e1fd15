"""The tombstones of purged videos (queue/tombstones.py) in a database."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from youtube_download_coordinator.queue.tombstones import tombstone
from youtube_download_coordinator.stores.sql.tables import tombstones

KEYS_PER_QUERY = 500
"""SQLite takes 32,766 parameters in a statement at most."""

HAS_TOMBSTONES = sa.exists(sa.select(tombstones.c.tombstone)).label("has_tombstones")
"""A column of a query: whether there are any."""


def existing(connection: sa.Connection, wanted: Collection[str]) -> set[str]:
    """Return those of the tombstones that there are."""
    texts, column = list(wanted), tombstones.c.tombstone
    chunks = (texts[first : first + KEYS_PER_QUERY] for first in range(0, len(texts), KEYS_PER_QUERY))
    return {each for chunk in chunks for each in connection.scalars(sa.select(column).where(column.in_(chunk)))}


def buried_keys(connection: sa.Connection, keys: Collection[str]) -> set[str]:
    """Return those of the keys that have a tombstone."""
    by_tombstone = {tombstone(key): key for key in keys}
    return {by_tombstone[each] for each in existing(connection, by_tombstone)}
