"""Check whether there are credentials before obstore searches for them, which may take two minutes outside a cloud."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

METADATA_ADDRESS = "http://169.254.169.254"
"""The address at which machines of AWS, Google and Azure get their credentials."""
PROBE_SECONDS = 2.0
PROBES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The possible locations of a provider's credentials."""

    variables: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    """Files with credentials: the variable that may contain the path, and the usual path."""
    metadata_variable: str = ""
    """The variable with another address than METADATA_ADDRESS."""

    @property
    def has_variables(self) -> bool:
        return any(os.environ.get(name) for name in self.variables)

    @property
    def has_file(self) -> bool:
        return any(Path(os.environ.get(name) or usual).expanduser().is_file() for name, usual in self.files)

    @property
    def may_succeed(self) -> bool:
        """Return whether there is a variable, a file, or a metadata server of the provider with credentials."""
        return self.has_variables or self.has_file or _is_proxied() or self._is_on_its_cloud()

    def _is_on_its_cloud(self) -> bool:
        address = urlsplit(os.environ.get(self.metadata_variable) or METADATA_ADDRESS)
        target = (address.hostname or "", address.port or 80)
        for _ in range(PROBES):
            try:
                socket.create_connection(target, timeout=PROBE_SECONDS).close()
            except OSError:
                continue
            return True
        return False


def _is_proxied() -> bool:
    """Return whether requests without TLS go to a proxy, so that a direct connection proves nothing."""
    return any(os.environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"))


AWS_PROFILE_FILE = ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
LOGINS = {
    "s3": Login(
        variables=(
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_SKIP_SIGNATURE",
        ),
        files=(AWS_PROFILE_FILE,),
        metadata_variable="AWS_METADATA_ENDPOINT",
    ),
    "gs": Login(
        variables=(
            "GOOGLE_SERVICE_ACCOUNT",
            "GOOGLE_SERVICE_ACCOUNT_PATH",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_BEARER_TOKEN",
            "GOOGLE_SKIP_SIGNATURE",
        ),
        files=(("", "~/.config/gcloud/application_default_credentials.json"),),
    ),
    "az": Login(
        variables=(
            *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY"),
            *("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_TOKEN"),
            *(
                "AZURE_STORAGE_CLIENT_SECRET",
                "AZURE_CLIENT_SECRET",
                "AZURE_FEDERATED_TOKEN_FILE",
                "AZURE_USE_AZURE_CLI",
            ),
            *("AZURE_MSI_ENDPOINT", "AZURE_IDENTITY_ENDPOINT", "AZURE_SKIP_SIGNATURE", "AZURE_STORAGE_USE_EMULATOR"),
        ),
    ),
}


def has_aws_profile() -> bool:
    """Return whether the credentials are in the files of the AWS command line, which obstore does not read.

    A key in the environment takes precedence, like in AWS's own programs.
    """
    login = LOGINS["s3"]
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return False
    return bool(os.environ.get("AWS_PROFILE")) or (login.has_file and not login.has_variables)
