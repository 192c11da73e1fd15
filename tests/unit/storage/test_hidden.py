"""Secrets of object storage: none in an error, its causes, a setting's text, or what a command says with --debug."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from tests.support.object_storage import AZURE_ACCOUNT, BUCKET, SECRET, s3_environment
from tests.support.storage_proxy import FaultKind, StorageProxy
from tests.unit.cli.test_terminal import ydc
from youtube_download_coordinator import Config, ConfigError
from youtube_download_coordinator.errors import PlaceError
from youtube_download_coordinator.storage.object_place import ObjectPlace
from youtube_download_coordinator.storage.opening import open_place

SIGNATURE = "bm90LXRvLWJlLXNob3du"
SAS = f"sv=2021-08-06&ss=b&srt=sco&sp=rwdlc&se=2099-01-01T00%3A00%3A00Z&sig={SIGNATURE}"


def everything_of(error: BaseException | None) -> str:
    """Return what any logger could print of an error: its text, its traceback, its causes and contexts."""
    texts = []
    while error is not None:
        texts += [repr(error), str(error), repr(vars(error)), *traceback.format_exception(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def all_failures(place: ObjectPlace, source: Path) -> list[Callable[[], object]]:
    return [
        lambda: place.put("a", source, content_type="", metadata={}),
        lambda: place.put_if_absent("a", b"1", content_type="", metadata={}),
        lambda: place.get("a"),
        lambda: place.head("a"),
        lambda: list(place.list()),
        lambda: place.delete("a"),
    ]


@pytest.fixture
def sas(s3_proxy: StorageProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign by a SAS token, which is in every address."""
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"{s3_proxy.url}/{AZURE_ACCOUNT}")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", AZURE_ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", SAS)


@pytest.mark.usefixtures("sas")
@pytest.mark.parametrize("kind", get_args(FaultKind))
def test_no_error_contains_a_secret(
    s3_proxy: StorageProxy,
    kind: FaultKind,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    source = tmp_path / "source"
    source.write_bytes(b"sound")
    s3_proxy.fail(kind, "", times=float("inf"))
    failures = []
    for address in (f"s3://{BUCKET}/x", f"az://{BUCKET}/x"):
        place = ObjectPlace(address, patience=timedelta(seconds=0.01))
        for request in all_failures(place, source):
            try:
                request()
            except (PlaceError, FileNotFoundError) as error:
                failures.append(everything_of(error))
        assert not_shown(repr(place) + repr(vars(place)["address"]))
    assert failures
    assert not_shown("".join(failures))
    assert not_shown(caplog.text + "".join(capfd.readouterr()))
    asked = " ".join(str(request) for request in s3_proxy.requests)
    assert SIGNATURE in asked  # so this would have found it


def not_shown(text: str) -> bool:
    return SECRET not in text and SIGNATURE not in text


@pytest.mark.parametrize(
    ("address", "variables"),
    [
        ("gs://bucket", {"GOOGLE_SERVICE_ACCOUNT_KEY": f'{{"private_key": "{SECRET}"'}),
        ("gs://bucket", {"GOOGLE_APPLICATION_CREDENTIALS": f"/nowhere/{SECRET}"}),
        ("az://bucket", {"AZURE_STORAGE_ACCOUNT_NAME": "me", "AZURE_STORAGE_ACCOUNT_KEY": SECRET}),
        ("az://bucket", {"AZURE_STORAGE_ACCOUNT_NAME": "me", "AZURE_STORAGE_SAS_TOKEN": SECRET}),
        ("s3://bucket", {"AWS_ENDPOINT_URL": f"http://me:{SECRET}@minio.example"}),
        (f"s3://me:{SECRET}@bucket", {}),
        (f"https://{AZURE_ACCOUNT}.blob.core.windows.net/x?sig={SECRET}", {}),
    ],
)
def test_no_mistake_in_a_variable_is_repeated(
    address: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    try:
        shown = repr(open_place(address))
    except ConfigError as error:
        shown = everything_of(error)
    assert not_shown(shown)


def test_settings_contain_no_secret(s3_proxy: StorageProxy) -> None:
    config = Config(output_dir=f"s3://{BUCKET}/x")
    assert not_shown(repr(config) + str(config.model_dump()) + config.model_dump_json())


@pytest.mark.slow
def test_what_doctor_says_with_debug_contains_no_secret(s3_proxy: StorageProxy, tmp_path: Path) -> None:
    variables = s3_environment(s3_proxy.url)
    variables |= {
        "YDC_OUTPUT_DIR": f"s3://{BUCKET}/x",
        "YDC_MIN_FREE_DISK_BYTES": "0",
        "PIP_INDEX_URL": "http://127.0.0.1:9",
    }
    s3_proxy.fail("denied", "", times=float("inf"))
    code, out, said = ydc(tmp_path, "doctor", "--processor", "metadata", "--debug", more=variables)
    assert code == 1
    assert "PROBLEM  rights: " in out + said
    assert "the permission to put files is missing (403 AccessDenied): s3:PutObject" in out + said
    assert not_shown(out + said)
