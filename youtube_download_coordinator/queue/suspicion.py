"""Suspicion of an outage: different videos of different sources fail in succession with the same reason.

Then the cause is not a video: yt-dlp is broken, YouTube has an outage, or the processor has a bug. Pure functions over a
machine's observations (`Evidence`, kept in its machine state) and over a line of Control for each machine and version of
yt-dlp:

    clear ──half of the failures──▶ watching ──enough──▶ suspect ──until has passed──▶ probing ──success──▶ clear
                                                           ▲                            │
                                                           ╰──────fails, longer─────────╯

The line is a cooldown (cooldown.py) with other values. While it is `suspect` or `probing`, failures are not counted. Other
machines read it as evidence: with the same reason and version, they need fewer failures of their own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from youtube_download_coordinator.models import Control, Failure, Row, Verdict, VideoTask
from youtube_download_coordinator.queue import cooldown
from youtube_download_coordinator.queue.cooldown import SUSPICION, ControlValue, Pauses
from youtube_download_coordinator.reasons import ABOUT_ONE_VIDEO
from youtube_download_coordinator.text import format_utc, truncate

EVIDENCE_AGE = timedelta(hours=1)
"""Another machine's line is evidence for this long after its Until."""
ROWS_MAX = 500
"""The most rows kept for one reason. More can fail without a success only if the limits are set higher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageLimits:
    """The numbers of different videos that must fail with one reason, without a success, before an outage is suspected."""

    known_videos: int = 3
    """With a wording that is known from outages (`Failure.systemic`)."""
    other_videos: int = 20
    """With any other reason, including one that was never seen before."""


DEFAULT_LIMITS = OutageLimits()


class FailedVideo(NamedTuple):
    """A video in a streak."""

    key: str
    source: str
    """The ID of its source. A video without a source counts as a separate source."""
    is_known: bool
    """Whether its wording is known from outages."""
    tries: int
    """Its failed attempts before the streak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """The videos that failed with one reason since the last success."""

    since: datetime
    videos: tuple[FailedVideo, ...] = ()
    is_youtubes: bool = False
    """Whether yt-dlp raised the failures, so that a canary can disprove the suspicion."""

    @property
    def sources(self) -> set[str]:
        return {video.source for video in self.videos}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The observations of one machine's processes with one version of yt-dlp."""

    streaks: Mapping[str, Streak] = field(default_factory=dict)
    """The streaks by reason."""
    suspected: str = ""
    """The reason of the suspected outage; empty: none."""

    def __bool__(self) -> bool:
        return bool(self.streaks)


class Seen(NamedTuple):
    """The observations of other machines for one reason."""

    machines: int
    videos: int
    sources: int


# --- evidence --------------------------------------------------------------------------------------------------------


def is_evidence(failure: Failure) -> bool:
    """Return whether an outage may have caused a failure: not one video, a block, or an unfit machine."""
    if failure.systemic:
        return failure.verdict in {Verdict.RETRY, Verdict.GONE, Verdict.PERMANENT}
    return failure.verdict in {Verdict.RETRY, Verdict.GONE} and failure.reason not in ABOUT_ONE_VIDEO


def add_failure(evidence: Evidence, row: VideoTask, failure: Failure, now: datetime) -> Evidence:
    """Add a failed attempt to the streak of its reason."""
    streak = evidence.streaks.get(failure.reason, Streak(since=now))
    videos = {video.key: video for video in streak.videos}
    video = videos.get(row.key, FailedVideo(row.key, source_of(row), failure.systemic, row.lease.tries))
    videos[row.key] = video._replace(is_known=video.is_known or failure.systemic)
    is_youtubes = streak.is_youtubes or is_youtubes_own(row, failure)
    streak = replace(streak, videos=tuple(videos.values())[-ROWS_MAX:], is_youtubes=is_youtubes)
    return replace(evidence, streaks={**evidence.streaks, failure.reason: streak})


def add_success(evidence: Evidence, begun: datetime | None) -> Evidence:
    """End the streaks that began before the successful attempt. It proves nothing about streaks that began later."""
    streaks = {reason: streak for reason, streak in evidence.streaks.items() if begun and streak.since > begun}
    suspected = evidence.suspected if evidence.suspected in streaks else ""
    return Evidence(streaks=streaks, suspected=suspected)


def is_enough(streak: Streak, limits: OutageLimits, others: Seen) -> bool:
    """Return whether enough videos have failed. With other machines' evidence, a quarter of them must have failed here."""
    known = sum(video.is_known for video in streak.videos)
    counts = ((known, limits.known_videos), (len(streak.videos), limits.other_videos))
    return any(own >= math.ceil(limit / 4) and own + others.videos >= limit for own, limit in counts)


def is_worth_showing(streak: Streak, limits: OutageLimits) -> bool:
    """Return whether half of the needed videos have failed, so that the streak is shown to other machines."""
    known = sum(video.is_known for video in streak.videos)
    counts = ((known, limits.known_videos), (len(streak.videos), limits.other_videos))
    return any(own >= 2 and 2 * own >= limit for own, limit in counts)


def is_youtubes_own(row: Row, failure: Failure) -> bool:
    """Return whether yt-dlp failed on a YouTube video, so that a canary can show whether it fails on every video."""
    return row.key.startswith("yt:") and (failure.systemic or failure.from_yt_dlp)


def source_of(row: VideoTask) -> str:
    return row.key if row.source_id is None else str(row.source_id)


