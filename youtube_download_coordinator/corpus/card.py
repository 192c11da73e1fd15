"""Write the card of a corpus: its content, its origin, and what is missing from it. For people, hubs and programs.

    README.md             a dataset card in Markdown, as Hugging Face shows it
    croissant.json        the same for programs (croissant.py)
    .corpus/card/*.svg    its figures
    .corpus/card.json     the name, the contact and the licence that were given to the last `ydc card`

The same corpus and queue give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from youtube_download_coordinator.config import Config
from youtube_download_coordinator.corpus.card_page import OWNERS_END, OWNERS_START, Card, figures, page
from youtube_download_coordinator.corpus.croissant import Distributed, describe
from youtube_download_coordinator.corpus.front_matter import front_matter
from youtube_download_coordinator.corpus.left_out import left_out
from youtube_download_coordinator.corpus.literal import one_line
from youtube_download_coordinator.corpus.publication import published
from youtube_download_coordinator.corpus.recordings import FOLDER, RECORDINGS, Recording, read
from youtube_download_coordinator.corpus.statistics import Statistics, gather
from youtube_download_coordinator.errors import PlaceRefused, UserError
from youtube_download_coordinator.queue.maintenance import Maintenance
from youtube_download_coordinator.queue.tombstones import tombstone
from youtube_download_coordinator.storage.place import Place

PAGE, CROISSANT, OPTIONS = "README.md", "croissant.json", f"{FOLDER}/card.json"
_TYPES = {
    ".jsonl": "application/jsonlines",
    ".gz": "application/gzip",
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
}
"""Croissant's types of manifests, by their extension."""
SETTINGS = (
    *("processor", "audio_track", "audio_codec", "audio_sample_rate_hz", "audio_mono", "audio_min_kbps"),
    *("subtitle_languages", "subtitle_kinds", "licenses", "trainable"),
)
"""The settings that a card shows, which determine what is collected. None of them contains a secret."""
NO_MANIFEST = "the place has no recordings yet: ydc manifest writes them"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOptions:
    """Facts that only the owner of a corpus knows. They are kept in the place for the next card."""

    name: str = ""
    contact: str = ""
    """The contact that removes recordings on request: an address of a person or a page."""
    license: str = ""
    """The licence of the collection, with Hugging Face's name (`cc-by-4.0`)."""

    def or_else(self, kept: CardOptions) -> CardOptions:
        """Return these options as single lines. Replace empty options by those of `kept`."""
        given = {name: line for name, value in asdict(self).items() if (line := one_line(value))}
        return replace(kept, **given)


def write_card(
    queue: Maintenance,
    place: Place,
    config: Config,
    options: CardOptions,
    destination: Place | None = None,
    *,
    buried: Collection[str] | None = None,
) -> Statistics:
    """Write the card of a place into it, or to `destination`, and return its numbers. Memory does not grow with the corpus.

    The owner's part of README.md is kept. Raises UserError if the place has no recordings, if README.md is not a card, or if
    pygal is missing, and the errors of Place and Store. `buried`: tombstones of videos to leave out. With it, the card may have
    no recordings.
    """
    target = destination or place
    chosen = options.or_else(_kept_options(target))
    owners_text = _owners_text(target)
    numbers = gather(each for each in known_recordings(place) if not buried or tombstone(each.key) not in buried)
    if not numbers.videos and buried is None:
        raise UserError(NO_MANIFEST)
    manifests = _manifests(place, is_relative=destination is None)
    card = Card(
        name=chosen.name or "Recordings from YouTube",
        contact=chosen.contact,
        license=chosen.license,
        numbers=numbers,
        left_out=left_out(queue, numbers.videos),
        settings=_settings(config),
        owners_text=owners_text,
    )
    drawn = figures(card)
    # First, so that `write_card_again` finds the card even if this process is killed.
    _put(target, OPTIONS, json.dumps(asdict(chosen), ensure_ascii=False, indent=2).encode() + b"\n", "application/json")
    for path, figure in drawn.items():
        _put(target, path, figure, "image/svg+xml")
    description = page(card).partition("\n\n")[2].partition("\n\n")[0]
    _put(target, CROISSANT, _croissant(card, description, manifests), "application/ld+json")
    # Without empty files, because datasets refuses a split without lines.
    text = front_matter(card, [file.path for file in manifests if file.bytes]) + page(card)
    _put(target, PAGE, text.encode(), "text/markdown")
    return numbers


