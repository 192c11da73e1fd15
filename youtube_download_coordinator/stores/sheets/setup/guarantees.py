"""Test the guarantees on which claiming relies, on a temporary tab of the user's spreadsheet.

Google documents each of them. If one does not hold, the failure is recorded in Control. Then no store opens the spreadsheet until
`ydc doctor` finds that all of them hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from youtube_download_coordinator.errors import StoreError, StoreUnavailable
from youtube_download_coordinator.stores.sheets.api import Connection, Json, Refused
from youtube_download_coordinator.stores.sheets.batch_requests import (
    append_lines,
    find_replace,
    replaced_cells,
    settle_drafts,
)
from youtube_download_coordinator.stores.sheets.guarantee_line import FAILED, OK, write_guarantees
from youtube_download_coordinator.stores.sheets.layout import (
    COLUMNS,
    GUARANTEES,
    Layout,
    LayoutProblem,
    new_tab,
    text_cell,
)
from youtube_download_coordinator.stores.sheets.lease_codec import encode_draft
from youtube_download_coordinator.stores.sheets.setup.races import RIVALS, rivals
from youtube_download_coordinator.stores.sheets.setup.scratch_tab import ScratchTab, scratch_tab
from youtube_download_coordinator.text import format_utc

RACES, THOROUGH_RACES = 2, 10
RACES_A_MINUTE = 4
"""The number of races a minute. A race takes nine of sixty writes a minute, and rivals that wait for the quota do not race."""
REAL_SIZE = 20_000

SPECIAL = "v7.1 pending try 0 for url:https://a.example/?x=*&y=(1+1)[2]^${3}~ because a|b? #k3f9a2c1"
LONG = f"v7.3 done try 0 for url:https://a.example/ result {'=é😀$1 ' * 50} #q1d3aae5"
"""A lease with a long result. Results are truncated to 300 characters."""
REPLACEMENT = "v7.2 done try 0 for url:https://a.example/?x=* result =1+1 $1 \\1 & 'x' \"é\" 😀 1/2 TRUE 1E5 #p0c2zzd4"


class Broken(Exception):
    """Raised when a guarantee does not hold. The message describes what happened instead."""


class Noted(Exception):
    """Raised for a behaviour of Google on which the queue does not rely. The message describes it."""


class ProofResult(Enum):
    HOLDS = "holds"
    FAILS = "fails"
    UNTRIED = "untried"
    NOTED = "noted"


class Proof(NamedTuple):
    """The result of testing one guarantee."""

    name: str
    promise: str
    outcome: ProofResult
    detail: str = ""


class Guarantee(NamedTuple):
    """A guarantee with its test. If it does not hold, Control shows its `name`."""

    name: str
    promise: str
    prove: Callable[[ScratchTab], None]


def prove_all(connection: Connection, *, thorough: bool = False) -> list[Proof]:
    """Test every guarantee on a temporary tab, which is always removed again."""
    with scratch_tab(connection, races=THOROUGH_RACES if thorough else RACES) as scratch:
        return [_prove(guarantee, scratch) for guarantee in (*ALL, *(THOROUGH if thorough else ()))]


def _prove(guarantee: Guarantee, scratch: ScratchTab) -> Proof:
    name, promise, prove = guarantee
    try:
        prove(scratch)
    except Broken as broken:
        return Proof(name, promise, ProofResult.FAILS, str(broken))
    except Noted as note:
        return Proof(name, promise, ProofResult.NOTED, str(note))
    except StoreUnavailable:
        raise
    except StoreError as error:
        return Proof(name, promise, ProofResult.UNTRIED, str(error))
    return Proof(name, promise, ProofResult.HOLDS)


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise Broken(problem)


# --- the proofs ------------------------------------------------------------------------------------------------------


def one_winner(scratch: ScratchTab) -> None:
    """Let rivals increment a cell at the same time.

    The batch of each rival contains every step, the last one first. So exactly one step applies, whatever the cell contains, and
    each rival must find the result of the previous one.
    """
    with rivals(scratch.connection) as race_track:
        for race in range(scratch.races):
            _wait_for_quota(scratch, race)
            leases = [f"v1.{step} held by rival {race} #{scratch.nonce}" for step in range(RIVALS + 1)]
            scratch.put([leases[0]])
            steps = [find_replace(leases[step - 1], leases[step], scratch.area(0)) for step in range(RIVALS, 0, -1)]
            answers = race_track.race([steps] * RIVALS)
            won = sorted(
                RIVALS - index for answer in answers for index in range(RIVALS) if _replaced(answer or {}, index)
            )
            _require(won == list(range(1, RIVALS + 1)), f"{RIVALS} rivals that incremented a cell won the steps {won}")
            texts = scratch.texts(0)
            _require(texts == leases[-1:], f"the cell contains {texts} after {RIVALS} steps")


def _wait_for_quota(scratch: ScratchTab, race: int) -> None:
    if race and race % RACES_A_MINUTE == 0:
        scratch.connection.pause(60.0)


def one_token(scratch: ScratchTab) -> None:
    """Let rivals use the same token at the same time, each to append a line."""
    with rivals(scratch.connection) as race_track:
        lines = ["the first line"]
        scratch.put(lines)
        scratch.write([scratch.add_token(0)])
        for race in range(scratch.races // 2):
            _wait_for_quota(scratch, race)
            texts = [f"v{race}.{rival} pending #{scratch.nonce}" for rival in range(RIVALS)]
            advance = [scratch.delete_token(race), scratch.add_token(race + 1)]
            answers = race_track.race([[*advance, scratch.append(text)] for text in texts])
            lines += [text for text, answer in zip(texts, answers, strict=True) if answer is not None]
            accepted = sum(answer is not None for answer in answers)
            _require(accepted == 1, f"of {RIVALS} batches with the same token {accepted} were accepted")
        texts = scratch.texts(0)
        _require(texts == lines, f"the lines {lines} were appended, but the tab contains {texts}")


def all_or_nothing(scratch: ScratchTab) -> None:
    beyond = {"sheetId": scratch.sheet_id, "rowIndex": 10**6, "columnIndex": 0}
    bad = {"updateCells": {"start": beyond, "rows": [{"values": [text_cell("x")]}], "fields": "userEnteredValue"}}
    _require_refusal(scratch, bad, "a request that is not valid")


def _require_refusal(scratch: ScratchTab, bad: Json, what: str) -> None:
    """Send changes followed by an invalid request. Raises Broken unless Google refuses all of them."""
    scratch.put(["v1.0 pending", "v2.0 pending"], ["", ""])
    cell = {"sheetId": scratch.sheet_id, "rowIndex": 2, "columnIndex": 1}
    write = {"updateCells": {"start": cell, "rows": [{"values": [text_cell("x")]}], "fields": "userEnteredValue"}}
    try:
        scratch.write([find_replace("v1.0 pending", "v1.1 held", scratch.area(0)), write, bad])
    except Refused:
        texts = scratch.texts(0) + scratch.texts(1)
        _require(
            texts == ["v1.0 pending", "v2.0 pending"], f"a batch with {what} was refused, but part of it was applied"
        )
    else:
        raise Broken(f"a batch with {what} was accepted")


def tokens(scratch: ScratchTab) -> None:
    """Use the ID of a named range as a token, and check that the second batch is refused."""
    scratch.write([scratch.add_range("1")])
    _require_refusal(scratch, scratch.add_range("1"), "a named range whose ID exists already")
    _require_refusal(scratch, scratch.delete_range("9"), "the deletion of a named range that does not exist")
    scratch.write([scratch.delete_range("1"), scratch.add_range("2")])
    _require_refusal(scratch, scratch.delete_range("1"), "a token that somebody else has taken")


def sees_what_is_hidden(scratch: ScratchTab) -> None:
    """Swap two leases in a hidden column, one of them on a line that a filter hides."""
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
    _require(_replaced(answer, 0) == 1, "a lease in a hidden column was not found")
    _require(_replaced(answer, 1) == 1, "a lease on a line that a filter hides was not found")
    _require(scratch.texts(1) == ["v1.1 held", "v2.1 held"], f"the cells contain {scratch.texts(1)}")


def checks_one_cell(scratch: ScratchTab) -> None:
    """Swap in a single cell, and check that its content is compared and that no other cell changes."""
    scratch.put(["v1.0 pending", "v2.0 pending", "v1.0 pending"])
    answer = scratch.write(
        [
            find_replace("v2.0 pending", "v2.1 held", scratch.area(0, 1)),
            find_replace("v1.0 pending", "v9.0 error", scratch.area(0, 1)),
        ]
    )
    _require(_replaced(answer, 0) == 0, "a lease was found in a cell that contains another one")
    expected = ["v9.0 error", "v2.0 pending", "v1.0 pending"]
    _require(scratch.texts(0) == expected, f"the cells contain {scratch.texts(0)}")


def text_stays(scratch: ScratchTab) -> None:
    """Swap a text with special characters, and check that only the exact text is found and the new one is stored unchanged."""
    decoys = [SPECIAL.upper(), f"{SPECIAL}0", SPECIAL[:-1], f"{SPECIAL} ", f" {SPECIAL}"]
    scratch.put([SPECIAL, *decoys])
    answer = scratch.write([find_replace(SPECIAL, REPLACEMENT, scratch.area(0))])
    stored = scratch.texts(0)
    _require(_replaced(answer) == 1, f"{_replaced(answer)} cells were treated as the one with the lease")
    _require(stored[0] == REPLACEMENT, f"{REPLACEMENT!r} became {stored[0]!r}")
    _require(stored[1:] == decoys, f"other cells were changed: {stored[1:]}")
    replaced = _replaced(scratch.write([find_replace(REPLACEMENT, LONG, scratch.area(0))]))
    stored = scratch.texts(0)
    _require(replaced == 1 and stored[0] == LONG, f"a lease of {len(LONG)} characters became {stored[0]!r}")


def drafts_become_leases(scratch: ScratchTab) -> None:
    """Replace drafts by their leases with one pattern, as adoption does, and check that no other cell changes."""
    leases = [SPECIAL, LONG, REPLACEMENT]
    others = ["v1.0 pending", f"x{encode_draft(1, SPECIAL)}", "v9.0 draft", SPECIAL]
    drafts = [encode_draft(slot, lease) for slot, lease in enumerate(leases, start=1)]
    requests = [scratch.contents([*drafts, *others]), settle_drafts(scratch.area(0))]
    answer = scratch.write(requests, show=[scratch.a1(0)])
    stored = scratch.read_cells(answer.get("updatedSpreadsheet", {}))
    _require(_replaced(answer, 1) == len(leases), f"{_replaced(answer, 1)} of {len(leases)} drafts were found")
    _require(stored == leases + others, f"the cells contain {stored}")


def merged_cells(scratch: ScratchTab) -> None:
    """Swap a lease in a cell that is merged with the next one."""
    scratch.put(["v1.0 pending", "v2.0 pending"], ["", ""])
    swap = find_replace("v1.0 pending", "v1.1 held", scratch.area(0))
    answer = scratch.write([scratch.merge(line=1), swap, scratch.unmerge()])
    _require(_replaced(answer, 1) == 1, "a lease in a merged cell was not found")
    _require(scratch.texts(0) == ["v1.1 held", "v2.0 pending"], f"the cells contain {scratch.texts(0)}")


def real_size(scratch: ScratchTab) -> None:
    """Swap the last lease of a tab with as many lines as a queue has."""
    scratch.put(["v0.0 pending"])
    scratch.fill(REAL_SIZE, "v1.0 done", last="v2.0 pending")
    answer = scratch.write([find_replace("v2.0 pending", "v2.1 held", scratch.area(0))])
    _require(_replaced(answer) == 1, f"a lease on line {REAL_SIZE} was not found")


def appends(scratch: ScratchTab) -> None:
    """Append lines without a token at the same time, and check that none overwrites another."""
    with rivals(scratch.connection) as race_track:
        scratch.put(["the first line"])
        scratch.connection.pause(60.0)
        texts = [f"v{rival}.0 pending #{scratch.nonce}" for rival in range(RIVALS)]
        race_track.race([[scratch.append(text)] for text in texts])
        count = len(scratch.texts(0)) - 1
        if count != RIVALS:
            raise Noted(
                f"of {RIVALS} lines that were appended at the same time {count} exist. Rows are appended with a token and"
                " are safe; of two lines of Control that are added in the same instant one may be lost: look there after a pause"
            )


def says_what_happened(scratch: ScratchTab) -> None:
    """Check that a response counts the cells that each swap changed, and shows the cells after the batch."""
    scratch.put(["v1.0 pending", "v1.0 pending", "v2.0 pending"])
    swaps = [find_replace(f"v{number}.0 pending", f"v{number}.1 held", scratch.area(0)) for number in (1, 3)]
    answer = scratch.write(swaps, show=[scratch.a1(0)])
    counts = [_replaced(answer, index) for index in range(2)]
    _require(counts == [2, 0], f"swaps of two cells and of none were counted as {counts}")
    shown = scratch.read_cells(answer.get("updatedSpreadsheet", {}))
    _require(shown == ["v1.1 held", "v1.1 held", "v2.0 pending"], f"the answer shows {shown}")


def _replaced(answer: Json, index: int = 0) -> int:
    replies = answer.get("replies", [])
    return replaced_cells(replies[index]) if index < len(replies) else 0


ALL = (
    Guarantee("one winner", f"{RIVALS} swaps of one cell at the same time are applied one after the other", one_winner),
    Guarantee("one token", f"of {RIVALS} guarded batches with one token exactly one is accepted", one_token),
    Guarantee("all or nothing", "a batch with a bad request changes nothing", all_or_nothing),
    Guarantee("tokens", "a named range's ID that exists refuses a whole batch, and a missing one to delete", tokens),
    Guarantee("hidden cells", "findReplace sees hidden columns and filtered lines", sees_what_is_hidden),
    Guarantee("single cell", "findReplace on a single cell checks what is in it", checks_one_cell),
    Guarantee("plain text", "findReplace finds the exact word, and its replacement stays text", text_stays),
    Guarantee("merged cells", "findReplace sees merged cells", merged_cells),
    Guarantee(
        "drafts", "a pattern of findReplace turns drafts into their leases and nothing else", drafts_become_leases
    ),
    Guarantee("answers", "an answer counts the changes and shows the cells behind them", says_what_happened),
)

THOROUGH = (
    Guarantee("real size", f"findReplace sees the last of {REAL_SIZE:,} lines", real_size),
    Guarantee("appends", "lines that are appended at the same time are all kept", appends),
)
"""Guarantees that only `ydc doctor --thorough` tests."""


# --- the line in Control ---------------------------------------------------------------------------------------------


def keep(connection: Connection, layout: Layout, proofs: Sequence[Proof]) -> None:
    """Record the results in Control, where every machine sees them. A guarantee that could not be tested has no effect."""
    failed = [proof.name for proof in proofs if proof.outcome is ProofResult.FAILS]
    if not failed and any(proof.outcome is ProofResult.UNTRIED for proof in proofs):
        return
    control = layout.tabs.get("control")
    if control is None and not failed:
        return  # no earlier result to replace
    value = f"{FAILED}{', '.join(failed)}" if failed else OK
    now = format_utc(connection.now().replace(microsecond=0))
    reason = f"ydc doctor, {now}, on {connection.spreadsheet_id}"
    if control is not None:
        write_guarantees(connection, control, value, reason)
    elif layout.is_used:
        raise LayoutProblem(layout.problem)
    else:
        connection.write(_new_control(connection, {"Name": GUARANTEES, "Value": value, "Reason": reason}))


def _new_control(connection: Connection, values: Mapping[str, str]) -> list[Json]:
    sheet_id = connection.environment.randomness.randrange(1, 2**31 - 1)
    line = {"values": [text_cell(values.get(name, "")) for name in COLUMNS["control"]]}
    return [*new_tab("control", "Control", sheet_id), append_lines(sheet_id, [line])]
