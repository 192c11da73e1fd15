"""Every error of the library, drawn once. Its class says what happens next.

    CoordinatorError
    ├── UserError                 a person can mend it: one clear line, exit code 2, no traceback
    │   ├── ConfigError           a setting is wrong                          (also a ValueError)
    │   ├── BadUrl                no URL that we can list or process          (also a ValueError)
    │   ├── BadFilter             a filter of a source's videos is written wrongly   (also a ValueError)
    │   ├── SourcesFileError      the sources file cannot be read
    │   ├── ProcessorError        the processor cannot be found or called
    │   └── PreflightError        this machine lacks something: ffmpeg, room on the disk, cookies that hold
    ├── StoreError                the queue's storage failed for good
    │   ├── StoreUnavailable      it may work again: try later
    │   └── StoreFull             it takes no more rows; what stands in it goes on
    ├── ClaimLost                 somebody else holds the row now
    └── AttemptError              one attempt at a row failed; its verdict says what becomes of the row
        ├── TransientError        retry      an attempt is counted, then backoff, then the dead letters
        ├── GoneError             gone       as retry, but dead as soon as a second attempt says the same
        ├── PermanentError        permanent  the dead letters at once
        ├── LaterError            later      not before its time; no attempt is counted
        ├── ThrottledError        throttled  no attempt is counted, and this worker stops claiming
        └── UnfitError            unfit      this machine cannot do it (disk full): as throttled

A processor of your own may raise any AttemptError; everything else that it raises counts as TransientError.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from youtube_download_coordinator.models import Failure, Verdict


class CoordinatorError(Exception):
    """The root of the tree above."""


class UserError(CoordinatorError):
    """What a person did can be mended by that person; the message is one line that says how."""


class ConfigError(UserError, ValueError):
    """A setting has a value that cannot be used."""


class BadUrl(UserError, ValueError):
    """This is no URL that we can list or process."""


class BadFilter(UserError, ValueError):
    """What stands in a column, or is set, is no filter of the videos of a source; the line says what may be written."""


class SourcesFileError(UserError):
    """The sources file cannot be read."""


class ProcessorError(UserError):
    """The processor cannot be imported, is not callable, or does not take one parameter."""


class PreflightError(UserError):
    """This machine cannot process videos until a person has mended something on it."""


class StoreError(CoordinatorError):
    """The queue's storage failed, and trying again will not help."""


class StoreUnavailable(StoreError):
    """The queue's storage does not answer now; it may later."""


class StoreFull(StoreError):
    """The queue's storage has no room for more rows. Nothing was changed; the rows that stand in it can be worked on."""


class ClaimLost(CoordinatorError):
    """The row is not held by us any more; whatever came out of the attempt is dropped."""


class AttemptError(CoordinatorError):
    """One attempt at a row failed.

    `reason` is a short machine-readable word (`private`, `region`, `http-503`) which stands before the message in LastError.
    `systemic`: the wording is known from outages, in which every video fails with it.
    """

    verdict: ClassVar[Verdict] = Verdict.RETRY
    default_reason: ClassVar[str] = "error"

    def __init__(
        self, message: str = "", *, reason: str = "", not_before: datetime | None = None, systemic: bool = False
    ) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason
        self.not_before = not_before
        self.systemic = systemic

    @property
    def failure(self) -> Failure:
        """Return the error as a value, to be kept and sent."""
        return Failure(
            verdict=self.verdict,
            reason=self.reason,
            message=str(self),
            not_before=self.not_before,
            systemic=self.systemic,
        )


class TransientError(AttemptError):
    """It may work when tried again."""

    default_reason = "transient"


class GoneError(AttemptError):
    """It looks gone, but a hiccup looks the same: believed when a second attempt says so too."""

    verdict = Verdict.GONE
    default_reason = "gone"


class PermanentError(AttemptError):
    """It will never work: private, removed, wrong."""

    verdict = Verdict.PERMANENT
    default_reason = "permanent"


class LaterError(AttemptError):
    """Too early: a premiere, a running live stream. `not_before` says when, if that is known."""

    verdict = Verdict.LATER
    default_reason = "upcoming"


class ThrottledError(AttemptError):
    """YouTube wants us to slow down; the video is not to blame."""

    verdict = Verdict.THROTTLED
    default_reason = "throttled"


class UnfitError(AttemptError):
    """This machine cannot do it (disk full, no ffmpeg); the video is not to blame."""

    verdict = Verdict.UNFIT
    default_reason = "unfit"


_BY_VERDICT: dict[Verdict, type[AttemptError]] = {
    error.verdict: error
    for error in (TransientError, GoneError, PermanentError, LaterError, ThrottledError, UnfitError)
}


def attempt_error(failure: Failure) -> AttemptError:
    """Return the error that a failure was made of; a child process sends the failure."""
    return _BY_VERDICT[failure.verdict](
        failure.message, reason=failure.reason, not_before=failure.not_before, systemic=failure.systemic
    )
