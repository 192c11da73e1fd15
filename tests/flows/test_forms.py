"""The run forms: what is asked, and that Prefect refuses what does not fit before there is a run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError

from flows.coordinate import coordinate
from flows.expand_source import expand_source
from flows.process_videos import process_videos
from flows.requeue_dead_letters import requeue_dead_letters
from tests.flows import seen
from tests.flows.conftest import AddVideos
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.processors.names import BUILT_INS

HANDLE = "https://www.youtube.com/@handle"


def deployed(flow: Flow[..., Any]) -> UUID:
    deployment = flow.to_deployment("form")
    return UUID(str(deployment.apply()))  # type: ignore[union-attr]


def asked(flow: Flow[..., Any]) -> dict[str, Any]:
    """Return the form that the API gives to the UI: the schema of each parameter."""
    with get_client(sync_client=True) as client:
        schema = client.read_deployment(deployed(flow)).parameter_openapi_schema
    assert schema
    properties: dict[str, Any] = schema["properties"]
    return properties


def test_the_form_of_expand_source() -> None:
    form = asked(expand_source)
    assert {name: each["title"] for name, each in form.items()} == {
        "url": "Address",
        "accent": "Accent",
        "type": "Type",
        "first_videos": "First videos",
        "kinds": "Kinds",
        "min_duration": "Shortest duration",
        "priority": "Priority",
    }
    assert HANDLE in form["url"]["description"]
    assert "default" not in form["url"], "it must be given"
    assert (form["accent"]["default"], form["accent"]["maxLength"]) == ("", 200)


def test_the_form_of_process_videos() -> None:
    form = asked(process_videos)
    built_in, own, as_set = form["processor"]["anyOf"]
    assert built_in["enum"] == [*BUILT_INS, "audio,subtitles,metadata"]
    assert (own["title"], own["type"]) == ("Your own, or several", "string")
    assert (as_set["type"], form["processor"].get("default")) == ("null", None)
    assert form["max_videos"]["anyOf"][0] == {"type": "integer", "minimum": 1}
    assert form["concurrency"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 256}
    assert all(each["title"] and each["description"] for each in form.values())


@pytest.mark.parametrize(
    ("flow", "parameters", "says"),
    [
        (expand_source, {}, "url"),
        (expand_source, {"url": ""}, "url"),
        (expand_source, {"url": f"{HANDLE} {HANDLE}"}, "url"),
        (expand_source, {"url": HANDLE, "accent": "x" * 201}, "accent"),
        (expand_source, {"url": HANDLE, "priority": 1001}, "priority"),
        (process_videos, {"processor": ""}, "processor"),
        (process_videos, {"processor": "my module:function"}, "processor"),
        (process_videos, {"processor": "audio subtitles"}, "processor"),
        (process_videos, {"max_videos": 0}, "max_videos"),
        (process_videos, {"max_videos": "many"}, "max_videos"),
        (process_videos, {"max_minutes": 0}, "max_minutes"),
        (process_videos, {"concurrency": 257}, "concurrency"),
        (coordinate, {"max_minutes": -1}, "max_minutes"),
        (requeue_dead_letters, {"ids": []}, "ids"),
        (requeue_dead_letters, {"ids": [0]}, "ids"),
    ],
)
def test_what_does_not_fit_is_refused_before_there_is_a_run(
    flow: Flow[..., Any], parameters: dict[str, Any], says: str
) -> None:
    deployment = deployed(flow)
    with get_client(sync_client=True) as client:
        with pytest.raises(PrefectHTTPStatusError, match=f"Validation failed for field '{says}|'{says}' is a required"):
            client.create_flow_run_from_deployment(deployment, parameters=parameters)
        assert not [run for run in client.read_flow_runs(limit=5) if run.deployment_id == deployment]


def test_what_fits_is_taken() -> None:
    deployment = deployed(process_videos)
    parameters = {"processor": "audio, my_module:my_function", "max_videos": 3, "max_minutes": 0.5, "concurrency": None}
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment, parameters=parameters)
    assert run.parameters == parameters


def test_what_the_schema_lets_through_is_one_line(coordinator: Coordinator, add_videos: AddVideos) -> None:
    """An address that is none of YouTube's, a processor that nobody has."""
    add_videos(1)
    state = expand_source("mailto:somebody", return_state=True)
    assert (state.name, "mailto:somebody" in str(state.message)) == ("Failed", True)
    state = process_videos("nobodys", return_state=True)
    assert state.name == "Failed"
    assert str(state.message).startswith("the processor “nobodys” is neither ")
    assert seen.statuses(coordinator) == ["pending"]
