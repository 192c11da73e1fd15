"""Call a hub, with retries. huggingface_hub repeats uploads of files itself, but not commits."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from youtube_download_coordinator.errors import ConfigError, PlaceUnavailable, UserError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

log = logging.getLogger(__name__)
T = TypeVar("T")

INSTALL_HINT = "publishing to a hub needs huggingface_hub (the extra hub): pip install huggingface_hub"
NOT_LOGGED_IN = "there is no token for the hub: set HF_TOKEN, or run hf auth login"
COMMITS_PER_HOUR = 100
"""The most commits in an hour. The hub refuses more than 128 in a repository; some are left for people."""
HOUR = timedelta(hours=1)
TRIES = 12
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 900.0
DATASET = "dataset"
_REFUSED = {
    401: "the hub does not accept the token: set HF_TOKEN to a token with write access",
    403: "the token may not write to this repository: give it write access",
    404: "the hub has no such repository or branch, or the token has no access to it",
}
_PASSING = frozenset({408, 409, 412, 429})


def open_api() -> HfApi:
    """Return the client, for HF_ENDPOINT if it is set. Raises ConfigError without the extra or a token."""
    try:
        import huggingface_hub
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise ConfigError(INSTALL_HINT) from None
    disable_progress_bars()
    if not huggingface_hub.get_token():
        raise ConfigError(NOT_LOGGED_IN)
    return huggingface_hub.HfApi()


class HubClient:
    """A branch of a dataset repository. Every call raises UserError, or PlaceUnavailable if the hub fails for hours."""

    def __init__(
        self, api: HfApi, repo: str, revision: str, *, pause: Callable[[float], None], now: Callable[[], datetime]
    ) -> None:
        self._api = api
        self.repo = repo
        self.revision = revision
        self._pause = pause
        self._now = now
        self._commit_times: deque[datetime] = deque()

    def is_private(self) -> bool | None:
        """Return whether the repository is private, or None if it does not exist."""
        from huggingface_hub.errors import RepositoryNotFoundError

        def ask() -> bool | None:
            try:
                return bool(self._api.dataset_info(self.repo).private)
            except RepositoryNotFoundError as error:
                if error.response.status_code == 401:  # also the answer for a repository that does not exist
                    self._api.whoami()
                return None

        return self._repeat(ask)

    def create(self) -> None:
        """Create the repository, as a private one, and the branch, unless they exist."""
        self._repeat(lambda: self._api.create_repo(self.repo, repo_type=DATASET, private=True, exist_ok=True))
        if self.revision != "main":
            self._repeat(
                lambda: self._api.create_branch(self.repo, branch=self.revision, repo_type=DATASET, exist_ok=True)
            )

    def make_public(self) -> None:
        self._repeat(lambda: self._api.update_repo_settings(self.repo, private=False, repo_type=DATASET))

    def files(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the SHA-256 of the files on the branch. It is empty for a file that the hub keeps in Git."""
        return {
            file.path: file.lfs.sha256 if file.lfs else ""
            for file in self._repeat(
                lambda: self._api.get_paths_info(
                    self.repo, list(paths), revision=self.revision, repo_type=DATASET, expand=False
                )
            )
            if hasattr(file, "lfs")
        }

    def load_commit_times(self) -> None:
        """Count the commits of the last hour by anybody."""
        last_hour = [commit.created_at for commit in self._commits() if commit.created_at > self._now() - HOUR]
        self._commit_times = deque(sorted(last_hour))

    def commit_of(self, batch: str) -> str:
        """Return the ID of the commit whose title contains a batch, or an empty text."""
        return next((commit.commit_id for commit in self._commits() if batch in commit.title), "")

    def _commits(self) -> Sequence[Any]:
        return self._repeat(lambda: self._api.list_repo_commits(self.repo, revision=self.revision, repo_type=DATASET))

    def commit(self, batch: str, title: str, operations: Sequence[CommitOperationAdd]) -> str:
        """Upload files and commit them. Return the commit's ID, or an empty text if the branch already had all of them."""
        self._wait_for_turn()

        def try_once() -> str:
            parent = self._api.dataset_info(self.repo, revision=self.revision).sha
            if tried and (landed := self.commit_of(batch)):  # the answer to the last try was lost
                return landed
            tried.append(True)
            done = self._api.create_commit(
                self.repo,
                operations,
                commit_message=f"{title} (batch {batch})",
                repo_type=DATASET,
                revision=self.revision,
                parent_commit=parent,
            )
            return "" if done.oid == parent else done.oid

        tried: list[bool] = []
        commit = self._repeat(try_once)
        if commit:
            self._commit_times.append(self._now())
        return commit

    def _wait_for_turn(self) -> None:
        while True:
            while self._commit_times and self._commit_times[0] <= self._now() - HOUR:
                self._commit_times.popleft()
            if len(self._commit_times) < COMMITS_PER_HOUR:
                return
            self._pause((self._commit_times[0] + HOUR - self._now()).total_seconds() + 1)

    def _repeat(self, call: Callable[[], T]) -> T:
        for number in range(TRIES):
            try:
                return call()
            except Exception as error:  # noqa: BLE001 - the libraries below have errors of their own, and say less than a status
                problem = _problem_of(error)
                if number == TRIES - 1:
                    raise PlaceUnavailable(
                        f"{self.repo}: {problem} after {TRIES} tries; run the command again"
                    ) from None
                seconds = _seconds_to_wait(error, number)
            log.warning("%s: %s; trying again in %.0f s", self.repo, problem, seconds)
            self._pause(seconds)
        raise AssertionError("unreachable")


def _problem_of(error: Exception) -> str:
    """Return a description of a temporary error. Raises UserError for one that a person has to fix, and re-raises a bug.

    Messages of libraries are not repeated, because the addresses in them may contain signatures.
    """
    from huggingface_hub.errors import HFValidationError, HTTPError  # type: ignore[attr-defined]

    if isinstance(error, UserError | PlaceUnavailable):
        raise error
    if isinstance(error, HFValidationError):
        raise UserError("this is not the name of a repository: write it as OWNER/NAME") from None
    status = _status_of(error)
    if status in _REFUSED:
        raise UserError(_REFUSED[status]) from None
    if status is not None:
        if status < 500 and status not in _PASSING:
            raise UserError(f"the hub refuses this (HTTP {status}){_words_of_hub(error)}") from None
        return f"the hub answers HTTP {status}"
    is_network = isinstance(error, HTTPError | OSError | RuntimeError)
    if not is_network:
        raise error
    return "the hub does not answer"


def _words_of_hub(error: BaseException) -> str:
    words = getattr(error, "server_message", None)
    return f": {words}" if words else ""


def _response_of(error: BaseException) -> Any:
    """Return the hub's response, even to an upload whose error is wrapped in a RuntimeError."""
    response = getattr(error, "response", None)
    if response is None and error.__cause__ is not None:
        return _response_of(error.__cause__)
    return response


def _status_of(error: BaseException) -> int | None:
    status = getattr(_response_of(error), "status_code", None)
    return status if isinstance(status, int) else None


def _seconds_to_wait(error: Exception, number: int) -> float:
    response = _response_of(error)
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    if asked.isdigit():
        return float(min(int(asked), 2 * 3600))
    return float(min(FIRST_PAUSE_SECONDS * 2**number, LONGEST_PAUSE_SECONDS))


def utc_now() -> datetime:
    """Return this machine's time."""
    return datetime.now(UTC)  # noqa: TID251  (compared with the hub's, to an hour)
