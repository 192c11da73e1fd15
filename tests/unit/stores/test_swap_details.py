"""Details of swaps whose answer is lost, which mutants survived."""

from __future__ import annotations

import pytest

from tests.fake_google.faults import Action
from tests.support.sheet import SheetDesk, a_video, video_url
from youtube_download_coordinator.models import Done, Status
from youtube_download_coordinator.queue.store import VIDEO_TASKS


@pytest.mark.parametrize("fault", ["reset", "apply_then_reset"])
def test_an_outcome_is_looked_up_again_while_answers_are_lost(desk: SheetDesk, fault: Action) -> None:
    queue = desk.queue("w1")
    queue.add(VIDEO_TASKS, [a_video(1)])
    (claim,) = queue.claim(VIDEO_TASKS, 1)
    desk.simulator.faults.add(fault, body="findReplace", times=3)
    (row,) = queue.settle([(claim, Done(result="a.m4a"))])
    assert row
    assert row.result == "a.m4a"
    desk.show()
    assert desk.line(video_url(1))["Status"] == Status.DONE


@pytest.mark.parametrize("fault", ["reset", "apply_then_reset"])
def test_each_of_several_outcomes_without_an_answer_is_looked_up(desk: SheetDesk, fault: Action) -> None:
    queue = desk.queue("w1")
    queue.add(VIDEO_TASKS, [a_video(number) for number in range(3)])
    claims = queue.claim(VIDEO_TASKS, 3)
    desk.simulator.faults.add(fault, body="findReplace")
    rows = queue.settle([(claim, Done(result=f"{claim.row.key}.m4a")) for claim in claims])
    assert [row.result for row in rows if row] == [f"{claim.row.key}.m4a" for claim in claims]
