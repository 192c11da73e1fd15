"""Several processors in one attempt: one extraction, a record of each product, and only what failed is made again."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.clip_site import Site, files, is_sidecar
from tests.support.clip_site import task as task_at
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import AttemptError, ConfigError, ProcessorError, attempt_error
from youtube_download_coordinator.models import Done, Failure, Verdict, VideoTask
from youtube_download_coordinator.processors import archive as archives
from youtube_download_coordinator.processors.built_in import Settings, audio, metadata
from youtube_download_coordinator.queue.product_requests import ProductRequest, with_request
from youtube_download_coordinator.workers.find_processor import resolve_processors
from youtube_download_coordinator.workers.product_steps import planned_products, run_products
from youtube_download_coordinator.workers.run_processor import process_video

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

SAMPLES = "tests.support.sample_processors"
PAGE, CLIP, CAPTIONS = "/page.html", "/clip.mp4", "/en.vtt"
ALL = "audio,subtitles,metadata"


@pytest.fixture
def task(site: Site) -> VideoTask:
    """Return a video with captions in English."""
    track = f"<track kind='subtitles' srclang='en' src='{CAPTIONS}'>"
    page = f"<html><head><title>A clip</title></head><video src='{CLIP}'>{track}</video></html>"
    site.files[PAGE] = ("text/html; charset=utf-8", page.encode())
    site.files[CAPTIONS] = ("text/vtt", b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n")
    return task_at(site, PAGE)


def run(spec: str, task: VideoTask, settings: Settings) -> Done:
    settings = replace(settings, subtitle_languages=["en"])
    return run_products(resolve_processors(spec), task, settings, lambda message: None)


def retried(task: VideoTask, detail: str = "http-503: subtitles: ...") -> VideoTask:
    """Return the task at its next attempt."""
    return replace(task, lease=replace(task.lease, tries=1, detail=detail))


def requests(site: Site) -> Counter[str]:
    """Return the requests since the last call, by path."""
    counts = Counter(path for path, _ in site.log)
    site.log.clear()
    return counts


def products(output_dir: Path, result: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((output_dir / f"{result}.json").read_text())["products"]
    return listed


# -- one extraction


def test_all_products_are_made_of_one_extraction(site: Site, task: VideoTask, settings: Settings) -> None:
    metadata(task, replace(settings, output_dir=settings.output_dir / "alone"))
    alone = requests(site)
    done = run(ALL, task, settings)
    assert requests(site) == alone + Counter({CLIP: 1, CAPTIONS: 1})
    folder = (settings.output_dir / done.result).parent
    assert done.result.endswith(".m4a")
    made = sorted(path.name.partition(".")[2] for path in folder.iterdir() if not is_sidecar(path.name))
    assert made == ["en.vtt", "info.json", "m4a"]
    assert run(ALL, task, settings) == Done(result=done.result, asked_youtube=False)
    assert requests(site) == Counter()


def test_each_sidecar_lists_all_products(site: Site, task: VideoTask, settings: Settings) -> None:
    sound = audio(task, settings).result
    assert [product["kind"] for product in products(settings.output_dir, sound)] == ["audio"]
    run("subtitles,metadata", task, settings)
    captions = sound.replace(".m4a", ".en.vtt")
    assert products(settings.output_dir, sound) == products(settings.output_dir, captions)
    listed = {product["kind"]: product["files"] for product in products(settings.output_dir, sound)}
    assert list(listed) == ["audio", "metadata", "subtitles"]
    assert all((settings.output_dir / name).is_file() for names in listed.values() for name in names)


# -- failures


def test_only_what_failed_is_made_again(site: Site, task: VideoTask, settings: Settings) -> None:
    site.faults[CAPTIONS] = ["503"] * 9
    with pytest.raises(AttemptError) as caught:
        run(ALL, task, settings)
    assert (caught.value.verdict, caught.value.reason) == (Verdict.RETRY, "http-503")
    assert str(caught.value).startswith("subtitles: ")
    site.faults.clear()
    requests(site)
    sound = run(ALL, retried(task), settings).result
    again = requests(site)
    assert (again[CLIP], again[CAPTIONS]) == (0, 1)
    assert sound.endswith(".m4a")
    assert len(products(settings.output_dir, sound)) == 3


def test_a_processor_that_fails_first_costs_no_product_after_it(
    site: Site, task: VideoTask, settings: Settings
) -> None:
    with pytest.raises(AttemptError, match="fails: ValueError: not today"):
        run(f"{SAMPLES}:fails,audio,metadata", task, settings)
    made = [name for name in files(settings) if not is_sidecar(name)]
    assert sorted(name.partition(".")[2] for name in made) == ["info.json", "m4a"]


def test_a_failure_of_the_extraction_is_that_of_the_video(site: Site, settings: Settings) -> None:
    with pytest.raises(AttemptError) as caught:
        run(ALL, task_at(site, "/missing.html"), settings)
    assert caught.value.reason == "gone"
    assert "audio" not in str(caught.value)
    assert requests(site) == Counter({"/missing.html": 1})


@pytest.mark.parametrize(
    ("failures", "decides", "runs"),
    [
        (["permanent x", "retry y"], "retry y", 2),
        (["gone x", "later y"], "later y", 2),
        (["retry x", "throttled y"], "throttled y", 2),
        (["throttled x", "retry y"], "throttled x", 1),
        (["throttled subtitles-429", "retry y"], "throttled subtitles-429", 2),
        (["unfit x", "retry y"], "unfit x", 1),
        (["", "retry y"], "retry y", 2),
    ],
)
def test_the_failure_that_decides(
    task: VideoTask, settings: Settings, failures: list[str], decides: str, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What concerns all rows comes first and ends the attempt; then what another attempt may cure."""
    from youtube_download_coordinator.processors import built_in
    from youtube_download_coordinator.processors.production import Made, Recipe

    ran = []

    def recipe(kind: str, failure: str) -> Recipe:
        def make(extraction: Any, work: Path) -> Made:
            ran.append((kind, extraction.info["id"]))
            verdict, _, reason = failure.partition(" ")
            if verdict:
                raise attempt_error(Failure(verdict=Verdict(verdict), reason=reason, message="no"))
            return Made(info={}, files={})

        return Recipe(product=archives.Product(kind=kind, name=kind), make=make)

    for kind, failure in zip(("subtitles", "metadata"), failures, strict=True):
        monkeypatch.setitem(built_in.RECIPES, kind, lambda *_, kind=kind, failure=failure: recipe(kind, failure))
    with pytest.raises(AttemptError) as caught:
        run("subtitles,metadata", task, settings)
    assert f"{caught.value.verdict} {caught.value.reason}" == decides
    assert len(ran) == runs
    assert ("also" in str(caught.value)) == (runs == 2 and all(failures))


