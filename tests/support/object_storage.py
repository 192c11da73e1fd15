"""Object storage on this machine: moto as S3 and, through a translating proxy, as Google Cloud Storage; Azurite as Azure.

Nothing here is a real provider. Azurite is a program for Node.js: `make azurite` installs it below build/.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

from tests.support.storage_proxy import GOOGLE_XML, StorageProxy
from tests.support.waiting import wait_until

BUCKET = "bucket"
SECRET = "wJalrXUtnFEMI-not-to-be-shown"
"""The key with which the emulators are asked, as far as they look at it."""
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, the same everywhere."""
AZURITE = Path(__file__).parents[2] / "build" / "azurite" / "node_modules" / ".bin" / "azurite-blob"


@contextmanager
def s3_server() -> Iterator[str]:
    """Run moto with an empty bucket, and yield its address."""
    port = free_port()
    with _running([sys.executable, "-P", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port) as url:
        make_bucket(url, BUCKET)
        yield url


def make_bucket(url: str, name: str) -> None:
    _put(f"{url}/{name}", {})


def s3_environment(url: str) -> dict[str, str]:
    """Return the variables with which S3 is the one at the address."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }


@contextmanager
def google_server(s3_url: str) -> Iterator[StorageProxy]:
    """Run a Google Cloud Storage whose files are in moto."""
    with StorageProxy(s3_url, GOOGLE_XML) as proxy:
        yield proxy


def google_environment(url: str) -> dict[str, str]:
    return {"GOOGLE_BASE_URL": url, "GOOGLE_BEARER_TOKEN": SECRET, "NO_PROXY": "127.0.0.1"}


def azurite_program() -> str:
    """Return the path of Azurite, or an empty text."""
    return str(AZURITE) if AZURITE.exists() else shutil.which("azurite-blob") or ""


@contextmanager
def azure_server(folder: Path) -> Iterator[str]:
    """Run Azurite in a folder with an empty container, and yield its address with the account."""
    port = free_port()
    options = ("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
    command = [azurite_program(), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    with _running(command, port, folder) as url:
        make_container(f"{url}/{AZURE_ACCOUNT}", BUCKET)
        yield f"{url}/{AZURE_ACCOUNT}"


def make_container(url: str, name: str) -> None:
    """Make a container, with a signature by the account's key."""
    date, version = formatdate(usegmt=True), "2021-08-06"
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{name}\nrestype:container"
    text = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n{resource}"
    digest = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
    authorization = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
    headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": authorization}
    _put(f"{url}/{name}?restype=container", headers)


def azure_environment(url: str) -> dict[str, str]:
    return {
        "AZURE_STORAGE_ENDPOINT": url,
        "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
        "NO_PROXY": "127.0.0.1",
    }


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int, folder: Path | None = None) -> Iterator[str]:
    """Run a server, and yield its address as soon as it listens."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_"))}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), poll_seconds=0.1)
        assert process.poll() is None, f"{command[0]} has ended"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _put(url: str, headers: dict[str, str]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, method="PUT", headers={"Content-Length": "0", **headers})
    with opener.open(request, timeout=60):
        pass
