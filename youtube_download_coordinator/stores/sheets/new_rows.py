"""Give leases to rows that a person has typed or pasted, to thousands of them with one guarded batch.

The first batch copies the old content of a span of Lease cells to slots in Control, and writes drafts into the cells. A draft
contains its slot and the lease that the row will get. Then the lines are read again. A draft belongs to the line on which it is
now, wherever a person has sorted it. The second batch replaces the drafts by their leases. It excludes lines where that would be
wrong: the slot contains the lease of another row, which a person has sorted there, or the URL is not the draft's URL.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from youtube_download_coordinator.errors import BadUrl
from youtube_download_coordinator.models import (
    DUPLICATE,
    IN_THE_LEASE,
    NO_KEY,
    Lease,
    Row,
    Source,
    State,
    Status,
    VideoTask,
)
from youtube_download_coordinator.queue.store import DEAD_LETTERS, SOURCES
from youtube_download_coordinator.queue.tombstones import PURGED_ADVICE
from youtube_download_coordinator.reasons import PURGED, UNKNOWN_STATUS, UNREADABLE_LEASE
from youtube_download_coordinator.stores.sheets.api import Json
from youtube_download_coordinator.stores.sheets.batch_requests import find_replace, settle_drafts
from youtube_download_coordinator.stores.sheets.cells import (
    describe_unknown_status,
    names_of_columns,
    row_values,
    status_text,
)
from youtube_download_coordinator.stores.sheets.guarded_batch import (
    GuardedBatches,
    ImportedCells,
    IndexEntry,
    NothingToDo,
    RowIndex,
)
from youtube_download_coordinator.stores.sheets.key_lines import KeyCells
from youtube_download_coordinator.stores.sheets.layout import CONTROL, Tab, text_cell
from youtube_download_coordinator.stores.sheets.lease_codec import (
    EncodedLease,
    decode_lease,
    encode_draft,
    encode_lease,
    id_and_version_in,
    is_to_be_adopted,
    version_text,
)
from youtube_download_coordinator.stores.sheets.linked_cells import (
    LINKED_ROWS_MAX,
    CellLink,
    WrittenAddresses,
    may_be_a_title,
    read_links,
)
from youtube_download_coordinator.stores.sheets.spreadsheet import DATA_TABS, GROUPS, group_of
from youtube_download_coordinator.text import sanitize, truncate

log = logging.getLogger(__name__)

BATCH_ROWS = 5000
"""The maximum number of rows that one batch adopts."""
BATCH_SPANS = 200
"""The maximum number of spans of adjacent lines that one batch adopts."""
READING_ROUNDS = 5
"""How often drafts are searched again while a person sorts the tab."""

_STATES = {
    "": State.PENDING,
    "pending": State.PENDING,
    "in-progress": State.PENDING,
    "done": State.DONE,
    "error": State.ERROR,
}
"""The state of an adopted row by its Status. No worker holds it, whatever its Status is."""


@dataclass(slots=True)
class Settlement:
    """The replacements of drafts in one batch."""

    lines: dict[str, dict[int, KeyCells]] = field(default_factory=dict)
    """The key cells of the lines that get the lease in their draft, by tab."""
    others: list[str] = field(default_factory=list)
    """The texts that replace other drafts."""
    cells: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    """The texts of the cells that do not show the new lease yet, with their tab and line."""
    addresses: WrittenAddresses = field(default_factory=WrittenAddresses)
    """The addresses of rows whose URL cell shows a title."""

    @property
    def size(self) -> int:
        return sum(map(len, self.lines.values()))


class NewRows:
    """A builder of the batches that adopt rows."""

    def __init__(self, batches: GuardedBatches) -> None:
        self._batches = batches
        self._spreadsheet = batches.spreadsheet
        self.placed: dict[int, str] = {}
        """The drafts of the last batch, by line."""
        self._slots = 0
        """The number of lines of Control that are known to exist for slots."""

    def confirm(self) -> None:
        """Record that the drafts and their slots were written."""
        self._slots = max(self._slots, len(self.placed))

    # --- drafts ------------------------------------------------------------------------------------------------------

    def drafts(self, index: RowIndex, name: str) -> list[Json]:
        """Return the requests that write drafts on the first lines without a lease. Raises NothingToDo."""
        spans = _spans(self._first_lines(name))
        positions = [position for span in spans for position in span]
        self.placed = {}
        if not positions or self.has_drafts:
            raise NothingToDo
        texts, requests = self._intended(name, positions, index)
        tab, control = self._spreadsheet.tab(name), self._spreadsheet.tab(CONTROL)
        if (missing := len(positions) - max(self._slots, control.grid_rows - 1)) > 0:
            requests.append({"appendDimension": {"sheetId": control.sheet_id, "dimension": "ROWS", "length": missing}})
        for span in spans:
            slot = len(self.placed)
            self.placed |= {position: encode_draft(slot + at, texts[slot + at]) for at, position in enumerate(span)}
            source = _lines_of(tab, "Lease", span)
            slots = _lines_of(control, "Slot", range(slot + 1, slot + 1 + len(span)))
            requests.append({"copyPaste": {"source": source, "destination": slots, "pasteType": "PASTE_VALUES"}})
            requests.append(_write_column(tab, "Lease", span[0], [self.placed[position] for position in span]))
        return requests

    def _first_lines(self, name: str) -> list[int]:
        """Return the lines without a lease, as far as the links of their cells can be read at once."""
        snapshot = self._spreadsheet.snapshot(name)
        positions = snapshot.without_readable_lease()[:BATCH_ROWS]
        titles = 0
        for index, position in enumerate(positions):
            url = snapshot.key_cells[position].url
            titles += may_be_a_title(self._spreadsheet.key_or_none(name, url), url)
            if titles > LINKED_ROWS_MAX:
                return positions[:index]
        return positions

    @property
    def has_drafts(self) -> bool:
        """Return whether any tab has a draft, so that the slots are in use."""
        snapshots = self._spreadsheet.snapshots.values()
        return any(encoded.lease is None for snapshot in snapshots for _, encoded in snapshot.leases())

    def _intended(self, name: str, positions: Sequence[int], index: RowIndex) -> tuple[list[str], list[Json]]:
        """Return the lease for each line, and the requests that raise the next ID.

        A row keeps an ID that was typed in, so that the SourceID of a video still names its source, unless another row has it.
        New IDs are higher than all typed-in IDs.
        """
        snapshot, used = self._spreadsheet.snapshot(name), self.used_ids(GROUPS[group_of(name)])
        imported = {position: _own_cells(snapshot.key_cells[position], index, name, position) for position in positions}
        kept: dict[int, int] = {}
        for position, (row_id, _) in imported.items():
            if row_id and row_id not in used:
                kept[position] = row_id
                used.add(row_id)
        first, requests = self._batches.take_ids(index, group_of(name), len(positions) - len(kept))
        new_ids = iter(range(first, first + len(positions)))
        leases = []
        for position in positions:
            cells = snapshot.key_cells[position]
            own_id = kept.get(position) or next(new_ids)
            is_own = imported[position] is not _NOT_OWN
            status, tries = (cells.status, imported[position].tries) if is_own else ("", 0)
            before = [id_and_version_in(text)[1] for text in (cells.shown, cells.lease) if text]
            version = max(before) + 1 if is_own and before else 0
            lease = self.first_lease(name, own_id, cells.url, status, index, tries=tries, version=version)
            leases.append(self._after_its_holder(lease) if version and _is_in_progress(status) else lease)
        return leases, requests

    def _after_its_holder(self, text: str) -> str:
        """Return the lease for a row that lost its lease while in progress. It is not due until its holder must know that."""
        encoded = decode_lease(text)
        if encoded is None or encoded.lease is None or encoded.lease.state is not State.PENDING:
            return text
        not_before = self._spreadsheet.connection.now().replace(microsecond=0) + self._spreadsheet.config.lease
        lease = replace(encoded.lease, not_before=not_before)
        return encode_lease(VideoTask(id=encoded.row_id, key=encoded.key, url="", lease=lease))

    def used_ids(self, names: Iterable[str]) -> set[int]:
        """Return every ID of a row, of a draft, or of a row whose lease a draft covers."""
        slots = self._spreadsheet.control.column("Slot") if self.has_drafts else ()
        covered = {encoded.row_id for text in slots if (encoded := decode_lease(text))}
        return covered | {encoded.row_id for name in names for _, encoded in self._spreadsheet.snapshot(name).leases()}

    def first_lease(
        self, name: str, row_id: int, url: str, status: str, index: RowIndex, *, tries: int = 0, version: int = 0
    ) -> str:
        """Return the first lease of a typed-in row."""
        try:
            key = self._spreadsheet.key_of(name, url)
        except BadUrl as error:
            problem = f"bad-url: {truncate(str(error), 200)}; correct URL, and type pending into Status"
            return self.encode(row_id, NO_KEY, State.ERROR, problem, version, tries)
        is_video = name != SOURCES.name
        if is_video and self._batches.tombstones.buried_keys([key], index.numbers):
            return self.encode(row_id, key, State.ERROR, f"{PURGED}: {PURGED_ADVICE}", version)
        known_id = index.keys[group_of(name)].setdefault(key, IndexEntry(row_id, "")).row_id
        if known_id != row_id:
            return self.encode(row_id, key, State.ERROR, f"{DUPLICATE}{known_id}", version)
        state = _STATES.get(status.strip().lower())
        if state is None:
            problem = f"{UNKNOWN_STATUS}: {describe_unknown_status(status)}"
            return self.encode(row_id, key, State.ERROR, problem, version, tries)
        is_dead = name == DEAD_LETTERS.name and state is State.ERROR
        return self.encode(row_id, key, State.DEAD if is_dead else state, "", version, tries)

    def encode(self, row_id: int, key: str, state: State, detail: str, version: int = 0, tries: int = 0) -> str:
        """Return a new lease as text."""
        nonce = self._spreadsheet.nonce()
        lease = Lease(version=version, state=state, tries=tries, detail=truncate(detail), nonce=nonce)
        return encode_lease(VideoTask(id=row_id, key=key, url="", lease=lease))

    # --- settling ----------------------------------------------------------------------------------------------------

    def settlement(self, index: RowIndex, result: Settlement) -> list[Json]:
        """Return the requests that replace every draft. Raises NothingToDo."""
        result.lines, result.others, result.cells, result.addresses = {}, [], [], WrittenAddresses()
        drafts = {name: self._read_drafts(name) for name in DATA_TABS}
        links = self._read_links(drafts, index)
        slots = self._spreadsheet.control.column("Slot")
        requests: list[Json] = []
        for name, lines in drafts.items():
            area = self._spreadsheet.tab(name).area("Lease")
            used = self.used_ids(GROUPS[group_of(name)]) if lines else set()
            for position, values in lines.items():
                text = self._settled(name, values, slots, used)
                if text is not None:
                    result.others.append(text)
                    requests.append(find_replace(values["Lease"], text, area))
                elif link := links.get(name, {}).get(position):
                    text = self._linked(name, values, link, index)
                    requests.append(find_replace(values["Lease"], text, area))
                    self._accept(name, position, values, text, result, link.address)
                else:
                    self._accept(name, position, values, _intended(values), result)
            if result.lines.get(name):  # after the others, which are no longer drafts
                requests.append(settle_drafts(area))
        if not requests:
            raise NothingToDo
        return [*requests, *self._shown(result.cells)]

    def _read_links(
        self, drafts: Mapping[str, Mapping[int, Mapping[str, str]]], index: RowIndex
    ) -> dict[str, dict[int, CellLink]]:
        """Return the links of the lines with a draft that may show a title."""
        intended = {
            (name, position): encoded
            for name, lines in drafts.items()
            for position, values in lines.items()
            if (encoded := decode_lease(_intended(values))) is not None
        }
        titles: dict[str, list[int]] = {}
        for (name, position), encoded in intended.items():
            if may_be_a_title(encoded.key, drafts[name][position]["URL"]):
                titles.setdefault(name, []).append(position)
        links = read_links(self._spreadsheet, titles)
        for (name, position), encoded in intended.items() if links else ():
            if position not in links.get(name, {}):
                index.keys[group_of(name)].setdefault(encoded.key, IndexEntry(encoded.row_id, ""))
        return links

    def _linked(self, name: str, values: Mapping[str, str], link: CellLink, index: RowIndex) -> str:
        """Return the first lease of a row whose URL cell has a link."""
        encoded = decode_lease(_intended(values))
        lease = encoded.lease if encoded else None
        if encoded is None or lease is None:
            raise NothingToDo
        if link.problem:
            return self.encode(encoded.row_id, NO_KEY, State.ERROR, f"bad-url: {link.problem}", lease.version)
        imported = ImportedCells.parse(values["ID"], values["RetryCount"])
        status = values["Status"] if _is_own(values["Shown"], imported) else ""
        return self.first_lease(
            name, encoded.row_id, link.address, status, index, tries=lease.tries, version=lease.version
        )

    def _read_drafts(self, name: str) -> dict[int, dict[str, str]]:
        """Return the cells of every line with a draft, by column name. Raises NothingToDo if a person keeps sorting the tab."""
        for _ in range(READING_ROUNDS):
            snapshot = self._spreadsheet.snapshot(name)
            expected = {
                position: snapshot.key_cells[position].lease
                for position, encoded in snapshot.leases()
                if encoded.lease is None
            }
            if not expected:
                return {}
            header = self._spreadsheet.tab(name).header
            lines = self._spreadsheet.read_lines(name, list(expected))
            values = {at: dict(zip(header, [*cells, *[""] * len(header)], strict=False)) for at, cells in lines.items()}
            if lines and all(values[position]["Lease"] == text for position, text in expected.items()):
                return values
            self._spreadsheet.reload([name], if_older_than_seconds=0)
        raise NothingToDo

    def _settled(self, name: str, values: Mapping[str, str], slots: Sequence[str], used: set[int]) -> str | None:
        """Return the text that replaces a draft, or None if it is the lease in the draft."""
        draft = decode_lease(values["Lease"])
        if draft is None:
            raise NothingToDo
        covered = slots[draft.slot] if draft.slot < len(slots) else ""
        if decode_lease(covered):
            return covered
        if not values["URL"].strip():
            return ""
        if not is_to_be_adopted(covered):
            return self._set_apart(name, draft.row_id, values, covered, used)
        return None if self._fits(name, values, draft) else ""  # it is adopted again

    def _fits(self, name: str, values: Mapping[str, str], draft: EncodedLease) -> bool:
        """Return whether a draft was made for the row on whose line it is."""
        intended = decode_lease(draft.intended)
        return intended is not None and intended.key == self._spreadsheet.key_or_none(name, values["URL"])

    def _set_apart(self, name: str, row_id: int, values: Mapping[str, str], covered: str, used: set[int]) -> str:
        """Return an error lease for a row whose Lease cell cannot be read.

        A newer version may have written it, or a person may have edited it. As a new row, the video might be processed twice. The
        row keeps the ID in the unreadable lease unless another row has it.
        """
        own_id, version = id_and_version_in(covered)
        # Higher than the shown version, because otherwise Status would be treated as a person's request.
        version = max(version, id_and_version_in(values["Shown"])[1]) + 1
        if own_id and own_id not in used:
            row_id = own_id
            used.add(own_id)
        log.warning(
            "row %d in %s has a Lease cell that cannot be read, so it is set apart: %s", row_id, name, sanitize(covered)
        )
        key = self._spreadsheet.key_or_none(name, values["URL"])
        state = State.DEAD if name == DEAD_LETTERS.name else State.ERROR
        return self.encode(row_id, key, state, f"{UNREADABLE_LEASE}: {sanitize(covered)}", version)

    def _accept(
        self, name: str, position: int, values: Mapping[str, str], text: str, result: Settlement, link: str = ""
    ) -> None:
        """Add a line that gets the lease `text`, with its cells that do not show it. `link` is the link of its URL cell."""
        encoded = decode_lease(text)
        if encoded is None or encoded.lease is None:
            return
        row_type: type[Row] = Source if name == SOURCES.name else VideoTask
        wanted = row_values(row_type(id=encoded.row_id, key=encoded.key, url="", lease=encoded.lease))
        own_result = "Result" if encoded.lease.state is State.DONE else ""  # it may be too long for a lease
        names = [column for column in names_of_columns(row_type, IN_THE_LEASE) if column != own_result]
        different = {column: wanted[column] for column in names if values.get(column, wanted[column]) != wanted[column]}
        url = values["URL"]
        if link and encoded.key != NO_KEY:
            result.addresses.add(self._spreadsheet, name, encoded.row_id, link)
            different |= {"URL": link} | ({"Title": url} if values.get("Title") == "" else {})
            url = link
        result.cells.append((name, position, different))
        shown = version_text(encoded.row_id, encoded.lease)
        cells = KeyCells(text, status_text(encoded.lease.state), shown, url)
        result.lines.setdefault(name, {})[position] = cells

    def _shown(self, cells: Iterable[tuple[str, int, Mapping[str, str]]]) -> Iterator[Json]:
        """Yield the requests that write cells, with one request for adjacent lines of a column."""
        columns: dict[tuple[str, str], dict[int, str]] = {}
        for name, position, texts in cells:
            for column, text in texts.items():
                columns.setdefault((name, column), {})[position] = text
        for (name, column), by_line in columns.items():
            for span in _spans(sorted(by_line), most_spans=len(by_line)):
                tab = self._spreadsheet.tab(name)
                yield _write_column(tab, column, span[0], [by_line[position] for position in span])


_NOT_OWN = ImportedCells()


def _own_cells(cells: KeyCells, index: RowIndex, name: str, position: int) -> ImportedCells:
    """Return the cells that an adopted row keeps, or _NOT_OWN if they belong to another row, which a person has sorted away.

    A line without a lease that shows a lease's version has lost it, if its ID is the one in that version.
    """
    imported = index.imported.get(name, {}).get(position, ImportedCells())
    return imported if _is_own(cells.shown, imported) else _NOT_OWN


def _is_own(shown: str, imported: ImportedCells) -> bool:
    return not shown or (imported.row_id is not None and id_and_version_in(shown)[0] == imported.row_id)


def _is_in_progress(status: str) -> bool:
    return status.strip().lower() == Status.IN_PROGRESS


def _intended(values: Mapping[str, str]) -> str:
    """Return the lease that will replace a draft."""
    draft = decode_lease(values["Lease"])
    return draft.intended if draft else ""


def _spans(positions: Sequence[int], most_rows: int = BATCH_ROWS, most_spans: int = BATCH_SPANS) -> list[range]:
    """Return the first lines as spans of adjacent lines."""
    spans: list[range] = []
    for position in positions[:most_rows]:
        if spans and position == spans[-1].stop:
            spans[-1] = range(spans[-1].start, position + 1)
        elif len(spans) < most_spans:
            spans.append(range(position, position + 1))
        else:
            break
    return spans


def _lines_of(tab: Tab, column: str, span: range) -> Json:
    """Return the GridRange of some lines of a column."""
    return {**tab.area(column), "startRowIndex": span.start, "endRowIndex": span.stop}


def _write_column(tab: Tab, column: str, first: int, texts: Sequence[str]) -> Json:
    """Return the request that writes texts into adjacent lines of a column."""
    start = {"sheetId": tab.sheet_id, "rowIndex": first, "columnIndex": tab.column(column)}
    rows = [{"values": [text_cell(text)]} for text in texts]
    return {"updateCells": {"start": start, "rows": rows, "fields": "userEnteredValue"}}
