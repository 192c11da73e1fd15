"""The file that a command writes: what is there before, and what is there afterwards."""

from __future__ import annotations

import os
import pty
import stat
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from youtube_download_coordinator.cli.output import is_stdout, output
from youtube_download_coordinator.errors import UserError

TEXT = "ID,Title\n1,\N{SNOWMAN}\n"


def write(path: Path | str) -> None:
    with output(str(path)) as out:
        out.write(TEXT)


def read_now(descriptor: int) -> str:
    return os.read(descriptor, 65536).decode()


@contextmanager
def opened(path: Path | str, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    yield descriptor
    os.close(descriptor)


def test_a_fifo_is_written_and_stays_one(tmp_path: Path) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link.csv"
    os.mkfifo(fifo)
    link.symlink_to("fifo")
    for path in (fifo, link):
        with opened(fifo, os.O_RDONLY | os.O_NONBLOCK) as reader:
            write(path)
            assert read_now(reader) == TEXT
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [fifo, link]


def test_a_fifo_whose_reader_goes_away_is_one_line(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def write_to_nobody() -> None:
        with output(str(fifo)) as out:
            os.close(reader)
            out.write(TEXT)

    with pytest.raises(UserError, match="cannot be written: Broken pipe"):
        write_to_nobody()
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_terminal_is_a_device_that_is_written_as_a_terminal(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    tty.setraw(terminal)
    link = tmp_path / "terminal"
    link.symlink_to(os.ttyname(terminal))
    with output(str(link)) as out:
        assert out.isatty()  # so control characters in it are replaced
        out.write(TEXT)
    assert read_now(controller) == TEXT
    assert stat.S_ISCHR(link.stat().st_mode)
    os.close(controller)
    os.close(terminal)


@pytest.mark.parametrize("is_link", [False, True])
def test_an_open_descriptor_is_written_at_its_position(tmp_path: Path, is_link: bool) -> None:
    path = tmp_path / "file"
    path.write_text("before\n")
    with opened(path, os.O_WRONLY | os.O_APPEND) as descriptor:
        name = f"/dev/fd/{descriptor}"
        if is_link:
            (tmp_path / "link").symlink_to(name)
        write(tmp_path / "link" if is_link else name)
        os.write(descriptor, b"after\n")
    assert path.read_text() == f"before\n{TEXT}after\n"


def test_a_closed_descriptor_is_one_line(tmp_path: Path) -> None:
    with opened(tmp_path, os.O_RDONLY) as descriptor:
        name = f"/dev/fd/{descriptor}"
    with pytest.raises(UserError, match="cannot be written: Bad file descriptor"):
        write(name)


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_the_standard_output_has_many_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("/dev/stdout")
    assert is_stdout(name)
    write(name)
    assert capsys.readouterr().out == TEXT


def test_a_file_may_have_the_name_of_the_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_stdout("./-")
    write("./-")
    assert (tmp_path / "-").read_text() == TEXT


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o640])
def test_a_file_keeps_its_mode_and_a_link_to_it_stays_one(tmp_path: Path, mode: int) -> None:
    path, link = tmp_path / "data" / "file.csv", tmp_path / "link.csv"
    path.parent.mkdir()
    link.symlink_to("data/file.csv")
    write(link)  # there is no file yet at the end of the link
    path.chmod(mode)
    for name in (path, link):
        path.write_text("old")
        write(name)
        assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (TEXT, mode)
    assert link.is_symlink()
    assert {entry.name for entry in path.parent.iterdir()} == {"file.csv"}


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        write(tmp_path / "new.csv")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new.csv").stat().st_mode) == 0o640


def test_the_old_file_is_there_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("old")

    def write_until_interrupted() -> None:
        with output(str(path)) as out:
            out.write(TEXT * 10_000)
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_until_interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_leads_nowhere_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "gone").symlink_to("nowhere/file")
    with pytest.raises(UserError, match="Too many levels of symbolic links"):
        write(tmp_path / "circle")
    with pytest.raises(UserError, match="No such file or directory"):
        write(tmp_path / "gone")
