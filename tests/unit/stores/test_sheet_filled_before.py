"""A sheet filled by the first implementation: its rows are adopted as they are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rows import new_source
from tests.support.seed_columns import SEED_SOURCE_COLUMNS, SEED_VIDEO_COLUMNS
from tests.support.sheet import DEAD, SEED_TABS, SOURCE_TAB, VIDEOS, a_video, sheet_desk, video_url
from youtube_download_coordinator.client import Client
from youtube_download_coordinator.models import Failure, State, Verdict
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets import new_rows


def test_a_sheet_filled_before_us_is_taken_in_as_its_status_says() -> None:
    statuses = {1: "done", 2: "pending", 3: "in-progress", 4: "error", 5: "", 6: "DONE"}
    rows = [[n, 1, video_url(n), status, "old-host", "", "pt-BR", "", "", 0] for n, status in statuses.items()]
    tabs: dict[str, list[list[Any]]] = {
        **SEED_TABS,
        VIDEOS: [SEED_VIDEO_COLUMNS, *rows],
        DEAD: [SEED_VIDEO_COLUMNS, [9, 1, video_url(9), "error"]],
    }
    with sheet_desk(tabs) as desk:
        queue = desk.queue()
        assert queue.counts(VIDEO_TASKS) == {State.DONE: 2, State.PENDING: 3, State.ERROR: 1}
        assert queue.counts(DEAD_LETTERS) == {State.DEAD: 1}
        assert {claim.row.url for claim in queue.claim(VIDEO_TASKS, 9)} == {video_url(2), video_url(3), video_url(5)}
        assert {line["Accent"] for line in desk.lines()} == {"pt-BR"}


def seed_sheet(sources: list[list[Any]], videos: list[list[Any]], dead: list[list[Any]]) -> dict[str, list[list[Any]]]:
    """Return the tabs as the first implementation left them.

    Each source is ID, URL, Status; each video is ID, SourceID, URL, Status, RetryCount.
    """
    tasks = [
        [
            SEED_VIDEO_COLUMNS,
            *([n, source, url, status, "", "", "", "", "", tries] for n, source, url, status, tries in rows),
        ]
        for rows in (videos, dead)
    ]
    return {SOURCE_TAB: [SEED_SOURCE_COLUMNS, *sources], VIDEOS: tasks[0], DEAD: tasks[1]}


def test_a_video_still_names_its_source_when_a_sheet_was_filled_before_us() -> None:
    channels = [[n, f"https://www.youtube.com/@{name}", "done"] for n, name in ((31, "thirty-one"), (7, "seven"))]
    videos = [[n, 7 if n % 2 else 31, video_url(n), "done", 0] for n in range(200, 80, -1)]
    dead = [[42, 7, video_url(42), "error", 3]]
    with sheet_desk(seed_sheet(channels, videos, dead), rows=200) as desk:
        queue = desk.queue()
        queue.add(SOURCES, [new_source(1)])  # before anybody has looked at what is there
        for _ in range(3):
            assert queue.counts(VIDEO_TASKS)
            desk.clock.advance(2)
        desk.look_again(queue)
        sources = {row.id: row.url for row in queue.rows(SOURCES)}
        assert sources == {
            7: "https://www.youtube.com/@seven",
            31: "https://www.youtube.com/@thirty-one",
            32: new_source(1).url,
        }
        assert {row.id: row.source_id for row in queue.rows(VIDEO_TASKS)} == {n: source for n, source, *_ in videos}
        (row,) = queue.rows(DEAD_LETTERS)
        assert (row.id, row.source_id, row.retry_count) == (42, 7, 3)
        assert {line["ID"]: line["URL"] for line in desk.lines()} == {str(n): url for n, _, url, *_ in videos}
        queue.add(VIDEO_TASKS, [a_video(1)])
        assert int(desk.line(video_url(1))["ID"]) > 200


def test_what_stands_there_and_is_not_taken_in_yet_is_not_added_again() -> None:
    """A worker may list a source again before anybody has looked at the videos that were there."""
    numbers = range(700)
    videos = [[n + 1, 1, video_url(n), "done", 0] for n in numbers]
    channel = "https://www.youtube.com/@somebody"
    with sheet_desk(seed_sheet([[1, channel, "done"]], videos, []), rows=720) as desk:
        queue = desk.queue()
        queue.add(VIDEO_TASKS, [a_video(number) for number in numbers])
        assert Client(desk.config, lambda: queue, on_change=lambda: None).add_source(channel) == 1
        assert queue.counts(VIDEO_TASKS) == {State.DONE: 700}, "all of them are taken in with one look"
        assert queue.counts(SOURCES) == {State.DONE: 1}


def test_an_id_that_cannot_be_kept_is_given_anew() -> None:
    typed = [7, 7, "seven", "", -1, 0, "1e3", 20_000_000]
    videos = [[text, 1, video_url(n), "done", 0] for n, text in enumerate(typed)]
    with sheet_desk(seed_sheet([], videos, [[7, 1, video_url(99), "error", 0]])) as desk:
        queue = desk.queue()
        assert queue.counts(VIDEO_TASKS) == {State.DONE: len(typed)}
        assert queue.counts(DEAD_LETTERS) == {State.DEAD: 1}
        desk.look_again(queue)
        ids = {line["URL"]: int(line["ID"]) for line in (*desk.lines(), *desk.lines(DEAD))}
        assert ids[video_url(0)] == 7
        assert len(set(ids.values())) == len(ids)
        assert {row_id for url, row_id in ids.items() if url != video_url(0)} <= set(range(8, 30))


def test_what_was_tried_before_us_counts() -> None:
    statuses = {
        1: ("pending", 2),
        2: ("in-progress", 1),
        3: ("pending", 9),
        4: ("error", 2),
        5: ("pending", "many"),
        6: ("pending", ""),
    }
    videos = [[n, 1, video_url(n), status, tries] for n, (status, tries) in statuses.items()]
    with sheet_desk(seed_sheet([], videos, [])) as desk:
        queue = desk.queue()
        failed = Failure(verdict=Verdict.RETRY, reason="network", message="refused")
        queue.settle([(claim, failed) for claim in queue.claim(VIDEO_TASKS, 9)])
        desk.look_again(queue)
        assert {row.id: row.retry_count for row in queue.rows(VIDEO_TASKS)} == {2: 2, 4: 2, 5: 1, 6: 1}
        assert {row.id: row.retry_count for row in queue.rows(DEAD_LETTERS)} == {1: 3, 3: 10}, (
            "each was tried once more"
        )


@pytest.mark.parametrize("rows", [200, 400])
def test_a_full_tab_is_adopted_in_batches_and_claimed_from_the_first(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Three requests a batch, however many rows the tab has: drafts, a look at them, leases."""
    monkeypatch.setattr(new_rows, "BATCH_ROWS", 50)
    monkeypatch.setattr(new_rows._spans, "__defaults__", (50, new_rows.BATCH_SPANS))
    videos = [[n, 1, video_url(n), "pending", 0] for n in range(1, rows + 1)]
    with sheet_desk(seed_sheet([], videos, []), rows=rows + 10) as desk:
        queue = desk.queue()
        before = desk.simulator.stats()["last"]
        assert len(queue.claim(VIDEO_TASKS, 10)) == 10
        first = desk.simulator.stats(before)
        assert sum(bool(line["Lease"]) for line in desk.lines()) == 50
        desk.later.pop(0)()
        assert desk.simulator.stats(before)["requests"] == first["requests"] + 3
        while any(not line["Lease"] for line in desk.lines()):
            desk.clock.advance(0.1)
            desk.later.pop(0)()
        assert desk.simulator.stats(before)["requests"] == first["requests"] + 3 * (rows // 50 - 1)
        assert queue.counts(VIDEO_TASKS) == {State.HELD: 10, State.PENDING: rows - 10}
        assert [line["ID"] for line in desk.lines()] == [str(n) for n, *_ in videos]
        assert {line["Shown"] for line in desk.lines()} >= {f"v{n}.0" for n in range(60, rows)}


def test_a_claim_finds_the_row_that_is_due_behind_all_that_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_rows._spans, "__defaults__", (50, new_rows.BATCH_SPANS))
    videos = [[n, 1, video_url(n), "done" if n < 300 else "pending", 0] for n in range(1, 301)]
    with sheet_desk(seed_sheet([], videos, []), rows=310) as desk:
        (claim,) = desk.queue().claim(VIDEO_TASKS, 10)
        assert claim.row.url == video_url(300)


