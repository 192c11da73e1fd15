"""The providers of object storage: how to open each, and its names for credentials and permissions.

obstore reads credentials, endpoints and options from each provider's usual variables. No setting contains a secret.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.storage.address import bucket_and_prefix
from youtube_download_coordinator.storage.logins import LOGINS, has_aws_profile
from youtube_download_coordinator.text import is_loopback

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

    Store = AzureStore | GCSStore | S3Store

Made = TypeVar("Made")

REQUEST_TIMEOUT = timedelta(minutes=10)
"""The longest time of one request. The largest sends MAX_CONDITIONAL_BYTES, which takes 9 minutes at 1 Mbit/s."""
CONNECT_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider of object storage."""

    name: str
    endpoints: tuple[str, ...]
    """The variables for another endpoint. The first one takes precedence."""
    allow_http: str
    """The variable that allows an endpoint without TLS on another machine."""
    credentials: str
    """The sources of credentials, as text for people."""
    rights: Mapping[str, str]
    """The provider's names of the permissions for `put`, `get`, `list` and `delete`."""
    keeps_parts: bool
    """Whether the parts of an interrupted upload are kept until a lifecycle rule removes them."""


PROVIDERS = {
    "s3": Provider(
        name="S3",
        endpoints=("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        allow_http="AWS_ALLOW_HTTP",
        credentials="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE, with boto3 installed) or the role of"
        " the machine",
        rights={
            "put": "s3:PutObject",
            "get": "s3:GetObject, and s3:ListBucket, without which S3 also refuses files that do not exist",
            "list": "s3:ListBucket",
            "delete": "s3:DeleteObject",
        },
        keeps_parts=True,
    ),
    "gs": Provider(
        name="Google Cloud Storage",
        endpoints=("GOOGLE_BASE_URL",),
        allow_http="GOOGLE_ALLOW_HTTP",
        credentials="GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login` or the account of the machine",
        rights={
            "put": "storage.objects.create",
            "get": "storage.objects.get",
            "list": "storage.objects.list",
            "delete": "storage.objects.delete",
        },
        keeps_parts=True,
    ),
    "az": Provider(
        name="Azure",
        endpoints=("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
        allow_http="AZURE_ALLOW_HTTP",
        credentials="AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, a service principal (AZURE_CLIENT_ID, ...) or the"
        " identity of the machine",
        rights={
            "put": "create and write (cw in a SAS token)",
            "get": "read (r in a SAS token)",
            "list": "list (l in a SAS token)",
            "delete": "delete (d in a SAS token)",
        },
        keeps_parts=False,
    ),
}


def provider_of(address: str) -> Provider:
    return PROVIDERS[address.partition(":")[0]]


def open_store(address: str, patience: timedelta) -> Store:
    """Return obstore's store, without a request. It repeats failing requests for `patience`. Raises ConfigError."""
    try:
        import obstore.store  # noqa: F401  (an extra)
    except ImportError:
        raise ConfigError(f"output_dir: {address} needs obstore: pip install obstore") from None
    scheme = address.partition(":")[0]
    options: dict[str, Any] = {
        "client_options": _client(PROVIDERS[scheme]),
        "retry_config": _retries(patience),
    }
    bucket, prefix = bucket_and_prefix(address)
    if prefix:
        options["prefix"] = prefix
    openers: dict[str, Callable[[str, dict[str, Any]], Store]] = {"s3": _open_s3, "gs": _open_gs, "az": _open_az}
    store = _without_details(lambda: openers[scheme](bucket, options))
    if store is None:
        raise ConfigError(
            f"output_dir: {address} cannot be opened: check {', '.join(PROVIDERS[scheme].endpoints)}"
            f" and the credentials: {PROVIDERS[scheme].credentials}"
        )
    if not (LOGINS[scheme].may_succeed or has_aws_profile()):
        raise ConfigError(f"output_dir: {address}: no credentials were found: {PROVIDERS[scheme].credentials}")
    return store


def _without_details(opened: Callable[[], Made]) -> Made | None:
    """Return what `opened` returns, or None if it fails. Its error is dropped, because the message may contain a key."""
    try:
        return opened()
    except ConfigError:
        raise
    except Exception:  # noqa: BLE001
        return None


def _client(provider: Provider) -> ClientConfig:
    variable = next((name for name in provider.endpoints if os.environ.get(name)), "")
    return {
        "allow_http": bool(variable) and _may_be_http(variable, provider),
        "timeout": REQUEST_TIMEOUT,
        "connect_timeout": CONNECT_TIMEOUT,
    }


def _may_be_http(variable: str, provider: Provider) -> bool:
    """Return whether an endpoint is without TLS. Raises ConfigError if that is not allowed."""
    try:
        endpoint = urlsplit(os.environ[variable])
        host = endpoint.hostname or ""
    except ValueError:
        host = ""
    if not host or endpoint.scheme not in ("http", "https"):
        raise ConfigError(f"{variable} must be an address like https://host:port")
    allowed = os.environ.get(provider.allow_http, "").lower() in ("1", "true", "yes")
    if endpoint.scheme == "http" and not allowed and not is_loopback(host):
        raise ConfigError(
            f"{variable} is http, so others on the network can read and change files: use https, or in a network that you trust"
            f" {provider.allow_http}=true"
        )
    return endpoint.scheme == "http"


def _retries(patience: timedelta) -> RetryConfig:
    return {
        "max_retries": 10,
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=15), "base": 2},
        "retry_timeout": patience,
    }


def _open_s3(bucket: str, options: dict[str, Any]) -> Store:
    from obstore.store import S3Store

    if has_aws_profile():
        options["credential_provider"] = _boto3_credentials()
    # One file at a time: not every provider has the bulk request, and it reports a missing permission differently.
    return S3Store(bucket, config={"disable_bulk_delete": True}, **options)


def _boto3_credentials() -> Any:
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise ConfigError(
            "the credentials are in a profile of the AWS command line: pip install boto3, or set AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY"
        ) from None
    provider = _without_details(Boto3CredentialProvider)
    if provider is None:
        raise ConfigError("the profile of the AWS command line has no credentials: `aws sts get-caller-identity`")
    return provider


def _open_gs(bucket: str, options: dict[str, Any]) -> Store:
    from obstore.store import GCSStore

    return GCSStore(bucket, **options)


def _open_az(container: str, options: dict[str, Any]) -> Store:
    from obstore.store import AzureStore

    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not account:
        raise ConfigError(f"output_dir: az://{container} needs AZURE_STORAGE_ACCOUNT_NAME")
    return AzureStore(container, config={"account_name": account}, **options)
