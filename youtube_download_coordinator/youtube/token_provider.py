"""Find the server that makes proof-of-origin tokens for yt-dlp.

YouTube requires a token of a browser from some clients. A plugin of yt-dlp gets it from a provider that the operator runs
beside the worker. yt-dlp itself ships no provider. The only one supported here is bgutil-ytdlp-pot-provider, over HTTP. The
names and the default were read from version 2.0.2 of its plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

HTTP_PROVIDER = "youtubepot-bgutilhttp"
"""The key of the provider's arguments in yt-dlp's `extractor_args`."""
DEFAULT_URL = "http://127.0.0.1:4416"
"""The plugin's default address if `base_url` is not set."""
PLUGIN = "bgutil-ytdlp-pot-provider"
"""The distribution that contains the plugin."""


def provider_url(options: Mapping[str, Any]) -> str | None:
    """Return the address of the provider that yt-dlp uses with these options, or None if it uses none.

    Without `base_url` it is the plugin's default, if the arguments name the provider or the plugin is installed.
    """
    arguments = options.get("extractor_args", {}).get(HTTP_PROVIDER)
    if arguments and (base_url := arguments.get("base_url")):
        return str(base_url[0]).lower()  # as the plugin does
    return DEFAULT_URL if arguments is not None or plugin_version() else None


def plugin_version() -> str:
    """Return the version of the plugin that pip has installed, or an empty string."""
    try:
        return metadata.version(PLUGIN)
    except metadata.PackageNotFoundError:
        return ""


def is_provider_url(text: str) -> bool:
    """Return whether this is an address to which the plugin can add `/ping`."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    is_plain = parts.username is None and not parts.query and not parts.fragment and not text.endswith("/")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and is_plain
