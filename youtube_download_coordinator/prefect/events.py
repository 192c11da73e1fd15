"""Events of the queue, for automations. Each row is a resource, named by its ID, which never changes and is never reused.

    event                                   resource                           labels and payload
    youtube-coordinator.source.expanded     youtube-coordinator.source.<ID>    has-new-videos: true or false
    youtube-coordinator.video.done          youtube-coordinator.video.<ID>
    youtube-coordinator.video.dead-lettered youtube-coordinator.video.<ID>     reason: the word at the front of LastError
    youtube-coordinator.cooldown.opened     youtube-coordinator.cooldown.<host, or fleet>
    youtube-coordinator.outage.suspected    youtube-coordinator.suspect.<host>.<yt-dlp version>
    youtube-coordinator.fleet.idle          youtube-coordinator.fleet

The payload contains the rest. Titles from YouTube are in it unchanged: whoever displays them must escape them.
"""

from __future__ import annotations

from prefect.events import emit_event

from youtube_download_coordinator.models import Control, Row, State, VideoTask
from youtube_download_coordinator.operations.overview import Overview
from youtube_download_coordinator.queue import cooldown, suspicion
from youtube_download_coordinator.text import format_utc, truncate
from youtube_download_coordinator.workers.expansion import Expansion

PREFIX = "youtube-coordinator"
VIDEO_DONE = f"{PREFIX}.video.done"
DEAD_LETTERED = f"{PREFIX}.video.dead-lettered"
COOLDOWN_OPENED = f"{PREFIX}.cooldown.opened"
OUTAGE_SUSPECTED = f"{PREFIX}.outage.suspected"
FLEET_IDLE = f"{PREFIX}.fleet.idle"


def source_expanded(expansion: Expansion) -> None:
    """Emit that a source was listed. `error` is not empty if the listing did not reach its end."""
    labels = {f"{PREFIX}.has-new-videos": "true" if expansion.new else "false"}
    payload = {
        "listed": expansion.listed,
        "new": expansion.new,
        "new_sources": expansion.new_sources,
        "error": str(expansion.failure or ""),
    }
    _emit(f"{PREFIX}.source.expanded", "source", expansion.source, labels, payload)


def video_ended(task: VideoTask) -> None:
    """Emit that a video is done or failed permanently. An attempt that will be retried is not an event."""
    if task.lease.state is State.DONE:
        _emit(VIDEO_DONE, "video", task, {}, {"result": task.result})
    else:
        labels = {f"{PREFIX}.reason": task.lease.reason}
        _emit(DEAD_LETTERED, "video", task, labels, {"error": task.last_error, "tries": task.retry_count})


def cooldown_opened(line: Control) -> None:
    """Emit that a cooldown of the machine or of the fleet began or was prolonged, because YouTube throttles."""
    _emit_line(COOLDOWN_OPENED, line, {})


def outage_suspected(line: Control) -> None:
    """Emit that a machine began or prolonged a suspicion of an outage of yt-dlp or YouTube, with advice."""
    _emit_line(OUTAGE_SUSPECTED, line, {"failure": cooldown.reason_of(line), "to_do": suspicion.to_do(line)})


def _emit_line(event: str, line: Control, more: dict[str, str]) -> None:
    name = {"prefect.resource.id": f"{PREFIX}.{line.name.replace(' ', '.')}", "prefect.resource.name": line.name}
    payload = {"until": format_utc(line.until), "reason": line.reason, "next_pause_seconds": line.pause_seconds}
    emit_event(event, name, payload=payload | more)


def fleet_idle(overview: Overview) -> None:
    """Emit that a video is due and no worker holds one, although the fleet is neither paused nor cooling down."""
    name = {"prefect.resource.id": f"{PREFIX}.fleet", "prefect.resource.name": "fleet"}
    emit_event(FLEET_IDLE, name, payload={"pending": overview.counts["videos"].get(State.PENDING, 0)})


def _emit(event: str, kind: str, row: Row, labels: dict[str, str], payload: dict[str, object]) -> None:
    name = {"prefect.resource.id": f"{PREFIX}.{kind}.{row.id}", "prefect.resource.name": truncate(row.name)}
    about = {"id": row.id, "key": row.key, "url": row.url, "title": row.title, "accent": row.accent, "type": row.type}
    truncated = {
        what: truncate(value) if isinstance(value, str) else value for what, value in (about | payload).items()
    }
    emit_event(event, name | labels, payload=truncated)
