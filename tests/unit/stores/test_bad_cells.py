"""A cell that nobody can work with stops its own row, and nothing else: on a sheet, in Control, and in a database."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import make_admission, new_source, new_video
from tests.support.sheet import SOURCE_TAB, VIDEOS, SheetDesk, a_video, video_url
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import BadFilter, BadUrl
from youtube_download_coordinator.models import NEVER, Control, Row, State
from youtube_download_coordinator.operations.check_rows import check_rows
from youtube_download_coordinator.queue import cooldown
from youtube_download_coordinator.queue.cooldown import Pauses, Probe
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.sources.filters import COLUMNS, Filters
from youtube_download_coordinator.sources.urls import source_target, video_target
from youtube_download_coordinator.stores.sheets.cells import whole_number
from youtube_download_coordinator.stores.sheets.layout import COLUMNS as TAB_COLUMNS
from youtube_download_coordinator.stores.sheets.layout import Tab
from youtube_download_coordinator.stores.sheets.lease_codec import decode_lease, encode_draft, encode_lease
from youtube_download_coordinator.stores.sheets.setup.contents import lines_of_control, row_in
from youtube_download_coordinator.text import format_utc, parse_time

KEY = "yt:v:v0000000001"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
BAD_LEASES = [
    f"v1.1 pending try 0 after 2026-11-22T12:00:00.000 for {KEY} #aaaaaaaa",  # no zone
    f"v1.1 held host/a until 2026-11-22T12:00:00.000 try 0 for {KEY} #aaaaaaaa",
    f"v1.1 pending try 0 after 2026-02-30T12:00:00.000Z for {KEY} #aaaaaaaa",
    f"v1.1 pending try 0 after 2026-11-22T12:00:00.000+01:00 for {KEY} #aaaaaaaa",
    f"v1.1 pending try 0 after 9999-12-31T23:59:59.999Z for {KEY} #aaaaaaaa",
    f"v1.1 pending try 0 after 0001-01-01T00:00:00.000Z for {KEY} #aaaaaaaa",
    f"v1.1 held host/a until 9999-12-31T23:59:59-12:00 try 0 for {KEY} #aaaaaaaa",
    f"v1.1 pending try 0 after 20261122 for {KEY} #aaaaaaaa",
    f"v{'9' * 5000}.1 pending try 0 for {KEY} #aaaaaaaa",
    f"v1.{'9' * 5000} pending try 0 for {KEY} #aaaaaaaa",
    f"v1.1 pending try {'9' * 5000} for {KEY} #aaaaaaaa",
    f"v{'9' * 16}.1 pending try 0 for {KEY} #aaaaaaaa",
    f"v0.1 pending try 0 for {KEY} #aaaaaaaa",
    f"v01.1 pending try 0 for {KEY} #aaaaaaaa",
    f"v\u0661.1 pending try 0 for {KEY} #aaaaaaaa",
    f"v1.1 done try 0 for {KEY} because x #aaaaaaaa",
    f"v1.1 error try 0 for {KEY} result x #aaaaaaaa",
    "v1.7 draft #aaaaaaaa",
]


# --- leases ----------------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *["v1.1", "v12.30", "draft", "pending", "held", "done", "error", "dead", "host/a", "until", "try", "after", KEY],
        *["for"],
        *["2026-11-22T12:00:00.000Z", "2026-11-22T12:00:00.000", "result", "because", "x", "0", "1", "99999999999"],
        *["#aaaaaaaa", ""],
    ]
)  # fmt: skip
LEASES = (
    st.lists(PIECES | st.text(max_size=5), max_size=14).map(" ".join)
    | st.tuples(st.sampled_from(BAD_LEASES), st.integers(0, 60), st.text(max_size=3)).map(
        lambda given: given[0][: given[1]] + given[2] + given[0][given[1] :]
    )
    | st.from_regex(
        r"v[1-9]\d{0,3}\.\d{1,2} (pending|held a/b|done|error|dead)( until 2[0-9]{3}-[01]\d-[0-3]\dT[0-2]\d:00:00\.000Z)?"
        r" try \d{1,2}( after 2[0-9]{3}-[01]\d-[0-3]\dT[0-2]\d:00:00\.000Z)? for k( (result|because) [a-z# ]{0,9})? #[a-f0-9]{8}",
        fullmatch=True,
    )
)


@given(LEASES)
def test_a_lease_is_read_only_if_it_would_be_written_so(text: str) -> None:
    encoded = decode_lease(text)
    if encoded and encoded.lease:
        row = new_video(1, id=encoded.row_id, key=encoded.key, lease=encoded.lease)
        assert encode_lease(row) == text
    elif encoded:
        assert encode_draft(encoded.row_id, text.rpartition("#")[2]) == text


@pytest.mark.parametrize("text", BAD_LEASES)
def test_what_is_never_written_is_not_read(text: str) -> None:
    assert decode_lease(text) is None


def test_rows_with_bad_leases_are_set_apart_and_the_others_processed(desk: SheetDesk) -> None:
    queue = desk.queue()
    count = len(BAD_LEASES)
    queue.add(VIDEO_TASKS, [a_video(number) for number in range(1, count + 3)])
    queue.add(SOURCES, [new_source(1), new_source(2)])
    desk.show()
    for number, text in enumerate(BAD_LEASES, 1):
        desk.person.edit(VIDEOS, number, "Lease", text)
    desk.person.edit(SOURCE_TAB, 1, "Lease", BAD_LEASES[0])
    other = desk.queue("other")
    desk.look_again(other)
    desk.finish(other)
    for number in range(1, count + 1):
        line = desk.line(video_url(number))
        assert (line["Status"], line["LastError"][:17]) == ("error", "unreadable-lease:"), BAD_LEASES[number - 1]
    assert other.counts(VIDEO_TASKS) == {State.ERROR: count, State.DONE: 2}
    assert other.counts(SOURCES) == {State.ERROR: 1, State.PENDING: 1}
    assert len(list(other.rows(VIDEO_TASKS))) == count + 2
    assert other.store.tally([SOURCES, VIDEO_TASKS], date(2026, 1, 1))
    assert [claim.row.id for claim in other.claim(SOURCES, 5)] == [2]


@pytest.mark.parametrize("number", ["999999999999999", "999999999999", "9" * 5000, "\u0661\u0662"])
def test_a_forged_number_does_not_make_ids_that_no_lease_can_have(desk: SheetDesk, number: str) -> None:
    queue = desk.queue()
    queue.add(VIDEO_TASKS, [a_video(1), a_video(2)])
    desk.show()
    desk.person.edit(VIDEOS, 1, "Lease", f"v{number}.1 pending try 0 for {KEY} #aaaaaaaa")
    desk.person.edit(VIDEOS, 1, "ID", number)
    desk.person.insert_row("Control", 1, {"Name": "next video_tasks", "Lease": f"next video_tasks {number}"})
    other = desk.queue("other")
    desk.look_again(other)
    added = other.add(VIDEO_TASKS, [a_video(number) for number in range(3, 6)])
    assert all(row_id is not None and row_id < 10**13 for row_id in added)
    desk.finish(other)
    assert [desk.line(video_url(number))["Status"] for number in range(2, 6)] == ["done"] * 4


# --- other cells -----------------------------------------------------------------------------------------------------

TIMES = (
    st.text(max_size=40)
    | st.datetimes().map(str)
    | st.from_regex(r"(0001|9999)-(01-01|12-31)[T ](00:00|23:59):59[+-](12|14|23):(00|59)", fullmatch=True)
    | st.text(alphabet="0123456789-:./TZ+ APM", max_size=25)
)


@given(TIMES)
def test_a_time_is_read_in_utc_or_not_at_all(text: str) -> None:
    time = parse_time(text)
    assert time is None or time.utcoffset() == timedelta(0)
    assert isinstance(format_utc(time), str)


@given(st.text(max_size=5) | st.integers().map(str) | st.just("9" * 5000))
def test_a_number_is_one_that_can_be_stored_or_none(text: str) -> None:
    number = whole_number(text)
    assert number is None or 0 <= number < 2**63


@given(
    column=st.sampled_from(sorted(COLUMNS)),
    text=st.text() | TIMES | st.sampled_from(["9" * 400 + ":00:00", "9" * 5000, "nan"]),
)
def test_a_filter_is_read_or_one_clear_line(column: str, text: str) -> None:
    source = new_source(1, extra={column: text})
    problem = ""
    try:
        filters = Filters.of(source, {})
        assert isinstance(filters.text, str)
        filters.since(NOW)
    except BadFilter as error:
        problem = str(error)
    assert len(problem) <= 1000
    assert not problem or problem.startswith(column)


@given(st.text() | st.text(alphabet="htps:/.[]@%?=&#\\ \tyoutube", max_size=40).map("https://".__add__))
def test_an_address_is_read_or_refused(text: str) -> None:
    for target in (video_target, source_target):
        with suppress(BadUrl):
            assert target(text, allow_other_sites=True).key


# --- Control ---------------------------------------------------------------------------------------------------------

PAUSES = Pauses(first_seconds=900, longest_seconds=366 * 86400)
WORDS = ["paused", "cooling", "probing", "clear", "", "9999", "running", "v1", "paused until 9999-12-31T23:59:59-12:00"]
CONTROLS = st.builds(
    Control.read,
    name=st.sampled_from(["fleet", "minimum version", "cooldown host", "suspicion host", "x"]) | st.text(max_size=9),
    value=st.sampled_from(WORDS) | st.text(max_size=30),
    until=st.none()
    | st.datetimes().map(lambda time: time.replace(tzinfo=UTC))
    | st.just(datetime.max.replace(tzinfo=UTC)),
    reason=st.text(max_size=30),
    pause_seconds=st.integers(),
)


@given(CONTROLS)
def test_a_line_of_control_can_be_worked_with(line: Control) -> None:
    cooldown.is_paused(line, NOW)
    cooldown.is_overdue(line, NOW)
    cooldown.is_understood(line)
    cooldown.is_too_old("1.0", line)
    cooldown.describe(line)
    cooldown.reason_of(line)
    probe = Probe(line=line, before=line)
    cooldown.throttled(line, line.name, NOW, "x", PAUSES)
    cooldown.dated(line, NOW, PAUSES)
    cooldown.probing(line, NOW, "host/a", timedelta(hours=1))
    cooldown.answered(line, probe, "host/a", PAUSES)
    cooldown.throttled_again(line, probe, NOW, "x", PAUSES)
    cooldown.shown([line])
    assert cooldown.paused(line, line.until and NEVER + timedelta(days=364, microseconds=1), "x").until in {None, NEVER}


@pytest.mark.parametrize(
    "until", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "9999-12-31", "1e300", "nan", "9" * 5000]
)
def test_a_bad_until_pauses_and_stops_no_command(desk: SheetDesk, until: str) -> None:
    queue = desk.queue()
    queue.admission = make_admission(queue.store, queue.worker)
    queue.add(VIDEO_TASKS, [a_video(1)])
    lines = [("Fleet", "paused"), ("cooldown host", "cooling"), ("minimum version", "9" * 5000)]
    for name, value in lines:
        lease = f"{name} pause {'9' * 12}"
        desk.person.insert_row(
            "Control", 1, {"Name": name, "Value": value, "Until": until, "Lease": lease if name[0] == "c" else ""}
        )
    desk.clock.advance(31)
    assert queue.claim(VIDEO_TASKS, 1) == []
    assert queue.admission.blocked()
    assert {line.name for line in queue.store.controls()} >= {"fleet", "cooldown host", "minimum version"}


# --- doctor ----------------------------------------------------------------------------------------------------------


def test_doctor_names_every_row_and_line_that_nobody_can_work_with() -> None:
    tab = Tab("video_tasks", 1, "Video Tasks", tuple(TAB_COLUMNS["video_tasks"]), 18, 100)
    lines = [
        [""] * 3 + [""] * (len(tab.header) - 5) + [text, ""]
        for text in (BAD_LEASES[0], encode_lease(new_video(1, id=5)), "")
    ]
    contents: list[Row | str | None] = [
        row_in(VIDEO_TASKS, tab, cells, number) for number, cells in enumerate(lines, 2)
    ]
    control = [list(TAB_COLUMNS["control"]), ["Fleet", "stopp!", "", ""], ["cooldown a", "cooling", "soon", ""]]
    apart = replace(new_video(1, id=7).lease, state=State.ERROR, detail="unreadable-lease: v1")
    rows = [
        *[content for content in contents if content],
        *lines_of_control(control),
        new_source(3, id=3, extra={"TitleMatch": "("}),
        new_video(4, id=7, lease=apart),
    ]
    found = list(check_rows(Config(), rows))
    assert [is_well for is_well, _ in found] == [False] * 5
    text = "\n".join(text for _, text in found)
    for part in ("line 2 of 'Video Tasks'", "cooldown a: Until 'soon'", "fleet: 'stopp!'", "source 3", "video 7"):
        assert part in text
    assert list(check_rows(Config(), [new_source(1), new_video(1)])) == [
        (True, "2 rows and lines of Control can be read")
    ]
    assert list(check_rows(Config(), ["bad"] * 30))[-1] == (False, "10 more rows have such problems")
