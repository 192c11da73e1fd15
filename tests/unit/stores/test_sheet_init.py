"""`ydc init`: what is missing is made, what people have is kept, and doing it twice changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fake_google import Person, Sheet
from tests.support.sheets_setting import SEED_SOURCES, SEED_TABS, SEED_VIDEOS, Setting
from youtube_download_coordinator.errors import ConfigError, StoreError
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets import SheetsStore
from youtube_download_coordinator.stores.sheets.layout import COLUMNS
from youtube_download_coordinator.stores.sheets.setup.prepare import init_spreadsheet

TABS = {
    "Sources": COLUMNS["sources"],
    "Video Tasks": COLUMNS["video_tasks"],
    "Dead-Letter Queue": COLUMNS["dead_letters"],
    "Control": COLUMNS["control"],
}
VIDEO = "https://www.youtube.com/watch?v=UKwSQSFN4Nw"


def state(here: Setting) -> list[dict[str, Any]]:
    """Return everything about every tab."""
    return [
        {
            "title": sheet.title,
            "properties": sheet.properties,
            "rows": here.book.rows(sheet.title),
            "notes": notes(sheet),
            "validations": cells_of(sheet, sheet.validations),
            "formats": cells_of(sheet, sheet.formats),
            "widths": cells_of(sheet, sheet.dimensions["COLUMNS"]),
            "protected": sheet.protected_ranges,
            "colours": sheet.conditional_formats,
        }
        for sheet in here.book.contents.sheets
    ]


def cells_of(sheet: Sheet, layer: Any) -> list[list[Any]]:
    return [layer.row(row, 0, sheet.columns) for row in range(layer.height)]


def notes(sheet: Sheet) -> dict[str, str]:
    """Return the notes of the header, by column."""
    header, line = sheet.values.row(0, 0, sheet.columns), sheet.notes.row(0, 0, sheet.columns)
    return {name: note for name, note in zip(header, line, strict=False) if note}


def rule_of(here: Setting, tab: str, row: int) -> Any:
    sheet = here.book.tab(tab)
    return sheet.validations.get(row, here.header(tab).index("Status"))


def taken_in(here: Setting, **settings: Any) -> list[str]:
    """Return the URLs of the videos, as a worker's store sees them."""
    store = SheetsStore(here.config(**settings))
    urls = [row.url for row in store.scan(VIDEO_TASKS)]
    store.close()
    return urls


# --- what is made ----------------------------------------------------------------------------------------------------


def test_an_empty_spreadsheet_gets_the_tabs_and_their_columns(here: Setting) -> None:
    report = init_spreadsheet(here.config())

    for title, columns in TABS.items():
        assert here.header(title) == list(columns)
        assert here.book.tab(title).frozen("ROWS") == 1
    assert here.book.contents.titled("Sheet1")
    assert report[:4] == [f"made the tab {title!r}" for title in TABS]


def test_the_seeds_tabs_get_our_columns_behind_theirs_and_keep_their_rows(here: Setting) -> None:
    row = ["7", "1", VIDEO, "pending", "", "", "pt-BR", "interview", "61", "0"]
    here.new_book({"Sources": [SEED_SOURCES], "Video Tasks": [SEED_VIDEOS, row], "Dead-Letter Queue": [SEED_VIDEOS]})

    report = init_spreadsheet(here.config())

    assert here.header("Video Tasks")[: len(SEED_VIDEOS)] == SEED_VIDEOS
    assert set(here.header("Video Tasks")) == set(TABS["Video Tasks"])
    assert here.book.rows("Video Tasks")[1] == row
    added = [name for name in TABS["Video Tasks"] if name not in SEED_VIDEOS]
    assert f"added columns to 'Video Tasks': {', '.join(added)}" in report
    assert taken_in(here) == [VIDEO]


def test_twice_changes_nothing_wherever_the_columns_lie(here: Setting) -> None:
    here.new_book(dict(SEED_TABS))
    init_spreadsheet(here.config())
    person = Person(here.book)
    person.move_column("Video Tasks", "Status", 0)
    person.move_column("Video Tasks", "Lease", 2)
    before = state(here)

    assert init_spreadsheet(here.config()) == []
    assert state(here) == before


