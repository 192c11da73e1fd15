"""The canary: a video that is known to exist. If YouTube answers for it, the machine is not blocked and the row is the cause.

The canary is extracted and never processed. It proves something only about YouTube's own refusals. It is the video of the setting
`canary_url`, or else the last video that this machine finished. All processes of the machine share it in the machine state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import Control, Done, Outcome, Row, Verdict
from youtube_download_coordinator.queue.store import Store

log = logging.getLogger(__name__)

CANARY_LINE = "canary"
"""The name of the line in the machine state; its `value` is the URL."""
YOUTUBE_VIDEO = "yt:v:"
"""The prefix of the keys of YouTube's videos."""
SAVE_INTERVAL = timedelta(hours=1)
"""The interval at which a process saves the last video that it finished."""
TRUSTED_REFUSALS = 4
"""After this many refused rows with no answered row in between, YouTube may be answering the canary alone. Until the next pause
is over, its answer proves nothing."""


class CanaryAnswer(StrEnum):
    """A result of requesting the canary."""

    ANSWERED = "answered"
    THROTTLED = "throttled"
    FAILED = "failed"
    """It fails with the reason of the suspected outage."""
    UNKNOWN = "unknown"
    """There is no canary, its video is gone, or the request failed for another reason."""


@dataclass(slots=True, kw_only=True)
class Canary:
    """The canary of one worker. Used by one thread at a time."""

    request: Callable[[str], Outcome]
    """A function that extracts the video at a URL, in up to a minute."""
    configured_url: str = ""
    machine_state: Store | None = None
    _last_done_url: str = ""
    _saved_at: datetime | None = None
    _gone_urls: set[str] = field(default_factory=set)
    _refusals: int = 0

    def remember(self, row: Row, now: datetime) -> None:
        """Record a row that is done. A video of YouTube becomes the canary."""
        self._refusals = 0
        if not row.key.startswith(YOUTUBE_VIDEO) or row.url in self._gone_urls:
            return
        self._last_done_url = row.url
        if self._saved_at is None or now - self._saved_at >= SAVE_INTERVAL:
            self._saved_at = now
            self._save(Control(name=CANARY_LINE, value=row.url))

    def row_refused(self, row: Row) -> None:
        """Record a refused row. A row that was refused earlier, while others were answered, is no new evidence."""
        self._refusals += not row.lease.throttles

    def row_answered(self) -> None:
        """Record that YouTube answered a row: the canary may be trusted again."""
        self._refusals = 0

    @property
    def is_known(self) -> bool:
        """Return whether there is a canary."""
        return bool(self._url())

    @property
    def is_trusted(self) -> bool:
        """Return whether there is a canary whose answer proves something."""
        return self._refusals <= TRUSTED_REFUSALS and bool(self._url())

    def ask(self, *, after_pause: bool = False, suspected: str = "") -> CanaryAnswer:
        """Request the canary and return its answer. If the video is gone, the next video that is done replaces it.

        `suspected`: the reason of a suspected outage. A canary that fails with this reason is kept.
        """
        if after_pause:
            self._refusals = 0
        url = self._url() if suspected or self._refusals <= TRUSTED_REFUSALS else ""
        if not url:
            return CanaryAnswer.UNKNOWN
        outcome = self.request(url)
        if isinstance(outcome, Done):
            return CanaryAnswer.ANSWERED
        if suspected and outcome.reason == suspected:
            return CanaryAnswer.FAILED
        if outcome.verdict in {Verdict.GONE, Verdict.PERMANENT}:
            log.warning("the canary %s is replaced by the next video that is done: %s", url, outcome)
            self._replace(url)
        return CanaryAnswer.THROTTLED if outcome.verdict is Verdict.THROTTLED else CanaryAnswer.UNKNOWN

    def _url(self) -> str:
        saved = self._read() if not self._last_done_url else ""
        urls = (self.configured_url, self._last_done_url, saved)
        return next((url for url in urls if url and url not in self._gone_urls), "")

    def _replace(self, url: str) -> None:
        self._gone_urls.add(url)
        self._saved_at = None
        if self._last_done_url == url:
            self._last_done_url = ""
        if self._read() == url:
            self._save(Control(name=CANARY_LINE))

    def _read(self) -> str:
        try:
            lines = self.machine_state.controls() if self.machine_state else []
        except StoreError as error:
            log.warning("the canary cannot be read from the machine state: %s", error)
            return ""
        return next((line.value for line in lines if line.name == CANARY_LINE), "")

    def _save(self, line: Control) -> None:
        try:
            if self.machine_state:
                self.machine_state.set_control(CANARY_LINE, lambda _: line)
        except StoreError as error:
            log.warning("the canary cannot be saved in the machine state: %s", error)
