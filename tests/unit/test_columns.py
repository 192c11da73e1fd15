"""A column is declared once: one line in models.py brings it into every tab, table, cell, export and sidecar."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import sqlalchemy as sa

import youtube_download_coordinator
from tests.support.rows import new_source, new_video
from tests.support.seed_columns import SEED_SOURCE_COLUMNS, SEED_VIDEO_COLUMNS
from youtube_download_coordinator.models import Column, Row, Source, VideoTask, Writer, columns_of
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sheets.layout import COLUMNS
from youtube_download_coordinator.stores.sql.store import SqlStore
from youtube_download_coordinator.stores.sql.tables import metadata

ROOT = Path(__file__).resolve().parents[2]
DECLARATIONS = {
    "class Source(Row)": """
    views: Annotated[int | None, Column("Views", place=145, writer=Writer.LISTING)] = None
""",
    "class VideoTask(Row)": """
    channel: Annotated[str, Column("Channel", place=115, writer=Writer.INSERT)] = ""
    tested_at: Annotated[datetime | None, Column("TestedAt", place=190, writer=Writer.CLAIM)] = None

    @property
    def tries(self) -> Annotated[int, Column("Tries", place=105, writer=Writer.LEASE)]:
        return self.lease.tries
""",
}


def declare(models: str) -> str:
    """Return the text of models.py with more columns."""
    for start, lines in DECLARATIONS.items():
        before, found, rest = models.partition(start)
        docstring, end, members = rest.partition('"""\n\n')
        assert found
        assert end
        models = f"{before}{found}{docstring}{end}{lines.lstrip(chr(10))}\n{members}"
    return models


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a copy of the library with additional columns does with a database that the library made."""
    folder = tmp_path_factory.mktemp("library")
    database_url = f"sqlite:///{folder}/queue.db"
    with closing(SqlStore(database_url)) as store:
        store.insert(SOURCES, [new_source(1)])
        store.insert(VIDEO_TASKS, [new_video(1)])
    library = folder / "youtube_download_coordinator"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(youtube_download_coordinator.__file__).parent, library, ignore=ignored)
    models = library / "models.py"
    models.write_text(declare(models.read_text(encoding="utf-8")), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-P", "-m", "tests.support.more_columns", database_url],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=dict(os.environ) | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
    )
    assert run.returncode == 0, run.stderr
    result: dict[str, Any] = json.loads(run.stdout)
    assert result["library"].startswith(str(folder))
    return result


def test_a_declared_column_is_shown_at_its_place(seen: dict[str, Any]) -> None:
    now = {"sources": [*Source.column_names()], "videos": [*VideoTask.column_names()]}
    now["sources"].insert(now["sources"].index("ListedWith") + 1, "Views")
    now["videos"].insert(now["videos"].index("RetryCount") + 1, "Tries")
    now["videos"].insert(now["videos"].index("Title") + 1, "Channel")
    assert seen["names"] == {**now, "videos": [*now["videos"], "TestedAt"]}


def test_a_database_gets_a_declared_column_and_keeps_its_rows(seen: dict[str, Any]) -> None:
    old, new = "https://example.org/video-00001", "https://example.org/video-00002"
    assert seen["database"]["videos"] == [
        {"URL": old, "Tries": 0, "Channel": "", "TestedAt": None},
        {"URL": new, "Tries": 0, "Channel": "A channel", "TestedAt": "2026-11-28 12:00:00+00:00"},
    ]
    assert [source["Views"] for source in seen["database"]["sources"]] == [7, 7]


def test_a_sheet_gets_a_declared_column_and_its_cells(seen: dict[str, Any]) -> None:
    sheet = seen["sheet"]
    assert sheet["headers"]["Sources"][len(SEED_SOURCE_COLUMNS) :].count("Views") == 1
    assert {"Channel", "TestedAt", "Tries"} <= set(sheet["headers"]["Video Tasks"][len(SEED_VIDEO_COLUMNS) :])
    assert sheet["cells"] == ["7", "A channel", "2026-11-28T12:00:00Z"]
    (video,) = sheet["rows"]["videos"]
    assert (video["Channel"], video["TestedAt"]) == ("A channel", "2026-11-28 12:00:00+00:00")
    assert [source["Views"] for source in sheet["rows"]["sources"]] == [7]


def test_a_sidecar_gets_what_is_inserted_and_no_more(seen: dict[str, Any]) -> None:
    assert seen["sidecar"]["Channel"] == "Another"
    assert not {"TestedAt", "Tries"} & set(seen["sidecar"])
    assert seen["survives JSON"]


def test_the_tabs_begin_with_the_seeds_columns() -> None:
    ours = ["Title", "NotBefore", "LastError", "Result", "Lease", "Shown"]
    assert list(COLUMNS["video_tasks"]) == [*SEED_VIDEO_COLUMNS, *ours]
    assert COLUMNS["dead_letters"] == COLUMNS["video_tasks"]
    listing = ["Title", "Videos", "CheckedAt", "ListedWith"]
    lease = ["RetryCount", "NotBefore", "LastError", "Key", "Lease", "Shown"]
    assert list(COLUMNS["sources"]) == [*SEED_SOURCE_COLUMNS, *listing, *lease]


@pytest.mark.parametrize("kind", [Source, VideoTask])
def test_no_two_columns_share_a_place_or_a_name(kind: type[Row]) -> None:
    columns = columns_of(kind).shown.values()
    assert len({column.place for column in columns}) == len(columns)
    assert len({column.name.casefold() for column in columns}) == len(columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _WithANumber(VideoTask):
    views: Annotated[int, Column("Views", place=500, writer=Writer.INSERT)] = 0


def test_a_number_that_a_person_could_not_empty_is_refused() -> None:
    with pytest.raises(TypeError, match=r"views: a stored column is str, int | None or datetime | None, not .*int"):
        columns_of(_WithANumber)


def test_a_persons_column_with_the_name_of_ours_hides_nothing() -> None:
    task = new_video(1, id=4, duration_seconds=61, extra={"Duration": "long", "Gender": "f"})
    assert task.columns()["Duration"] == 61
    assert list(task.columns())[-1] == "Gender"


LEASE = {"version": "INTEGER", "state": "TEXT", "tries": "INTEGER", "holder": "TEXT", "detail": "TEXT", "nonce": "TEXT"}
TEXTS = dict.fromkeys(("key", "url", "accent", "type", "title", "extra", "claimed_by"), "TEXT")


@pytest.mark.parametrize(
    ("name", "row_id", "time"),
    [("sqlite", "INTEGER", "DATETIME"), ("postgresql", "BIGINT", "TIMESTAMP WITH TIME ZONE")],
)
def test_databases_have_the_columns_of_the_first_release_and_a_priority(name: str, row_id: str, time: str) -> None:
    dialect = sa.create_mock_engine("postgresql+psycopg://" if name == "postgresql" else "sqlite://", print).dialect
    row = TEXTS | LEASE | {"id": row_id, "claimed_at": time, "act_at": time, "priority": "INTEGER"}
    expected = {
        "sources": row | {"videos": "INTEGER", "checked_at": time, "listed_with": "TEXT"},
        "videos": row | {"place": "TEXT", "source_id": "BIGINT", "duration_seconds": "INTEGER"},
    }
    for table, columns in expected.items():
        found = {column.name: column.type.compile(dialect) for column in metadata.tables[table].columns}
        assert found == columns
        optional = {"claimed_at", "videos", "checked_at", "source_id", "duration_seconds"}
        assert {column.name for column in metadata.tables[table].columns if column.nullable} <= optional
