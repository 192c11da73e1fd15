"""Load the credentials for Google: a service account's key, in a file or a setting, or Application Default Credentials.

The key is a secret, so messages never contain it.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import google.auth
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.oauth2 import service_account

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError

SCOPES = ["https://www.googleapis.com/auth/spreadsheets"]
ADC_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
HOW_TO_GET_A_KEY = "create one: Google Cloud console, IAM & Admin, Service Accounts, Keys"
LOOKUP = "/allowedLocations"


class CredentialsNotFound(ConfigError, FileNotFoundError):
    """Raised when the credentials file is missing."""

    __str__ = Exception.__str__


def credentials(config: Config) -> Any:
    """Return the service account of the settings, or Application Default Credentials. Raises ConfigError."""
    if config.service_account:
        return _service_account("service_account", config.service_account.get_secret_value())
    if config.credentials_file is None:
        return _default_credentials()
    return _service_account(f"credentials_file={str(config.credentials_file)!r}", _text_of(config.credentials_file))


def _text_of(path: Path) -> str:
    if not path.is_file():
        raise CredentialsNotFound(
            f"credentials_file={str(path)!r} does not exist; it is the JSON key of a service account"
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"credentials_file={str(path)!r} cannot be read as JSON ({type(error).__name__})") from None


def _service_account(setting: str, text: str) -> Any:
    """Return the credentials from a key. `setting` names its origin in messages."""
    key = _key(setting, text)
    try:
        return service_account.Credentials.from_service_account_info(key, scopes=SCOPES)  # type: ignore[no-untyped-call]
    except (ValueError, OSError, GoogleAuthError) as error:
        raise ConfigError(
            f"{setting} is not the JSON key of a service account ({type(error).__name__}); {HOW_TO_GET_A_KEY}"
        ) from None


def _key(setting: str, text: str) -> Any:
    """Parse a service account's key. Raises ConfigError."""
    try:
        key = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{setting} cannot be read as JSON ({type(error).__name__})") from None
    if not isinstance(key, dict) or key.get("type") != "service_account":
        raise ConfigError(f"{setting} is JSON, but not the key of a service account; {HOW_TO_GET_A_KEY}")
    return key


def _default_credentials() -> Any:
    path = os.environ.get(ADC_VARIABLE, "")
    if path and not Path(path).is_file():
        raise CredentialsNotFound(f"{ADC_VARIABLE}={path!r} does not exist; it is the JSON key of a service account")
    try:
        return google.auth.default(scopes=SCOPES)[0]
    except (DefaultCredentialsError, OSError) as error:
        raise ConfigError(
            f"no Google credentials: set credentials_file or {ADC_VARIABLE} to the JSON key of a service account"
            f" ({type(error).__name__})"
        ) from None


class _LookupFilter(logging.Filter):
    """A filter that drops urllib3's warnings about an unneeded lookup by google-auth.

    google-auth asks iamcredentials.googleapis.com in a thread whether the account is bound to a region. If that host cannot be
    reached, each attempt logs a harmless warning. All other messages of urllib3 are kept.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return LOOKUP not in record.getMessage()


logging.getLogger("urllib3.connectionpool").addFilter(_LookupFilter())
