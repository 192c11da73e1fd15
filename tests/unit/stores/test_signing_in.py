"""Access tokens: what goes wrong while one is fetched, and when it expires."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from tests.support.rows import new_video
from tests.support.sheets_setting import Setting
from youtube_download_coordinator.errors import ConfigError, StoreUnavailable
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.stores.sheets import SheetsStore


def open_store(here: Setting) -> closing[SheetsStore]:
    return closing(SheetsStore(here.config(sheets_patience_seconds=60)))


@pytest.mark.parametrize("fault", [{"action": "reset"}, {"action": "status", "status": 503, "times": 4}])
def test_a_token_that_cannot_be_fetched_at_once_is_asked_for_again(here: Setting, fault: dict[str, Any]) -> None:
    rule = here.simulator.token_faults.add(**fault)
    with open_store(here) as store:
        assert store.insert(VIDEO_TASKS, [new_video(1)]) == [1]
    assert rule.fired == rule.times


def test_a_connection_that_breaks_while_a_token_is_renewed_loses_nothing(here: Setting) -> None:
    with open_store(here) as store:
        store.insert(VIDEO_TASKS, [new_video(1)])
        here.simulator.accounts.revoke_all()
        rule = here.simulator.token_faults.add("reset")
        store.insert(VIDEO_TASKS, [new_video(2)])
        assert rule.fired == 1
        assert store.count(VIDEO_TASKS) == {State.PENDING: 2}


def test_an_account_that_does_not_exist_is_a_mistake_of_the_settings(here: Setting) -> None:
    here.simulator.accounts.delete(here.account)
    with pytest.raises(ConfigError, match=r"Google does not accept the credentials.*invalid_grant") as raised:
        SheetsStore(here.config())
    assert not isinstance(raised.value, StoreUnavailable)
