"""Check with a temporary file that workers can do everything they need in the place of the files."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

from youtube_download_coordinator.errors import PlaceError
from youtube_download_coordinator.storage.opening import open_place
from youtube_download_coordinator.storage.place import SHA256, Place
from youtube_download_coordinator.storage.providers import provider_of

SCRATCH_FOLDER = ".ydc-doctor"
_TEXT = "text/plain"


def check_opens(output_dir: str | Path) -> str:
    """Check without a request that the extra is installed and that the variables are valid."""
    place = open_place(output_dir)
    return f"files go to {place.address}"


def check_rights(output_dir: str | Path) -> Iterator[tuple[bool, str]]:
    """Put, read, list and delete a temporary file. Yield a line for each operation that fails, or one line if all succeed."""
    place = open_place(output_dir)
    path = f"{SCRATCH_FOLDER}/{uuid.uuid4().hex}"
    has_problem = False
    for problem in _problems(place, path):
        has_problem = True
        yield False, problem
    if not has_problem:
        yield True, f"put, conditional put, get, list and delete work in {place.address}"


def _problems(place: Place, path: str) -> Iterator[str]:
    try:
        place.put_if_absent(path, b"first", content_type=_TEXT, metadata={SHA256: "00"})
    except PlaceError as error:
        yield str(error)  # the other checks need the file
        return
    for step in (_problem_of_conditions, _problem_of_reading, _problem_of_listing, _problem_of_deleting):
        try:
            problem = step(place, path)
        except PlaceError as error:
            problem = str(error)
        if problem:
            yield problem


def _problem_of_conditions(place: Place, path: str) -> str:
    if place.put_if_absent(path, b"second", content_type=_TEXT, metadata={}):
        return (
            f"{place.address} overwrites existing files (it ignores If-None-Match: *), so two machines could both record one"
            " video: use another provider, or a newer version of its server"
        )
    return ""


def _problem_of_reading(place: Place, path: str) -> str:
    content, held = place.get(path), place.head(path)
    if content not in (b"first", b"second"):
        return f"{place.address} returns different bytes than were written"
    if not held or held.content_type != _TEXT:
        return f"{place.address} does not keep content types"
    return (
        ""
        if held.sha256 or content == b"second"
        else f"{place.address} does not keep metadata, so only sidecars contain the SHA-256"
    )


def _problem_of_listing(place: Place, path: str) -> str:
    is_listed = any(held.path == path for held in place.list(SCRATCH_FOLDER))
    return "" if is_listed else f"{place.address} does not list a file that was just written"


def _problem_of_deleting(place: Place, path: str) -> str:
    place.delete(path)
    return "" if place.head(path) is None else f"{place.address} still has a file that was deleted: {place.url(path)}"


def check_uploads(output_dir: str | Path) -> str:
    """Return advice about interrupted uploads. obstore can neither list nor abort the uploads of another process."""
    address = open_place(output_dir).address
    if not provider_of(address).keeps_parts:
        return "the provider removes the parts of interrupted uploads"
    return (
        "a killed upload leaves parts in the bucket, which cost money and are not listed: give the bucket a lifecycle rule"
        " that aborts incomplete multipart uploads after a day (docs/files.md)"
    )