def test_status_is_a_drop_down_that_lets_other_text_in_and_says_what_it_does(here: Setting) -> None:
    init_spreadsheet(here.config())

    for tab in ("Sources", "Video Tasks", "Dead-Letter Queue"):
        for row in (1, here.book.tab(tab).rows - 1):
            rule = rule_of(here, tab, row)
            values = [value["userEnteredValue"] for value in rule["condition"]["values"]]
            assert values == ["pending", "in-progress", "done", "error"]
            assert (rule["strict"], rule["showCustomUi"]) == (False, True)
            assert "pending" in rule["inputMessage"]
        assert rule_of(here, tab, 0) is None
    assert "run it (again)" in notes(here.book.tab("Video Tasks"))["Status"]


def test_each_status_has_a_colour(here: Setting) -> None:
    init_spreadsheet(here.config())

    for tab in ("Sources", "Video Tasks", "Dead-Letter Queue"):
        rules = here.book.tab(tab).conditional_formats
        coloured = [rule["booleanRule"]["condition"]["values"][0]["userEnteredValue"] for rule in rules]
        assert coloured == ["pending", "in-progress", "done", "error"]
        status = here.header(tab).index("Status")
        assert {rule["ranges"][0]["startColumnIndex"] for rule in rules} == {status}


def test_the_workers_own_columns_are_narrow_and_grey_and_say_so(here: Setting) -> None:
    init_spreadsheet(here.config())

    for tab, names in (("Video Tasks", ("Lease", "Shown")), ("Control", ("Lease", "Slot"))):
        sheet = here.book.tab(tab)
        for name in names:
            at = here.header(tab).index(name)
            assert sheet.dimensions["COLUMNS"].get(at, 0)["pixelSize"] == 40
            look = sheet.formats.get(5, at)
            assert look["textFormat"]["foregroundColorStyle"]["rgbColor"]["red"] == 0.6
            assert look["numberFormat"]["type"] == "TEXT"
            assert "do not edit" in notes(sheet)[name]


def test_header_and_workers_own_columns_are_protected_with_a_warning_only(here: Setting) -> None:
    init_spreadsheet(here.config())

    for tab in TABS:
        protected = here.book.tab(tab).protected_ranges
        assert len(protected) == 3
        assert all(each["warningOnly"] for each in protected)
        header = [each["range"] for each in protected if each["range"].get("endRowIndex") == 1]
        assert len(header) == 1
    columns = {each["range"].get("startColumnIndex") for each in here.book.tab("Video Tasks").protected_ranges}
    assert {here.header("Video Tasks").index(name) for name in ("Lease", "Shown")} <= columns


def test_control_says_what_it_is(here: Setting) -> None:
    init_spreadsheet(here.config())

    assert list(notes(here.book.tab("Control"))) == ["Name", "Value", "Until", "Reason", "Lease", "Slot"]


def test_renamed_tabs(here: Setting) -> None:
    names = {
        "sources_worksheet_name": "Kanäle",
        "video_tasks_worksheet_name": "it's",
        "dead_letter_worksheet_name": "X",
    }
    here.new_book({"Kanäle": [SEED_SOURCES]})

    init_spreadsheet(here.config(**names))

    assert {sheet.title for sheet in here.book.contents.sheets} == {"Kanäle", "it's", "X", "Control"}
    assert here.header("it's") == list(COLUMNS["video_tasks"])
    assert init_spreadsheet(here.config(**names)) == []


# --- what people have is kept ----------------------------------------------------------------------------------------


def test_own_columns_their_order_and_their_cells_stay(here: Setting) -> None:
    header = ["Notes", "URL", "Gender", "Status"]
    here.new_book({"Video Tasks": [header, ["mine", VIDEO, "f", ""]]})

    init_spreadsheet(here.config())

    assert here.header("Video Tasks")[:4] == header
    assert here.book.rows("Video Tasks")[1] == ["mine", VIDEO, "f"]
    assert taken_in(here) == [VIDEO]


def test_own_columns_of_the_videos_are_made_in_the_dead_letters_so_that_a_move_loses_nothing(here: Setting) -> None:
    here.new_book({"Video Tasks": [[*SEED_VIDEOS, "Gender"]], "Dead-Letter Queue": [SEED_VIDEOS]})

    report = init_spreadsheet(here.config())

    assert here.header("Dead-Letter Queue")[-1] == "Gender"
    assert "'Dead-Letter Queue': added your own columns: Gender" in report
    assert "Gender" not in here.header("Sources")


