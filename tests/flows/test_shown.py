"""An operator's view of a run: its name, its page, the table at its end; and the events for automations."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from flows.expand_source import expand_source
from flows.expand_sources import expand_sources
from flows.process_videos import process_videos
from flows.recover_stalled import recover_stalled
from flows.report import report
from tests.flows import seen
from tests.flows.conftest import TITLES, AddVideos
from tests.support import sample_tasks
from tests.support.rows import new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, Coordinator
from youtube_download_coordinator.prefect import progress_page
from youtube_download_coordinator.prefect.flow_run import host
from youtube_download_coordinator.queue.lifecycle import is_stalled
from youtube_download_coordinator.queue.store import VIDEO_TASKS

FUNCTIONS = "tests.support.sample_processors"
NASTY = "[click](javascript:alert(1)) | <b>bold</b>"


def last_page(key: str) -> str:
    """Return the newest page with this key, of any run."""
    with get_client(sync_client=True) as client:
        named = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        artifacts = client.read_artifacts(artifact_filter=named, sort=ArtifactSort.CREATED_DESC, limit=1)
    return str(artifacts[0].data) if artifacts else ""


# -- names and pages


def test_a_run_says_where_it_runs_and_then_what_it_did(coordinator: Coordinator, add_videos: AddVideos) -> None:
    nothing = process_videos(f"{FUNCTIONS}:does_nothing", return_state=True)
    assert seen.flow_run(nothing).name == f"process videos on {host()}: {FUNCTIONS}:does_nothing"
    assert seen.page(nothing, progress_page.KEY) == ""
    add_videos(2)
    state = process_videos(f"{FUNCTIONS}:does_nothing", return_state=True)
    assert seen.flow_run(state).name == f"process 2 videos on {host()}"
    assert seen.page(state, progress_page.KEY).startswith("# 2 done\n")


def test_the_page_is_written_while_the_run_goes_on(
    coordinator: Coordinator, add_videos: AddVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_page, "INTERVAL_SECONDS", 0.05)
    add_videos(2)
    sample_tasks.let_go.clear()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(process_videos, f"{sample_tasks.__name__}:hangs_unless_first", return_state=True)
        try:
            wait_until(lambda: last_page(progress_page.KEY).startswith("# 1 done\n"))
        finally:
            sample_tasks.let_go.set()
    state = run.result()
    assert seen.page(state, progress_page.KEY).startswith("# 2 done\n")


def test_a_title_is_shown_as_it_is(coordinator: Coordinator) -> None:
    coordinator.queue.add(VIDEO_TASKS, [new_video(1, title=NASTY)])
    state = process_videos(f"{FUNCTIONS}:does_nothing", return_state=True)
    assert NASTY not in seen.page(state, progress_page.KEY)
    assert r"\[click\]\(javascript\:alert\(1\)\) \| \<b\>bold\<\/b\>" in seen.page(state, progress_page.KEY)
    wait_until(lambda: seen.task_run_names(state) == {NASTY})


def test_the_sheet_is_one_click_away() -> None:
    address = "https://docs.google.com/spreadsheets/d/1AbC/edit"
    for given in ("1AbC", "https://docs.google.com/spreadsheets/d/1AbC/edit#gid=0"):
        assert Config(spreadsheet_id=given).spreadsheet_url == address
    assert Config().spreadsheet_url is None


def test_one_task_run_for_each_video(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(12)
    state = process_videos(f"{FUNCTIONS}:does_nothing", return_state=True)
    wait_until(lambda: len(seen.task_runs(state)) >= 12)
    assert len(seen.task_runs(state)) == 12


def test_a_report_counts_and_changes_nothing(coordinator: Coordinator, add_videos: AddVideos) -> None:
    add_videos(3)
    coordinator.queue.claim(VIDEO_TASKS, 1)
    process_videos(f"{FUNCTIONS}:refuses", max_videos=1)
    before = seen.videos(coordinator)
    state = report(return_state=True)
    assert state.message == "videos: 1 pending, 1 in-progress"
    counts = {row["rows"]: row for row in seen.table(state, "queue")}
    assert (counts["videos"]["in-progress"], counts["dead letters"]["dead letters"]) == (1, 1)
    page = seen.page(state, "queue-report")
    assert re.search(r"\| no\\-speech \| dead letters \| 1 \|", page)
    assert "## Waits longest\n\n| Video " in page
    assert seen.videos(coordinator) == before
    assert seen.task_runs(state) == []


def test_a_report_lists_the_days_on_which_videos_were_done(coordinator: Coordinator, add_videos: AddVideos) -> None:
    assert "Done each day" not in seen.page(report(return_state=True), "queue-report")
    add_videos(2)
    process_videos(f"{FUNCTIONS}:does_nothing")
    days = seen.page(report(return_state=True), "queue-report").partition("## Done each day\n")[2]
    (day,) = re.findall(r"^\| (2[\\\d-]+) \| (\d+) \|", days, flags=re.MULTILINE)
    assert (len(day[0].replace("\\", "")), day[1]) == (10, "2")


# -- events


def test_a_listed_source_is_an_event(coordinator: Coordinator, media_site: str) -> None:
    state = expand_source(media_site, accent="Cork", return_state=True)
    wait_until(lambda: len(seen.events(state)) == 1)
    (event,) = seen.events(state)
    assert event.event == "youtube-coordinator.source.expanded"
    assert event.resource.id == "youtube-coordinator.source.1"
    assert event.resource["youtube-coordinator.has-new-videos"] == "true"
    assert (event.payload["new"], event.payload["url"], event.payload["accent"]) == (len(TITLES), media_site, "Cork")


def test_a_video_that_is_done_is_an_event_and_so_is_a_dead_letter(
    coordinator: Coordinator, add_videos: AddVideos
) -> None:
    add_videos(2)
    state = process_videos(f"{FUNCTIONS}:refuses_the_second", return_state=True)
    wait_until(lambda: len(seen.events(state)) == 2)
    events = {event.event: event for event in seen.events(state)}
    done, dead = events["youtube-coordinator.video.done"], events["youtube-coordinator.video.dead-lettered"]
    assert (done.resource.id, done.resource.name) == ("youtube-coordinator.video.1", "video-00001")
    assert dead.resource.id == "youtube-coordinator.video.2"
    assert dead.resource["youtube-coordinator.reason"] == "no-speech"
    assert dead.payload["error"] == "no-speech: nobody speaks"


def test_so_is_a_dead_letter_that_no_attempt_made(
    coordinator: Coordinator, add_videos: AddVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker died the last time."""
    add_videos(1)
    monkeypatch.setenv("YDC_MAX_RETRIES", "1")
    dead = Coordinator(Config(stalled_task_timeout_minutes=0.001), run="dead")
    (claim,) = dead.queue.claim(VIDEO_TASKS, 1)
    wait_until(lambda: is_stalled(claim.row, coordinator.queue.store.now()))
    state = recover_stalled(return_state=True)
    assert state.message == "1 videos given up, 1 rows moved"
    wait_until(lambda: [event.event for event in seen.events(state)] == ["youtube-coordinator.video.dead-lettered"])


def test_a_cooldown_is_an_event_and_the_runs_after_it_say_why_they_do_nothing(
    coordinator: Coordinator, add_videos: AddVideos, media_site: str
) -> None:
    add_videos(2)
    coordinator.client.add_source(media_site)
    state = process_videos(f"{FUNCTIONS}:is_throttled", concurrency=1, return_state=True)
    assert state.name == "CompletedWithErrors"
    wait_until(lambda: len(seen.events(state)) == 1)
    (event,) = seen.events(state)
    assert event.event == "youtube-coordinator.cooldown.opened"
    assert event.resource.id == f"youtube-coordinator.cooldown.{host().casefold()}"
    assert "bot-check" in event.payload["reason"]
    assert "| cooling | " in seen.page(report(return_state=True), "queue-report")
    for again in (
        process_videos(f"{FUNCTIONS}:does_nothing", return_state=True),
        expand_sources(return_state=True),
        expand_source(media_site, return_state=True),
    ):
        assert again.name == "Skipped"
        assert "bot-check" in str(again.message)
    assert set(seen.statuses(coordinator)) == {"pending"}
