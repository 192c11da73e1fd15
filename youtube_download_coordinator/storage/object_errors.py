"""Translate obstore's errors into the errors of the contract.

obstore's messages contain URLs and responses, which may contain a signature or a key. Only the HTTP status and the provider's
error code are used, and the errors of the contract have no cause.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from typing import TypeVar

from youtube_download_coordinator.errors import PlaceError, PlaceRefused, PlaceUnavailable
from youtube_download_coordinator.storage.address import bucket_and_prefix
from youtube_download_coordinator.storage.providers import provider_of

Answer = TypeVar("Answer")

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([A-Za-z]{3,60})\s*</Code>|\"(?:reason|status)\":\s*\"([A-Za-z_]{3,60})\"")
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
_NO_UPLOAD = frozenset({"NoSuchUpload", "InvalidBlockList"})
"""Error codes for completing an upload that is already completed."""
_BAD_CREDENTIALS = frozenset({
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed", "InvalidAuthenticationInfo", "ExpiredToken",
    "InvalidToken", "TokenRefreshRequired", "InvalidSecurity", "NoAuthenticationInformation",
})  # fmt: skip
_WRONG_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_WRONG_REGION = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "AccountLimitExceeded"})
_BROKEN_REQUEST = frozenset({
    "RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch", "InvalidPart", "Md5Mismatch",
})  # fmt: skip
"""Error codes, with the status 400, for a request that arrived incomplete or changed."""
_LOGIN = re.compile(
    r"Error performing (?:token request|[A-Z]+ https?://(?:169\.254\.|metadata\.google|oauth2\.|sts\.|login\.microsoftonline))"
)
"""Text of a failed request for a token, which is made if a machine has no other credentials."""
_PASSING_STATUSES = frozenset({408, 409, 423, 425, 429})


class Absent(Exception):
    """Raised if a file does not exist."""


class Present(PlaceUnavailable):
    """Raised if a file exists already, or another request for the same path is pending and may still fail."""


def call(address: str, doing: str, request: Callable[[], Answer]) -> Answer:
    """Make a request with obstore and return its result. `doing` is a key of `Provider.rights`.

    Raises Absent, Present, or an error of the contract.
    """
    try:
        return request()
    except Exception as error:  # noqa: BLE001  whatever obstore raises
        found = _translate(error, address, doing)
    raise found  # outside of the handler, so that obstore's error is not the context


def _translate(error: Exception, address: str, doing: str) -> Exception:
    from obstore.exceptions import AlreadyExistsError, BaseError, InvalidPathError, PreconditionError

    text = str(error)
    code = next((word for words in _CODE.findall(text) for word in words if word), "")
    if code in _NO_BUCKET:
        return _refused(address, f"{_bucket(address)} does not exist ({code}): create it, or correct YDC_OUTPUT_DIR")
    is_absent = (
        isinstance(error, FileNotFoundError) and not error.errno
    )  # the error of a missing local file has an errno
    if is_absent and doing != "put":
        return Absent()
    if isinstance(error, InvalidPathError) and doing == "list":
        return _refused(
            address,
            "a file there cannot be listed, because its name contains // or a control character: rename or remove it",
        )
    if isinstance(error, AlreadyExistsError | PreconditionError):
        return Present(f"{address} is busy with another request for the same file")
    if not isinstance(error, BaseError) and not is_absent:
        return error  # a setting, the local file, or a bug
    return _of_answer(address, doing, int(status[1]) if (status := _STATUS.search(text)) else 0, code, text)


def _of_answer(address: str, doing: str, status: int, code: str, text: str) -> PlaceError:
    provider = provider_of(address)
    answer = " ".join(str(part) for part in (status or "", code) if part)
    if code in _FULL:
        return PlaceUnavailable(f"{address} is full ({answer})")
    if code in _BROKEN_REQUEST | _NO_UPLOAD:
        return PlaceUnavailable(f"{address}: an upload was interrupted ({answer})")
    is_refused = 400 <= status < 500 and status not in _PASSING_STATUSES
    refusals = (
        (
            _LOGIN.search(text) and status < 500,
            f"no credentials were found: {provider.credentials}",
        ),
        (
            code in _BAD_CREDENTIALS or status == 401,
            f"the credentials are not accepted ({answer}): {provider.credentials}",
        ),
        (code in _WRONG_CLOCK, f"this machine's clock is wrong ({answer})"),
        (code in _WRONG_REGION or status == 301, f"{_bucket(address)} is in another region ({answer}): set AWS_REGION"),
        (status == 403, f"the permission to {doing} files is missing ({answer}): {provider.rights[doing]}"),
        (is_refused or status == 501, f"{provider.name} refuses to {doing} files ({answer})"),
    )
    if problem := next((words for is_so, words in refusals if is_so), ""):
        return _refused(address, problem)
    return PlaceUnavailable(f"{address} does not answer correctly ({answer or _connection(text)})")


def _connection(text: str) -> str:
    """Return a short description of a connection error."""
    wordings = {
        "dns error": "its name cannot be resolved",
        "tcp connect": "no connection",
        "invalid peer certificate": "its certificate is not trusted",
        "kind: Timeout": "no answer in time",
        "kind: Connect,": "no connection",
        "kind: Interrupted": "the connection was interrupted",
    }
    return next((words for wording, words in wordings.items() if wording in text), "the connection was interrupted")


def _refused(address: str, problem: str) -> PlaceRefused:
    return PlaceRefused(f"{address}: {problem}")


def _bucket(address: str) -> str:
    kind = "the container" if address.startswith("az:") else "the bucket"
    return f"{kind} {bucket_and_prefix(address)[0]}"


def absent_file(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "there is no such file", path)
