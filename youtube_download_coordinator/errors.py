"""Define the errors of the library. The class of an error decides how it is handled.

    CoordinatorError
    ├── UserError                 a person can fix it: one clear line, exit code 2, no traceback
    │   ├── ConfigError           a setting is wrong                          (also a ValueError)
    │   ├── BadUrl                a URL that cannot be listed or processed    (also a ValueError)
    │   ├── BadFilter             a filter of a source's videos is wrong       (also a ValueError)
    │   ├── SourcesFileError      the sources file cannot be read
    │   ├── ProcessorError        the processor cannot be found or called
    │   └── PreflightError        this machine lacks something: ffmpeg, disk space, valid cookies
    ├── StoreError                the storage of the queue failed, and a retry will not help
    │   ├── StoreUnavailable      it may work later
    │   ├── StoreGone             its file was deleted or replaced
    │   └── StoreFull             it has no room for more rows; existing rows can be processed
    ├── PlaceError                the place of the files failed
    │   ├── PlaceUnavailable      it may work later
    │   └── PlaceRefused          a person can fix it: a right, the bucket, the credentials  (also a UserError)
    ├── UpgradeError              yt-dlp was not upgraded; the previous version is still installed
    ├── ClaimLost                 another worker holds the row now
    └── AttemptError              one attempt at a row failed; its verdict decides about the row
        ├── TransientError        retry      an attempt is counted, then backoff, then the dead letters
        ├── GoneError             gone       as retry, but dead as soon as a second attempt ends the same way
        ├── PermanentError        permanent  the dead letters at once
        ├── LaterError            later      the row waits until a given time; no attempt is counted
        ├── ThrottledError        throttled  no attempt is counted, and this worker stops claiming
        └── UnfitError            unfit      this machine cannot do it (disk full): as throttled

A user's processor may raise any AttemptError. Every other exception is treated as a TransientError.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from youtube_download_coordinator.models import Failure, Verdict


class CoordinatorError(Exception):
    """The base class of all errors."""


class UserError(CoordinatorError):
    """Raised for a mistake that the user can fix. The message is one line with the way to fix it."""


class ConfigError(UserError, ValueError):
    """Raised when a setting has an invalid value."""


class BadUrl(UserError, ValueError):
    """Raised for a URL that cannot be listed or processed."""


class BadFilter(UserError, ValueError):
    """Raised when a cell or setting is not a valid filter of a source's videos. The message names the valid values."""


class SourcesFileError(UserError):
    """Raised when the sources file cannot be read."""


class ProcessorError(UserError):
    """Raised when the processor cannot be imported, is not callable, or does not take one parameter."""


class PreflightError(UserError):
    """Raised when this machine cannot process videos until a person has fixed something."""


class StoreError(CoordinatorError):
    """Raised when the storage of the queue failed and a retry will not help."""


class StoreUnavailable(StoreError):
    """Raised when the storage of the queue does not answer now. A retry may succeed later."""


class StoreGone(StoreError):
    """Raised when the storage of the queue was deleted or replaced while this process used it."""


class StoreFull(StoreError):
    """Raised when the storage of the queue has no room for more rows. Existing rows can still be processed."""


class PlaceError(CoordinatorError):
    """Raised when the place of the files failed. `reason` is a word of reasons.py if a local disk is the cause (`disk-full`)."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class PlaceUnavailable(PlaceError):
    """Raised when the place of the files does not answer now. A retry may succeed later."""


class PlaceRefused(PlaceError, UserError):
    """Raised when the place of the files refuses this machine. The message names the missing right, bucket or credentials."""


class UpgradeError(CoordinatorError):
    """Raised when yt-dlp was not upgraded or the package index did not answer. Nothing was changed unless the message says so."""


class ClaimLost(CoordinatorError):
    """Raised when the worker no longer holds the row. The result of its attempt is discarded."""


class AttemptError(CoordinatorError):
    """Raised when one attempt at a row failed.

    `reason` is a short machine-readable word (`private`, `region`, `http-503`). LastError contains it before the message.
    `systemic`: the message is known from outages, in which every video fails with it. `regions`: the countries in which the video
    is available, as ISO codes. `from_yt_dlp`: yt-dlp raised it.
    """

    verdict: ClassVar[Verdict] = Verdict.RETRY
    default_reason: ClassVar[str] = "error"

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "",
        not_before: datetime | None = None,
        systemic: bool = False,
        regions: Iterable[str] = (),
        from_yt_dlp: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason
        self.not_before = not_before
        self.systemic = systemic
        self.regions = tuple(regions)
        self.from_yt_dlp = from_yt_dlp

    @property
    def failure(self) -> Failure:
        """Return the error as a value that can be stored and sent. Drop values of a wrong type from a user's function."""
        return Failure(
            verdict=self.verdict,
            reason=str(self.reason),
            message=str(self),
            not_before=self.not_before if isinstance(self.not_before, datetime) else None,
            systemic=self.systemic is True,
            regions=tuple(region for region in self.regions if isinstance(region, str)),
            from_yt_dlp=self.from_yt_dlp is True,
        )


class TransientError(AttemptError):
    """Raised when a repetition of the attempt may succeed."""

    default_reason = "transient"


class GoneError(AttemptError):
    """Raised when the video seems to be gone. A short failure looks the same, so a second attempt must confirm it."""

    verdict = Verdict.GONE
    default_reason = "gone"


class PermanentError(AttemptError):
    """Raised when the attempt can never succeed: the video is private or removed, or its row is wrong."""

    verdict = Verdict.PERMANENT
    default_reason = "permanent"


class LaterError(AttemptError):
    """Raised when it is too early: for a premiere or a live stream. `not_before` is the time to try again, if known."""

    verdict = Verdict.LATER
    default_reason = "upcoming"


class ThrottledError(AttemptError):
    """Raised when YouTube limits this machine's requests. The video is not at fault."""

    verdict = Verdict.THROTTLED
    default_reason = "throttled"


class UnfitError(AttemptError):
    """Raised when this machine cannot process the video: its disk is full, or it has no ffmpeg. The video is not at fault."""

    verdict = Verdict.UNFIT
    default_reason = "unfit"


_BY_VERDICT: dict[Verdict, type[AttemptError]] = {
    error.verdict: error
    for error in (TransientError, GoneError, PermanentError, LaterError, ThrottledError, UnfitError)
}


def attempt_error(failure: Failure) -> AttemptError:
    """Return the error that corresponds to a failure, such as one that a child process sent."""
    return _BY_VERDICT[failure.verdict](
        failure.message,
        reason=failure.reason,
        not_before=failure.not_before,
        systemic=failure.systemic,
        regions=failure.regions,
        from_yt_dlp=failure.from_yt_dlp,
    )
