"""Check whether the remaining videos of a queue fit on the disk for their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from youtube_download_coordinator.operations.estimate import Estimate
from youtube_download_coordinator.processors.usual_sizes import SizeRate
from youtube_download_coordinator.storage.files import free_bytes

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config

_UNITS = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The place for files, with the space that the remaining videos need there."""

    place: str
    """A folder of this machine, or the address of object storage."""
    rate: SizeRate
    needed_bytes: int | None
    """The space that the remaining videos need, or None if it is not known."""
    free_bytes: int | None
    """The free space minus YDC_MIN_FREE_DISK_BYTES. None: the place is object storage without a limit, or it is not known."""

    @property
    def fits(self) -> bool:
        """Return False if space is known to be missing, otherwise True."""
        return self.needed_bytes is None or self.free_bytes is None or self.needed_bytes <= self.free_bytes

    @property
    def warning(self) -> str:
        """Return one line about missing space, or an empty text if the videos fit."""
        if self.fits or self.needed_bytes is None or self.free_bytes is None:
            return ""
        missing = self.needed_bytes - self.free_bytes
        return f"what is left does not fit on this disk: about {describe_bytes(missing)} are missing"


def space_for(estimate: Estimate, config: Config, rate: SizeRate | None) -> Space | None:
    """Return the space for the remaining videos, at `rate` for each second. Return None if it is not known or none remain."""
    if rate is None or not estimate.videos:
        return None
    seconds = estimate.media_seconds
    return Space(
        place=str(config.output_dir),
        rate=rate,
        needed_bytes=None if seconds is None else round(seconds * rate.bytes_per_second),
        free_bytes=_free_bytes(config),
    )


def _free_bytes(config: Config) -> int | None:
    if not isinstance(config.output_dir, Path):
        return None
    try:
        return max(free_bytes(config.output_dir) - config.min_free_disk_bytes, 0)
    except OSError:
        return None


def describe_bytes(count: float) -> str:
    """Format a size with two or three digits: `41 GB`, `1.2 TB`."""
    size, unit = next(((size, unit) for size, unit in _UNITS if count >= size), (1e6, "MB"))
    number = count / size
    return f"{number:,.1f} {unit}" if unit not in {"MB"} and number < 10 else f"{number:,.0f} {unit}"
