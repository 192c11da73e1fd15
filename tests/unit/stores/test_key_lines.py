"""The key cells of a tab are kept in little memory, and each text is the one that was read."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtube_download_coordinator.models import Lease, State
from youtube_download_coordinator.stores.sheets.cells import status_text
from youtube_download_coordinator.stores.sheets.key_lines import KeyCells, KeyLines
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease, encode_text, version_text
from youtube_download_coordinator.stores.sheets.one_column import PACKED_ROWS_MIN, OneColumn, packed

WHEN = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)
LEASES = (
    Lease(nonce="n1"),
    Lease(version=4, tries=2, not_before=WHEN, detail="http-503: Service Unavailable", nonce="n2"),
    Lease(version=5, state=State.HELD, holder="host/1", until=WHEN, nonce="n3"),
    Lease(version=6, state=State.DONE, detail="media/São Paulo.m4a", nonce="n4"),
    Lease(version=7, state=State.DEAD, detail="private: it is private", nonce="n5"),
)


def shown(row_id: int, lease: Lease, url: str = "") -> KeyCells:
    """Return the cells of a line that shows its lease."""
    key = f"yt:v:{row_id:011}"
    text = encode_text(row_id, key, lease)
    url = url or f"https://www.youtube.com/watch?v={row_id:011}"
    return KeyCells(text, status_text(lease.state), version_text(row_id, lease), url)


lines = st.builds(
    lambda row_id, lease, changed: shown(row_id, lease)._replace(**changed),
    st.integers(1, 10**6),
    st.sampled_from(LEASES),
    st.dictionaries(
        st.sampled_from(KeyCells._fields),
        st.sampled_from(["", " ", "pending", "v1.1", "v3.0 draft 1 v3.1 pending", "https://youtu.be/abc", "nonsense"]),
    ),
)


@given(st.lists(lines), st.lists(st.tuples(st.integers(0, 30), lines)))
def test_each_line_has_the_texts_that_were_read_or_written_last(
    read: list[KeyCells], written: list[tuple[int, KeyCells]]
) -> None:
    expected, kept = list(read), KeyLines(read)
    for position, cells in written:
        expected += [KeyCells()] * (position + 1 - len(expected))
        expected[position] = cells
        kept.update(position, cells)
    assert list(kept) == expected
    assert kept.leases == [decode_lease(cells.lease) for cells in expected]
    others = dict(kept.others())
    assert list(others) == sorted(others)
    assert all(others[position] == expected[position] == kept.other(position) for position in others)
    regular = [cells for position, cells in enumerate(expected) if position not in others]
    assert all(cells == KeyCells() or (cells.url and cells.status and cells.shown) for cells in regular)


def test_only_a_line_that_shows_something_else_is_kept_as_texts() -> None:
    mine = shown(2, LEASES[0], url="https://youtu.be/00000000002")
    kept = KeyLines(
        [KeyCells(), *(shown(1, lease) for lease in LEASES), mine, shown(3, LEASES[0])._replace(status="x")]
    )
    assert [position for position, _ in kept.others()] == [len(LEASES) + 2]


def test_a_line_of_a_large_tab_takes_less_than_half_of_its_texts_and_their_lease() -> None:
    """As texts and leases it was about 1,400 bytes. The whole of a look, which is parsed from JSON, is counted."""
    count = 2_000
    cells = [shown(row_id, LEASES[3 * (row_id % 2)]) for row_id in range(1, count + 1)]
    body = json.dumps([{"values": [[text] for text in column]} for column in zip(*cells, strict=True)])
    del cells
    tracemalloc.start()
    try:
        columns = [value_range["values"] for value_range in json.loads(body, object_hook=packed)]
        kept = KeyLines(KeyCells(*(text for (text,) in line)) for line in zip(*columns, strict=True))
        del columns
        size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) == count
    assert size / count < 600
    assert peak / count < 900


@pytest.mark.parametrize("count", [PACKED_ROWS_MIN - 1, PACKED_ROWS_MIN])
def test_a_long_column_is_packed_and_reads_the_same(count: int) -> None:
    rows: list[list[object]] = [[], ["São Paulo"], [1.5]]
    rows += [[f"text {number}"] for number in range(count - len(rows))]
    column = packed({"range": "A1:A", "values": rows})["values"]
    assert isinstance(column, OneColumn) == (count == PACKED_ROWS_MIN)
    assert ["".join(map(str, row)) for row in column] == ["".join(map(str, row)) for row in rows]


def test_a_range_of_several_columns_is_left_as_it_is() -> None:
    several: dict[str, object] = {"values": [["a", "b"]] * PACKED_ROWS_MIN}
    assert packed(several) is several
