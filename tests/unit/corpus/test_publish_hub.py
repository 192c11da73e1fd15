"""Publishing to a hub: the real huggingface_hub, against the stand-in of tests/support/hub_server.py."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.utils.tqdm import disable_progress_bars

from tests.support.hub_server import LOST, TOKEN, Hub, Repo, hub_server
from tests.support.memory_place import MemoryPlace
from tests.support.recordings import publish, recording
from youtube_download_coordinator.corpus.hub import batches, commits_with, keep
from youtube_download_coordinator.corpus.hub_client import COMMITS_PER_HOUR, HubClient
from youtube_download_coordinator.corpus.hub_lock import LOCK, held_lock
from youtube_download_coordinator.corpus.publication import PUBLISHED, Published
from youtube_download_coordinator.corpus.publish_hub import HubPublisher, HubReport
from youtube_download_coordinator.corpus.recordings import RECORDINGS, Recording
from youtube_download_coordinator.corpus.tombstone_copies import put_copy
from youtube_download_coordinator.errors import PlaceUnavailable, UserError
from youtube_download_coordinator.queue.tombstones import tombstone

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the client's own uploads
REPO = "lab/corpus"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)  # the client's own backoff
    disable_progress_bars()
    with hub_server() as running:
        yield running


class Clock:
    """A time that pauses move on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, 12, tzinfo=UTC)
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)


def media(number: int, content: bytes = b"") -> tuple[Recording, bytes]:
    content = content or f"sound {number}".encode()
    made = recording(number, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), seconds=60.0)
    return made, content


def corpus(folder: Path, *numbers: int, place: MemoryPlace | None = None) -> MemoryPlace:
    place = place or MemoryPlace()
    made = [media(number) for number in numbers]
    publish(place, folder, [each for each, _ in made])
    for each, content in made:
        put(place, folder, each.path, content)
    put(place, folder, "manifest.jsonl", b"{}\n")
    put(place, folder, PUBLISHED, Published(files={"manifest.jsonl"}).encode().encode())
    put(place, folder, "README.md", b"---\npretty_name: A\n---\n\n# A\n")
    return place


def put(place: MemoryPlace, folder: Path, path: str, content: bytes) -> None:
    (folder / "content").write_bytes(content)
    place.put(path, folder / "content", content_type="", metadata={})


def run(
    hub: Hub,
    place: MemoryPlace,
    folder: Path,
    clock: Clock | None = None,
    *,
    public: bool = False,
    revision: str = "main",
) -> HubReport:
    with held_lock(place) as lock:
        return publisher(hub, place, folder, clock, public=public, revision=revision).run(lock)


def publisher(
    hub: Hub,
    place: MemoryPlace,
    folder: Path,
    clock: Clock | None = None,
    *,
    public: bool = False,
    revision: str = "main",
    token: str = TOKEN,
) -> HubPublisher:
    clock = clock or Clock()
    api = HfApi(endpoint=hub.url, token=token)
    client = HubClient(api, REPO, revision, pause=clock.pause, now=lambda: clock.now)
    return HubPublisher(place, client, folder / "work", lambda line: None, is_public=public)


def test_media_manifest_and_card_are_published(hub: Hub, tmp_path: Path) -> None:
    place = corpus(tmp_path, 1, 2, 3)

    report = run(hub, place, tmp_path)

    files = hub.files(REPO)
    assert set(files) == {RECORDINGS, "manifest.jsonl", "README.md", *(media(number)[0].path for number in (1, 2, 3))}
    assert files[media(2)[0].path] == b"sound 2"
    assert (report.files, report.commits, report.present) == (6, 2, 0)
    assert hub.repos[REPO].private
    assert place.head(LOCK) is None
    assert not list((tmp_path / "work").iterdir())


def test_what_is_there_is_not_uploaded_again(hub: Hub, tmp_path: Path) -> None:
    place = corpus(tmp_path, 1, 2)
    run(hub, place, tmp_path)
    uploads = len(hub.uploads)

    report = run(hub, place, tmp_path)
    assert (report.files, report.commits) == (0, 0)
    assert len(hub.uploads) == uploads

    report = run(hub, corpus(tmp_path, 1, 2, 3, place=place), tmp_path)
    assert hub.files(REPO)[media(3)[0].path] == b"sound 3"
    assert len(hub.uploads) == uploads + 2  # the new file, and the records


