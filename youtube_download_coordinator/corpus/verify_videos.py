"""Check with YouTube whether finished videos still exist, and whether their title and licence have changed.

Each request counts towards the machine's rate limit, and none is made during a cooldown, a pause or a suspected outage. An
answer that may be caused by an outage is requested twice. It counts only if YouTube has answered for another video, or for the
canary, in between.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.corpus.check_log import HASH_CHARACTERS, Check, CheckLog
from youtube_download_coordinator.corpus.findings import Finding, FindingKind, keep_findings
from youtube_download_coordinator.errors import PlaceError
from youtube_download_coordinator.models import (
    DEGRADED_START,
    Control,
    Failure,
    State,
    Status,
    Verdict,
    VideoTask,
)
from youtube_download_coordinator.processors.sidecar import SUFFIX
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.canary import CanaryAnswer
from youtube_download_coordinator.queue.rate_limit import RateLimit
from youtube_download_coordinator.queue.selection import Selection
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Where
from youtube_download_coordinator.queue.suspicion import OutageLimits, is_evidence
from youtube_download_coordinator.queue.tombstones import is_purged, key_hash
from youtube_download_coordinator.storage.opening import open_place
from youtube_download_coordinator.storage.place import Place
from youtube_download_coordinator.text import format_utc, truncate
from youtube_download_coordinator.workers.ask_video import VideoAnswer, ask_video

_log = logging.getLogger(__name__)

BATCH = 100
"""The number of rows read from the queue at once, and the most undecided rows."""
WAIT_SECONDS = 1.0
"""The interval at which admission is checked while a request waits for its turn."""
_STATUS: Mapping[str, FindingKind] = {
    "gone": FindingKind.GONE,
    "removed": FindingKind.GONE,
    "terminated": FindingKind.GONE,
    "copyright": FindingKind.GONE,
    "private": FindingKind.PRIVATE,
    "needs-account": FindingKind.NEEDS_ACCOUNT,
}
"""The findings that reasons mean for a video that existed. Other failures prove nothing about the video."""
OVER = "over"
SHARE = 4
"""By default a run uses a quarter of the machine's rate limit. The rest is for attempts."""
_NEEDS_ACCOUNT = frozenset({"needs_auth", "subscriber_only", "premium_only"})
_ADULT_YEARS = 18

Ask = Callable[[str, bool], VideoAnswer | Failure]
"""A function that requests the video at a URL. The flag: in the same way as attempts, instead of only its page."""


@dataclass(slots=True, kw_only=True)
class VerifySummary:
    """The counts of a run."""

    due: int = 0
    """The number of videos that were due at the beginning."""
    asked: int = 0
    """The number of videos that were requested."""
    answered: int = 0
    """The number of videos that exist."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """The numbers of videos without an answer, by reason."""
    findings: Counter[FindingKind] = field(default_factory=Counter)
    stopped_by: str = ""
    """The reason for an early end."""

    def __str__(self) -> str:
        parts = [f"{self.asked} of {self.due} videos asked about", f"{self.answered} there"]
        parts += [f"{count} {kind}" for kind, count in sorted(self.findings.items())]
        parts += [f"{count} without an answer ({reason})" for reason, count in self.unanswered.most_common()]
        return ", ".join(parts) + (f"; stopped: {self.stopped_by}" if self.stopped_by else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The known facts about a video before its check."""

    status: str = ""
    since: int = 0
    title: str | None = None
    """A hash; None: not known."""
    title_text: str = ""
    license: str | None = None
    needs_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubt:
    """An answer that an outage may have caused, so that it is requested again."""

    row: VideoTask
    what: str
    """The status, or the licence."""
    at: datetime