def test_blank_cells_in_the_header_stay_blank(here: Setting) -> None:
    here.new_book({"Sources": [["ID", "", "URL", "", "Mine"], ["", "nameless", VIDEO]]})

    init_spreadsheet(here.config())

    assert here.header("Sources")[:5] == ["ID", "", "URL", "", "Mine"]
    assert here.book.rows("Sources")[1] == ["", "nameless", VIDEO]


def test_data_without_a_columns_name_get_none_of_ours(here: Setting) -> None:
    lines = [["ID", "URL"], ["", VIDEO, "", "a person's", "=1+1"], ["", "", "", "", "", "far out"]]
    here.new_book({"Sources": lines}, columns=8)

    init_spreadsheet(here.config())

    assert here.header("Sources")[:6] == ["ID", "URL", "", "", "", ""]
    assert set(here.header("Sources")) == {*TABS["Sources"], ""}
    assert here.book.rows("Sources")[1:3] == lines[1:]


def test_names_in_another_letter_case_are_found_and_stay_as_they_are(here: Setting) -> None:
    here.new_book({"video tasks": [["id", " Url", "STATUS"], ["", VIDEO, "pending"]]})

    init_spreadsheet(here.config())

    assert here.header("video tasks")[:3] == ["id", " Url", "STATUS"]
    assert not {"ID", "URL", "Status"} & set(here.header("video tasks"))
    assert len(here.book.contents.sheets) == 4
    assert rule_of_at(here, "video tasks", 2)
    assert taken_in(here) == [VIDEO]


def rule_of_at(here: Setting, tab: str, column: int) -> Any:
    return here.book.tab(tab).validations.get(1, column)


def test_a_column_with_the_very_name_is_ours_and_the_other_a_persons(here: Setting) -> None:
    here.new_book({"Video Tasks": [["url", "URL"], ["my own text", VIDEO]]})

    init_spreadsheet(here.config())

    assert here.header("Video Tasks")[:2] == ["url", "URL"]
    assert taken_in(here) == [VIDEO]
    assert here.book.rows("Video Tasks")[1][0] == "my own text"


def test_own_drop_down_colours_notes_widths_and_frozen_rows_stay(here: Setting) -> None:
    here.new_book(dict(SEED_TABS))
    sheet = here.book.tab("Video Tasks")
    status = SEED_VIDEOS.index("Status")
    own_rule = {"condition": {"type": "ONE_OF_LIST", "values": [{"userEnteredValue": "done"}]}, "strict": True}
    for row in range(1, sheet.rows):
        sheet.validations.put(row, status, own_rule)
    area = {"sheetId": sheet.sheet_id, "startColumnIndex": status, "endColumnIndex": status + 1}
    done = {"type": "TEXT_EQ", "values": [{"userEnteredValue": "done"}]}
    pink = {"ranges": [area], "booleanRule": {"condition": done, "format": {"backgroundColor": {"red": 1.0}}}}
    sheet.conditional_formats.append(pink)
    sheet.notes.put(0, status, "mine")
    sheet.set_grid(frozenRowCount=2)

    init_spreadsheet(here.config())

    sheet = here.book.tab("Video Tasks")
    assert rule_of(here, "Video Tasks", 1) == own_rule
    assert sheet.conditional_formats[0] == pink
    assert len(sheet.conditional_formats) == 4
    assert notes(sheet)["Status"] == "mine"
    assert sheet.frozen("ROWS") == 2


def test_what_a_person_undid_of_it_is_made_again_only_where_it_is_gone(here: Setting) -> None:
    init_spreadsheet(here.config())
    sheet = here.book.tab("Sources")
    lease = here.header("Sources").index("Lease")
    sheet.dimensions["COLUMNS"].put(lease, 0, {"pixelSize": 300})
    sheet.conditional_formats.pop(2)

    assert init_spreadsheet(here.config()) == ["'Sources': coloured Status"]
    assert here.book.tab("Sources").dimensions["COLUMNS"].get(lease, 0) == {"pixelSize": 300}


