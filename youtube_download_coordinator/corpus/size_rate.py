"""Measure the bytes of a second of video on recently made files, without a request and without reading sidecars."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from youtube_download_coordinator.corpus.index import Index
from youtube_download_coordinator.errors import PlaceError
from youtube_download_coordinator.processors.facts import NOT_FACTS, ProductFacts, decode
from youtube_download_coordinator.processors.facts_spool import Spool
from youtube_download_coordinator.processors.names import processor_names
from youtube_download_coordinator.processors.usual_sizes import SizeRate, usual_size
from youtube_download_coordinator.storage.local import LocalPlace

if TYPE_CHECKING:
    from youtube_download_coordinator.config import Config

LINES_READ = 2000
"""The part of the index that is read, which takes a fraction of a second."""
LEAST_PRODUCTS = 10
"""The fewest files of one kind that are enough to estimate others."""


def size_rate(config: Config, processor: str | None = None) -> SizeRate | None:
    """Return the bytes that the products of a second of video need. `processor` defaults to the setting.

    The rate is measured on the latest products that this machine knows, or else it is the usual rate. None: not known.
    """
    names = processor_names(processor or config.processor)
    products = {
        "download": "download",
        "audio": f"audio-{config.audio_codec}",
        "metadata": "metadata",
        "subtitles": f"subtitles-{config.subtitle_format}",
    }
    measured = _measured(islice(_lines(config), LINES_READ), {products.get(name, name) for name in names})
    usual = usual_size(names, config.audio_codec, config.audio_sample_rate_hz, is_mono=config.audio_mono)
    return measured or usual


def _lines(config: Config) -> Iterator[bytes]:
    """Yield lines of the index that are on this machine's disks."""
    with contextlib.suppress(PlaceError, OSError):
        if isinstance(config.output_dir, Path):
            yield from Index(LocalPlace(config.output_dir), config.state_dir).newest_lines()
        else:
            yield from Spool.of(config.state_dir, config.output_dir).lines()


def _measured(lines: Iterable[bytes], products: Collection[str]) -> SizeRate | None:
    """Return the sum of the rates of all products, or None if too few files of each were made."""
    sizes: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for line in lines:
        with contextlib.suppress(*NOT_FACTS):
            facts = decode(line)
            if isinstance(facts, ProductFacts) and facts.product in products and (size := _size(facts)):
                sizes[facts.product].append(size)
    known = [made for made in sizes.values() if len(made) >= LEAST_PRODUCTS]
    if not known:
        return None
    rate = sum(sum(count for count, _ in made) / sum(seconds for _, seconds in made) for made in known)
    return SizeRate(rate, f"measured on {max(map(len, known)):,} videos")


def _size(facts: ProductFacts) -> tuple[int, float] | None:
    """Return the bytes of a product's files and the length of its video in seconds, if both are known."""
    seconds = facts.media_seconds or facts.stated_seconds
    sizes = [file.bytes for file in facts.files]
    if not seconds or not sizes or None in sizes:
        return None
    return sum(size or 0 for size in sizes), seconds
