"""Object storage that fails: behind a proxy that refuses, breaks off, and loses answers."""

from __future__ import annotations

import threading
import traceback
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from tests.support.object_storage import BUCKET
from tests.support.storage_proxy import FaultKind, StorageProxy
from youtube_download_coordinator.errors import PlaceRefused, PlaceUnavailable
from youtube_download_coordinator.storage.object_place import PART_BYTES, ObjectPlace

PASSING: list[FaultKind] = ["slow-down", "no-answer", "lost-answer", "broken-request"]
SMALL, LARGE = b"sound", 2 * PART_BYTES + 7
PUT_PART = {"s3": r"^PUT .*partNumber=2", "gs": r"^PUT .*partNumber=2", "az": r"^PUT .*comp=block&"}
COMPLETE = {"s3": r"^POST .*uploadId=", "gs": r"^POST .*uploadId=", "az": r"^PUT .*comp=blocklist"}


def file_of(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "source"
    path.write_bytes(content)
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Return a file of three parts."""
    return file_of(tmp_path, bytes(range(256)) * (LARGE // 256) + b"1234567"[: LARGE % 256])


def add(place: ObjectPlace, path: str, content: bytes = SMALL) -> bool:
    return place.put_if_absent(path, content, content_type="audio/mp4", metadata={"sha256": "00"})


@pytest.mark.parametrize("kind", PASSING)
def test_a_small_put_survives(object_place: ObjectPlace, proxy: StorageProxy, kind: FaultKind, tmp_path: Path) -> None:
    proxy.fail(kind, "^PUT", times=2)
    object_place.put("a", file_of(tmp_path, SMALL), content_type="audio/mp4", metadata={"sha256": "00"})
    assert object_place.get("a") == SMALL


@pytest.mark.parametrize("kind", PASSING)
def test_a_conditional_put_survives_and_knows_its_own_file(
    object_place: ObjectPlace, proxy: StorageProxy, kind: FaultKind
) -> None:
    proxy.fail(kind, "^PUT", times=2)
    assert add(object_place, "a")
    assert not add(object_place, "a", b"other")
    assert object_place.get("a") == SMALL


def test_a_lost_answer_to_the_second_put_is_no_success(object_place: ObjectPlace, proxy: StorageProxy) -> None:
    assert add(object_place, "a")
    proxy.fail("lost-answer", "^PUT")
    assert not add(object_place, "a", b"other")
    proxy.fail("no-answer", "^PUT")
    assert not add(object_place, "a", b"other")
    assert object_place.get("a") == SMALL


def test_a_conflict_is_no_file(s3_proxy: StorageProxy) -> None:
    """S3 refuses the second of two requests at the same moment, also if the first one then fails."""
    place = ObjectPlace(f"s3://{BUCKET}/conflict", patience=timedelta(seconds=0.3))
    s3_proxy.fail("conflict", "^PUT", times=float("inf"))
    with pytest.raises(PlaceUnavailable, match="busy with another request"):
        add(place, "a")
    s3_proxy.heal()
    assert add(place, "a")


def test_a_body_that_did_not_come_is_sent_again(s3_proxy: StorageProxy, large: Path) -> None:
    """S3 answers 400 when the body of a request does not arrive. The request is correct, so it is repeated."""
    place = ObjectPlace(f"s3://{BUCKET}/slow", patience=timedelta(seconds=20))
    s3_proxy.fail("request-timeout", "^PUT", times=2)
    assert add(place, "a")
    s3_proxy.fail("request-timeout", "^PUT")
    with pytest.raises(PlaceUnavailable, match=r"an upload was interrupted \(400 RequestTimeout\)"):
        place.put("large", large, content_type="audio/mp4", metadata={})


def test_a_name_that_cannot_be_listed_is_reported_as_such(s3_proxy: StorageProxy, s3_url: str) -> None:
    """By other programs, which put files beside ours."""
    request = urllib.request.Request(f"{s3_url}/{BUCKET}/foreign/a//b.txt", method="PUT", data=b"x")
    urllib.request.urlopen(request).close()
    with pytest.raises(PlaceRefused, match="its name contains // or a control character: rename or remove it"):
        list(ObjectPlace(f"s3://{BUCKET}/foreign").list())


def test_one_of_many_puts_first_however_many_answers_are_lost(object_place: ObjectPlace, proxy: StorageProxy) -> None:
    proxy.fail("lost-answer", "^PUT", times=3)
    proxy.fail("no-answer", "^PUT", times=3)
    barrier = threading.Barrier(8)

    def race(number: int) -> bool:
        barrier.wait()
        return add(object_place, "race", b"%d" % number)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(race, range(8)))
    assert results.count(True) == 1
    assert object_place.get("race") == b"%d" % results.index(True)


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("step", [PUT_PART, COMPLETE], ids=["part", "complete"])
def test_a_large_put_survives(
    object_place: ObjectPlace, proxy: StorageProxy, provider: str, kind: FaultKind, step: dict[str, str], large: Path
) -> None:
    fault = proxy.fail(kind, step[provider])
    object_place.put("a", large, content_type="audio/mp4", metadata={"sha256": "00"})
    assert fault.times == 0
    held = object_place.head("a")
    assert held
    assert (held.size, held.content_type, held.sha256) == (LARGE, "audio/mp4", "00")
    assert object_place.get("a") == large.read_bytes()


def test_a_completion_that_is_repeated_finds_no_upload(
    object_place: ObjectPlace, proxy: StorageProxy, provider: str, large: Path
) -> None:
    """S3 has completed the upload, the answer was lost, and S3 no longer knows its ID: the file itself is asked for."""
    proxy.fail("lost-answer", COMPLETE[provider])
    proxy.fail("no-such-upload", COMPLETE[provider])
    object_place.put("a", large, content_type="audio/mp4", metadata={})
    assert object_place.get("a") == large.read_bytes()


def test_an_upload_that_never_completes_is_no_file(s3_proxy: StorageProxy, s3_url: str, large: Path) -> None:
    place = ObjectPlace(f"s3://{BUCKET}/never", patience=timedelta(seconds=1))
    s3_proxy.fail("slow-down", r"partNumber=2", times=float("inf"))
    with pytest.raises(PlaceUnavailable, match="503 SlowDown"):
        place.put("a", large, content_type="", metadata={})
    s3_proxy.heal()
    s3_proxy.fail("no-such-upload", COMPLETE["s3"], times=float("inf"))
    with pytest.raises(PlaceUnavailable, match="an upload was interrupted"):
        place.put("a", large, content_type="", metadata={})
    assert place.head("a") is None
    with urllib.request.urlopen(f"{s3_url}/{BUCKET}?uploads") as answer:
        assert b"never/a" not in answer.read()  # its parts were removed


@pytest.mark.parametrize("kind", ["slow-down", "no-answer", "lost-answer", "broken-answer"])
def test_reading_survives(
    object_place: ObjectPlace, proxy: StorageProxy, kind: FaultKind, large: Path, tmp_path: Path
) -> None:
    object_place.put("a", large, content_type="", metadata={})
    proxy.fail(kind, "^GET")
    assert object_place.get("a") == large.read_bytes()
    proxy.fail(kind, "^GET")
    object_place.download("a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == large.read_bytes()
    proxy.fail(kind, "^HEAD", times=1)
    assert object_place.head("a")


@pytest.mark.parametrize("kind", ["slow-down", "no-answer", "broken-answer"])
def test_a_listing_goes_on_where_it_broke_off(
    object_place: ObjectPlace, proxy: StorageProxy, kind: FaultKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [f"{folder}/{number}" for folder in ("Irish", "Scottish") for number in range(4)]
    for path in paths:
        add(object_place, path)
    seen = []
    for held in object_place.list():
        seen.append(held.path)
        if len(seen) == 1:
            proxy.fail(kind, "^GET")
    proxy.fail(kind, "^GET")
    assert sorted(held.path for held in object_place.list("Irish")) == paths[:4]
    assert sorted(seen) == paths


def test_what_is_down_is_not_waited_for_without_end(
    object_place: ObjectPlace, proxy: StorageProxy, tmp_path: Path
) -> None:
    place = ObjectPlace(object_place.address, patience=timedelta(seconds=0.1))
    source = file_of(tmp_path, SMALL)
    proxy.fail("slow-down", "", times=float("inf"))
    requests: list[Callable[[], object]] = [
        lambda: place.put("a", source, content_type="", metadata={}),
        lambda: add(place, "a"),
        lambda: place.get("a"),
        lambda: place.head("a"),
        lambda: list(place.list()),
        lambda: place.delete("a"),
    ]
    for request in requests:
        with pytest.raises(PlaceUnavailable, match=rf"^{place.address} does not answer correctly \(503"):
            request()


def test_a_missing_right_is_named(
    object_place: ObjectPlace, proxy: StorageProxy, provider: str, tmp_path: Path
) -> None:
    source = file_of(tmp_path, SMALL)
    rights = object_place.provider.rights
    proxy.fail("denied", "", times=float("inf"))
    requests: list[tuple[str, Callable[[], object]]] = [
        ("put", lambda: object_place.put("a", source, content_type="", metadata={})),
        ("put", lambda: add(object_place, "a")),
        ("get", lambda: object_place.get("a")),
        ("get", lambda: object_place.head("a")),
        ("list", lambda: list(object_place.list())),
        ("delete", lambda: object_place.delete("a")),
    ]
    for doing, request in requests:
        with pytest.raises(PlaceRefused) as caught:
            request()
        message = str(caught.value)
        assert f"the permission to {doing} files is missing (403" in message
        assert message.endswith(rights[doing])
        assert "\n" not in message


def test_a_missing_bucket_is_named(provider: str, proxy: StorageProxy, tmp_path: Path) -> None:
    place = ObjectPlace(f"{provider}://no-such-bucket/prefix")
    source = file_of(tmp_path, SMALL)
    requests: list[Callable[[], object]] = [
        lambda: place.put("a", source, content_type="", metadata={}),
        lambda: add(place, "a"),
        lambda: place.get("a"),
        lambda: list(place.list()),
    ]
    for request in requests:
        with pytest.raises(
            PlaceRefused, match=r"no-such-bucket does not exist .*: create it, or correct YDC_OUTPUT_DIR"
        ):
            request()


def test_no_error_contains_a_request(object_place: ObjectPlace, proxy: StorageProxy) -> None:
    """A request's address may contain a signature; obstore's own errors contain addresses and answers."""
    place = ObjectPlace(object_place.address, patience=timedelta(seconds=0.05))
    for kind in get_args(FaultKind):
        proxy.heal()
        proxy.fail(kind, "", times=float("inf"))
        for request in (lambda: add(place, "a"), lambda: place.get("a"), lambda: list(place.list())):
            try:
                request()
            except (PlaceRefused, PlaceUnavailable, FileNotFoundError):
                text = traceback.format_exc()
                assert "127.0.0.1" not in text
                assert "Debug source" not in text
                assert "The proxy of a test" not in text


def test_a_small_file_is_one_request(object_place: ObjectPlace, proxy: StorageProxy, tmp_path: Path) -> None:
    object_place.put("a", file_of(tmp_path, SMALL), content_type="", metadata={})
    add(object_place, "b")
    add(object_place, "c", bytes(20_000_000))
    assert [request.method for request in proxy.requests] == ["PUT"] * 3


def test_a_path_that_is_too_long_for_a_key(object_place: ObjectPlace) -> None:
    prefix = object_place.address.rpartition("/")[2]
    longest = "a/" + "b" * (1024 - len(prefix) - 3)
    assert add(object_place, longest)
    assert object_place.head(longest)
    with pytest.raises(ValueError, match="longer than 1024 bytes"):
        add(object_place, longest + "b")