def test_the_drop_down_goes_on_where_the_tab_has_grown(here: Setting) -> None:
    init_spreadsheet(here.config())
    with here.book.edit() as draft:
        sheet = draft.titled("Sources")
        assert sheet
        draft.insert(sheet, "ROWS", sheet.rows, 5, inherit_from_before=False)

    assert init_spreadsheet(here.config()) == ["'Sources': made a drop-down for Status"]
    assert rule_of(here, "Sources", here.book.tab("Sources").rows - 1)


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_two_columns_of_one_name_are_refused_with_their_places(here: Setting) -> None:
    here.new_book({"Video Tasks": [["ID", "URL", "Status", "url", "Url"], ["", VIDEO]]})
    assert init_spreadsheet(here.config())  # the very name is ours, the others a person's

    here.new_book({"Video Tasks": [["ID", "Lease", "URL", "Lease"], ["", "", VIDEO]]})
    with pytest.raises(ConfigError, match="two columns are named Lease, B and D of the tab 'Video Tasks'"):
        init_spreadsheet(here.config())
    with pytest.raises(ConfigError, match="two columns are named Lease"):
        SheetsStore(here.config())
    assert here.header("Video Tasks") == ["ID", "Lease", "URL", "Lease"]


def test_two_own_columns_of_one_name_are_a_persons_business(here: Setting) -> None:
    here.new_book({"Video Tasks": [["URL", "Notes", "Notes"], [VIDEO, "a", "b"]]})

    init_spreadsheet(here.config())

    assert taken_in(here) == [VIDEO]
    assert here.book.rows("Video Tasks")[1][1:3] == ["a", "b"]


def test_an_address_in_the_first_row_is_no_header(here: Setting) -> None:
    here.new_book({"Sources": [[VIDEO]]})

    with pytest.raises(ConfigError, match="first row of the tab 'Sources' holds an address: insert a row"):
        init_spreadsheet(here.config())
    assert here.book.rows("Sources") == [[VIDEO]]


def test_tabs_that_are_to_have_one_name(here: Setting) -> None:
    with pytest.raises(ConfigError, match="four different names: 'control'"):
        init_spreadsheet(here.config(sources_worksheet_name="control"))


def test_a_tab_of_a_header_alone_gets_a_line_to_work_on(here: Setting) -> None:
    here.new_book({"Sources": [list(TABS["Sources"])]}, rows=1)

    init_spreadsheet(here.config())

    assert here.book.tab("Sources").rows > 1
    store = SheetsStore(here.config())
    assert store.scan(SOURCES) == []
    store.close()


def test_two_at_once_put_up_no_second_rule(here: Setting) -> None:
    here.new_book(dict(SEED_TABS))
    other: list[list[str]] = []

    def meanwhile(simulator: object, method: str, book: object) -> None:
        """Run a second `init` between the first one's read and write."""
        if method.endswith("batchUpdate") and here.book.contents.named_ranges and not other:
            other.append([])
            here.simulator.between_requests = None
            here.book.lock.release()
            try:
                other[0] = init_spreadsheet(here.config())
            finally:
                here.book.lock.acquire()

    here.simulator.between_requests = meanwhile
    assert not [line for line in init_spreadsheet(here.config()) if "colour" in line]
    assert [line for line in other[0] if "colour" in line]
    assert len(here.book.tab("Sources").conditional_formats) == 4
    assert len(here.book.tab("Sources").protected_ranges) == 3


def test_an_answer_that_is_lost_does_not_do_it_twice(here: Setting) -> None:
    here.simulator.faults.add("apply_then_reset", path="batchUpdate", times=2)

    init_spreadsheet(here.config())

    assert len(here.book.tab("Sources").conditional_formats) == 4
    assert len(here.book.tab("Sources").protected_ranges) == 3


def test_what_google_refuses_for_good_is_one_clear_error(here: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    init_spreadsheet(here.config())
    here.book.tab("Sources").conditional_formats.clear()
    here.simulator.faults.add("status", path="batchUpdate", status=400, message="no room", times=None)

    with pytest.raises(StoreError, match="could not be prepared: no room"):
        init_spreadsheet(here.config())


# --- from a terminal -------------------------------------------------------------------------------------------------


def test_ydc_init_says_what_it_did_and_nothing_else(here: Setting) -> None:
    done = here.run("init")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "made the tab 'Sources'"

    again = here.run(
        "init", spreadsheet_id=f"https://docs.google.com/spreadsheets/d/{here.book.spreadsheet_id}/edit#gid=0"
    )
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == "everything was ready; nothing was changed\n"


def test_ydc_init_without_a_spreadsheet_is_a_mistake(here: Setting) -> None:
    done = here.run("init", spreadsheet_id=None)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ydc: no spreadsheet is set: set YDC_SPREADSHEET_ID, or give --spreadsheet-id\n"


def test_ydc_init_names_the_account_to_share_with(here: Setting) -> None:
    here.book.share(here.account.email, "nobody")
    done = here.run("init")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"is not shared with {here.account.email}" in line
