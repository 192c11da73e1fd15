"""What the claim rests on, proved on a scratch tab of the user's own spreadsheet.

Google documents each of these; whether they hold is asked of the very spreadsheet that is to be the queue. Where one does not, a
line in Control says so, and no store starts on that spreadsheet until `ydc doctor` finds that all of them hold.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from enum import Enum
from typing import NamedTuple

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.stores.sheets.api import Connection, Json, Refused
from youtube_download_coordinator.stores.sheets.layout import (
    COLUMNS,
    GUARANTEES,
    Layout,
    Tab,
    new_tab,
    quoted,
    text_cell,
)
from youtube_download_coordinator.stores.sheets.setup.scratch_tab import ScratchTab, scratch_tab
from youtube_download_coordinator.stores.sheets.spreadsheet import control_line, find_replace
from youtube_download_coordinator.text import format_utc

RIVALS = 8
RACES = 2

STRANGE = "v7.1 pending try 0 for url:https://a.example/?x=*&y=(1+1)[2]^${3}~ because a|b? #k3f9a2c1"
STAYS = "v7.2 done try 0 for url:https://a.example/?x=* result =1+1 $1 \\1 & 'x' \"é\" 😀 1/2 TRUE 1E5 #p0c2zzd4"


class Broken(Exception):
    """A guarantee does not hold; the message says what happened instead."""


class ProofResult(Enum):
    HOLDS = "holds"
    FAILS = "fails"
    UNTRIED = "untried"


class Proof(NamedTuple):
    """What came of one guarantee."""

    name: str
    promise: str
    outcome: ProofResult
    detail: str = ""


class Guarantee(NamedTuple):
    """`name` stands in Control when it does not hold."""

    name: str
    promise: str
    prove: Callable[[ScratchTab], None]


def prove_all(connection: Connection) -> list[Proof]:
    """Try every guarantee on a tab that is removed again, whatever happens."""
    with scratch_tab(connection) as scratch:
        return [_prove(guarantee, scratch) for guarantee in ALL]


def _prove(guarantee: Guarantee, scratch: ScratchTab) -> Proof:
    name, promise, prove = guarantee
    try:
        prove(scratch)
    except Broken as broken:
        return Proof(name, promise, ProofResult.FAILS, str(broken))
    except StoreUnavailable:
        raise
    except StoreError as error:
        return Proof(name, promise, ProofResult.UNTRIED, str(error))
    return Proof(name, promise, ProofResult.HOLDS)


def _insist(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


# --- the proofs ------------------------------------------------------------------------------------------------------


def one_winner(scratch: ScratchTab) -> None:
    """Rivals swap the same word in the same instant."""
    for race in range(RACES):
        word = f"v1.{race} pending #{scratch.nonce}"
        scratch.put([word])
        counts = _race(scratch, word, [f"v1.{race} held by {rival} #{scratch.nonce}" for rival in range(RIVALS)])
        winners = [word for word, count in counts.items() if count]
        _insist(len(winners) == 1, f"of {RIVALS} rivals {len(winners)} were told that they had won")
        _insist(scratch.texts(0) == winners, f"the cell holds {scratch.texts(0)} and not the winner's word")


def _race(scratch: ScratchTab, word: str, new_words: Sequence[str]) -> Mapping[str, int]:
    """How many cells each rival was told to have changed."""
    start = threading.Barrier(len(new_words))

    def swap(new_word: str) -> int:
        with closing(scratch.connection.another()) as own:
            start.wait()
            return _occurrences(own.write([find_replace(word, new_word, scratch.area(0))]))

    with ThreadPoolExecutor(len(new_words)) as rivals:
        return dict(zip(new_words, rivals.map(swap, new_words), strict=True))


def all_or_nothing(scratch: ScratchTab) -> None:
    beyond = {"sheetId": scratch.sheet_id, "rowIndex": 10**6, "columnIndex": 0}
    bad = {"updateCells": {"start": beyond, "rows": [{"values": [text_cell("x")]}], "fields": "userEnteredValue"}}
    _must_refuse(scratch, bad, "a request that is not valid")


def _must_refuse(scratch: ScratchTab, bad: Json, what: str) -> None:
    """Changes with a bad request behind them: Google says no, and nothing has changed."""
    scratch.put(["v1.0 pending", "v2.0 pending"], ["", ""])
    cell = {"sheetId": scratch.sheet_id, "rowIndex": 2, "columnIndex": 1}
    write = {"updateCells": {"start": cell, "rows": [{"values": [text_cell("x")]}], "fields": "userEnteredValue"}}
    try:
        scratch.write([find_replace("v1.0 pending", "v1.1 held", scratch.area(0)), write, bad])
    except Refused:
        seen = scratch.texts(0) + scratch.texts(1)
        _insist(seen == ["v1.0 pending", "v2.0 pending"], f"a batch with {what} was refused, and part of it applied")
    else:
        raise Broken(f"a batch with {what} was accepted")


def tokens(scratch: ScratchTab) -> None:
    """The ID of a named range as the token: who comes second is refused."""
    scratch.write([scratch.add_range("1")])
    _must_refuse(scratch, scratch.add_range("1"), "a named range whose ID is there already")
    _must_refuse(scratch, scratch.delete_range("9"), "the deletion of a named range that is not there")
    scratch.write([scratch.delete_range("1"), scratch.add_range("2")])
    _must_refuse(scratch, scratch.delete_range("1"), "a token that somebody else has taken")


def sees_what_is_hidden(scratch: ScratchTab) -> None:
    """A swap finds its word in a hidden column, also in a line that a filter hides."""
    scratch.put(["shown", "hidden"], ["v1.0 pending", "v2.0 pending"])
    try:
        scratch.hide(column=1, lines_with="hidden")
        answer = scratch.write(
            [
                find_replace("v1.0 pending", "v1.1 held", scratch.area(1)),
                find_replace("v2.0 pending", "v2.1 held", scratch.area(1)),
            ]
        )
    finally:
        scratch.show()
    _insist(_occurrences(answer, 0) == 1, "a word in a hidden column was not found")
    _insist(_occurrences(answer, 1) == 1, "a word in a line that a filter hides was not found")
    _insist(scratch.texts(1) == ["v1.1 held", "v2.1 held"], f"the cells hold {scratch.texts(1)}")


def checks_one_cell(scratch: ScratchTab) -> None:
    """A swap of a single cell checks what is in it, and touches no other."""
    scratch.put(["v1.0 pending", "v2.0 pending", "v1.0 pending"])
    answer = scratch.write(
        [
            find_replace("v2.0 pending", "v2.1 held", scratch.area(0, 1)),
            find_replace("v1.0 pending", "v9.0 error", scratch.area(0, 1)),
        ]
    )
    _insist(_occurrences(answer, 0) == 0, "a word was found in a cell that holds another")
    expected = ["v9.0 error", "v2.0 pending", "v1.0 pending"]
    _insist(scratch.texts(0) == expected, f"the cells hold {scratch.texts(0)}")


def text_stays(scratch: ScratchTab) -> None:
    """Exactly the word is found, and what takes its place is the text that was given."""
    decoys = [STRANGE.upper(), f"{STRANGE}0", STRANGE[:-1]]
    scratch.put([STRANGE, *decoys])
    answer = scratch.write([find_replace(STRANGE, STAYS, scratch.area(0))])
    stored = scratch.texts(0)
    _insist(_occurrences(answer) == 1, f"{_occurrences(answer)} cells were taken for the one with the word")
    _insist(stored[0] == STAYS, f"{STAYS!r} became {stored[0]!r}")
    _insist(stored[1:] == decoys, f"other cells were changed: {stored[1:]}")


def says_what_happened(scratch: ScratchTab) -> None:
    """An answer counts what each swap changed, and shows cells as they are behind the batch."""
    scratch.put(["v1.0 pending", "v1.0 pending", "v2.0 pending"])
    swaps = [find_replace(f"v{number}.0 pending", f"v{number}.1 held", scratch.area(0)) for number in (1, 3)]
    answer = scratch.write(swaps, show=[scratch.a1(0)])
    counts = [_occurrences(answer, index) for index in range(2)]
    _insist(counts == [2, 0], f"swaps of two cells and of none were counted as {counts}")
    shown = scratch.read_cells(answer.get("updatedSpreadsheet", {}))
    _insist(shown == ["v1.1 held", "v1.1 held", "v2.0 pending"], f"the answer shows {shown}")


def _occurrences(answer: Json, index: int = 0) -> int:
    replies = answer.get("replies", [])
    return int(replies[index].get("findReplace", {}).get("occurrencesChanged", 0)) if index < len(replies) else 0


ALL = (
    Guarantee("one winner", f"of {RIVALS} identical swaps at the same time exactly one wins", one_winner),
    Guarantee("all or nothing", "a batch with a bad request changes nothing", all_or_nothing),
    Guarantee("tokens", "a named range's ID that exists refuses a whole batch, and a missing one to delete", tokens),
    Guarantee("hidden cells", "findReplace sees hidden columns and filtered lines", sees_what_is_hidden),
    Guarantee("single cell", "findReplace on a single cell checks what is in it", checks_one_cell),
    Guarantee("plain text", "findReplace finds the exact word, and its replacement stays text", text_stays),
    Guarantee("answers", "an answer counts the changes and shows the cells behind them", says_what_happened),
)


# --- the line in Control ---------------------------------------------------------------------------------------------


def keep(connection: Connection, layout: Layout, proofs: Sequence[Proof]) -> None:
    """Write into Control what was found, so that every machine sees it. What could not be tried changes nothing."""
    failed = [proof.name for proof in proofs if proof.outcome is ProofResult.FAILS]
    if not failed and any(proof.outcome is ProofResult.UNTRIED for proof in proofs):
        return
    control = layout.tabs.get("control")
    if control is None and not failed:
        return  # nothing to take back
    moment = format_utc(connection.now().replace(microsecond=0))
    values = {
        "Name": GUARANTEES,
        "Value": f"failed: {', '.join(failed)}" if failed else "ok",
        "Reason": f"ydc doctor, {moment}, on {connection.spreadsheet_id}",
    }
    connection.write(_new_control(connection, values) if control is None else _line(connection, control, values))


def _new_control(connection: Connection, values: Mapping[str, str]) -> list[Json]:
    sheet_id = connection.outside.randomness.randrange(1, 2**31 - 1)
    line = {"values": [text_cell(values.get(name, "")) for name in COLUMNS["control"]]}
    return [
        *new_tab("control", "Control", sheet_id),
        {"appendCells": {"sheetId": sheet_id, "rows": [line], "fields": "userEnteredValue"}},
    ]


def _line(connection: Connection, control: Tab, values: Mapping[str, str]) -> list[Json]:
    """In the place of the line that is there; else a new one."""
    if control.missing:
        raise StoreError(
            f"the tab {control.title!r} lacks {', '.join(control.missing)}: run `ydc init`, then this again"
        )
    (rows,) = connection.values([quoted(control.title)])
    name = control.column("Name")
    places = [at for at, row in enumerate(rows) if at and row[name : name + 1] == [GUARANTEES]]
    if not places:
        line = control_line(control, values)
        return [{"appendCells": {"sheetId": control.sheet_id, "rows": [line], "fields": "userEnteredValue"}}]
    return [_cell(control, at, column, values[column]) for at in places for column in ("Value", "Reason")]


def _cell(control: Tab, row: int, column: str, text: str) -> Json:
    start = {"sheetId": control.sheet_id, "rowIndex": row, "columnIndex": control.column(column)}
    return {"updateCells": {"start": start, "rows": [{"values": [text_cell(text)]}], "fields": "userEnteredValue"}}