def test_a_changed_file_replaces_the_old_one(hub: Hub, tmp_path: Path) -> None:
    place = corpus(tmp_path, 1)
    run(hub, place, tmp_path)
    made, content = media(1, b"made again")
    publish(place, tmp_path, [made])
    put(place, tmp_path, made.path, content)

    run(hub, place, tmp_path)

    assert hub.files(REPO)[made.path] == b"made again"


@pytest.mark.parametrize("path", ["/commit/", "/preupload/", "/lfs/", "objects/batch", "paths-info", "/repos/create"])
@pytest.mark.parametrize("status", [429, 500, 503, LOST])
def test_faults_pass(hub: Hub, tmp_path: Path, path: str, status: int) -> None:
    place = corpus(tmp_path, 1, 2)
    hub.faults[path] = [status, status]

    run(hub, place, tmp_path)

    assert {media(number)[0].path for number in (1, 2)} < set(hub.files(REPO))
    assert len(hub.repos[REPO].commits["main"]) == 2  # none twice
    assert [batch.commit for batch in batches(place)] == [
        commit["id"] for commit in reversed(hub.repos[REPO].commits["main"])
    ]


def test_a_refusal_for_a_time_is_waited_for(hub: Hub, tmp_path: Path) -> None:
    clock = Clock()
    hub.faults["/commit/"], hub.retry_after = [429], "2580"

    run(hub, corpus(tmp_path, 1), tmp_path, clock)

    assert clock.pauses == [2580.0]


def test_a_hub_that_fails_for_hours_is_reported(hub: Hub, tmp_path: Path) -> None:
    place = corpus(tmp_path, 1)
    hub.faults["/commit/"] = [500] * 100

    with pytest.raises(PlaceUnavailable, match="HTTP 500"):
        run(hub, place, tmp_path)
    assert place.head(LOCK) is None


def test_commits_of_the_last_hour_are_counted(hub: Hub, tmp_path: Path) -> None:
    clock = Clock()
    repo = hub.repos[REPO] = Repo(private=True)
    for number in range(COMMITS_PER_HOUR - 1):
        repo.add_commit("main", f"earlier {number}", clock.now - timedelta(minutes=30))

    run(hub, corpus(tmp_path, 1), tmp_path, clock)

    assert clock.pauses == [1801.0]  # before the second of its commits


def test_a_commit_of_a_killed_process_is_found(hub: Hub, tmp_path: Path) -> None:
    place = corpus(tmp_path, 1)
    run(hub, place, tmp_path)
    for batch in list(batches(place)):
        keep(place, batch)  # as it is before the hub has answered

    run(hub, place, tmp_path)

    commit, _ = commits_with(place, [tombstone(media(1)[0].key)])
    assert commit.commit == hub.repos[REPO].commits["main"][1]["id"]
    assert commit.repo == REPO


def test_commits_are_found_by_the_keys_of_videos(hub: Hub, tmp_path: Path) -> None:
    place = corpus(tmp_path, 1, 2)
    run(hub, place, tmp_path)
    run(hub, corpus(tmp_path, 1, 2, 3, place=place), tmp_path)

    commits = commits_with(place, [tombstone(media(number)[0].key) for number in (1, 3)])
    assert [commit.contains for commit in commits] == ["media", "descriptions"] * 2
    assert [commit.commit for commit in commits] == [
        commit["id"] for commit in reversed(hub.repos[REPO].commits["main"])
    ]
    assert commits_with(place, [tombstone(media(3)[0].key)]) == commits[2:]
    assert commits_with(place, [tombstone("yt:v:another")]) == []
    assert not any(media(1)[0].key.encode() in place.get(batch.path) for batch in batches(place))


@pytest.mark.parametrize("is_seen", [False, True], ids=["the batch is kept too late", "the purge sees the batch"])
def test_a_video_that_is_purged_while_its_batch_is_made_is_not_published_or_reported(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_seen: bool
) -> None:
    place = corpus(tmp_path, 1, 2)
    buried = tombstone(media(1)[0].key)
    reported = []

    def purge() -> None:
        put_copy(place, [buried])
        place.delete(media(1)[0].path)
        publish(place, tmp_path, [media(2)[0]])
        reported.extend(commits_with(place, [buried]))

    if is_seen:
        before_the_first_commit(monkeypatch, purge)
    else:
        before_the_first_batch(monkeypatch, purge)
    run(hub, place, tmp_path)

    assert [commit.contains for commit in reported] == (["media"] if is_seen else [])
    assert (media(1)[0].path in hub.files(REPO)) is is_seen
    assert media(1)[0].key.encode() not in gzip.decompress(hub.files(REPO)[RECORDINGS])


