"""`ydc doctor` proves the rights in object storage on a scratch file, with one line for each that is missing."""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.object_storage import BUCKET
from tests.support.storage_proxy import StorageProxy
from youtube_download_coordinator import Config
from youtube_download_coordinator.errors import PreflightError
from youtube_download_coordinator.operations import doctor, preflight
from youtube_download_coordinator.operations.check_place import check_opens, check_rights
from youtube_download_coordinator.operations.examine import examine
from youtube_download_coordinator.storage.object_place import ObjectPlace


def test_all_that_workers_need_works(object_place: ObjectPlace, proxy: StorageProxy) -> None:
    assert list(check_rights(object_place.address)) == [
        (True, f"put, conditional put, get, list and delete work in {object_place.address}")
    ]
    assert list(object_place.list()) == []


RIGHTS = {
    "put": "^PUT",
    "get": r"^(GET [^?]*$|HEAD)",
    "list": r"^GET .*[?&](list-type|comp=list)",
    "delete": "^(DELETE|POST)",
}


@pytest.mark.parametrize("denied", RIGHTS)
def test_each_missing_right_is_one_line(object_place: ObjectPlace, proxy: StorageProxy, denied: str) -> None:
    proxy.fail("denied", RIGHTS[denied], times=float("inf"))
    lines = [text for is_ok, text in check_rights(object_place.address) if not is_ok]
    assert lines
    assert all(f"the permission to {denied} files is missing" in line and "\n" not in line for line in lines)


def test_a_missing_bucket_is_one_line(provider: str, proxy: StorageProxy) -> None:
    ((is_ok, text),) = check_rights(f"{provider}://no-such-bucket")
    assert not is_ok
    assert re.search(r"no-such-bucket does not exist", text)


def test_a_storage_that_overwrites_is_found(s3_proxy: StorageProxy) -> None:
    s3_proxy.forget_conditions = True
    lines = [text for is_ok, text in check_rights(f"s3://{BUCKET}/old") if not is_ok]
    assert len(lines) == 1
    assert "overwrites existing files" in lines[0]


def findings(config: Config) -> dict[str, str]:
    with ExitStack() as stack:
        return {finding.name: str(finding) for finding in examine(doctor.checks(config, stack, "metadata"))}


@pytest.mark.usefixtures("no_index")
def test_doctor_says_what_it_found(s3_proxy: StorageProxy, tmp_path: Path) -> None:
    config = Config(
        output_dir=f"s3://{BUCKET}/doctor", database_url=f"sqlite:///{tmp_path}/q.db", min_free_disk_bytes=0
    )
    lines = findings(config)
    assert lines["storage"] == f"ok       storage: files go to s3://{BUCKET}/doctor"
    assert lines["rights"].startswith("ok       rights: put, conditional put")
    assert "aborts incomplete multipart uploads after a day" in lines["uploads"]


@pytest.mark.usefixtures("no_index")
def test_a_local_folder_has_no_rights_to_prove(tmp_path: Path) -> None:
    config = Config(output_dir=tmp_path, database_url=f"sqlite:///{tmp_path}/q.db", min_free_disk_bytes=0)
    assert not {"storage", "rights", "uploads"} & findings(config).keys()


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep doctor from asking the package index."""
    monkeypatch.setattr(preflight, "check_newest", lambda: "not asked")


def test_without_the_extra_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    config = Config(output_dir="s3://bucket", min_free_disk_bytes=0)
    with pytest.raises(PreflightError, match="s3://bucket needs obstore: pip install obstore") as caught:
        preflight.require(config, "metadata")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "variables", "message"),
    [
        (
            "s3://bucket",
            {"AWS_ENDPOINT_URL": "http://minio.example:9000"},
            "AWS_ENDPOINT_URL is http, .* AWS_ALLOW_HTTP=true",
        ),
        (
            "s3://bucket",
            {"AWS_ENDPOINT_URL": "minio:9000"},
            "AWS_ENDPOINT_URL must be an address like https://host:port",
        ),
        ("s3://bucket", {"AWS_ENDPOINT_URL_S3": "hidden"}, "AWS_ENDPOINT_URL_S3 must be an address"),
        ("gs://bucket", {"GOOGLE_BASE_URL": "http://10.0.0.1"}, "GOOGLE_ALLOW_HTTP=true"),
        (
            "gs://bucket",
            {"GOOGLE_SERVICE_ACCOUNT_KEY": "hidden"},
            "gs://bucket cannot be opened: .*GOOGLE_APPLICATION_CREDENTIALS",
        ),
        ("az://bucket", {}, "needs AZURE_STORAGE_ACCOUNT_NAME"),
        (
            "az://bucket",
            {"AZURE_STORAGE_ACCOUNT_NAME": "me", "AZURE_STORAGE_ACCOUNT_KEY": "hidden!"},
            "az://bucket cannot be opened",
        ),
        ("s3://bucket", {"AWS_PROFILE": "nobody"}, "the profile of the AWS command line has no credentials"),
    ],
)
def test_a_mistake_in_the_variables_is_one_line(
    address: str, variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/nowhere", **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PreflightError, match=message) as caught:
        preflight.require(Config(output_dir=address, min_free_disk_bytes=0), "metadata")
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_key_takes_precedence_over_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_PROFILE": "nobody", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, value)
    assert check_opens("s3://bucket") == "files go to s3://bucket"