def write_card_again(queue: Maintenance, place: Place, config: Config, warn: Callable[[str], None]) -> bool:
    """Write an existing card again with the same options. Return whether it was written.

    Problems that a person has to fix are one line for `warn`: a machine without pygal, a README.md that is not a card. A corpus
    whose last recording was removed gets a card without recordings. If videos are purged in the meantime, it is written again
    without them, because the purge may have written it earlier. Raises PlaceError and StoreError.
    """
    if place.head(OPTIONS) is None:
        return False
    buried: Collection[str] | None = None
    try:
        while buried != (buried := frozenset(queue.store.tombstones())):
            write_card(queue, place, config, CardOptions(), buried=buried)
    except PlaceRefused:
        raise
    except UserError as error:
        warn(f"the card was not updated; run ydc card: {error}")
        return False
    return True


def known_recordings(place: Place) -> Iterator[Recording]:
    """Yield the recordings of a place. Raises UserError, with advice, if it has none or their file is damaged."""
    try:
        yield from read(place)
    except FileNotFoundError:
        raise UserError(NO_MANIFEST) from None
    except ValueError as error:
        raise UserError(f"{error}; ydc manifest writes it again") from None


def _croissant(card: Card, description: str, manifests: Sequence[Distributed]) -> bytes:
    return describe(
        card.numbers,
        name=card.name,
        description=description,
        license=card.license or "The licence of each recording is in its record.",
        files=manifests,
        contact=card.contact,
    )


def _settings(config: Config) -> Mapping[str, str]:
    values = {name: getattr(config, name, None) for name in SETTINGS}
    return {name: _in_words(value) for name, value in values.items() if value not in (None, "", ())}


def _in_words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else f"{value}"


def _kept_options(target: Place) -> CardOptions:
    with suppress(FileNotFoundError, ValueError, TypeError):
        kept = json.loads(target.get(OPTIONS))
        return CardOptions(**{name: str(kept.get(name, "")) for name in CardOptions.__dataclass_fields__})
    return CardOptions()


def _owners_text(target: Place) -> str:
    """Return the owner's part of the card. Raises UserError for a README.md that is not a card."""
    try:
        text = target.get(PAGE).decode(errors="replace")
    except FileNotFoundError:
        return ""
    match = re.search(rf"{re.escape(OWNERS_START)}\n(.*?){re.escape(OWNERS_END)}", text, re.DOTALL)
    if not match:
        raise UserError(
            f"{target.url(PAGE)} is not a card of ydc: move it away, or write the card elsewhere: ydc card FOLDER"
        )
    return match[1]


def _manifests(place: Place, *, is_relative: bool) -> list[Distributed]:
    types = {path: _TYPES.get(PurePosixPath(path).suffix, "") for path in sorted(published(place).files)}
    found = []
    for path, content_type in {RECORDINGS: _TYPES[".jsonl"], **types}.items():
        with suppress(FileNotFoundError):
            digest, size = _digest(place, path)
            url = path if is_relative else place.url(path)
            found.append(Distributed(path, url, content_type, size, digest))
    return found


def _digest(place: Place, path: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with place.open(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def _put(target: Place, path: str, content: bytes, content_type: str) -> None:
    with tempfile.TemporaryDirectory(prefix="ydc-card-") as folder:
        file = Path(folder) / "file"
        file.write_bytes(content)
        target.put(path, file, content_type=content_type, metadata={})
