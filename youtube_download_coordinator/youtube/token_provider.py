"""The server that makes proof-of-origin tokens for yt-dlp, and where it is.

YouTube asks some clients for a token that a browser makes. A plugin of yt-dlp gets it from a provider that the operator runs
beside the worker. yt-dlp itself ships no provider; the one that is known here is bgutil-ytdlp-pot-provider, over HTTP.
The names and the default were read from version 2.0.2 of its plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

HTTP_PROVIDER = "youtubepot-bgutilhttp"
"""The key of the provider's arguments in yt-dlp's `extractor_args`."""
DEFAULT_URL = "http://127.0.0.1:4416"
"""Where the plugin looks when `base_url` is not set."""
PLUGIN = "bgutil-ytdlp-pot-provider"
"""The distribution that holds the plugin."""


def provider_url(options: Mapping[str, Any]) -> str | None:
    """Return the address of the provider that yt-dlp asks with these options, None when it asks none.

    Without `base_url` it is the plugin's default, when the arguments name the provider or pip has installed the plugin.
    """
    arguments = options.get("extractor_args", {}).get(HTTP_PROVIDER)
    if arguments and (base_url := arguments.get("base_url")):
        return str(base_url[0]).lower()  # the plugin reads it so
    return DEFAULT_URL if arguments is not None or plugin_version() else None


def plugin_version() -> str:
    """Return the version of the plugin that pip has installed, or an empty string."""
    try:
        return metadata.version(PLUGIN)
    except metadata.PackageNotFoundError:
        return ""


def is_provider_url(text: str) -> bool:
    """Return whether the plugin can add `/ping` to this and ask for it."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    is_plain = parts.username is None and not parts.query and not parts.fragment and not text.endswith("/")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and is_plain