def test_descriptions_that_change_while_they_are_fetched_are_fetched_again(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = corpus(tmp_path, 1, 2)
    run(hub, place, tmp_path)
    put(place, tmp_path, "README.md", b"---\npretty_name: B\n---\n")

    before_the_first_batch(monkeypatch, lambda: publish(place, tmp_path, [media(2)[0]]))
    run(hub, place, tmp_path)

    assert media(1)[0].key.encode() not in gzip.decompress(hub.files(REPO)[RECORDINGS])
    assert len(hub.repos[REPO].commits["main"]) == 3


def before_the_first_batch(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Call `act` when the files of the first batch are fetched, and the batch is not kept yet."""
    _before_the_first(monkeypatch, HubPublisher, "_begin", act)


def before_the_first_commit(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Call `act` when the first batch is checked, and its commit is about to be made."""
    _before_the_first(monkeypatch, HubClient, "commit", act)


def _before_the_first(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, act: Callable[[], None]) -> None:
    call, acts = getattr(owner, name), iter([act])

    def late(self: Any, *arguments: Any) -> Any:
        next(acts, lambda: None)()
        return call(self, *arguments)

    monkeypatch.setattr(owner, name, late)


def test_a_second_writer_is_told_who_is_at_it(hub: Hub, tmp_path: Path) -> None:
    place = corpus(tmp_path, 1)
    put(place, tmp_path, LOCK, b'{"host": "another-machine", "pid": 17, "since": "2026-11-29T11:00:00Z"}')

    with pytest.raises(UserError, match="another-machine, process 17, since 2026-11-29T11:00:00Z"):
        run(hub, place, tmp_path)
    assert REPO not in hub.repos


def test_a_public_repository_is_no_surprise(hub: Hub, tmp_path: Path) -> None:
    place = corpus(tmp_path, 1)
    hub.repos[REPO] = Repo(private=False)
    with pytest.raises(UserError, match="--public"):
        run(hub, place, tmp_path)
    assert hub.files(REPO) == {}

    hub.repos[REPO] = Repo(private=True)
    run(hub, place, tmp_path, public=True)
    assert not hub.repos[REPO].private


def test_another_branch_can_be_published_to(hub: Hub, tmp_path: Path) -> None:
    run(hub, corpus(tmp_path, 1), tmp_path, revision="v2")

    assert hub.files(REPO) == {}
    assert media(1)[0].path in hub.files(REPO, "v2")


def test_a_preview_changes_nothing(hub: Hub, tmp_path: Path) -> None:
    place = corpus(tmp_path, 1, 2)
    before = {held.path for held in place.list()}

    preview = publisher(hub, place, tmp_path).preview()

    assert (preview.files, preview.bytes) == (2, 14)
    assert hub.repos == {}
    assert {held.path for held in place.list()} == before


def test_a_wrong_token_is_one_line_without_it(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="HF_TOKEN") as caught:
        publisher(hub, corpus(tmp_path, 1), tmp_path, token="hf_wrong").preview()
    assert "hf_wrong" not in str(caught.value)


@pytest.mark.parametrize("name", ["a/b/c", "https://huggingface.co/datasets/a/b", "..", "a/ b"])
def test_what_is_no_name_of_a_repository_is_one_line(hub: Hub, tmp_path: Path, name: str) -> None:
    clock = Clock()
    client = HubClient(HfApi(endpoint=hub.url, token=TOKEN), name, "main", pause=clock.pause, now=lambda: clock.now)

    with pytest.raises(UserError, match="OWNER/NAME"):
        HubPublisher(corpus(tmp_path, 1), client, tmp_path / "work", lambda line: None).preview()
    assert not hub.requests
    assert not clock.pauses


def test_a_file_that_the_place_lost_is_reported(hub: Hub, tmp_path: Path) -> None:
    place = corpus(tmp_path, 1, 2)
    place.delete(media(1)[0].path)

    report = run(hub, place, tmp_path)

    assert report.problems == [f"{media(1)[0].path} is not in the place: run ydc verify --files"]
    assert media(2)[0].path in hub.files(REPO)