@dataclass(slots=True, kw_only=True)
class VideoVerifier:
    """A run of checks. The queue's admission provides the machine's rate limit, cooldown and canary."""

    queue: Queue
    place: Place
    ask: Ask
    pace: RateLimit | None = None
    """A limit of this run, below that of the machine."""
    pause_seconds: float = 60.0
    """The time between the two requests for one video."""
    limits: OutageLimits = field(default_factory=OutageLimits)
    sleep: Callable[[float], None] = time.sleep
    is_over: Callable[[], bool] = lambda: False
    """A function that returns whether the time of this run is over."""
    on_plan: Callable[[int], None] = lambda count: None
    """A callback for the number of videos that will be requested."""
    summary: VerifySummary = field(default_factory=VerifySummary)
    _log: CheckLog = field(init=False)
    _findings: list[Finding] = field(default_factory=list)
    """Findings that are not in the place yet."""
    _doubts: list[_Doubt] = field(default_factory=list)
    _streak: list[Failure] = field(default_factory=list)
    """Failures that an outage may have caused, since the last answered video."""
    _paid_until: Control | None = None
    _answered_at: datetime | None = None
    _answered_row: VideoTask | None = None
    _asks_as_attempts_do: bool = False
    _is_ended: bool = False

    def run(self, selection: Selection, *, limit: int | None = None, older_than_days: float = 0.0) -> Iterator[Finding]:
        """Check the videos that are done, beginning with those whose last check is oldest. Yield the findings.

        If a run is killed, the next one continues with little loss. Raises PlaceError and StoreError.
        """
        with CheckLog(self.place, "videos") as self._log:
            self._log.refresh()
            before = self._now().timestamp() - older_than_days * 86400
            self.summary.due = self._log.plan(self._candidates(selection), before=before, salt=self.queue.worker)
            count = self.summary.due if limit is None else min(limit, self.summary.due)
            self.on_plan(count)
            try:
                yield from self._ask_all(count)
                yield from self._look_again()
            finally:
                self._flush()

    def _candidates(self, selection: Selection) -> Iterator[tuple[int, str]]:
        for row in self.queue.select(VIDEO_TASKS, replace(selection, status=Status.DONE)):
            if not is_purged(row) and row.lease.is_processed:
                yield row.id, key_hash(row.key)[:HASH_CHARACTERS]

    def _ask_all(self, limit: int) -> Iterator[Finding]:
        while not self._is_ended and (ids := self._log.take(min(BATCH, limit - self.summary.asked))):
            rows = {row.id: row for row in self.queue.rows(VIDEO_TASKS, Where(ids=ids, state=State.DONE))}
            for row in (rows[row_id] for row_id in ids if row_id in rows and not is_purged(rows[row_id])):
                if (result := self._ask(row)) is None:
                    return
                self.summary.asked += 1
                yield from self._take(row, result)
                if self._log.is_flush_due(self._now()):
                    self._flush()
                if self._is_ended:
                    return
            if len(self._doubts) >= BATCH:
                yield from self._look_again()
            self._log.refresh()

    def _now(self) -> datetime:
        return self.queue.store.now()

    def _flush(self) -> None:
        """Put the findings, then the checks. If the process is killed in between, the next run finds them again."""
        now = self._now()
        keep_findings(self.place, self._findings, now)
        self._findings = []
        self._log.flush(now)

    def _stop(self, why: str) -> None:
        self._is_ended, self.summary.stopped_by = True, why

    # --- requests ------------------------------------------------------------------------------------------------------

    def _ask(self, row: VideoTask) -> VideoAnswer | Failure | None:
        """Request a video when it is its turn. Return None, and stop, if no request may be made."""
        if stopped_by := self._wait_for_turn(row):
            self._stop("" if stopped_by == OVER else stopped_by)
            return None
        result = self.ask(row.url, self._asks_as_attempts_do)
        if isinstance(result, Failure) and result.reason == "bot-check" and not self._asks_as_attempts_do:
            # YouTube may refuse the page to an address, but serve the clients that attempts use.
            result = self.ask(row.url, True)
            self._asks_as_attempts_do = not (isinstance(result, Failure) and result.verdict is Verdict.THROTTLED)
        if isinstance(result, Failure) and result.verdict is Verdict.UNFIT:
            self._stop(truncate(f"this machine cannot make requests: {result}"))
            return None
        return result

    def _wait_for_turn(self, row: VideoTask) -> str:
        """Wait for the rate limits. Return the reason if no request may be made, or an empty text once it is counted."""
        admission = self.queue.admission
        while not self.is_over():
            if admission.needs_probe:
                admission.acquire(1)  # requests the canary, which may end the cooldown
                admission.bind_probe(VIDEO_TASKS, ())
                if admission.needs_probe:
                    return f"{admission.cooldown_name} ends only after a successful attempt: run ydc run"
            if blocked := admission.blocked():
                return blocked.why
            now = self._now()
            delay = self.pace.delay(self._paid_until, now).total_seconds() if self.pace else 0.0
            if not delay and not (delay := admission.start_delay_seconds(row)):
                self._paid_until = self.pace.take(self._paid_until, now) if self.pace else None
                return ""
            self.sleep(min(delay, WAIT_SECONDS))
        return OVER

    # --- answers -----------------------------------------------------------------------------------------------------

    def _take(self, row: VideoTask, result: VideoAnswer | Failure, doubt: _Doubt | None = None) -> Iterator[Finding]:
        """Yield the findings of an answer. `doubt` is the earlier answer that it may confirm."""
        known = self._known(row)
        if isinstance(result, VideoAnswer):
            found = self._take_answer(row, result, known, doubt)
        elif result.verdict is Verdict.THROTTLED:
            found = self._throttled(row, result, known)
        elif kind := _status_of(result, known):
            found = self._take_status(row, kind, result, known, doubt)
        else:
            found = self._take_failure(row, result, known)
        for finding in found:
            self.summary.findings[finding.kind] += 1
            self._findings.append(finding)
            yield finding

    def _take_answer(
        self, row: VideoTask, answer: VideoAnswer, known: _Known, doubt: _Doubt | None
    ) -> Iterator[Finding]:
        now = self._now()
        self._answered_at, self._answered_row, self._streak = now, row, []
        if self.queue.admission.canary:
            self.queue.admission.canary.remember(row, now)
        is_changed = known.license is not None and known.license != answer.license
        if is_changed and (doubt is None or doubt.what != f"license {answer.license}"):
            self._doubts.append(_Doubt(row=row, what=f"license {answer.license}", at=now))
            return
        self.summary.answered += 1
        title = _short_hash(answer.title)
        self._keep(row, status="", since=0, title=title, license=answer.license)
        if known.status:
            yield self._finding(FindingKind.BACK, row, since=format_utc(now))
        if is_changed:
            yield self._finding(FindingKind.LICENSE, row, before=known.license or "", after=answer.license)
        if known.title is not None and answer.title and known.title != title:
            yield self._finding(FindingKind.TITLE, row, before=known.title_text or row.title, after=answer.title)

    def _take_status(
        self, row: VideoTask, kind: FindingKind, failure: Failure, known: _Known, doubt: _Doubt | None
    ) -> Iterator[Finding]:
        now = self._now()
        if failure.verdict is Verdict.GONE and (doubt is None or doubt.what != kind):
            self._doubts.append(_Doubt(row=row, what=kind, at=now))
            self._add_to_streak(failure)
            return
        since = known.since if known.status == kind else int((doubt.at if doubt else now).timestamp())
        self._keep(row, status=kind, since=since, title=known.title or "", license=known.license)
        if known.status != kind:
            yield self._finding(kind, row, since=_utc(since), reason=failure.reason)

    def _take_failure(self, row: VideoTask, failure: Failure, known: _Known) -> Iterator[Finding]:
        """Record a check without a result: the video is due again, after videos whose last check is older."""
        self._keep_unanswered(row, failure, known)
        if is_evidence(failure):
            self._add_to_streak(failure)
        yield from ()

    def _throttled(self, row: VideoTask, failure: Failure, known: _Known) -> Iterator[Finding]:
        """Begin this machine's cooldown as after an attempt, unless the canary shows that the video is the cause."""
        admission = self.queue.admission
        admission.record_outcome(VIDEO_TASKS, row, failure)
        admission.check_canary()
        if blocked := admission.blocked():
            self._stop(blocked.why)
            self.summary.unanswered[failure.reason] += 1
        else:
            self._keep_unanswered(row, failure, known)
        yield from ()

    def _keep_unanswered(self, row: VideoTask, failure: Failure, known: _Known) -> None:
        self.summary.unanswered[failure.reason] += 1
        values = {"status": known.status, "since": known.since, "title": known.title or "", "license": known.license}
        self._keep(row, is_answered=False, **values)

    def _add_to_streak(self, failure: Failure) -> None:
        """Stop if too many videos in succession have failed, unless YouTube answers for the canary."""
        self._streak.append(failure)
        known = sum(each.systemic for each in self._streak)
        if known < self.limits.known_videos and len(self._streak) < self.limits.other_videos:
            return
        if self._is_answering(failure.reason):
            self._streak = []
        else:
            count = len(self._streak)
            self._stop(
                truncate(f"an outage is suspected after {count} videos in succession without an answer: {failure}")
            )
            self._doubts = []

    def _is_answering(self, reason: str) -> bool:
        """Return whether YouTube answers now for the canary, or without one for the video that was answered last."""
        canary = self.queue.admission.canary
        answer = canary.ask(suspected=reason) if canary else CanaryAnswer.UNKNOWN
        if answer is CanaryAnswer.UNKNOWN and self._answered_row is not None:
            is_there = isinstance(self._ask(self._answered_row), VideoAnswer)
            answer = CanaryAnswer.ANSWERED if is_there else CanaryAnswer.FAILED
        if answer is not CanaryAnswer.ANSWERED:
            return False
        self._answered_at = self._now()
        return True

    def _look_again(self) -> Iterator[Finding]:
        """Repeat the requests that an outage may have affected. They count only with evidence that YouTube answers."""
        doubts, self._doubts = self._doubts, []
        for doubt in doubts:
            if self._is_ended or not self._has_evidence(doubt):
                self.summary.unanswered["not confirmed"] += 1
                continue
            wait_seconds = self.pause_seconds - (self._now() - doubt.at).total_seconds()
            if wait_seconds > 0:
                self.sleep(wait_seconds)
            if (result := self._ask(doubt.row)) is None:
                self.summary.unanswered["not confirmed"] += 1
                continue
            yield from self._take(doubt.row, result, doubt)
        self.summary.unanswered["not confirmed"] += len(self._doubts)  # the second answer differed from the first
        self.summary.unanswered = +self.summary.unanswered
        self._doubts = []

    def _has_evidence(self, doubt: _Doubt) -> bool:
        is_answered = self._answered_at is not None and self._answered_at >= doubt.at
        return is_answered or self._is_answering("gone")

    # --- known facts -----------------------------------------------------------------------------------------------

    def _known(self, row: VideoTask) -> _Known:
        """Return the facts of the last check, completed from the sidecar."""
        check = self._log.last(key_hash(row.key)[:HASH_CHARACTERS])
        sidecar = self._sidecar(row) if check is None or not check.title or check.license is None else {}
        title = sidecar.get("title")
        known = _Known(
            title=_short_hash(title) if isinstance(title, str) and title else None,
            title_text=title if isinstance(title, str) else "",
            license=str(sidecar.get("license") or "") if sidecar else None,
            needs_account=_needs_account(sidecar),
        )
        if check is None:
            return known
        return replace(
            known,
            status=check.status,
            since=check.since,
            title=check.title or known.title,
            license=known.license if check.license is None else check.license,
        )

    def _sidecar(self, row: VideoTask) -> Mapping[str, Any]:
        """Return YouTube's facts in the sidecar of the row's file, or none without a sidecar."""
        path = row.result.partition(DEGRADED_START)[0]
        try:
            content = json.loads(self.place.get(path + SUFFIX)) if path else {}
            youtube = content.get("youtube") if isinstance(content, dict) else None
        except (FileNotFoundError, ValueError):
            return {}
        except PlaceError as error:
            _log.warning(
                "the sidecar of %s cannot be read, so its title and licence are not compared: %s", row.url, error
            )
            return {}
        return youtube if isinstance(youtube, dict) else {}

    def _keep(self, row: VideoTask, **values: Any) -> None:
        now = self._now()
        key = key_hash(row.key)[:HASH_CHARACTERS]
        self._log.add(Check(key=key, at=round(now.timestamp(), 3), **values), now)

    def _finding(self, kind: FindingKind, row: VideoTask, **facts: str) -> Finding:
        return Finding(kind=kind, id=row.id, key=row.key, name=row.name, at=_moment(self._now()), **facts)


