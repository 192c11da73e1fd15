"""The columns License and Trainable, which workers fill, on every store."""

from __future__ import annotations

from tests.contract.conftest import OpenStore
from tests.support.rows import make_queue, new_video
from youtube_download_coordinator.models import Done, Failure, Outcome, Verdict
from youtube_download_coordinator.queue.store import VIDEO_TASKS, Store

FREE = Done(result="x.m4a", license="creative-commons", trainable="all")


def test_workers_fill_columns_that_people_have_added(store: Store, open_store: OpenStore) -> None:
    store.add_columns(VIDEO_TASKS, ["license", "Trainable"])
    queue = make_queue(store)
    queue.add(VIDEO_TASKS, [new_video(1, extra={"Gender": "f"}), new_video(2), new_video(3)])
    outcomes: list[Outcome] = [FREE, Done(result="y.m4a"), Failure(verdict=Verdict.PERMANENT, reason="private")]
    settled = queue.settle(list(zip(queue.claim(VIDEO_TASKS, 3), outcomes, strict=True)))
    store.flush()
    rows = list(make_queue(open_store()).rows(VIDEO_TASKS))
    seen = [[row.custom_column(name) for name in ("Gender", "License", "Trainable")] for row in rows]
    assert seen == [["f", "creative-commons", "all"], ["", "", ""]]
    assert settled[0]
    assert settled[0].custom_column("License") == "creative-commons"


def test_what_changes_is_written_again_but_not_over_a_persons_text(store: Store, open_store: OpenStore) -> None:
    store.add_columns(VIDEO_TASKS, ["License", "Trainable"])
    queue = make_queue(store)
    own = {"License": "by letter of 3 May", "Trainable": "none"}
    queue.add(
        VIDEO_TASKS, [new_video(1, extra={"License": "youtube", "Trainable": "unknown"}), new_video(2, extra=own)]
    )
    queue.settle([(claim, FREE) for claim in queue.claim(VIDEO_TASKS, 2)])
    store.flush()
    rows = list(make_queue(open_store()).rows(VIDEO_TASKS))
    assert [dict(row.extra) for row in rows] == [
        {"License": "creative-commons", "Trainable": "all"},
        {"License": "by letter of 3 May", "Trainable": "all"},
    ]
