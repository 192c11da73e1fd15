"""Load the lines of an index into a scratch database on the local disk, because a million lines do not fit into memory."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.processors.facts import NOT_FACTS, CheckedRow, ProductFacts, decode, head_of

_LINES_AT_ONCE = 1000
_KEYS_AT_ONCE = 500
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE facts (key TEXT, line BLOB);
CREATE TABLE records (name TEXT, product TEXT, generation INTEGER, modified TEXT);
"""


@dataclass(slots=True)
class RowFacts:
    """The known facts about one row."""

    products: dict[str, ProductFacts] = field(default_factory=dict)
    """The latest facts, by the product's name."""
    checked: set[int] = field(default_factory=set)
    """Versions of the row's lease at which the place had no other facts."""

    def add(self, facts: ProductFacts | CheckedRow) -> None:
        if isinstance(facts, CheckedRow):
            self.checked.add(facts.version)
        elif facts.product not in self.products or facts.order >= self.products[facts.product].order:
            self.products[facts.product] = facts


@dataclass(frozen=True, slots=True)
class RecordName:
    """A record in a listing of the place."""

    product: str
    generation: int
    modified: str
    """ISO-8601."""


class FactsTable:
    """A table of lines by the row's key, and of the names of records."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._products: set[str] = set()
        connection.executescript(_SCHEMA)

    def load(self, lines: Iterable[bytes]) -> None:
        """Add lines. Skip lines that cannot be read."""
        records = ((key, line) for line in lines if (key := self._key(line)))
        while batch := list(islice(records, _LINES_AT_ONCE)):
            self._connection.executemany("INSERT INTO facts VALUES (?, ?)", batch)
        self._connection.execute("CREATE INDEX IF NOT EXISTS by_key ON facts (key)")

    def _key(self, line: bytes) -> str:
        """Return the row's key in a line, or an empty text if it cannot be read."""
        head = head_of(line)
        if head is None:
            return ""
        self._products.add(head.product)
        return head.key

    def of(self, keys: Sequence[str]) -> Mapping[str, RowFacts]:
        """Return the facts about rows. A row without known facts is missing."""
        found: dict[str, RowFacts] = defaultdict(RowFacts)
        for begin in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[begin : begin + _KEYS_AT_ONCE]
            query = f"SELECT key, line FROM facts WHERE key IN ({','.join('?' * len(some))})"  # noqa: S608  (question marks)
            for key, line in self._connection.execute(query, some):
                with contextlib.suppress(*NOT_FACTS):
                    found[key].add(decode(line))
        return found

    def products(self) -> list[str]:
        """Return the names of all products that were loaded."""
        return sorted(self._products - {""})

    def load_records(self, records: Iterable[tuple[str, RecordName]]) -> None:
        """Add the names of records, each with its search key."""
        values = ((name, record.product, record.generation, record.modified) for name, record in records)
        while batch := list(islice(values, _LINES_AT_ONCE)):
            self._connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", batch)
        self._connection.execute("CREATE INDEX IF NOT EXISTS by_name ON records (name)")

    def records(self, names: Sequence[str]) -> list[RecordName]:
        """Return the last record of each product with one of these names."""
        query = "SELECT product, generation, modified FROM records WHERE name = ? ORDER BY generation"
        found = {row[0]: RecordName(*row) for name in names for row in self._connection.execute(query, (name,))}
        return list(found.values())


@contextlib.contextmanager
def facts_table(folder: Path) -> Iterator[FactsTable]:
    """Open an empty table, whose file is in `folder` if it is writable. No file is left, however the process ends."""
    file = None
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        file = tempfile.NamedTemporaryFile(dir=folder, prefix="scratch.", suffix=".db", delete=False)  # noqa: SIM115
    file = file or tempfile.NamedTemporaryFile(prefix="ydc.", suffix=".db", delete=False)  # noqa: SIM115
    path = Path(file.name)
    file.close()
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            try:
                table = FactsTable(connection)
            finally:
                path.unlink()  # the open file stays usable
            yield table
    except sqlite3.Error as error:
        raise StoreError(f"{path.parent} has no room for a scratch file: {error}") from error
