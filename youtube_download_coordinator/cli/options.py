"""Options that several commands take, and what the commands open with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from youtube_download_coordinator.errors import ConfigError

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config
    from youtube_download_coordinator.coordinator import Coordinator

Database = Annotated[str | None, Parameter(name="--database-url")]
Spreadsheet = Annotated[str | None, Parameter(name="--spreadsheet-id")]
Credentials = Annotated[Path | None, Parameter(name="--credentials-file")]
OtherSites = Annotated[bool | None, Parameter(name="--allow-other-sites")]


def open_coordinator(
    sources: Path | None, database_url: str | None, other_sites: bool | None, **more: Any
) -> Coordinator:
    from youtube_download_coordinator.coordinator import Coordinator

    given = {"sources_file_path": sources, "database_url": database_url, "allow_other_sites": other_sites, **more}
    return Coordinator(settings(**given))


def settings(**given: Any) -> Config:
    """The settings; what is not given comes from the environment."""
    from youtube_download_coordinator.config import Config

    return Config(**{name: value for name, value in given.items() if value is not None})


def check_positive(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not value > 0:
            raise ConfigError(f"--{name.replace('_', '-')}={value}: it must be greater than 0")
