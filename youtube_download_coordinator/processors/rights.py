"""Look up the rights of a video, and apply the filters on them before any media are fetched.

    {"license": "creative-commons", "trainable": "none", "etag": "...", "asked_at": "2026-11-29T12:00:00+00:00"}

The licence comes from the extraction. Whether others may train with the video is YouTube's answer (youtube/trainability.py).
A video that does not pass the filters is skipped: its row is done, and nothing of it is fetched. Docs: docs/rights.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import AttemptError, LaterError
from youtube_download_coordinator.models import SKIPPED_LICENSE, SKIPPED_TRAINING, VideoTask
from youtube_download_coordinator.processors.extraction import Extraction
from youtube_download_coordinator.processors.licenses import license_of
from youtube_download_coordinator.processors.worker_settings import Settings
from youtube_download_coordinator.queue.product_requests import ProductRequest, without_products
from youtube_download_coordinator.reasons import NO_TRAINABILITY, TRAINABILITY
from youtube_download_coordinator.youtube.trainability import Trainability, now, request_trainability
from youtube_download_coordinator.youtube.trainability_state import TrainabilityState

YOUTUBE_VIDEO = "yt:v:"
"""The prefix of the keys of YouTube's videos."""
NO_ANSWER_PAUSE = timedelta(days=1)
"""How long an existing video waits if YouTube has no answer for it. Each check costs a request for its page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """The licence and the training permission of one video."""

    license: str = ""
    """One of models.LICENSES; empty: not looked up."""
    trainability: Trainability | None = None
    """None: not requested."""

    @property
    def trainable(self) -> str:
        """Return `all`, `none`, `unknown`, or companies separated by commas; empty if it was not requested."""
        return "" if self.trainability is None else str(self.trainability)

    def to_json(self) -> dict[str, Any]:
        """Return the part `rights` of a sidecar."""
        facts: dict[str, Any] = {"license": self.license, "trainable": self.trainable}
        if self.trainability and self.trainability.asked_at:
            facts |= {"etag": self.trainability.etag, "asked_at": self.trainability.asked_at.isoformat()}
        return {name: value for name, value in facts.items() if value}


class Skipped(Exception):
    """Raised for a video that does not pass a filter, with the result of its row: `skipped, licence youtube`."""


def skipped_result(request: ProductRequest, why: str) -> str:
    """Return the result of a skipped video, after the earlier result of a request if there is one."""
    return without_products(request, why) if request.result else why


class RightsCheck:
    """The rights of one video and the filters, for one attempt."""

    def __init__(self, task: VideoTask, settings: Settings) -> None:
        self._settings = settings
        self._video_id = task.key.removeprefix(YOUTUBE_VIDEO) if task.key.startswith(YOUTUBE_VIDEO) else ""
        self.rights = Rights()

    @property
    def has_filters(self) -> bool:
        """Return whether there are filters that may skip a video."""
        return bool(self._settings.licenses or self._settings.trainable)

    def check(self, extraction: Extraction) -> None:
        """Look up the rights and store them in the extraction, which is made if necessary.

        Raises Skipped if the video does not pass the filters, and AttemptError.
        """
        if not extraction.is_extracted:
            self._ask_first()
        try:
            info = extraction.info
        except AttemptError as error:
            if not extraction.renew_with_cookies(error):
                raise
            info = extraction.info
        self._check_page(info)
        extraction.rights = self.rights.to_json()

    def _ask_first(self) -> None:
        """Request whether training is permitted, if a filter depends on it. Then most videos need no request for their page.

        Raises Skipped, and LaterError if YouTube gives no answer now.
        """
        if not self._settings.trainable:
            return
        answer = self._ask()
        if not self._video_id:
            raise Skipped(f"{SKIPPED_TRAINING}permission unknown")
        self._check_permission(answer)
        if not answer.is_known and not answer.is_about_video:  # else the page may say that the video is gone
            raise _unknown(answer, TRAINABILITY, timedelta(seconds=answer.pause_seconds))

    def _check_permission(self, answer: Trainability) -> None:
        if answer.is_known and not answer.permits(self._settings.trainable):
            raise Skipped(f"{SKIPPED_TRAINING}not permitted")

    def _check_page(self, info: Mapping[str, Any]) -> None:
        """Store the licence, and whether training is permitted. Raises Skipped, and LaterError if YouTube gives no answer now."""
        license_name = license_of(info, self._settings.network.yt_dlp_options.get("extractor_args") or {})
        self.rights = Rights(license=license_name, trainability=self.rights.trainability)
        if self._settings.licenses and license_name not in self._settings.licenses:
            raise Skipped(f"{SKIPPED_LICENSE}{license_name}")
        if self._settings.trainability == "off" and not self._settings.trainable:
            return
        answer = self._ask()
        if self._settings.trainable:
            self._check_permission(answer)
            if not answer.is_known:
                raise _unknown(answer, NO_TRAINABILITY, NO_ANSWER_PAUSE)

    def _ask(self) -> Trainability:
        """Return YouTube's answer, which an attempt requests only once."""
        answer = self.rights.trainability
        if answer is None:
            answer = Trainability(problem="not a video on YouTube")
            if self._video_id:
                request = partial(
                    request_trainability, self._video_id, self._settings.network, self._settings.trainability_url
                )
                state_dir = self._settings.network.state_dir
                answer = TrainabilityState(Path(state_dir)).answer(self._video_id, request) if state_dir else request()
            self.rights = Rights(license=self.rights.license, trainability=answer)
        return answer


def _unknown(answer: Trainability, reason: str, pause: timedelta) -> LaterError:
    message = f"YouTube does not say whether training is permitted ({answer.problem})"
    not_before = now() + pause if pause else None
    return LaterError(message, reason=reason, not_before=not_before)
