"""Linked text, smart chips and formulas in URL cells: the address behind a title is taken, or the row says what to do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.support.sheet import DEAD, SOURCE_TAB, VIDEOS, SheetDesk, a_video, video_url
from youtube_download_coordinator.errors import StoreError
from youtube_download_coordinator.models import Done, State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets import linked_cells
from youtube_download_coordinator.stores.sheets.new_rows import NewRows

CHANNEL = "https://www.youtube.com/@somebody"
Paste = Callable[[SheetDesk, str, int, str, str], None]


@pytest.fixture
def queue(desk: SheetDesk) -> Queue:
    return desk.queue()


def paste_text(desk: SheetDesk, tab: str, row: int, text: str, address: str) -> None:
    desk.person.paste_link(tab, row, "URL", text, address)


def paste_chip(desk: SheetDesk, tab: str, row: int, text: str, address: str) -> None:
    desk.person.paste_link(tab, row, "URL", text, address, chip=True)


def type_formula(desk: SheetDesk, tab: str, row: int, text: str, address: str) -> None:
    desk.person.edit(tab, row, "URL", f'=HYPERLINK("{address}"; "{text}")')


PASTES = [paste_text, paste_chip, type_formula]


def questions(desk: SheetDesk, before: int) -> int:
    """Return how often links were asked for since that request."""
    counts: dict[str, int] = desk.simulator.stats(before)["by_method"]
    return counts.get("spreadsheets.getByDataFilter", 0)


@pytest.mark.parametrize("paste", PASTES)
def test_the_address_behind_a_title_is_taken(desk: SheetDesk, queue: Queue, paste: Paste) -> None:
    paste(desk, VIDEOS, 1, "A film about bees", video_url(1))
    desk.person.edit(VIDEOS, 1, "Accent", "Welsh")
    paste(desk, VIDEOS, 4, "Another film", "https://youtu.be/v0000000002?si=x")
    desk.person.edit(VIDEOS, 4, "Title", "My own title")
    paste(desk, SOURCE_TAB, 1, "Somebody", CHANNEL)
    desk.finish(queue)
    first, second = (line for line in desk.lines() if line["URL"])
    assert (first["URL"], first["Title"], first["Status"]) == (video_url(1), "A film about bees", "done")
    assert (first["Accent"], first["Lease"].split(" for ")[1].split()[0]) == ("Welsh", "yt:v:v0000000001")
    assert (second["URL"], second["Title"], second["Status"]) == (
        "https://youtu.be/v0000000002?si=x",
        "My own title",
        "done",
    )
    (claim,) = queue.claim(SOURCES, 1)
    assert (claim.row.url, claim.row.key) == (CHANNEL, "yt:a:@somebody")


@pytest.mark.parametrize("paste", PASTES)
@pytest.mark.parametrize(
    ("address", "message"),
    [("https://example.org/film", "example.org is not YouTube"), (CHANNEL, "add it as a source")],
)
def test_a_link_that_leads_to_no_video_is_refused_by_name(
    desk: SheetDesk, queue: Queue, paste: Paste, address: str, message: str
) -> None:
    paste(desk, VIDEOS, 1, "A film", address)
    desk.finish(queue)
    desk.look_again(queue)
    line = desk.lines()[0]
    assert (line["Status"], line["LastError"].partition(": ")[0]) == ("error", "bad-url")
    assert message in line["LastError"]
    assert line["LastError"].endswith("type pending into Status")
    assert line["URL"] in ("A film", f'=HYPERLINK("{address}"; "A film")'), "what cannot be used is left as it is"


def test_two_links_or_none_are_refused_by_name(desk: SheetDesk, queue: Queue) -> None:
    desk.person.paste_link(VIDEOS, 1, "URL", "One Two", video_url(1), video_url(2))
    desk.person.edit(VIDEOS, 2, "URL", "A film")
    desk.finish(queue)
    desk.look_again(queue)
    assert [line["LastError"] for line in desk.lines()[:2]] == [
        "bad-url: the cell has 2 links; paste the address itself into URL, and type pending into Status",
        "bad-url: “A film” contains a space or a character that addresses cannot contain; give one address per cell or line;"
        " a file separates fields by |, or begins with a line of their names; correct URL, and type pending into Status",
    ]


def test_a_row_whose_address_was_corrected_runs_when_pending_is_typed(desk: SheetDesk, queue: Queue) -> None:
    desk.person.insert_row(VIDEOS, 1, {"URL": "nonsense"})
    desk.person.insert_row(VIDEOS, 2, {"URL": "more nonsense"})
    desk.look_again(queue)
    desk.person.edit(VIDEOS, 1, "URL", video_url(1))
    paste_text(desk, VIDEOS, 2, "A film", video_url(2))
    desk.type_status(video_url(1), "pending")
    desk.type_status("A film", "pending")
    desk.finish(queue)
    desk.look_again(queue)
    assert [(line["ID"], line["URL"], line["Status"]) for line in desk.lines()] == [
        ("1", video_url(1), "done"),
        ("2", video_url(2), "done"),
    ]
    desk.type_status(video_url(1), "pending")
    desk.person.edit(VIDEOS, 1, "URL", "nonsense again")
    desk.finish(queue)
    assert desk.lines()[0]["LastError"].startswith("url-changed"), "it had an address, which a result belongs to"


def test_a_word_with_as_many_letters_as_an_id_may_be_a_title(desk: SheetDesk, queue: Queue) -> None:
    paste_text(desk, VIDEOS, 1, "Documentary", video_url(1))
    desk.person.edit(VIDEOS, 2, "URL", "UKwSQSFN4Nw")
    desk.person.edit(VIDEOS, 3, "URL", "documentary")
    desk.finish(queue)
    keys = [line["Lease"].split(" for ")[1].split()[0] for line in desk.lines()[:3]]
    assert keys == ["yt:v:v0000000001", "yt:v:UKwSQSFN4Nw", "yt:v:documentary"]


def test_a_link_to_a_video_that_is_known_is_a_duplicate(desk: SheetDesk, queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [a_video(1)])
    desk.show()
    for row, number in ((2, 1), (3, 2), (4, 2)):
        paste_text(desk, VIDEOS, row, "link", video_url(number))
    desk.person.edit(VIDEOS, 5, "URL", video_url(2))
    desk.finish(queue)
    desk.look_again(queue)
    assert sorted(line["Status"] for line in desk.lines()) == ["done", "done", "error", "error", "error"]
    assert {line["LastError"][:12] for line in desk.lines()} == {"", "duplicate of"}


def test_a_status_and_a_count_that_were_typed_beside_a_link_are_kept(desk: SheetDesk, queue: Queue) -> None:
    for row, status in enumerate(("done", "error", "skip"), start=1):
        paste_text(desk, VIDEOS, row, "link", video_url(row))
        desk.person.edit(VIDEOS, row, "Status", status)
        desk.person.edit(VIDEOS, row, "RetryCount", 2)
    paste_text(desk, DEAD, 1, "link", video_url(9))
    desk.finish(queue)
    desk.look_again(queue)
    rows = {row.id: (row.lease.state, row.lease.tries) for row in queue.rows(VIDEO_TASKS)}
    assert sorted(rows.values()) == [(State.DONE, 0), (State.DONE, 2), (State.ERROR, 2), (State.ERROR, 2)]
    assert "“skip” is not a Status" in desk.line(video_url(3))["LastError"]


def test_links_are_asked_for_once_and_only_where_there_is_no_address(desk: SheetDesk, queue: Queue) -> None:
    """The same batches as for addresses, one question, and one look at where the addresses were written."""

    def requests_for(type_url: Callable[[int], None], numbers: range) -> tuple[int, int]:
        for number in numbers:
            type_url(number)
        desk.clock.advance(2)
        before = desk.simulator.stats()["last"]
        assert len(queue.claim(VIDEO_TASKS, 50)) == len(numbers)
        return desk.simulator.stats(before)["requests"], questions(desk, before)

    queue.claim(VIDEO_TASKS, 1)
    typed = requests_for(lambda number: desk.person.edit(VIDEOS, number, "URL", video_url(number)), range(1, 31))
    linked = requests_for(lambda number: paste_text(desk, VIDEOS, number, "link", video_url(number)), range(31, 59))
    assert typed[1] == 0
    assert linked == (typed[0] + 2, 1)


@pytest.mark.parametrize("descending", [True, False])
def test_a_sort_between_the_question_and_the_answer_mixes_nothing_up(
    desk: SheetDesk, queue: Queue, monkeypatch: pytest.MonkeyPatch, descending: bool
) -> None:
    queue.add(VIDEO_TASKS, [a_video(number) for number in (20, 21, 22)])
    desk.show()
    for number in range(1, 6):
        paste_text(desk, VIDEOS, number + 3, "link", video_url(number))
        desk.person.edit(VIDEOS, number + 3, "Accent", f"{(number * 3) % 5} {video_url(number)}")
    settlement = NewRows.settlement
    sorts = [True]

    def sorted_after(*given: Any, **named: Any) -> Any:
        requests = settlement(*given, **named)
        if sorts:
            desk.person.sort(VIDEOS, "Accent", descending=descending == sorts.pop())
        return requests

    monkeypatch.setattr(NewRows, "settlement", sorted_after)
    desk.finish(queue, Done())
    desk.look_again(queue)
    desk.finish(queue, Done())
    assert sorted(line["URL"] for line in desk.lines()) == [video_url(n) for n in (1, 2, 3, 4, 5, 20, 21, 22)]
    assert {line["Status"] for line in desk.lines()} == {"done"}
    assert all(line["Accent"][2:] in ("", line["URL"]) for line in desk.lines())


def test_what_a_process_that_died_left_half_done_is_asked_for_by_another(desk: SheetDesk, queue: Queue) -> None:
    paste_chip(desk, VIDEOS, 1, "A film", video_url(1))
    desk.simulator.faults.add("reset", body="searchByRegex", times=None)
    with suppress(StoreError):
        queue.claim(VIDEO_TASKS, 1)
    desk.simulator.faults.clear()
    assert "draft" in desk.lines()[0]["Lease"]
    (claim,) = desk.queue("other").claim(VIDEO_TASKS, 1)
    assert claim.row.url == video_url(1)


def test_many_links_are_taken_in_several_batches(
    desk: SheetDesk, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("youtube_download_coordinator.stores.sheets.new_rows.LINKED_ROWS_MAX", 10)
    assert linked_cells.LINKED_ROWS_MAX >= 100
    for number in range(1, 36):
        paste_text(desk, VIDEOS, number, f"Film {number}", video_url(number))
    before = desk.simulator.stats()["last"]
    assert queue.counts(VIDEO_TASKS) == {State.PENDING: 35}
    assert questions(desk, before) == 4
    assert [line["URL"] for line in desk.lines()[:35]] == [video_url(number) for number in range(1, 36)]
