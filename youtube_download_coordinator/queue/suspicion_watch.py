"""Collect a worker's failures and successes as evidence of an outage, and begin or end its machine's suspicion.

The evidence is kept in the machine state, so that all processes of the machine share it and it survives a restart. suspicion.py
has the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from youtube_download_coordinator.models import Control, Failure, VideoTask
from youtube_download_coordinator.queue import cooldown, suspicion
from youtube_download_coordinator.queue.cooldown import ControlValue, Pauses
from youtube_download_coordinator.queue.machine_lines import MachineLines
from youtube_download_coordinator.queue.store import SetControl
from youtube_download_coordinator.queue.suspicion import Evidence, FailedVideo, OutageLimits, Seen, Streak

NO_OTHERS = Seen(0, 0, 0)


@dataclass(slots=True, kw_only=True)
class SuspicionWatch:
    """The evidence of this machine for the version of yt-dlp that is installed now."""

    worker: str
    """`host/run`."""
    pauses: Pauses
    limits: OutageLimits
    installed_version: Callable[[], str]
    """A function that returns the version of yt-dlp that the next attempt will use."""
    shared: MachineLines
    set_line: Callable[[SetControl, str], Control | None]
    """A function that changes the line of Control with a name."""
    has_other_source: Callable[[Collection[str]], bool]
    """A function that returns whether a video of a source other than these is due."""
    _released: list[tuple[str, FailedVideo]] = field(default_factory=list)
    """Evidence of a suspicion that is over, whose failed attempts must still be undone."""

    @property
    def host(self) -> str:
        return self.worker.partition("/")[0]

    @property
    def line_name(self) -> str:
        """Return the name of the suspicion line that may block this worker."""
        return suspicion.line_name(self.host, self.installed_version())

    @property
    def _evidence_name(self) -> str:
        return f"failures {self.installed_version()}".strip()

    @property
    def evidence(self) -> Evidence:
        line = self.shared.read(self._evidence_name)
        return suspicion.from_text(line.value) if line else Evidence()

    def _change(self, change: Callable[[Evidence], Evidence]) -> Evidence:
        changed, name = Evidence(), self._evidence_name

        def change_line(line: Control | None) -> Control:
            nonlocal changed
            changed = change(suspicion.from_text(line.value) if line else Evidence())
            return Control(name=name, value=suspicion.to_text(changed))

        self.shared.change(name, change_line)
        return changed

    # --- what attempts show ------------------------------------------------------------------------------------------

    def failed(self, row: VideoTask, failure: Failure, lines: Mapping[str, Control], now: datetime) -> Control | None:
        """Add a failure while no outage is suspected. Return the new line if it begins a suspicion."""
        evidence = self._change(lambda evidence: _added(evidence, row, failure, now))
        streak, version, name = evidence.streaks[failure.reason], self.installed_version(), self.line_name
        others = suspicion.seen_by_others(lines.values(), self.host, version, failure.reason, now)
        why = suspicion.describe(self.worker, failure.reason, streak, others, version, failure.message)
        if suspicion.is_enough(streak, self.limits, others) and self._are_sources_enough(streak, others):
            return self.set_line(lambda line: suspicion.suspected(line, name, now, why, self.pauses), name)
        is_shown = suspicion.is_shown(lines.get(name), failure.reason, streak)
        if suspicion.is_worth_showing(streak, self.limits) and not is_shown:
            self.set_line(lambda line: suspicion.watched(line, name, now, why), name)
        return None

    def _are_sources_enough(self, streak: Streak, others: Seen) -> bool:
        return max(len(streak.sources), others.sources) > 1 or not self.has_other_source(streak.sources)

    def succeeded(self, begun: datetime | None, lines: Iterable[Control]) -> None:
        """Add a successful attempt: end the streaks and suspicions that it disproves. `begun`: when it began; None: now."""
        evidence = self.evidence
        if evidence:
            rest = self._change(lambda evidence: suspicion.add_success(evidence, begun))
            if evidence.suspected and not rest.suspected:
                self._released += _videos(evidence)
            if rest.suspected or (rest and not evidence.suspected):
                return
        for line in [line for line in lines if suspicion.is_of_host(line, self.host)]:
            why = f"{self.worker}: yt-dlp {self.installed_version()} works".replace("  ", " ")
            if suspicion.ended(line, why, self.pauses):
                self.set_line(lambda line, why=why: suspicion.ended(line, why, self.pauses), line.name)  # type: ignore[misc]

    def disproved(self) -> None:
        """Forget the failures. YouTube answered the canary, so the rows are the cause and their attempts count."""
        self._change(lambda evidence: Evidence())

    def confirmed(self, reason: str) -> None:
        """Remember that the failed attempts must be undone."""
        self._change(lambda evidence: replace(evidence, suspected=reason))

    # --- what follows ------------------------------------------------------------------------------------------------

    def is_youtubes(self, line: Control) -> bool:
        """Return whether a canary can disprove a line's suspicion."""
        streak = self.evidence.streaks.get(cooldown.reason_of(line))
        return streak is None or streak.is_youtubes

    def sources_to_avoid(self) -> set[str]:
        """Return the sources of streaks that only a video of another source can confirm or end."""
        streaks = [streak for streak in self.evidence.streaks.values() if len(streak.sources) == 1]
        enough = [streak for streak in streaks if suspicion.is_enough(streak, self.limits, NO_OTHERS)]
        return {source for streak in enough for source in streak.sources}

    def to_give_back(self, lines: Mapping[str, Control]) -> list[tuple[str, FailedVideo]]:
        """Return the videos of suspicions whose failed attempts are not undone yet, each with its reason."""
        if cooldown.value_of(lines.get(self.line_name)) is ControlValue.CLEAR:
            return list(self._released)
        evidence = self.evidence
        return [*self._released, *(_videos(evidence) if evidence.suspected else [])]

    def given_back(self, keys: Collection[str]) -> None:
        """Forget the videos with these keys."""
        self._released = [(reason, video) for reason, video in self._released if video.key not in keys]
        if self.evidence.suspected:
            self._change(lambda evidence: _without(evidence, keys))


def _added(evidence: Evidence, row: VideoTask, failure: Failure, now: datetime) -> Evidence:
    # A suspicion whose line is clear was cleared by a person: start counting again.
    return suspicion.add_failure(Evidence() if evidence.suspected else evidence, row, failure, now)


def _videos(evidence: Evidence) -> list[tuple[str, FailedVideo]]:
    return [(reason, video) for reason, streak in evidence.streaks.items() for video in streak.videos]


def _without(evidence: Evidence, keys: Collection[str]) -> Evidence:
    streaks: dict[str, Any] = {
        reason: replace(streak, videos=tuple(video for video in streak.videos if video.key not in keys))
        for reason, streak in evidence.streaks.items()
    }
    return replace(evidence, streaks=streaks)