def test_that_there_are_no_captions_holds_until_the_row_is_done(site: Site, settings: Settings, tmp_path: Path) -> None:
    spec = f"metadata,subtitles,{SAMPLES}:fails"
    bare = task_at(site)
    for _ in range(2):
        with pytest.raises(AttemptError, match="fails: "):
            run(spec, bare, settings)
        assert requests(site)
    with pytest.raises(AttemptError):
        run(spec, retried(bare), settings)
    assert requests(site) == Counter()


# -- a user's own


def test_a_processor_gets_the_files_and_the_info(site: Site, task: VideoTask, settings: Settings) -> None:
    spec = f"{ALL},{SAMPLES}:lists_files,{SAMPLES}:writes_a_file"
    done = run(spec, task, settings)
    assert done.result.endswith(".m4a")
    stem = Path(done.result).name.removesuffix(".m4a")
    result, text = (products(settings.output_dir, done.result)[place] for place in (1, 2))
    names = {"audio": [f"{stem}.m4a"], "subtitles": [f"{stem}.en.vtt"], "metadata": [f"{stem}.info.json"]}
    assert json.loads(result["result"]) == {"files": names, "id": "page-1"}
    assert text["files"] == [str(Path(done.result).with_suffix(".txt"))]
    requests(site)
    (settings.output_dir / done.result).with_suffix(".txt").unlink()
    assert run(spec, task, settings).result == done.result
    assert requests(site) == Counter()
    assert (settings.output_dir / done.result).with_suffix(".txt").is_file()


def test_a_processor_is_not_called_without_the_files_before_it(site: Site, task: VideoTask, settings: Settings) -> None:
    site.faults[CLIP] = ["503"] * 9
    with pytest.raises(AttemptError) as caught:
        run(f"audio,{SAMPLES}:writes_a_file,metadata", task, settings)
    assert str(caught.value).startswith("audio: ")
    assert [name for name in files(settings) if ".parts" not in name and name.endswith(".info.json")]


def test_a_kill_between_two_products_goes_on_with_the_second(site: Site, task: VideoTask, tmp_path: Path) -> None:
    config = Config(output_dir=tmp_path, allow_other_sites=True, subtitle_languages="en")
    spec = f"audio,{SAMPLES}:is_killed_once,subtitles"
    killed = process_video(spec, task, config)
    assert isinstance(killed, Failure)
    assert killed.reason == "crashed"
    assert requests(site)[CLIP] == 1
    outcome = process_video(spec, retried(task, "crashed: ..."), config)
    assert isinstance(outcome, Done), outcome
    assert (outcome.result.endswith(".m4a"), len(products(tmp_path, outcome.result))) == (True, 3)
    again = requests(site)
    assert (again[CLIP], again[CAPTIONS]) == (0, 1)


