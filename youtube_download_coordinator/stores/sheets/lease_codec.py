"""Encode a row's lease as one line of text, for the Lease cell, which alone decides about the row.

    v17.4 pending try 1 after 2026-11-22T12:00:00.000Z for yt:v:UKwSQSFN4Nw because http-503: ... #k3f9a2c1
    v17.5 held host-a/7f3c91 until 2026-11-22T12:10:00.000Z try 1 for yt:v:UKwSQSFN4Nw because http-503: ... #p0c2zzd4
    v17.6 done try 1 for yt:v:UKwSQSFN4Nw result media/pt-BR/x.m4a #a81mfe00

The text begins with a letter, so that Sheets never reads it as a number or a date. After `#` comes a fresh nonce of fixed length.
No two transitions make the same text, so a compare-and-swap that finds a text finds exactly the lease that was read.

Decoding accepts only texts that encoding can write. Any other text is an unreadable lease, whose row is set apart (adoption.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from youtube_download_coordinator.models import NEVER, START_OF_TIME, Lease, Row, State

_NUMBER = "0|[1-9][0-9]{0,8}"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
_ENCODED_LEASE = re.compile(
    rf"v(?P<id>[1-9][0-9]{{0,14}})\.(?:"
    rf"(?P<version>{_NUMBER}) (?:(?P<done>done)|(?P<state>pending|held|error|dead))"
    rf"(?: (?!until |try )(?P<holder>\S+))?(?: until (?P<until>{_TIME}))?"
    rf" try (?P<tries>{_NUMBER})"
    rf"(?: after (?P<after>{_TIME}))?"
    r" for (?P<key>\S+)"
    r"(?: (?(done)result|because) (?P<detail>.+))?"
    r") #(?P<nonce>\S+)",
)
"""The pattern of an encoded lease. Its numbers are short enough for databases and calculations."""
DRAFT_PATTERN = r"v[0-9]+\.0 draft [0-9]+ (v[0-9]+\..*)"
"""The pattern with which findReplace replaces drafts by their leases, which are its only group."""
_AGAIN = "again"
_DRAFT = re.compile(rf"v(?P<id>[1-9][0-9]{{0,14}})\.0 draft (?P<slot>{_NUMBER}) (?P<intended>v.*)")


@dataclass(frozen=True, slots=True)
class EncodedLease:
    """The decoded content of a Lease cell. A draft marks a row that is being adopted, without a lease and a key yet."""

    row_id: int
    key: str
    lease: Lease | None
    slot: int = 0
    """For a draft: the place in Control with the old content of the cell."""
    intended: str = ""
    """For a draft: the lease that the row will get."""


def encode_lease(row: Row) -> str:
    """Return the text of a row's Lease cell."""
    return encode_text(row.id, row.key, row.lease)


def encode_text(row_id: int, key: str, lease: Lease) -> str:
    """Return the text of the Lease cell for a row with this ID and key."""
    held = (f" {lease.holder}" if lease.holder else "") + (f" until {_format_time(lease.until)}" if lease.until else "")
    after = f" after {_format_time(lease.not_before)}" if lease.not_before else ""
    label = "result" if lease.state is State.DONE else "because"
    detail = f" {label} {lease.detail}" if lease.detail else ""
    return (
        f"{version_text(row_id, lease)} {lease.state}{held} try {lease.tries}{after} for {key}{detail} #{lease.nonce}"
    )


def encode_draft(slot: int, intended: str) -> str:
    """Return the text of the Lease cell for a row that is being adopted."""
    return f"{intended.partition('.')[0]}.0 draft {slot} {intended}"


def encode_again(row_id: int, lease: Lease) -> str:
    """Return the text of the Lease cell for a row to adopt again. Its next version will be higher than the one in the text."""
    return f"{version_text(row_id, lease)} {_AGAIN}"


def is_to_be_adopted(text: str) -> bool:
    """Return whether a Lease cell is empty or contains the mark of `encode_again`."""
    return not text.strip() or text.endswith(f" {_AGAIN}")


def version_text(row_id: int, lease: Lease) -> str:
    """Return the content of Shown if the visible cells show this lease."""
    return f"v{row_id}.{lease.version}"


def decode_lease(text: str) -> EncodedLease | None:
    """Parse a Lease cell. Return None if it contains neither a lease nor a draft."""
    match = _ENCODED_LEASE.fullmatch(text)
    if not match:
        draft = _DRAFT.fullmatch(text)
        return EncodedLease(int(draft["id"]), "", None, int(draft["slot"]), draft["intended"]) if draft else None
    try:
        lease = Lease(
            version=int(match["version"]),
            state=State(match["done"] or match["state"]),
            tries=int(match["tries"]),
            not_before=_parse_time(match["after"]),
            holder=match["holder"] or "",
            until=_parse_time(match["until"]),
            detail=match["detail"] or "",
            nonce=match["nonce"],
        )
    except ValueError:
        return None
    return EncodedLease(int(match["id"]), match["key"], lease)


def id_and_version_in(text: str) -> tuple[int, int]:
    """Return the row's ID and version at the start of a text, which need not be a lease, or zeros."""
    match = re.match(r"v(\d{1,9})\.(\d{1,9})\b", text.strip())
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _format_time(time: datetime | None) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if time else ""


def _parse_time(text: str | None) -> datetime | None:
    """Parse a time. Raises ValueError if it does not exist or cannot occur in a lease."""
    time = datetime.fromisoformat(text) if text else None
    if time is not None and not START_OF_TIME <= time <= NEVER:
        raise ValueError(f"{text} is not the time of a lease")
    return time