def test_a_person_who_sorts_while_rows_are_adopted_mixes_none_of_them_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_rows._spans, "__defaults__", (50, new_rows.BATCH_SPANS))
    videos = [[n, 1, video_url(n), "done" if n % 3 else "pending", n % 2] for n in range(1, 201)]
    with sheet_desk(seed_sheet([], videos, []), rows=210) as desk:
        settlement = new_rows.NewRows.settlement
        sorts = [True, False, True]

        def sorted_before(*given: Any, **named: Any) -> Any:
            if sorts:
                desk.person.sort(VIDEOS, "Status", descending=sorts.pop())
            return settlement(*given, **named)

        monkeypatch.setattr(new_rows.NewRows, "settlement", sorted_before)
        queue = desk.queue()
        assert queue.counts(VIDEO_TASKS) == {State.PENDING: 66, State.DONE: 134}
        for row in queue.rows(VIDEO_TASKS):
            assert (row.key, row.url) == (f"yt:v:v{row.id:010}", video_url(row.id))


def test_a_word_that_is_not_a_status_does_not_make_a_row_pending() -> None:
    videos = [
        [n, 1, video_url(n), text, 0] for n, text in enumerate(("skip", "done!", "erledigt", " Done ", ""), start=1)
    ]
    with sheet_desk(seed_sheet([], videos, [])) as desk:
        queue = desk.queue()
        assert queue.counts(VIDEO_TASKS) == {State.ERROR: 3, State.DONE: 1, State.PENDING: 1}
        assert "type pending, done or error" in desk.line(video_url(1))["LastError"]