def to_text(evidence: Evidence) -> str:
    """Return the evidence as JSON."""
    streaks = {
        reason: {"since": streak.since.isoformat(), "youtubes": streak.is_youtubes, "videos": streak.videos}
        for reason, streak in evidence.streaks.items()
    }
    return json.dumps({"suspected": evidence.suspected, "streaks": streaks}) if evidence else ""


def from_text(text: str) -> Evidence:
    """Return the evidence in a text of `to_text`, or no evidence if another version wrote another format."""
    try:
        values = json.loads(text or "{}")
        streaks = {str(reason): _streak(fields) for reason, fields in values.get("streaks", {}).items()}
        return Evidence(streaks=streaks, suspected=str(values.get("suspected", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Evidence()


def _streak(fields: Mapping[str, Any]) -> Streak:
    videos = tuple(
        FailedVideo(str(key), str(source), bool(is_known), int(tries))
        for key, source, is_known, tries in fields["videos"]
    )
    since = datetime.fromisoformat(fields["since"])
    return Streak(since=since, videos=videos, is_youtubes=bool(fields["youtubes"]))


# --- lines of Control ------------------------------------------------------------------------------------------------


def line_name(host: str, version: str) -> str:
    """Return the name of a machine's suspicion line for a version of yt-dlp."""
    return f"{SUSPICION}{host} {version}".strip().casefold()


def is_of_host(line: Control, host: str) -> bool:
    """Return whether a line is a suspicion of this machine, for any version."""
    return f"{line.name} ".startswith(f"{SUSPICION}{host.casefold()} ")


def suspected(line: Control | None, name: str, now: datetime, why: str, pauses: Pauses) -> Control | None:
    """Begin a suspicion, unless the machine has one already."""
    if cooldown.value_of(line) is not ControlValue.CLEAR:
        return None
    line = line or Control(name=name)
    return cooldown.cooling(line, now, pauses.bounded(line.pause_seconds), why)


def watched(line: Control | None, name: str, now: datetime, why: str) -> Control | None:
    """Show other machines this machine's failures. They are evidence until Until."""
    if cooldown.value_of(line) is not ControlValue.CLEAR:
        return None
    until = (now + EVIDENCE_AGE).replace(microsecond=0)
    return replace(line or Control(name=name), value=ControlValue.WATCHING, until=until, reason=truncate(why))


def ended(line: Control | None, why: str, pauses: Pauses) -> Control | None:
    """End a line's suspicion after a success. The next pause is half as long."""
    if line is None or not (is_watching(line) or cooldown.value_of(line) is not ControlValue.CLEAR):
        return None
    seconds = pauses.bounded(line.pause_seconds / 2)
    return replace(line, value=ControlValue.CLEAR, until=None, reason=truncate(why), pause_seconds=seconds)


def is_watching(line: Control) -> bool:
    return line.value.strip().casefold() == ControlValue.WATCHING


def explained(line: Control | None, begun: Control, more: str) -> Control | None:
    """Set the advice in the Reason of a line, unless the line has changed since."""
    head, mark, message = begun.reason.partition(_MESSAGE)
    reason = truncate(f"{head.partition(_TO_DO)[0]}{_TO_DO}{more}{mark}{message}")
    return replace(begun, reason=reason) if line == begun and more and reason != begun.reason else None


def to_do(line: Control) -> str:
    """Return the advice that `explained` added to a line."""
    return line.reason.partition(_TO_DO)[2].partition(_MESSAGE)[0]


def describe(worker: str, reason: str, streak: Streak, others: Seen, version: str, message: str) -> str:
    """Return the Reason of a suspicion line. Other machines parse its numbers."""
    videos, sources, machines = len(streak.videos), len(streak.sources), others.machines + 1
    counts = f"{_counted(videos, 'video')} of {_counted(sources, 'source')} on {_counted(machines, 'machine')}"
    tool = f", yt-dlp {version}" if version else ""
    return truncate(f"{worker}: {reason}: {counts} since {format_utc(streak.since)}{tool}{_MESSAGE}{message}")


_TO_DO = "; to do: "
_MESSAGE = "; last: "
_COUNTS = re.compile(r": (?P<videos>\d{1,9}) videos? of (?P<sources>\d{1,9}) sources? ")


def seen_by_others(lines: Iterable[Control], own_host: str, version: str, reason: str, now: datetime) -> Seen:
    """Return other machines' observations of a reason with this version. A line that a person has rewritten does not count."""
    shown = [
        counts
        for line in lines
        if cooldown.is_suspicion(line)
        and not is_of_host(line, own_host)
        and line.name.endswith(f" {version}".casefold())
        and _is_current(line, now)
        and cooldown.reason_of(line) == reason
        and (counts := _COUNTS.search(line.reason))
    ]
    videos = sum(int(counts["videos"]) for counts in shown)
    return Seen(len(shown), videos, max((int(counts["sources"]) for counts in shown), default=0))


def is_shown(line: Control | None, reason: str, streak: Streak) -> bool:
    """Return whether a line already shows the streak, including whether it has more than one source."""
    counts = _COUNTS.search(line.reason) if line and is_watching(line) and cooldown.reason_of(line) == reason else None
    return counts is not None and min(len(streak.sources), 2) <= int(counts["sources"])


def _is_current(line: Control, now: datetime) -> bool:
    if line.until is None:
        return False
    if is_watching(line):
        return now < line.until
    return cooldown.value_of(line) is not ControlValue.CLEAR and now < line.until + EVIDENCE_AGE


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
