"""Every place against the same suite, and object storage behind a proxy."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support import object_storage
from tests.support.memory_place import MemoryPlace
from tests.support.object_storage import BUCKET
from tests.support.storage_proxy import StorageProxy
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.object_place import ObjectPlace
from youtube_download_coordinator.storage.place import Place

OBJECT_STORAGE = ("s3", "gs", "az")
PATIENCE = timedelta(seconds=20)


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    with object_storage.s3_server() as url:
        yield url


@pytest.fixture(scope="session")
def azure_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not object_storage.azurite_program():
        pytest.skip("Azurite is not installed: make azurite")
    with object_storage.azure_server(tmp_path_factory.mktemp("azurite")) as url:
        yield url


@pytest.fixture
def s3_proxy(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageProxy]:
    """Yield a proxy of S3 that this process uses."""
    with StorageProxy(s3_url) as proxy:
        for name, value in object_storage.s3_environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def google_proxy(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageProxy]:
    """Yield a proxy of Google Cloud Storage that this process uses."""
    with object_storage.google_server(s3_url) as proxy:
        for name, value in object_storage.google_environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def azure_proxy(azure_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageProxy]:
    """Yield a proxy of Azure that this process uses."""
    with StorageProxy(azure_url.rpartition("/")[0]) as proxy:
        endpoint = f"{proxy.url}/{object_storage.AZURE_ACCOUNT}"
        for name, value in object_storage.azure_environment(endpoint).items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture(params=OBJECT_STORAGE)
def provider(request: pytest.FixtureRequest) -> str:
    """Return the scheme of a provider, whose emulator runs."""
    return str(request.param)


@pytest.fixture
def proxy(provider: str, request: pytest.FixtureRequest) -> StorageProxy:
    """Return the proxy of the provider."""
    fixture = {"s3": "s3_proxy", "gs": "google_proxy", "az": "azure_proxy"}[provider]
    return request.getfixturevalue(fixture)  # type: ignore[no-any-return]


@pytest.fixture
def object_place(provider: str, proxy: StorageProxy) -> ObjectPlace:
    """Return an empty place at the provider, behind the proxy."""
    return ObjectPlace(f"{provider}://{BUCKET}/{uuid.uuid4().hex}", patience=PATIENCE)


@pytest.fixture(params=["local", "memory", *OBJECT_STORAGE])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return a place without files, of each kind."""
    if request.param == "memory":
        return MemoryPlace()
    if request.param == "local":
        return LocalPlace(tmp_path / "place")
    fixture = {"s3": "s3_proxy", "gs": "google_proxy", "az": "azure_proxy"}[request.param]
    request.getfixturevalue(fixture)
    return ObjectPlace(f"{request.param}://{BUCKET}/{uuid.uuid4().hex}", patience=PATIENCE)
