"""croissant.json, as the reference implementation of Croissant reads it."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.support.recordings import NASTY, publish, recording
from tests.support.rows import make_queue
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.corpus.card import CROISSANT, CardOptions, write_card
from youtube_download_coordinator.corpus.recordings import Recording
from youtube_download_coordinator.storage.local import LocalPlace
from youtube_download_coordinator.stores.sql.store import SqlStore


def loaded(file: Path) -> Any:
    """Return the data set of a description. Raises ValidationError for one that is not valid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its libraries' own
        import mlcroissant

        return mlcroissant.Dataset(jsonld=file)


def described(folder: Path, *recordings: Recording, options: CardOptions = CardOptions()) -> Path:  # noqa: B008
    folder.mkdir(exist_ok=True)
    place = LocalPlace(folder / "corpus")
    publish(place, folder, recordings)
    write_card(make_queue(SqlStore("sqlite://")), place, Config(), options)
    return folder / "corpus" / CROISSANT


@pytest.mark.slow
def test_it_is_valid_and_its_records_are_the_recordings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recordings = [recording(number, product=f"p{number}") for number in (1, 2, 3)]
    file = described(tmp_path, *recordings, options=CardOptions(name="Irish English", contact="a@example.org"))

    with caplog.at_level(logging.WARNING):
        dataset = loaded(file)

    assert dataset.metadata.name == "Irish English"
    assert not caplog.messages
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = list(dataset.records("recordings"))
    assert [record["recordings/id"] for record in records] == [1, 2, 3]
    assert [record["recordings/path"].decode() for record in records] == [each.path for each in recordings]


@pytest.mark.slow
def test_nasty_names_are_data(tmp_path: Path) -> None:
    for number, name in enumerate(NASTY):
        file = described(
            tmp_path / f"{number}",
            recording(1, accent=name, channel=name, language=name),
            options=CardOptions(name=name, contact=name, license=""),
        )
        assert loaded(file).metadata.name
