"""Addresses for `output_dir`: a folder or object storage is accepted, whatever only looks like one of them is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from youtube_download_coordinator import Config, ConfigError
from youtube_download_coordinator.storage.address import place_address
from youtube_download_coordinator.storage.opening import open_place


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        (" gs://my_bucket.example.org/Irish \n", "gs://my_bucket.example.org/Irish"),
        ("az://container/prefix", "az://container/prefix"),
        ("s3://bucket/한국어", "s3://bucket/한국어"),
        ("media", Path("media")),
        ("/srv/media", Path("/srv/media")),
        ("./s3:", Path("s3:")),
        ("/srv/s3://bucket", Path("/srv/s3:/bucket")),
        ("a/b:c", Path("a/b:c")),
        (Path("media"), Path("media")),
        (" media ", Path(" media ")),
    ],
)
def test_a_place(text: str | Path, address: str | Path) -> None:
    assert place_address(text) == address
    assert Config(output_dir=text).output_dir == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3:foo", "s3: is not a place for files: write s3://bucket/prefix"),
        ("s3:/bucket/prefix", "write s3://bucket/prefix"),
        (Path("s3://bucket/prefix"), "write s3://bucket/prefix"),
        ("S3://bucket", ":// is not a place for files: write s3://bucket/prefix"),
        ("s3a://bucket", "write s3://bucket/prefix"),
        ("r2://bucket", "write s3://bucket/prefix"),
        ("gcs://bucket", "write gs://bucket/prefix"),
        ("abfss://container@account.dfs.core.windows.net/x", "write az://container/prefix"),
        ("azure://container", "write az://container/prefix"),
        ("file:///srv/media", "write only the path of the folder"),
        ("ftp://host/x", "ftp: is not a place for files"),
        ("http://host/x", "http: is not a place for files"),
        ("https://account.blob.core.windows.net/c?sig=hidden", "https: is not a place for files"),
        ("sftp://me:hidden@host/x", "sftp: is not a place for files"),
        ("memory://", "memory: is not a place for files"),
        ("media:2026", r"a local folder of this name is ./media:"),
        ("s3://", "with the name of the bucket"),
        ("s3:///prefix", "with the name of the bucket"),
        ("az://", "with the name of the container"),
        ("s3://-bucket", "with the name of the bucket"),
        ("s3://key:hidden@bucket/prefix", "set keys and options in the provider's own variables"),
        ("s3://bucket/prefix?token=hidden", "set keys and options in the provider's own variables"),
        ("s3://bucket/my%20prefix", "% or spaces"),
        ("s3://bucket/my prefix", "% or spaces"),
        ("s3://bucket//prefix", "must not contain //"),
        ("s3://bucket/a/../b", "must not contain //"),
    ],
)
def test_what_is_no_place_is_refused_in_one_line(text: str | Path, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Config(output_dir=text)
    assert str(caught.value).startswith("output_dir: ")
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)
    if isinstance(text, str):
        with pytest.raises(ConfigError, match=message):
            open_place(text)


def test_a_folder_with_the_name_of_a_scheme_is_opened_as_a_folder() -> None:
    assert open_place(Config(output_dir="./s3:bucket").output_dir).address == str(Path("s3:bucket").absolute())


def test_the_variable_is_read_as_the_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_OUTPUT_DIR", "s3://bucket/prefix/")
    assert Config().output_dir == "s3://bucket/prefix"
    monkeypatch.setenv("YDC_OUTPUT_DIR", "s3:bucket")
    with pytest.raises(ConfigError, match="write s3://bucket/prefix"):
        Config()


@pytest.mark.parametrize("wrong", [None, 7, b"s3://bucket"])
def test_what_is_neither_text_nor_a_path(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"^output_dir: it must be a folder"):
        Config(output_dir=wrong)


def test_files_for_object_storage_are_made_below_the_state(tmp_path: Path) -> None:
    first, second = (Config(output_dir=f"s3://{name}", state_dir=tmp_path).work_dir for name in ("first", "second"))
    assert first != second
    assert first.is_relative_to(tmp_path)
    assert Config(output_dir="media").work_dir == Path("media")
