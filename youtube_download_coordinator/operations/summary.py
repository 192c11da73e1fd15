"""Convert an overview to a page of tables, for the sheet's tab Dashboard, Prefect's artifact, `ydc status` and `ydc report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import floor
from typing import TYPE_CHECKING

from youtube_download_coordinator.models import WORDS, State
from youtube_download_coordinator.operations.estimate import Estimate
from youtube_download_coordinator.operations.overview import Overview
from youtube_download_coordinator.operations.space import Space, describe_bytes
from youtube_download_coordinator.queue.cooldown import ControlValue
from youtube_download_coordinator.reasons import advice, degradation
from youtube_download_coordinator.status_page import Cell, Page, Section
from youtube_download_coordinator.text import format_utc

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config

ROWS_MAX = 25
"""The maximum number of rows of a table. One more row contains the sum of the others."""
UNNAMED = "(none)"
"""The text for videos without an accent or a type."""
WHOLE_HOUR = timedelta(minutes=55)
"""The age from which the claims are called those of the last hour."""
WHOLE_HOURS_FROM = 100
"""The number of hours from which parts of an hour are not shown."""
DAYS_ALONE = 30
"""The number of days from which hours are not shown."""
OFFER_IT = "a machine with that in YDC_OFFERS claims it"
TOTAL = "all"
"""The column with the number of rows in all states."""


def page(overview: Overview, space: Space | None = None) -> Page:
    """Return an overview as tables. `space`: the space for the remaining videos, if it is known."""
    controls = [
        (line.name, line.value or ControlValue.CLEAR.value, format_utc(line.until), line.reason)
        for line in overview.controls
    ]
    sections = [
        Section("Fleet", ("Line", "State", "Until", "Why"), controls),
        _rows(overview),
        *_targets(overview.left),
        *_left(overview.left, space),
        _waiting(overview),
        Section("Why rows failed", ("Reason", "In", "What to do", "Rows"), _cut(_reasons(overview), 3)),
        Section("Who holds what", ("Worker", "Rows"), _cut(list(overview.holders.items()), 1)),
        *_degraded(overview),
        *_skipped(overview),
        _by_state("Videos by accent", "Accent", overview.accents),
        _by_state("Videos by type", "Type", overview.types),
    ]
    days = [(f"{day}", videos, round(seconds / 3600, 1)) for day, videos, seconds in overview.days]
    return Page(format_utc(overview.at), sections, Section("Done each day", ("Day", "Videos", "Hours"), days))


def _by_state(title: str, label: str, counts: Mapping[str, Mapping[State, int]]) -> Section:
    rows: list[Sequence[Cell]] = [
        (name or UNNAMED, *(states.get(state, 0) for state in State), sum(states.values()))
        for name, states in counts.items()
    ]
    return Section(title, (label, *(WORDS[state] for state in State), TOTAL), _cut(rows, 1))


def _rows(overview: Overview) -> Section:
    """Return the table of all rows, without the tables that are empty."""
    section = _by_state("Rows", "In", {name: counts for name, counts in overview.counts.items() if counts})
    return section if section.rows else Section("Rows", ("In",), [("the queue is empty",)])


def _degraded(overview: Overview) -> list[Section]:
    """Return the table of videos with degraded files, or no table if there are none."""
    lines = [(reason, degradation(reason), number) for reason, number in overview.degraded.items()]
    return [Section("Done but degraded", ("Reason", "What it means", "Videos"), _cut(lines, 2))] if lines else []


def _skipped(overview: Overview) -> list[Section]:
    """Return the table of videos that the filters on rights have skipped, or no table if there are none."""
    lines = list(overview.skipped.items())
    return [Section("Done but skipped", ("Filter", "Videos"), _cut(lines, 1))] if lines else []


def _targets(left: Estimate) -> list[Section]:
    """Return the table of the accents that have a target, or no table if there are none."""
    rows: list[Sequence[Cell]] = [
        (
            progress.accent,
            f"{_hours(progress.hours * 3600)} of {progress.target_hours:,g} h",
            f"{floor(progress.hours / progress.target_hours * 100):,} %",
            f"{_hours(missing_hours * 3600)} h" if missing_hours else "",
            progress.pending,
        )
        for progress, missing_hours in left.targets
    ]
    header = ("Accent", "Done", "Share", "Not listed yet", WORDS[State.PENDING])
    return [Section("Target hours", header, _cut(rows, 4))] if rows else []


def _left(left: Estimate, space: Space | None) -> list[Section]:
    """Return the table of the remaining videos, or no table if there are none."""
    if not left.videos:
        return []
    up_to = " up to the targets" if left.targets else ""
    so_far = " of those listed so far: sources are still to be listed" if left.is_partial else ""
    rows: list[Sequence[Cell]] = [("videos", f"{left.videos:,}{up_to}{so_far}")]
    if left.media_seconds:
        rows.append(("their playing time", f"about {_hours(left.media_seconds)} h"))
    rows.append(("time left", describe_time_left(left)))
    if space and space.needed_bytes is not None:
        rate = f"{describe_bytes(space.rate.bytes_per_second * 3600)} an hour, {space.rate.basis}"
        rows.append(("space needed", f"about {describe_bytes(space.needed_bytes)} ({rate})"))
        free = f"{describe_bytes(space.free_bytes)} free " if space.free_bytes is not None else ""
        rows.append(("space", f"{free}in {space.place}"))
        rows += [("warning", space.warning)] if space.warning else []
    return [Section("What is left", ("What", "Estimate"), rows)]


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.0f}" if hours >= WHOLE_HOURS_FROM else f"{hours:,.1f}"


def describe_time_left(left: Estimate) -> str:
    """Describe the remaining time, and the pace on which it is based."""
    pace = left.pace
    if not pace.done.videos:
        return "unknown: no video that was claimed in the last hour is done"
    if left.time is None:
        done = f"{pace.done.videos} video{' is' if pace.done.videos == 1 else 's are'} done"
        return f"too early to say: {done}, and the first was claimed {describe_span(pace.span)} ago"
    last = "last hour" if pace.span >= WHOLE_HOUR else f"last {describe_span(pace.span)}"
    machines = f"{pace.machines or 'no'} machine{'s' if pace.machines > 1 else ''} at work"
    media = f" ({_hours(pace.media_hours_per_hour * 3600)} h)" if left.targets and pace.media_hours_per_hour else ""
    rate = f"{pace.videos_per_hour:,.0f} videos{media} an hour"
    return f"about {describe_span(left.time)}, at {rate} ({last}, {machines})"


def describe_span(span: timedelta) -> str:
    """Format a time with its two largest units: `3 d 4 h`."""
    minutes = round(span / timedelta(minutes=1))
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days:,} d {hours} h" if hours and days < DAYS_ALONE else f"{days:,} d"
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes % 60} min"] * bool(minutes % 60)
    return " ".join(parts) or "a minute"


def _waiting(overview: Overview) -> Section:
    oldest = overview.oldest
    rows = [(oldest.name, f"{oldest.id}", format_utc(oldest.not_before))] if oldest else []
    return Section("Waits longest", ("Video", "ID", "Since"), rows)


def _reasons(overview: Overview) -> list[Sequence[Cell]]:
    failed = [
        (number, table, reason) for table, counts in overview.reasons.items() for reason, number in counts.items()
    ]
    waiting: list[Sequence[Cell]] = [
        (f"waits for {need}", "videos", OFFER_IT, number) for need, number in overview.waiting.items()
    ]
    return waiting + [(reason, table, advice(reason), number) for number, table, reason in sorted(failed, reverse=True)]


def _cut(rows: Sequence[Sequence[Cell]], texts: int) -> list[Sequence[Cell]]:
    """Return the first ROWS_MAX rows, and a row with the sums of the others. The first `texts` columns contain text."""
    kept, others = list(rows[:ROWS_MAX]), rows[ROWS_MAX:]
    if others:
        columns = zip(*(row[texts:] for row in others), strict=True)
        sums = (sum(number for number in column if isinstance(number, int)) for column in columns)
        kept.append((f"{len(others)} others", *[""] * (texts - 1), *sums))
    return kept


def show_dashboard(config: Config, page: Page) -> None:
    """Write a report into the sheet's tab Dashboard. Do nothing if the queue is a database.

    Raises StoreError if the tab cannot be written, and ConfigError if a person must change something first.
    """
    if config.spreadsheet_id:
        from youtube_download_coordinator.stores.sheets import show_dashboard as write_tab

        write_tab(config, page)