def _status_of(failure: Failure, known: _Known) -> FindingKind | None:
    """Return the finding that a failure means for a video that existed, or None if it means nothing new."""
    kind = _STATUS.get(failure.reason)
    is_as_before = kind is FindingKind.NEEDS_ACCOUNT and known.needs_account
    return None if failure.systemic or is_as_before else kind


def _short_hash(text: str) -> str:
    return key_hash(text)[:8] if text else ""


def _needs_account(youtube: Mapping[str, Any]) -> bool:
    age = youtube.get("age_limit")
    return youtube.get("availability") in _NEEDS_ACCOUNT or (isinstance(age, int) and age >= _ADULT_YEARS)


def _moment(time: datetime) -> str:
    """Return a time with milliseconds. Of two findings about one video, the later is valid."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def open_verifier(queue: Queue, config: Config, *, per_hour: int | None = None, **more: Any) -> VideoVerifier:
    """Return a verifier with these settings. By default it uses a quarter of the machine's videos an hour."""
    limit = config.rate_limit
    by_default = max(1, limit.videos_per_hour // SHARE) if limit else None
    videos_per_hour = per_hour or by_default
    return VideoVerifier(
        queue=queue,
        place=open_place(config.output_dir),
        ask=lambda url, as_attempts_do: ask_video(url, config, as_attempts_do=as_attempts_do),
        pace=RateLimit(videos_per_hour) if videos_per_hour else None,
        pause_seconds=config.retry_backoff_seconds,
        limits=config.outage_limits,
        **more,
    )
