"""Open the place of the setting `output_dir`."""

from __future__ import annotations

from pathlib import Path

from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.storage.address import place_address
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.storage.object_place import ObjectPlace
from youtube_download_coordinator.storage.place import Place


def open_place(output_dir: str | Path) -> Place:
    """Return the place of an address, without a request. Raises ConfigError.

    Credentials, endpoint and options of object storage come from the environment, under the provider's own names. A Path is
    always a local folder, because `Path("./s3:bucket")` loses the leading dot that distinguishes it from an address.
    """
    if isinstance(output_dir, Path):
        return LocalPlace(output_dir)
    try:
        address = place_address(output_dir)
    except ValueError as error:
        raise ConfigError(f"output_dir: {error}") from None
    if isinstance(address, Path):
        return LocalPlace(address)
    place = ObjectPlace(address)
    place.connect()
    return place
