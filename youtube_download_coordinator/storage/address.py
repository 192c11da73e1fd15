"""Parse the address of a place: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or a local folder."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from youtube_download_coordinator.storage.place import check_path

SCHEMES = {"s3": "s3://bucket/prefix", "gs": "gs://bucket/prefix", "az": "az://container/prefix"}
"""The kinds of object storage, each with the form of its addresses."""
NEIGHBOURS = {
    **dict.fromkeys(("s3a", "s3n", "r2", "minio", "b2", "aws"), "s3"),
    **dict.fromkeys(("gcs", "gcp", "google"), "gs"),
    **dict.fromkeys(("azure", "adl", "abfs", "abfss", "wasb", "wasbs"), "az"),
}
"""Names of these schemes in other programs."""
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def place_address(value: str | Path) -> str | Path:
    """Return the address of object storage as text without a slash at its end, or a local folder as a Path.

    Raises ValueError for any other scheme, and for an address that contains more than a bucket and a prefix. The message does
    not repeat the address, which may contain a secret.
    """
    text = str(value).strip()
    scheme, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return Path(value)
    if scheme not in SCHEMES or not rest.startswith("//"):
        raise ValueError(_hint(scheme, rest))
    return _checked(scheme, text)


def _hint(scheme: str, rest: str) -> str:
    known = scheme.lower() if scheme.lower() in SCHEMES else NEIGHBOURS.get(scheme.lower(), "")
    if known:
        in_small_letters = ", in small letters" if scheme != scheme.lower() else ""
        return f"{scheme}:{'//' * rest.startswith('//')} is not a place for files: write {SCHEMES[known]}{in_small_letters}"
    if scheme.lower() == "file":
        return "file: is not a place for files: write only the path of the folder"
    return (
        f"{scheme}: is not a place for files: write a local folder, {', '.join(SCHEMES.values())}"
        f"; a local folder of this name is ./{scheme}:..."
    )


def _checked(scheme: str, text: str) -> str:
    """Return the address if it consists of a bucket and a prefix. Raises ValueError."""
    form = SCHEMES[scheme]
    if re.search(r"[?#@%\s]", text):
        raise ValueError(
            f"it must be {form} without anything else: set keys and options in the provider's own variables,"
            " and do not use ? # @ % or spaces"
        )
    bucket, _, prefix = text.partition("://")[2].partition("/")
    prefix = prefix.removesuffix("/")
    if not BUCKET.fullmatch(bucket):
        raise ValueError(f"it must be {form}, with the name of the {form.split('/')[2]}")
    if prefix:
        try:
            check_path(prefix)
        except ValueError:
            raise ValueError(f"it must be {form}, and the prefix must not contain //, . or ..") from None
    return f"{scheme}://{bucket}/{prefix}".removesuffix("/")


def bucket_and_prefix(address: str) -> tuple[str, str]:
    """Return both parts of an address of object storage."""
    parts = urlsplit(address)
    return parts.netloc, parts.path.strip("/")
