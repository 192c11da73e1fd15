"""Query the tombstones of purged videos (queue/tombstones.py) in a database."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from youtube_download_coordinator.queue.tombstones import tombstone
from youtube_download_coordinator.stores.sql.tables import tombstones

KEYS_PER_QUERY = 500
"""The number of keys in one query. SQLite accepts at most 32,766 parameters in a statement."""

HAS_TOMBSTONES = sa.exists(sa.select(tombstones.c.tombstone)).label("has_tombstones")
"""A query column that contains whether there are any tombstones."""


def existing(connection: sa.Connection, wanted: Collection[str]) -> set[str]:
    """Return the tombstones that exist."""
    texts, column = list(wanted), tombstones.c.tombstone
    chunks = (texts[first : first + KEYS_PER_QUERY] for first in range(0, len(texts), KEYS_PER_QUERY))
    return {text for chunk in chunks for text in connection.scalars(sa.select(column).where(column.in_(chunk)))}


def buried_keys(connection: sa.Connection, keys: Collection[str]) -> set[str]:
    """Return the keys that have a tombstone."""
    by_tombstone = {tombstone(key): key for key in keys}
    return {by_tombstone[text] for text in existing(connection, by_tombstone)}
