"""Detect signs that Google has accepted two changes although it must accept only one.

Usual edits do not look like this: a copied row has the lease of its original, or an older one. Restoring an old version of the
spreadsheet while workers run gives the same signs, and then videos are processed twice as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from youtube_download_coordinator.models import DUPLICATE, Row, State
from youtube_download_coordinator.stores.sheets.lease_codec import EncodedLease


def is_taken(row: Row, encoded: EncodedLease, now: datetime) -> bool:
    """Return whether a cell contains another worker's lease although this process holds the row."""
    held, other = row.lease, encoded.lease
    # A person may delete a row and give its ID to another, so the key is compared too.
    is_same_row = encoded.row_id == row.id and encoded.key == row.key
    if held.state is not State.HELD or other is None or not is_same_row or other == held:
        return False
    if other.version == held.version:
        return True
    is_newer = other.version > held.version and other.state is State.HELD and other.holder != held.holder
    return is_newer and held.until is not None and now < held.until


def doubled(leases: Iterable[EncodedLease]) -> str:
    """Return a sign that one row was added or changed twice at the same time, or an empty text."""
    nonces: dict[tuple[int, int], str] = {}
    new_keys: dict[str, int] = {}
    for encoded in leases:
        lease = encoded.lease
        if lease is None or lease.detail.startswith(DUPLICATE):
            continue
        if nonces.setdefault((encoded.row_id, lease.version), lease.nonce) != lease.nonce:
            return f"two rows have the ID {encoded.row_id} and different leases"
        is_new = lease.version == 0 and lease.state is State.PENDING
        if is_new and new_keys.setdefault(encoded.key, encoded.row_id) != encoded.row_id:
            return f"the rows {new_keys[encoded.key]} and {encoded.row_id} were added for the same video or source"
    return ""
