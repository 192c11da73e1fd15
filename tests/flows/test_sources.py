"""ingest-sources and expand-sources, on a media site on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.expand_source import expand_source
from flows.expand_sources import expand_sources
from flows.ingest_sources import ingest_sources
from tests.flows import seen
from tests.flows.conftest import TITLES
from tests.support.waiting import wait_until
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.prefect.flow_run import host
from youtube_download_coordinator.queue.store import SOURCES


def test_a_file_is_taken_in(coordinator: Coordinator, sources_file: Path, media_site: str) -> None:
    state = ingest_sources(sources_file, return_state=True)
    assert (state.name, state.message) == ("Completed", "1 new, 0 already known, 0 invalid")
    assert [(row["URL"], row["Accent"]) for row in coordinator.client.get_sources()] == [(media_site, "Cork")]


def test_the_file_of_the_settings_is_taken_in(
    coordinator: Coordinator, sources_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YDC_SOURCES_FILE_PATH", str(sources_file))
    state = ingest_sources(return_state=True)
    assert state.message == "1 new, 0 already known, 0 invalid"
    wait_until(lambda: seen.task_run_names(state) == {f"ingest {sources_file}"})


def test_a_bad_line_is_named_and_costs_no_other_line(coordinator: Coordinator, sources_file: Path) -> None:
    with sources_file.open("a") as file:
        file.write("no address\nhttps://www.youtube.com/playlist?list=PLexample\n")
    state = ingest_sources(sources_file, return_state=True)
    assert (state.name, state.message) == ("CompletedWithErrors", "2 new, 0 already known, 1 invalid")
    (row,) = seen.table(state, "ingested-sources")
    assert row["problem"].startswith(f"{sources_file}, line 3: ")


def test_a_source_is_listed(coordinator: Coordinator, sources_file: Path) -> None:
    ingest_sources(sources_file)
    state = expand_sources(return_state=True)
    assert (state.name, state.message) == ("Completed", "1 sources listed, 0 failed, 2 new videos")
    assert {video.title for video in seen.videos(coordinator)} == set(TITLES)
    assert [row["new"] for row in seen.table(state, "expanded-sources")] == [2]
    assert seen.flow_run(state).name == f"expand sources on {host()}"


def test_a_source_that_cannot_be_listed_takes_no_other_along(
    coordinator: Coordinator, sources_file: Path, media_site: str
) -> None:
    missing = media_site.replace("feed.xml", "missing.xml")
    coordinator.client.add_source(missing)
    ingest_sources(sources_file)
    state = expand_sources(return_state=True)
    assert (state.name, state.message) == ("CompletedWithErrors", "2 sources listed, 1 failed, 2 new videos")
    errors = {row["source"]: row["error"] for row in seen.table(state, "expanded-sources")}
    (error,) = [error for source, error in errors.items() if "missing.xml" in source]  # the cell makes no link
    assert "404" in error
    wait_until(lambda: f"expand {missing}" in seen.task_run_names(state))


def test_nothing_is_listed_when_the_minutes_are_over(coordinator: Coordinator, sources_file: Path) -> None:
    ingest_sources(sources_file)
    assert expand_sources(max_minutes=1e-9, return_state=True).message == "0 sources listed, 0 failed, 0 new videos"
    assert [row["Status"] for row in coordinator.client.get_sources()] == ["pending"]


# -- one source, because somebody asks for it


def test_a_source_is_added_and_listed_at_once(coordinator: Coordinator, media_site: str) -> None:
    state = expand_source(media_site, accent="Cork", return_state=True)
    assert (state.name, state.message) == ("Completed", "A small media site: 2 videos listed, 2 new")
    assert {(video.title, video.accent) for video in seen.videos(coordinator)} == {(title, "Cork") for title in TITLES}
    assert seen.flow_run(state).name == f"expand {media_site} on {host()}"
    wait_until(lambda: seen.task_run_names(state) == {f"add {media_site}", f"expand {media_site}"})


def test_a_source_that_is_done_is_listed_again(coordinator: Coordinator, sources_file: Path, media_site: str) -> None:
    ingest_sources(sources_file)
    expand_sources()
    state = expand_source(media_site, return_state=True)
    assert state.message == "A small media site: 2 videos listed, 0 new"


def test_a_source_that_another_worker_lists_is_left_to_it(coordinator: Coordinator, media_site: str) -> None:
    coordinator.client.add_source(media_site)
    coordinator.queue.claim(SOURCES, 1)
    state = expand_source(media_site, return_state=True)
    assert (state.name, state.message) == ("Skipped", "another worker is listing this source")


def test_what_is_no_source_is_one_line(coordinator: Coordinator) -> None:
    state = expand_source("https://www.youtube.com/feed/trending", return_state=True)
    assert state.name == "Failed"
    assert "https://www.youtube.com/feed/trending" in str(state.message)
    assert coordinator.client.get_sources() == []
