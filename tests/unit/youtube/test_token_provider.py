"""The address at which yt-dlp's plugin for tokens searches for its provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from youtube_download_coordinator.youtube.token_provider import DEFAULT_URL, provider_url


def arguments(**values: Any) -> dict[str, Any]:
    return {"extractor_args": values}


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the metadata of the plugin, as pip does."""
    folder = tmp_path / "site" / "bgutil_ytdlp_pot_provider-2.0.2.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: bgutil-ytdlp-pot-provider\nVersion: 2.0.2\n")
    monkeypatch.syspath_prepend(folder.parent)


@pytest.mark.parametrize(
    "options",
    [{}, {"retries": 3}, arguments(youtube={"player_client": ["web"]}), arguments(**{"youtubepot-wpc": {}})],
)
def test_there_is_no_provider_unless_one_is_configured(options: dict[str, Any]) -> None:
    assert provider_url(options) is None


def test_a_provider_is_where_its_address_says() -> None:
    options = arguments(**{"youtubepot-bgutilhttp": {"base_url": ["http://Tokens.Example:8080"]}})
    assert provider_url(options) == "http://tokens.example:8080"


def test_a_provider_that_is_named_without_an_address_is_on_this_machine() -> None:
    assert provider_url(arguments(**{"youtubepot-bgutilhttp": {}})) == DEFAULT_URL == "http://127.0.0.1:4416"


@pytest.mark.usefixtures("plugin")
def test_an_installed_plugin_looks_on_this_machine() -> None:
    assert provider_url({}) == DEFAULT_URL
    assert provider_url(arguments(**{"youtubepot-bgutilhttp": {"base_url": ["http://a:1"]}})) == "http://a:1"