def test_a_wrong_length_of_a_users_product_is_not_recorded(task: VideoTask, settings: Settings) -> None:
    spec = f"metadata,{SAMPLES}:returns_no_length"
    for _made_and_recorded in range(2):
        outcome = run(spec, task, settings)
        assert (outcome.media_seconds, outcome.degraded) == (None, "noise bad")


# -- what a person asks for besides


def asked(task: VideoTask, *products: str, result: str = "") -> VideoTask:
    """Return the task after `ydc retry --product`."""
    detail = with_request("", ProductRequest(products=products, result=result))
    return replace(task, lease=replace(task.lease, detail=detail))


def test_a_further_product_is_made_alone_and_the_result_stays(site: Site, task: VideoTask, tmp_path: Path) -> None:
    config = Config(output_dir=tmp_path, allow_other_sites=True, subtitle_languages="en")
    outcome = process_video("audio", asked(task, "subtitles", result="elsewhere/x.m4a"), config)
    assert outcome == Done(result="elsewhere/x.m4a")
    assert [path.name for path in tmp_path.rglob("*.vtt")]
    made = requests(site)
    assert (made[CLIP], made[CAPTIONS]) == (0, 1)


@pytest.mark.parametrize("result", ["", "no subtitles in original"])
def test_the_result_is_new_where_there_were_no_files(task: VideoTask, settings: Settings, result: str) -> None:
    assert run("metadata", asked(task, "metadata", result=result), settings).result.endswith(".info.json")


@pytest.mark.parametrize(
    ("names", "asked", "made", "existing"),
    [
        (["audio"], ["subtitles"], ["subtitles"], ["audio"]),
        (["subtitles", "m:f"], ["subtitles"], ["subtitles"], []),
        (["m:f"], ["subtitles"], ["subtitles"], []),
        (["audio", "m:f", "metadata"], ["m:f"], ["audio", "m:f", "metadata"], []),
        (["audio", "m:f"], ["m:f", "subtitles"], ["subtitles", "audio", "m:f"], []),
        (["audio", "m:f"], ["m:f", "download"], ["download", "m:f"], ["audio"]),
        (["audio", "m:f", "m:g"], ["m:g"], ["audio", "m:g"], []),
    ],
)
def test_what_is_made_for_a_request(names: list[str], asked: list[str], made: list[str], existing: list[str]) -> None:
    """A processor of a user's own gets files, which are made where they are missing."""
    assert planned_products(names, asked) == (made, existing)


def test_a_row_names_no_module_that_a_worker_would_import(task: VideoTask, tmp_path: Path) -> None:
    """Whoever may edit a sheet may not run programs on the workers."""
    outcome = process_video("audio", asked(task, f"{SAMPLES}:is_killed_once"), Config(output_dir=tmp_path))
    assert isinstance(outcome, Failure)
    assert (outcome.verdict, outcome.reason) == (Verdict.LATER, "other-processor")


def test_a_processor_that_is_asked_for_is_called_again(site: Site, task: VideoTask, settings: Settings) -> None:
    spec = f"audio,{SAMPLES}:lists_files"
    run(spec, task, settings)
    requests(site)
    run(spec, asked(task, f"{SAMPLES}:lists_files"), settings)
    again = requests(site)
    assert (again[PAGE] > 0, again[CLIP]) == (True, 0)  # it reads the info


# -- lists


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("audio,subtitels", "did you mean subtitles"),
        ("audio,audio", "contain audio twice"),
        ("audio,,subtitles", "an empty name"),
        ("audio,", "an empty name"),
        ("download,subtitles,audio", "download and audio cannot be combined"),
        (
            "audio,tests.support.sample_tasks:spells",
            "sample_tasks:spells is a Prefect task, which cannot be combined",
        ),
        ("audio,tests.support.nowhere:f", "there is no module tests.support.nowhere"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_in_one_line(spec: str, says: str) -> None:
    with pytest.raises(ProcessorError, match=says) as caught:
        resolve_processors(spec)
    assert "\n" not in str(caught.value)


def test_spaces_in_a_list_do_not_matter() -> None:
    assert Config(processor=" audio, my_module:transcribe ,metadata").processor == "audio,my_module:transcribe,metadata"


def test_a_setting_that_makes_no_sense_names_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"^processor='audio,audio': .* contain audio twice"):
        Config(processor="audio,audio")
