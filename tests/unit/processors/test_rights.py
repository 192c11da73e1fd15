"""Licence and trainability are known, and decide, before any media is fetched."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.clip_site import Site, files, task
from tests.support.trainability_api import Answer, TrainabilityApi, permits, trainability_api
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import AttemptError, GoneError, LaterError
from youtube_download_coordinator.models import Done, VideoTask
from youtube_download_coordinator.processors.built_in import RECIPES, Settings, audio, metadata, subtitles
from youtube_download_coordinator.processors.facts import product_facts
from youtube_download_coordinator.processors.licenses import license_of
from youtube_download_coordinator.processors.production import Production
from youtube_download_coordinator.processors.worker_settings import Settings as WorkerSettings
from youtube_download_coordinator.queue.product_requests import request_for
from youtube_download_coordinator.workers.product_steps import run_products
from youtube_download_coordinator.workers.run_processor import process_video
from youtube_download_coordinator.youtube.trainability import now

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # yt-dlp does not close failed connections
VIDEO = "M4gD1WSo5mA"
CREATIVE_COMMONS = "Creative Commons Attribution license (reuse allowed)"


@pytest.fixture
def api() -> Iterator[TrainabilityApi]:
    with trainability_api() as server:
        yield server


@pytest.fixture
def choosy(settings: Settings, api: TrainabilityApi, tmp_path: Path) -> Settings:
    """Return settings with which only videos are made that everyone may train with."""
    network = replace(settings.network, state_dir=str(tmp_path / "state"))
    return replace(settings, trainable="all", trainability_url=api.url, network=network)


def video(site: Site) -> VideoTask:
    """Return the clip as if it were a video of YouTube, which is what the API knows."""
    return replace(task(site), key=f"yt:v:{VIDEO}")


def rights(settings: Settings, done: Done) -> Any:
    return json.loads((settings.output_dir / f"{done.result}.json").read_text()).get("rights")


# -- the licence


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (CREATIVE_COMMONS, "creative-commons"),
        ("Licencia de atribución de Creative Commons (reutilización permitida)", "creative-commons"),
        (None, "youtube"),
        ("", "youtube"),
        ("Standard YouTube License", "youtube"),
        ("Lizenz: anders", "unknown"),
    ],
)
def test_the_licence_of_a_video_on_youtube(text: str | None, name: str) -> None:
    info = {"extractor_key": "Youtube", "license": text, "channel_follower_count": None}
    assert license_of(info, {}) == name


def test_what_yt_dlp_did_not_see_is_unknown() -> None:
    assert license_of({"extractor_key": "Youtube", "license": None}, {}) == "unknown"


@pytest.mark.parametrize(("language", "name"), [("de", "unknown"), ("en", "youtube"), ("", "youtube")])
def test_in_another_language_yt_dlp_does_not_find_the_licence(language: str, name: str) -> None:
    info = {"extractor_key": "Youtube", "channel_follower_count": 3}
    assert license_of(info, {"youtube": {"lang": [language]}}) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (None, "unknown"),
        ("All rights reserved", "unknown"),
        ("accredited", "unknown"),
        ("CC BY-NC 4.0", "creative-commons"),
        ("cc0", "creative-commons"),
        ("https://creativecommons.org/licenses/by/4.0/", "creative-commons"),
        (7, "unknown"),
    ],
)
def test_the_licence_on_another_site(text: Any, name: str) -> None:
    assert license_of({"extractor_key": "Generic", "license": text}, {}) == name


def test_the_licence_is_recorded_and_nobody_is_asked(site: Site, settings: Settings, api: TrainabilityApi) -> None:
    done = audio(video(site), replace(settings, trainability_url=api.url))
    assert rights(settings, done) == {"license": "unknown"}
    assert (done.license, done.trainable, api.asked) == ("unknown", "", [])


def test_a_video_with_another_licence_is_skipped(site: Site, settings: Settings) -> None:
    done = audio(task(site), replace(settings, licenses=["creative-commons", "youtube"]))
    assert (done.result, done.license) == ("skipped, licence unknown", "unknown")
    assert files(settings) == []
    assert audio(task(site), replace(settings, licenses=["unknown"])).result.endswith(".m4a")


@pytest.mark.parametrize("processor", [metadata, subtitles])
def test_nothing_else_is_made_of_it_either(site: Site, settings: Settings, processor: Any) -> None:
    assert processor(task(site), replace(settings, licenses=["youtube"])).result == "skipped, licence unknown"
    assert files(settings) == []


def test_what_a_cut_off_attempt_has_left_of_it_is_removed(site: Site, settings: Settings) -> None:
    site.faults["/clip.mp4"] = ["", "reset"] + ["reset"] * 20
    with pytest.raises(AttemptError):
        audio(task(site), settings)
    assert list((settings.output_dir / ".parts").iterdir())
    audio(task(site), replace(settings, licenses=["youtube"]))
    assert list((settings.output_dir / ".parts").iterdir()) == []


# -- trainability


def test_the_answer_is_recorded_and_asked_for_once(site: Site, choosy: Settings, api: TrainabilityApi) -> None:
    asking = replace(choosy, trainable="", trainability="ask")
    begun = now().replace(microsecond=0)
    done = audio(video(site), asking)
    recorded = rights(choosy, done)
    assert recorded == {"license": "unknown", "trainable": "none", "etag": "e1", "asked_at": recorded["asked_at"]}
    assert begun.isoformat() <= recorded["asked_at"] <= now().isoformat()
    assert (done.license, done.trainable) == ("unknown", "none")
    other = metadata(video(site), asking)
    info = json.loads((choosy.output_dir / other.result).read_text())
    assert info["rights"] == recorded
    assert api.asked == [VIDEO]


@pytest.mark.parametrize("answer", [Answer(status=500), Answer(status=404), Answer(b"<html>"), Answer(status=429)])
def test_without_an_answer_the_video_is_made(
    site: Site, choosy: Settings, api: TrainabilityApi, answer: Answer
) -> None:
    api.answer = answer
    done = audio(video(site), replace(choosy, trainable="", trainability="ask"))
    recorded = rights(choosy, done)
    assert (recorded["trainable"], done.trainable, api.asked) == ("unknown", "unknown", [VIDEO])
    assert recorded["asked_at"]


def test_a_video_that_nobody_may_train_with_costs_one_request_of_the_api(
    site: Site, choosy: Settings, api: TrainabilityApi
) -> None:
    done = audio(video(site), choosy)
    assert (done.result, done.trainable, done.asked_youtube) == ("skipped, training not permitted", "none", False)
    assert audio(video(site), choosy).result == done.result
    assert (api.asked, site.log, files(choosy)) == ([VIDEO], [], [])


@pytest.mark.parametrize(
    ("permitted", "wanted", "is_made"),
    [
        (["all"], "all", True),
        (["all"], "Adobe", True),
        (["Adobe"], "adobe", True),
        (["Adobe"], "all", False),
        (["Example"], "Adobe", False),
        (["None"], "all", False),
    ],
)
def test_who_may_train(
    site: Site, choosy: Settings, api: TrainabilityApi, permitted: list[str], wanted: str, is_made: bool
) -> None:
    api.answer = permits(*permitted)
    done = audio(video(site), replace(choosy, trainable=wanted))
    assert done.result.endswith(".m4a") is is_made
    assert bool(site.log) is is_made


@pytest.mark.parametrize("answer", [Answer(status=503), Answer(status=403), Answer(b"{}")])
def test_without_an_answer_a_video_waits_if_training_is_required(
    site: Site, choosy: Settings, api: TrainabilityApi, answer: Answer
) -> None:
    api.answer = answer
    with pytest.raises(LaterError, match="does not say whether training is permitted") as caught:
        audio(video(site), choosy)
    assert (caught.value.reason, caught.value.not_before) == ("trainability", None)
    assert (api.asked, site.log) == ([VIDEO], [])


def test_it_waits_until_the_api_wants_to_be_asked_again(site: Site, choosy: Settings, api: TrainabilityApi) -> None:
    api.answer = Answer(status=429, headers={"Retry-After": "1200"})
    for _ in range(3):
        with pytest.raises(LaterError) as caught:
            audio(video(site), choosy)
        assert caught.value.not_before
        assert timedelta(minutes=19) < caught.value.not_before - now() <= timedelta(minutes=20)
    assert (api.asked, site.log) == ([VIDEO], [])


def test_a_video_that_exists_and_that_the_api_does_not_know_waits_for_a_day(
    site: Site, choosy: Settings, api: TrainabilityApi
) -> None:
    api.answer = Answer(status=404)
    with pytest.raises(LaterError) as caught:
        audio(video(site), choosy)
    assert caught.value.reason == "no-trainability"
    assert caught.value.not_before
    assert caught.value.not_before - now() > timedelta(hours=23)
    assert files(choosy) == []


def test_a_video_that_is_gone_does_not_wait_for_an_answer(site: Site, choosy: Settings, api: TrainabilityApi) -> None:
    api.answer = Answer(status=404)
    del site.files["/clip.mp4"]
    with pytest.raises(GoneError):
        audio(video(site), choosy)


def test_other_sites_say_nothing_about_training(site: Site, choosy: Settings, api: TrainabilityApi) -> None:
    done = audio(task(site), choosy)
    assert (done.result, api.asked, site.log) == ("skipped, training permission unknown", [], [])
    asking = replace(choosy, trainable="", trainability="ask")
    assert rights(choosy, audio(task(site), asking)) == {"license": "unknown", "trainable": "unknown"}


# -- several products


def produce(row: VideoTask, settings: Settings, *kinds: str) -> Done:
    return Production(row, settings, [RECIPES[kind](row, settings, None) for kind in kinds]).run()


def test_files_that_exist_are_kept_and_nothing_is_added(site: Site, settings: Settings) -> None:
    made = produce(task(site), settings, "audio")
    before = files(settings)
    strict = replace(settings, licenses=["youtube"])
    done = produce(task(site), strict, "audio", "metadata")
    assert done.result == f"{made.result} (without metadata: skipped, licence unknown)"
    assert files(settings) == before
    requests = len(site.log)
    assert produce(task(site), strict, "audio").result == made.result  # it asks nobody
    assert len(site.log) == requests


def test_a_product_that_was_asked_for_is_not_made(site: Site, settings: Settings) -> None:
    row = task(site)
    made = produce(row, settings, "audio")
    detail = str(request_for(["metadata"], made.result))
    asked = replace(row, lease=replace(row.lease, detail=f"asked-for: one more product {detail}"))
    done = run_products({"metadata": metadata}, asked, replace(settings, licenses=["youtube"]), lambda message: None)
    assert done.result == f"{made.result} (without metadata: skipped, licence unknown)"


def test_a_skipped_video_that_is_asked_for_a_product_forgets_that_it_was_skipped() -> None:
    assert request_for(["metadata"], "skipped, licence youtube").result == ""


# -- functions of a user's own


def config_of(choosy: WorkerSettings, **settings: Any) -> Config:
    return Config(
        output_dir=choosy.output_dir,
        state_dir=choosy.network.state_dir,
        allow_other_sites=True,
        allow_private_addresses=True,
        trainability_url=choosy.trainability_url,
        **settings,
    )


@pytest.mark.slow
def test_a_function_is_not_called_for_a_skipped_video(site: Site, choosy: Settings, api: TrainabilityApi) -> None:
    spec = "tests.support.sample_processors:tells_accent"
    config = config_of(choosy, trainable="all")
    outcome = process_video(spec, video(site), config)
    assert outcome == Done(result="skipped, training not permitted", asked_youtube=False)
    assert isinstance(outcome, Done)
    assert outcome.trainable == "none"
    (choosy.output_dir.parent / "state" / "trainability.db").unlink()
    api.answer = permits("all")
    assert process_video(spec, video(site), config) == Done(result="0 Scottish")
    assert api.asked == [VIDEO, VIDEO]


def test_the_state_is_a_cache_that_anyone_can_read(site: Site, choosy: Settings) -> None:
    audio(video(site), choosy)
    with closing(sqlite3.connect(Path(choosy.network.state_dir) / "trainability.db")) as database:
        assert database.execute("SELECT video_id, permitted FROM answers").fetchall() == [(VIDEO, '["none"]')]


def test_the_index_of_the_corpus_has_the_rights() -> None:
    youtube = {"license": CREATIVE_COMMONS}
    sidecar = {"rights": {"license": "creative-commons", "trainable": "Adobe, Example"}, "youtube": youtube}
    facts = product_facts("yt:v:x", "audio", "audio-m4a", {}, [], [sidecar])
    assert (facts.license, facts.trainable) == ("creative-commons", "Adobe, Example")
    older = product_facts("yt:v:x", "audio", "audio-m4a", {}, [], [{"youtube": youtube}])
    assert (older.license, older.trainable) == (CREATIVE_COMMONS, "")
