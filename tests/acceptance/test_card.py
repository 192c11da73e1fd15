"""The card of a corpus that real commands have made in a bucket, as a program for data sets reads it."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.media_site import make_site, serving
from tests.support.object_storage import BUCKET, s3_environment, s3_server
from youtube_download_coordinator import Config, Coordinator, corpus
from youtube_download_coordinator.corpus.card import CROISSANT, PAGE
from youtube_download_coordinator.corpus.statistics import gather
from youtube_download_coordinator.models import State
from youtube_download_coordinator.storage.opening import open_place
from youtube_download_coordinator.storage.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

YDC = Path(sys.executable).with_name("ydc")
ADDRESS = f"s3://{BUCKET}/corpus"
TITLES = ("Interview in Lagos", "A reading from Recife", "Market talk, Chennai")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Yield a bucket with a corpus: listed, processed, with its manifest and its card."""
    with s3_server() as url, serving(make_site(tmp_path / "site", TITLES), TITLES) as site:
        for name, value in s3_environment(url).items():
            monkeypatch.setenv(name, value)
        environment = {
            **os.environ,
            "YDC_DATABASE_URL": f"sqlite:///{tmp_path / 'queue.db'}",
            "YDC_STATE_DIR": str(tmp_path / "state"),
            "YDC_OUTPUT_DIR": ADDRESS,
            "YDC_ALLOW_OTHER_SITES": "true",
            "YDC_ALLOW_PRIVATE_ADDRESSES": "true",
            "YDC_VIDEOS_PER_HOUR": "0",
            "YDC_MIN_FREE_DISK_BYTES": "0",
            "YDC_IDLE_POLL_SECONDS": "0.1",
        }
        for command in (
            ["add", f"{site}/feed.xml", "--accent", "en-NG"],
            ["run"],
            ["manifest"],
            ["card", "--name", "Three clips", "--contact", "corpus@example.org"],
        ):
            done = subprocess.run(
                [YDC, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
        yield open_place(ADDRESS)


def test_its_description_is_valid_and_its_hours_are_those_of_the_queue(place: Place, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for held in place.list():
        (copy / held.path).parent.mkdir(parents=True, exist_ok=True)
        place.download(held.path, copy / held.path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant

        dataset = mlcroissant.Dataset(jsonld=copy / CROISSANT)
        records = list(dataset.records("recordings"))
    with Coordinator(Config(database_url=f"sqlite:///{tmp_path / 'queue.db'}")) as coordinator:
        rows = [row for row in coordinator.client.videos() if row.lease.state is State.DONE]
    numbers = gather(corpus.read(place))

    assert dataset.metadata.name == "Three clips"
    assert {record["recordings/path"].decode() for record in records} == {row.result for row in rows}
    assert len(records) == numbers.videos == len(rows) == len(TITLES)
    assert abs(numbers.milliseconds / 1000 - sum(row.duration_seconds or 0 for row in rows)) < len(rows)
    assert f"{numbers.hours:,.2f} hours of 3 videos" in (copy / PAGE).read_text(encoding="utf-8")
    assert (copy / ".corpus/card/accents.svg").is_file()
