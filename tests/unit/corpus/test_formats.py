"""Manifests in all formats, opened by the programs that they are for."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.manifests import make_files, offline_datasets, recording, write_in
from youtube_download_coordinator.corpus.formats import FORMATS, FormatName
from youtube_download_coordinator.corpus.recordings import Segment

CORPUS = [recording(number) for number in range(1, 41)]
SECONDS = sum(each.seconds or 0 for each in CORPUS)
NASTY = "=1+1\n\"two\" \u2028 'three' \x00 \ud83d four\x1b[31m"
ALL = pytest.mark.parametrize("name", list(FORMATS))


def lines_of(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    return [json.loads(line) for line in content.decode().splitlines()]  # U+2028 would end a line here


def table_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@ALL
def test_the_same_recordings_give_the_same_bytes(name: FormatName, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_in(tmp_path / folder, CORPUS, format=name)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != {}


@pytest.mark.parametrize("name", ["nemo", "audiofolder", "csv"])
def test_ten_new_recordings_add_ten_lines(name: FormatName, tmp_path: Path) -> None:
    write_in(tmp_path / "a", CORPUS[:30], format=name)
    write_in(tmp_path / "b", CORPUS, format=name)
    (before,), (after,) = contents(tmp_path / "a").values(), contents(tmp_path / "b").values()
    assert after.startswith(before)
    assert after[len(before) :].count(b"\n") == 10


def test_nemo_has_the_fields_of_its_documented_manifest(tmp_path: Path) -> None:
    """NeMo cannot be installed here: it needs PyTorch. Its documentation asks for a path, a duration and a text in each line."""
    counts = write_in(tmp_path, CORPUS, format="nemo")

    lines = lines_of(tmp_path / "manifest.jsonl")
    assert counts.recordings == len(lines) == 40
    assert counts.seconds == sum(line["duration"] for line in lines) == SECONDS
    assert all(isinstance(line["audio_filepath"], str) and isinstance(line["text"], str) for line in lines)
    assert lines[0] == {
        "audio_filepath": "Irish/00000000001.m4a",
        "duration": 10.25,
        "text": "good morning everybody",
        "lang": "en",
        "accent": "Irish",
        "type": "talk",
        "source_id": 1,
        "channel_id": "UC1",
        "channel": "Channel 1",
        "title": "Talk 1",
        "video_id": "00000000001",
        "url": "https://www.youtube.com/watch?v=00000000001",
        "upload_date": "20260105",
        "license": "Creative Commons Attribution license (reuse allowed)",
        "trainable": "",
        "track": "original",
        "degraded": "",
        "product": "audio-m4a",
        "codec": "mp4a.40.2",
        "sample_rate": 48000,
        "num_channels": 2,
        "bytes": 4001,
        "sha256": f"{1:064x}",
        "caption_lang": "en-IE",
        "row_id": 1,
        "collected_at": "2026-11-29T10:00:00Z",
        "Speaker": "S1",
    }


def test_captions_are_lines_with_offsets(tmp_path: Path) -> None:
    silent = recording(50, segments=(), caption_language="")
    late = recording(51, seconds=3.0, segments=(Segment(1, 2, " "), Segment(2, 9, "cut"), Segment(9, 10, "beyond")))
    counts = write_in(tmp_path, [CORPUS[0], silent, late], format="nemo", segments=True)

    lines = lines_of(tmp_path / "manifest.jsonl")
    assert [(line["offset"], line["duration"], line["text"]) for line in lines] == [
        (0.5, 1.5, "good morning"),
        (2.0, 2.25, "everybody"),
        (2.0, 1.0, "cut"),
    ]
    assert counts.describe("x") == "3 segments of 2 recordings, 4.8 seconds in x; left out: 1 without captions"


def test_datasets_opens_an_audiofolder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = offline_datasets(tmp_path / "cache", monkeypatch)
    make_files(tmp_path / "corpus", CORPUS)
    unknown = recording(41, source_id=None, seconds=None, sample_rate_hz=None, columns={})
    write_in(tmp_path / "corpus", [unknown, *CORPUS], format="audiofolder")

    corpus = datasets.load_dataset("audiofolder", data_dir=str(tmp_path / "corpus"), split="train")
    corpus = corpus.cast_column("audio", datasets.Audio(decode=False))
    assert corpus.num_rows == 41
    assert sum(corpus["duration"]) == SECONDS
    assert Path(corpus[1]["audio"]["path"]) == tmp_path / "corpus" / CORPUS[0].path
    assert corpus[1]["text"] == "good morning everybody"
    assert corpus[1]["Speaker"] == "S1"


def test_datasets_opens_the_splits_of_an_audiofolder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = offline_datasets(tmp_path / "cache", monkeypatch)
    corpus = [recording(number, channel_id=f"UC{number}") for number in range(1, 101)]
    make_files(tmp_path, corpus)
    write_in(tmp_path, corpus, format="audiofolder", split=True)

    names = {split: f"metadata.{split}.jsonl" for split in ("train", "dev", "test")}
    loaded = datasets.load_dataset(
        "audiofolder", data_dir=str(tmp_path), data_files=names, metadata_filenames=list(names.values())
    )
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": 84, "dev": 11, "test": 5}
    dev = loaded["dev"].cast_column("audio", datasets.Audio(decode=False))
    assert all(Path(row["audio"]["path"]).is_file() for row in dev)


def test_an_own_column_is_not_taken_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = offline_datasets(tmp_path / "cache", monkeypatch)
    columns = {"x_file_name": "a", "audio": "b", "File_Name": "c", "TEXT": "d", "duration": "e", "": "f"}
    corpus = [recording(1, columns=columns)]
    make_files(tmp_path, corpus)
    write_in(tmp_path, corpus, list(columns), format="audiofolder")

    (row,) = datasets.load_dataset("audiofolder", data_dir=str(tmp_path), split="train").remove_columns("audio")
    assert (row["text"], row["duration"]) == ("good morning everybody", 10.25)
    assert {name: row[name] for name in row if name.startswith(("column", "x_"))} == {
        "x_file_name_": "a",
        "column_audio": "b",
        "column_File_Name": "c",
        "column_TEXT": "d",
        "column_duration": "e",
        "column": "f",
    }


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_pandas_opens_a_table(name: FormatName, tmp_path: Path) -> None:
    import pandas

    write_in(tmp_path, CORPUS, format=name)
    read: Any = pandas.read_csv if name == "csv" else pandas.read_parquet
    table = read(tmp_path / f"manifest.{name}")
    assert len(table) == 40
    assert table["duration"].sum() == SECONDS
    assert list(table["path"]) == [each.path for each in CORPUS]
    assert table["row_id"].dtype == "int64"


def test_pyarrow_reads_parquet_by_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    monkeypatch.setattr("youtube_download_coordinator.corpus.formats.tables.ROWS_OF_GROUP", 16)
    write_in(tmp_path, [*CORPUS, recording(41, seconds=None)], format="parquet")
    file = parquet.ParquetFile(tmp_path / "manifest.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [16, 16, 9]
    assert file.read().column("duration").null_count == 1


def test_lhotse_opens_its_manifests(tmp_path: Path) -> None:
    """lhotse is not a dependency of the tests, because it needs PyTorch: `pip install lhotse` makes this one run."""
    lhotse = pytest.importorskip("lhotse")
    mono = recording(50, channels=1, segments=())
    write_in(tmp_path, [*CORPUS, mono], format="lhotse", segments=False)

    recordings = lhotse.RecordingSet.from_file(tmp_path / "recordings.jsonl.gz")
    supervisions = lhotse.SupervisionSet.from_file(tmp_path / "supervisions.jsonl.gz")
    lhotse.validate_recordings_and_supervisions(recordings, supervisions)
    assert sum(each.duration for each in recordings) == pytest.approx(SECONDS + 22.5)
    cuts = list(lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions))
    assert len(cuts) == 41
    assert cuts[0].supervisions[0].text == "good morning everybody"
    assert cuts[0].supervisions[0].custom["Speaker"] == "S1"


def test_lhotse_has_the_fields_of_its_documented_manifests(tmp_path: Path) -> None:
    counts = write_in(tmp_path, [*CORPUS, recording(41, sample_rate_hz=None)], format="lhotse", segments=True)

    assert counts.left_out == {"of unknown sample rate": 1}
    recordings, supervisions = (lines_of(tmp_path / f"{name}.jsonl.gz") for name in ("recordings", "supervisions"))
    assert len(recordings) == 40
    assert len(supervisions) == 80
    assert recordings[0] == {
        "id": "1-00000000001.m4a",
        "sources": [{"type": "file", "channels": [0, 1], "source": "Irish/00000000001.m4a"}],
        "sampling_rate": 48000,
        "num_samples": 492000,
        "duration": 10.25,
        "channel_ids": [0, 1],
    }
    custom = supervisions[1].pop("custom")
    assert supervisions[1] == {
        "id": "1-00000000001.m4a-00001",
        "recording_id": "1-00000000001.m4a",
        "start": 2.0,
        "duration": 2.25,
        "channel": [0, 1],
        "text": "everybody",
        "language": "en",
        "speaker": "UC1",
    }
    assert custom["accent"] == "Irish"
    assert custom["Speaker"] == "S1"


def test_no_text_breaks_a_line_or_is_a_formula(tmp_path: Path) -> None:
    nasty = recording(1, title=NASTY, accent="@SUM(1)", columns={"Speaker": NASTY, "=x": "\u2028"}, path="=cmd.m4a")
    for name in ("nemo", "audiofolder", "csv", "lhotse"):
        write_in(tmp_path, [nasty, recording(2, seconds=9)], ["Speaker", "=x"], format=name)

    for file in ("manifest.jsonl", "metadata.jsonl"):
        first, second = lines_of(tmp_path / file)
        assert first["title"] == first["Speaker"] == "=1+1\n\"two\" \n 'three'  ? four[31m"
        assert second["title"] == "Talk 2"
    assert len(lines_of(tmp_path / "recordings.jsonl.gz")) == len(lines_of(tmp_path / "supervisions.jsonl.gz")) == 2
    first_cells, second_cells = table_of(tmp_path / "manifest.csv")
    assert first_cells["path"] == "./=cmd.m4a"
    assert first_cells["accent"] == "'@SUM(1)"
    assert first_cells["title"].startswith("'=1+1\n")
    assert "'=x" in first_cells
    assert second_cells["duration"] == "9"


@pytest.mark.parametrize("name", ["nemo", "audiofolder", "csv", "lhotse", "parquet"])
@settings(deadline=None, max_examples=25)
@given(text=st.text(alphabet=st.characters()), column=st.text(alphabet=st.characters()))
def test_any_text_is_one_line(
    name: FormatName, tmp_path_factory: pytest.TempPathFactory, text: str, column: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    nasty = recording(1, title=text, columns={column: text}, segments=(Segment(0, 1, text),))
    write_in(folder, [nasty, recording(2)], [column], format=name)
    file = folder / FORMATS[name].files[-1]
    if name == "parquet":
        from pyarrow import parquet

        assert parquet.read_table(file).num_rows == 2
    else:
        assert len(table_of(file) if name == "csv" else lines_of(file)) == 2
