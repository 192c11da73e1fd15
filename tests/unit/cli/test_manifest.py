"""`ydc manifest`: where it writes, and what it reports."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.corpus_rows import Machine, video
from tests.support.rows import make_queue
from youtube_download_coordinator.cli import app
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.stores.sql import SqlStore

Ydc = Callable[..., tuple[str, str]]


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder with the files of three videos that are done, in a working directory of its own."""
    queue = make_queue(SqlStore(f"sqlite:///{tmp_path}/queue.db"))
    machine = Machine(tmp_path / "machine", LocalPlace(tmp_path / "media"), queue)
    for number in (1, 2, 3):
        machine.done(video(number, type="talk" if number == 1 else "song"))
    monkeypatch.setenv("YDC_DATABASE_URL", f"sqlite:///{tmp_path}/queue.db")
    monkeypatch.setenv("YDC_OUTPUT_DIR", str(tmp_path / "media"))
    monkeypatch.setenv("YDC_STATE_DIR", str(machine.state_dir))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "media"


@pytest.fixture
def ydc(capfd: pytest.CaptureFixture[str]) -> Ydc:
    def run(*arguments: object) -> tuple[str, str]:
        code = app(
            ["manifest", *map(str, arguments)],
            result_action="return_value",
            print_error=False,
            exit_on_error=False,
        )
        assert code == 0
        printed = capfd.readouterr()
        return printed.out, printed.err

    return run


def paths(file: Path) -> list[str]:
    return [json.loads(line)["audio_filepath"] for line in file.read_text(encoding="utf-8").splitlines()]


def test_without_a_destination_it_is_published(media: Path, ydc: Ydc) -> None:
    out, _ = ydc()
    assert out == f"3 recordings, 183.8 seconds in {media}/manifest.jsonl\n"
    assert all((media / path).is_file() for path in paths(media / "manifest.jsonl"))

    out, _ = ydc("--format", "csv", "--type", "talk")
    assert out.splitlines() == [
        f"1 recording, 61.2 seconds in {media}/manifest.csv; left out: 2 filtered",
        f"3 recordings, 183.8 seconds in {media}/manifest.jsonl",
    ]
    assert ydc()[0] == out


def test_a_file_names_media_from_its_own_folder(media: Path, ydc: Ydc) -> None:
    (media / "lists").mkdir()
    out, _ = ydc(media / "lists" / "songs.jsonl", "--type", "song")
    assert out == f"2 recordings, 122.5 seconds in {media}/lists/songs.jsonl; left out: 1 filtered\n"
    assert all((media / "lists" / path).is_file() for path in paths(media / "lists" / "songs.jsonl"))

    ydc("outside.jsonl")
    assert all((media / path).is_file() for path in paths(Path("outside.jsonl")))
    ydc("absolute.jsonl", "--absolute")
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in paths(Path("absolute.jsonl")))
    ydc("urls.jsonl", "--urls")
    assert all(path.startswith(f"file://{media}/Irish/") for path in paths(Path("urls.jsonl")))


def test_the_standard_output_has_nothing_else(media: Path, ydc: Ydc) -> None:
    out, err = ydc("-", "--format", "csv", "--split", "channel")
    rows = list(csv.DictReader(out.splitlines()))
    assert len(rows) == 3
    assert len({row["split"] for row in rows}) == 1  # of one channel
    assert err == "3 recordings, 183.8 seconds in the standard output\n"


def test_the_extension_names_the_format(media: Path, ydc: Ydc) -> None:
    ydc("a.csv")
    ydc("a.parquet")
    assert Path("a.csv").read_text(encoding="utf-8").startswith("path,duration,text,lang,accent,")
    assert Path("a.parquet").read_bytes().startswith(b"PAR1")


def test_several_files_are_in_a_folder_or_have_names_of_their_own(media: Path, ydc: Ydc) -> None:
    ydc("lists", "--format", "lhotse")
    assert {path.name for path in Path("lists").iterdir()} == {"recordings.jsonl.gz", "supervisions.jsonl.gz"}
    ydc("lists", "--split", "channel")
    assert len(list(Path("lists").glob("manifest.*.jsonl"))) == 3
    ydc("mine.csv", "--split", "channel")
    assert {path.name for path in Path().glob("mine*")} == {"mine.train.csv", "mine.dev.csv", "mine.test.csv"}


def test_a_pipe_is_written_as_it_is(media: Path, ydc: Ydc, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        ydc(tmp_path / "pipe")
        out, _ = reader.communicate(timeout=60)
    assert len(out.splitlines()) == 3
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--relative", "--urls"], "give only one"),
        (["--format", "audiofolder", "--segments", "captions"], "--segments"),
        (["--format", "audiofolder", "--absolute"], "datasets refuses"),
        (["-", "--format", "parquet"], "cannot be written to a stream"),
        (["-", "--format", "lhotse"], "cannot be written to a stream"),
        (["--text", ""], "--text is empty"),
        (["--min-duration", "-1"], "--min-duration"),
        (["--exlude"], "there is no option --exlude"),
        (["media/lists/", "--format", "audiofolder"], "output_dir itself"),
        (["queue.db", "--format", "lhotse"], "cannot be created"),
        (["nowhere/x.jsonl"], "cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(media: Path, ydc: Ydc, arguments: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        ydc(*arguments)
    assert {path.name for path in media.iterdir()} == {".archive", "Irish"}


def test_parquet_names_the_extra_that_it_needs(media: Path, ydc: Ydc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="install the extra corpus"):
        ydc("a.parquet")
    assert not Path("a.parquet").exists()
