"""Events of the queue, for automations: a resource for each row, named by its number, which never changes nor returns.

    event                                   resource                           labels and payload
    youtube-coordinator.source.expanded     youtube-coordinator.source.<ID>    has-new-videos: true or false
    youtube-coordinator.video.done          youtube-coordinator.video.<ID>
    youtube-coordinator.video.dead-lettered youtube-coordinator.video.<ID>     reason: the word at the front of LastError
    youtube-coordinator.cooldown.opened     youtube-coordinator.cooldown.<host, or fleet>
    youtube-coordinator.fleet.idle          youtube-coordinator.fleet

The payload has the rest. What YouTube said (titles) is in there as it is: data, for whoever shows it to escape.
"""

from __future__ import annotations

from prefect.events import emit_event

from youtube_download_coordinator.models import Control, Row, State, VideoTask
from youtube_download_coordinator.operations.overview import Overview
from youtube_download_coordinator.text import format_utc, truncate
from youtube_download_coordinator.workers.expansion import Expansion

PREFIX = "youtube-coordinator"
VIDEO_DONE = f"{PREFIX}.video.done"
DEAD_LETTERED = f"{PREFIX}.video.dead-lettered"
COOLDOWN_OPENED = f"{PREFIX}.cooldown.opened"
FLEET_IDLE = f"{PREFIX}.fleet.idle"


def source_expanded(expansion: Expansion) -> None:
    """A source was listed, to its end or not: `error` says which."""
    labels = {f"{PREFIX}.has-new-videos": "true" if expansion.new else "false"}
    payload = {
        "listed": expansion.listed,
        "new": expansion.new,
        "new_sources": expansion.new_sources,
        "error": str(expansion.failure or ""),
    }
    _emit(f"{PREFIX}.source.expanded", "source", expansion.source, labels, payload)


def video_ended(task: VideoTask) -> None:
    """A video is done, or has failed for good. Other attempts that fail are made again, and are no event."""
    if task.lease.state is State.DONE:
        _emit(VIDEO_DONE, "video", task, {}, {"result": task.result})
    else:
        labels = {f"{PREFIX}.reason": task.lease.reason}
        _emit(DEAD_LETTERED, "video", task, labels, {"error": task.last_error, "tries": task.retry_count})


def cooldown_opened(line: Control) -> None:
    """YouTube throttles, and nobody of the machine, or of the fleet, claims for a while: also when it goes on."""
    name = {"prefect.resource.id": f"{PREFIX}.{line.name.replace(' ', '.')}", "prefect.resource.name": line.name}
    payload = {"until": format_utc(line.until), "reason": line.reason, "next_pause_seconds": line.pause_seconds}
    emit_event(COOLDOWN_OPENED, name, payload=payload)


def fleet_idle(found: Overview) -> None:
    """A report saw a video that waits, and nobody who holds any, though neither a pause nor a cooldown says so."""
    name = {"prefect.resource.id": f"{PREFIX}.fleet", "prefect.resource.name": "fleet"}
    emit_event(FLEET_IDLE, name, payload={"pending": found.counts["videos"].get(State.PENDING, 0)})


def _emit(event: str, kind: str, row: Row, labels: dict[str, str], payload: dict[str, object]) -> None:
    name = {"prefect.resource.id": f"{PREFIX}.{kind}.{row.id}", "prefect.resource.name": truncate(row.name)}
    about = {"id": row.id, "key": row.key, "url": row.url, "title": row.title, "accent": row.accent, "type": row.type}
    cut_short = {
        what: truncate(value) if isinstance(value, str) else value for what, value in (about | payload).items()
    }
    emit_event(event, name | labels, payload=cut_short)
