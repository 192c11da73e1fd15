"""`write_card`: the card of a place."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.support.memory_place import MemoryPlace
from tests.support.recordings import NASTY, publish, recording
from tests.support.rows import make_queue, new_video
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.corpus.card import CROISSANT, PAGE, CardOptions, write_card
from youtube_download_coordinator.corpus.publication import PUBLISHED, Published
from youtube_download_coordinator.corpus.recordings import RECORDINGS, Recording, Segment
from youtube_download_coordinator.errors import UserError
from youtube_download_coordinator.models import Done, Failure, Verdict
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sql.store import SqlStore

NO_OPTIONS = CardOptions()


@pytest.fixture
def queue() -> Queue:
    return make_queue(SqlStore("sqlite://"))


def with_recordings(folder: Path, *recordings: Recording) -> MemoryPlace:
    place = MemoryPlace()
    publish(place, folder, recordings)
    return place


def files_of(place: MemoryPlace) -> dict[str, bytes]:
    return {held.path: place.get(held.path) for held in place.list()}


def page_of(place: MemoryPlace) -> str:
    return place.get(PAGE).decode()


def front_matter_of(place: MemoryPlace) -> dict[str, object]:
    content = yaml.safe_load(page_of(place).split("---\n")[1])
    assert isinstance(content, dict)
    return content


def test_a_card_has_the_hours_of_the_recordings(tmp_path: Path, queue: Queue) -> None:
    place = with_recordings(
        tmp_path, recording(1, seconds=5400), recording(2, seconds=1800, accent="Scots", language="en-GB")
    )

    numbers = write_card(queue, place, Config(), NO_OPTIONS)

    assert numbers.hours == 2.0
    assert "2.00 hours of 2 videos" in page_of(place)
    assert "| Irish | 1.50 | 75.0% | 1 |" in page_of(place)
    assert front_matter_of(place)["language"] == ["en"]


def test_the_same_corpus_gives_the_same_bytes(tmp_path: Path, queue: Queue) -> None:
    place = with_recordings(tmp_path, *(recording(number, channel_id=f"UC{number}") for number in range(1, 40)))

    write_card(queue, place, Config(), CardOptions(contact="a@example.org"))
    first = files_of(place)
    write_card(queue, place, Config(), NO_OPTIONS)

    assert files_of(place) == first
    assert "a@example" in page_of(place).replace("\\", "")
    assert {path for path in first if path.endswith(".svg")} == {
        f".corpus/card/{name}.svg" for name in ("accents", "channels", "durations", "licences")
    }


@pytest.mark.parametrize("name", NASTY)
def test_names_are_shown_literally(tmp_path: Path, queue: Queue, name: str) -> None:
    place = with_recordings(
        tmp_path,
        recording(1, accent=name, channel=name, channel_id=name, type=name, license=name, language=name, codec=name),
    )

    write_card(queue, place, Config(), CardOptions(name=name, contact=name, license=""))

    text = page_of(place)
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text.split("---\n", 2)[2])
    assert not any(sign in html for sign in ("<script", "<a ", "<s>", "<em><strong>", 'evil.example/x.png"'))
    assert html.count("<img") == 4
    assert html.count("<!--") == 2
    assert not {"\u202e", "\u200f", "\x1b", "\x00"} & set(text)
    assert front_matter_of(place)["license"] == "other"
    json.loads(place.get(CROISSANT))
    for path, content in files_of(place).items():
        if path.endswith(".svg"):
            assert not [tag for tag in ElementTree.fromstring(content).iter() if "script" in tag.tag]


def test_options_become_single_lines_of_whole_characters(tmp_path: Path, queue: Queue) -> None:
    place = with_recordings(tmp_path, recording(1))
    write_card(queue, place, Config(), CardOptions(name="Irish\udcff", contact="a\nb", license="cc-by-4.0\n"))
    assert "# Irish\n" in page_of(place)
    assert front_matter_of(place)["license"] == "cc-by-4.0"
    assert json.loads(place.get(CROISSANT))["creator"]["name"] == "a b"


def test_figures_can_be_read_aloud(tmp_path: Path, queue: Queue) -> None:
    place = with_recordings(tmp_path, recording(1, seconds=5400))

    write_card(queue, place, Config(), NO_OPTIONS)

    figure = ElementTree.fromstring(place.get(".corpus/card/accents.svg"))
    assert figure.get("role") == "img"
    texts = {child.tag.partition("}")[2]: child.text for child in figure}
    assert (texts["title"], texts["desc"]) == ("Hours by accent", "Irish: 1.50")


def test_what_the_owner_wrote_is_kept(tmp_path: Path, queue: Queue) -> None:
    place = with_recordings(tmp_path, recording(1))
    write_card(queue, place, Config(), NO_OPTIONS)
    (tmp_path / "card").write_text(
        page_of(place).replace("_Write here what", "Recorded for a thesis. _Write here what")
    )
    place.put(PAGE, tmp_path / "card", content_type="text/markdown", metadata={})

    write_card(queue, place, Config(), CardOptions(name="Another name"))

    assert "# Another name" in page_of(place)
    assert page_of(place).count("Recorded for a thesis.") == 1


def test_another_readme_is_not_replaced(tmp_path: Path, queue: Queue) -> None:
    place = with_recordings(tmp_path, recording(1))
    (tmp_path / "mine").write_text("# My notes\n")
    place.put(PAGE, tmp_path / "mine", content_type="text/markdown", metadata={})

    with pytest.raises(UserError, match=r"README\.md is not a card"):
        write_card(queue, place, Config(), NO_OPTIONS)
    assert page_of(place) == "# My notes\n"


def test_without_a_manifest_it_says_what_to_do(queue: Queue) -> None:
    with pytest.raises(UserError, match="ydc manifest"):
        write_card(queue, MemoryPlace(), Config(), NO_OPTIONS)


def test_damaged_recordings_are_one_clear_error(tmp_path: Path, queue: Queue) -> None:
    place = with_recordings(tmp_path, recording(1))
    (tmp_path / "half").write_bytes(place.get(RECORDINGS)[:-9])
    place.put(RECORDINGS, tmp_path / "half", content_type="", metadata={})
    with pytest.raises(UserError, match=r"recordings\.jsonl\.gz is damaged: .*; ydc manifest writes it again"):
        write_card(queue, place, Config(), NO_OPTIONS)


def test_a_card_elsewhere_leaves_the_place_alone(tmp_path: Path, queue: Queue) -> None:
    place, elsewhere = with_recordings(tmp_path, recording(1)), MemoryPlace("memory://other")
    before = files_of(place)

    write_card(queue, place, Config(), NO_OPTIONS, elsewhere)

    assert files_of(place) == before
    assert PAGE in files_of(elsewhere)
    content = json.loads(elsewhere.get(CROISSANT))
    assert content["distribution"][0]["contentUrl"] == "memory://files/.corpus/recordings.jsonl.gz"


def test_what_was_left_out_is_counted_by_reason(tmp_path: Path, queue: Queue) -> None:
    queue.add(VIDEO_TASKS, [new_video(number) for number in range(1, 6)])
    claims = queue.claim(VIDEO_TASKS, 4)
    outcomes = (
        Done(result="a.m4a"),
        Done(result="skipped, licence youtube"),
        Failure(verdict=Verdict.PERMANENT, reason="private"),
        Failure(verdict=Verdict.PERMANENT, reason="private"),
    )
    queue.settle(list(zip(claims, outcomes, strict=True)))
    place = with_recordings(tmp_path, recording(claims[0].row.id, degraded="low-bit-rate"))

    write_card(queue, place, Config(), NO_OPTIONS)

    lines = [line for line in page_of(place).splitlines() if line.startswith("| ")]
    assert any(line.startswith("| 2 | failed | private |") for line in lines)
    assert any(line.startswith("| 1 | skipped | licence youtube |") for line in lines)
    assert any(line.startswith("| 1 | not yet |") for line in lines)
    assert any(line.startswith("| 1 | low\\-bit\\-rate |") for line in lines)
    assert "4 videos that were listed are not in the corpus." in page_of(place)


def test_a_split_without_recordings_is_not_offered_to_programs(tmp_path: Path, queue: Queue) -> None:
    place = with_recordings(tmp_path, recording(1))
    names = {"manifest.train.jsonl", "manifest.dev.jsonl", "manifest.test.jsonl"}
    for path in names:
        put(place, tmp_path, path, "{}\n" if "train" in path else "")
    put(place, tmp_path, PUBLISHED, Published(files=names).encode())

    write_card(queue, place, Config(), CardOptions())

    data_files = [{"split": "train", "path": ["manifest.train.jsonl"]}]
    assert front_matter_of(place)["configs"] == [{"config_name": "default", "data_files": data_files}]


@pytest.mark.parametrize(
    ("manifests", "data_files"),
    [
        ({"metadata.jsonl", "manifest.csv"}, [{"split": "train", "path": ["metadata.jsonl", "**/*.m4a"]}]),
        (
            {"manifest.test.jsonl", "manifest.train.jsonl", "manifest.dev.jsonl"},
            [
                {"split": "train", "path": ["manifest.train.jsonl"]},
                {"split": "validation", "path": ["manifest.dev.jsonl"]},
                {"split": "test", "path": ["manifest.test.jsonl"]},
            ],
        ),
        (set(), [{"split": "train", "path": [".corpus/recordings.jsonl.gz"]}]),
    ],
)
def test_hugging_face_finds_the_manifest(
    tmp_path: Path, queue: Queue, manifests: set[str], data_files: list[object]
) -> None:
    place = with_recordings(tmp_path, recording(1, segments=(Segment(0.0, 1.0, "hello"),)))
    for path in manifests:
        put(place, tmp_path, path, "{}\n")
    put(place, tmp_path, PUBLISHED, Published(files=manifests).encode())

    write_card(queue, place, Config(), CardOptions(license="cc-by-4.0"))

    matter = front_matter_of(place)
    assert matter["configs"] == [{"config_name": "default", "data_files": data_files}]
    assert matter["license"] == "cc-by-4.0"
    assert matter["task_categories"] == ["automatic-speech-recognition", "audio-classification"]
    assert matter["size_categories"] == ["n<1K"]
    described = json.loads(place.get(CROISSANT))["distribution"]
    assert {file["name"] for file in described} == {".corpus/recordings.jsonl.gz", *manifests}


def put(place: MemoryPlace, folder: Path, path: str, text: str) -> None:
    (folder / "text").write_text(text)
    place.put(path, folder / "text", content_type="", metadata={})
