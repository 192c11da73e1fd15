"""A purge writes the card of the place again, so that nothing in the place names a channel that was taken out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.corpus_rows import Machine, video
from tests.support.fragile_place import FragilePlace, Killed
from tests.support.memory_place import MemoryPlace
from tests.unit.corpus.test_purge import (
    CHANNEL,
    GONE,
    KEPT,
    OTHER,
    check_gone,
    fill,
    naming,
    paths,
    run,
)
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.corpus.card import CROISSANT, OPTIONS, PAGE, CardOptions, write_card, write_card_again
from youtube_download_coordinator.corpus.publication import PUBLISHED, publish
from youtube_download_coordinator.corpus.purge_selection import PurgeSelection
from youtube_download_coordinator.corpus.recordings import RECORDINGS
from youtube_download_coordinator.storage.local import LocalPlace


@pytest.fixture(params=["memory", "local"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    place = LocalPlace(tmp_path / "media") if request.param == "local" else MemoryPlace()
    return Machine(tmp_path / "machine", place)


def fill_with_card(machine: Machine) -> None:
    fill(machine)
    publish(machine.queue, machine.place, machine.state_dir)
    write_card(machine.queue, machine.place, Config(), CardOptions(name="Two towns"))


def test_the_card_of_the_place_is_written_again_without_the_channel(machine: Machine) -> None:
    fill_with_card(machine)
    assert len(naming(machine.place, CHANNEL)) >= 6
    report = run(machine, PurgeSelection(channels=[f"yt:c:{CHANNEL}"]))
    check_gone(machine)
    assert naming(machine.place, CHANNEL) == []
    assert OTHER in machine.place.get(PAGE).decode()
    assert "# Two towns" in machine.place.get(PAGE).decode()
    assert report.card


def test_the_card_of_a_place_whose_last_video_is_taken_out_names_nothing(machine: Machine) -> None:
    fill_with_card(machine)
    run(machine, PurgeSelection(keys=[video(number).key for number in (*GONE, *KEPT)]))
    assert naming(machine.place, CHANNEL) == naming(machine.place, OTHER) == []
    assert "0.00 hours of 0 videos" in machine.place.get(PAGE).decode()


def test_half_a_card_of_a_killed_command_is_a_card(tmp_path: Path) -> None:
    place = FragilePlace()
    machine = Machine(tmp_path, place)
    fill(machine)
    publish(machine.queue, place, machine.state_dir)
    place.fatal = CROISSANT  # after the figures
    with pytest.raises(Killed):
        write_card(machine.queue, place, Config(), CardOptions())
    place.fatal = ""
    assert run(machine, PurgeSelection(channels=[f"yt:c:{CHANNEL}"])).card
    assert naming(place, CHANNEL) == []


def test_a_purge_without_a_card_writes_none(machine: Machine) -> None:
    fill(machine)
    publish(machine.queue, machine.place, machine.state_dir)
    assert not run(machine, PurgeSelection(keys=[video(0).key])).card
    assert PAGE not in paths(machine.place)


@pytest.mark.parametrize("missing", ["pygal", "its own README.md"])
def test_what_keeps_the_card_from_being_written_is_one_line_and_the_videos_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    machine = Machine(tmp_path, MemoryPlace())
    fill_with_card(machine)
    if missing == "pygal":
        monkeypatch.setitem(sys.modules, "pygal", None)
    else:
        machine.place.delete(PAGE)
        machine.place.put_if_absent(PAGE, b"# My notes\n", content_type="text/markdown", metadata={})
    said: list[str] = []
    report = run(machine, PurgeSelection(channels=[f"yt:c:{CHANNEL}"]), say=said.append)
    check_gone(machine)
    assert not report.card
    (line,) = [line for line in said if line.startswith("the card was not updated; run ydc card: ")]
    assert "pip install pygal" in line or "README.md is not a card of ydc" in line


def test_what_is_purged_while_another_machine_writes_the_card_is_not_in_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_with_card(machine)
    put = type(machine.place).put
    selections = iter([PurgeSelection(channels=[f"yt:c:{CHANNEL}"])])

    def puts(place: Any, path: str, *arguments: Any, **named: Any) -> None:
        if path == PAGE and (selection := next(selections, None)):
            run(machine, selection)
        put(place, path, *arguments, **named)

    monkeypatch.setattr(type(machine.place), "put", puts)
    assert write_card_again(machine.queue, machine.place, Config(), pytest.fail)
    assert naming(machine.place, CHANNEL) == []


@pytest.mark.slow
@pytest.mark.parametrize("is_after", [False, True])
def test_a_purge_that_is_killed_while_it_writes_the_card_is_completed_by_the_next(
    tmp_path: Path, is_after: bool
) -> None:
    selection = PurgeSelection(channels=[f"yt:c:{CHANNEL}"])
    for path in (PUBLISHED, RECORDINGS, OPTIONS, ".corpus/card/channels.svg", CROISSANT, PAGE):
        place = FragilePlace()
        place.is_after = is_after
        machine = Machine(tmp_path / path, place)
        fill_with_card(machine)
        place.fatal = path
        with pytest.raises(Killed):
            run(machine, selection)
        place.fatal = ""
        assert naming(place, CHANNEL) != []  # the index still selects
        run(machine, selection)
        check_gone(machine)
        assert naming(place, CHANNEL) == []
