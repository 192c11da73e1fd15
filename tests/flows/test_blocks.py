"""Settings from a Prefect block: where they come from, and that nobody sees a secret."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from flows.process_videos import process_videos
from flows.recover_stalled import recover_stalled
from tests.flows import seen
from tests.support.rows import new_video
from tests.support.waiting import wait_until
from youtube_download_coordinator import Config, ConfigError, Coordinator
from youtube_download_coordinator.prefect.block import YoutubeCoordinator, settings_of_this_worker
from youtube_download_coordinator.queue.store import VIDEO_TASKS

SECRET = "s3cr3t-and-nobody-reads-it"
KEY = {"type": "service_account", "client_email": "worker@example.org", "private_key": SECRET}


@pytest.fixture
def queue_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a queue that no environment variable names."""
    monkeypatch.setenv("YDC_PREFECT_BLOCK", "fleet")
    return f"sqlite:///{tmp_path / 'the-blocks-own.db'}"


def save(**fields: object) -> YoutubeCoordinator:
    block = YoutubeCoordinator(**fields)  # type: ignore[arg-type]
    block.save("fleet", overwrite=True)
    return block


def test_flows_take_their_settings_from_the_block(queue_url: str) -> None:
    coordinator = Coordinator(Config(database_url=queue_url))
    coordinator.queue.add(VIDEO_TASKS, [new_video(1)])
    save(settings={"concurrency": 1}, secret_settings={"database_url": queue_url})
    state = process_videos("tests.support.sample_processors:does_nothing", return_state=True)
    assert (state.message, seen.statuses(coordinator)) == ("1 done", ["done"])


def test_what_the_block_does_not_say_comes_from_the_environment(
    queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YDC_CONCURRENCY", "7")
    monkeypatch.setenv("YDC_MAX_RETRIES", "7")
    save(settings={"max_retries": 5})
    config = settings_of_this_worker()
    assert (config.concurrency, config.max_retries) == (7, 5)


def test_without_a_block_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YDC_PREFECT_BLOCK", raising=False)
    assert settings_of_this_worker() == Config()


def test_the_service_account_of_the_block_signs_in(queue_url: str) -> None:
    save(settings={"spreadsheet_id": "1AbC"}, service_account=KEY)
    config = settings_of_this_worker()
    assert config.service_account
    assert json.loads(config.service_account.get_secret_value()) == KEY


def test_nobody_sees_a_secret(queue_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a text of the block or the settings, in what Prefect's API gives away, or in anything of a run that failed."""
    block = save(
        settings={"spreadsheet_id": "1AbC"},
        service_account=KEY,
        secret_settings={"database_url": f"postgresql://u:{SECRET}@host/q", "proxy": f"http://u:{SECRET}@proxy:1"},
    )
    config = settings_of_this_worker()
    with caplog.at_level(logging.DEBUG):
        state = recover_stalled(return_state=True)
    assert state.name == "Failed", "the key is none"
    assert str(state.message).startswith("service_account is not the JSON key of a service account (")
    wait_until(lambda: any("Finished in state" in log.message for log in seen.logs(state)))
    with get_client(sync_client=True) as client:
        documents = client.request("POST", "/block_documents/filter", json={}).text
        run = client.read_flow_run(seen.run_id(state)).model_dump_json()
    texts = [repr(block), str(block), repr(config), str(config), documents, run, caplog.text, str(state)]
    texts += [log.message for log in seen.logs(state)]
    assert not [text for text in texts if SECRET in text]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"settings": {"max_retrys": 3}}, "there is no setting max_retrys; did you mean max_retries?"),
        ({"settings": {"max_retries": 0}}, "max_retries=0: input should be greater than or equal to 1"),
        (
            {"settings": {"proxy": f"http://u:{SECRET}@p:1"}},
            "proxy: it may contain a secret; move it to secret_settings",
        ),
        ({"secret_settings": {"proxy": SECRET}}, "proxy: it must be an address like "),
        ({"secret_settings": {"service_account": 5}}, "service_account: "),
    ],
)
def test_a_mistake_in_the_block_is_one_line_without_a_secret(
    queue_url: str, fields: dict[str, object], says: str
) -> None:
    save(**fields)
    with pytest.raises(ConfigError) as caught:
        settings_of_this_worker()
    assert str(caught.value).startswith(f"the block YDC_PREFECT_BLOCK='fleet': {says}")
    assert SECRET not in str(caught.value)


def test_a_block_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YDC_PREFECT_BLOCK", "another")
    state = recover_stalled(return_state=True)
    line = "the block YDC_PREFECT_BLOCK='another' does not exist: no Youtube Coordinator block has this name"
    assert (state.name, state.message) == ("Failed", line)
