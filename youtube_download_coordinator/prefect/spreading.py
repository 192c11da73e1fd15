"""Spread the scheduled runs over the machines of a fleet.

A worker takes any due run, even if its machine cannot work on it. So a run on a busy machine hands its place on: it creates
another run, which another worker may take. A run that begins its work while more videos are due creates a run for each idle
machine. Both stop when the number of running and waiting runs equals the number of online workers.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import WorkerFilter, WorkerFilterStatus
from prefect.client.schemas.objects import FlowRun, StateType

from youtube_download_coordinator import Config, VideoTask
from youtube_download_coordinator.models import Outcome
from youtube_download_coordinator.prefect.deployment_runs import PAGE, deployed_run, is_stuck, now, runs_of
from youtube_download_coordinator.prefect.flow_run import host, tolerate_prefect_errors
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import VIDEO_TASKS
from youtube_download_coordinator.workers.worker import Submit

HAND_ONS = "youtube-coordinator.hand-ons"
"""The label with the number of times that a run was handed on."""
HAND_ONS_MAX = 8
"""The most times that a run is handed on. With one of two machines busy, 1 of 256 places is lost until the next scheduled run."""
AT_WORK = (StateType.RUNNING, StateType.PENDING)
REST = timedelta(minutes=10)
"""The pause after all hand-ons were in vain. Several workers of one machine count as several machines."""


@dataclass(frozen=True, slots=True)
class Spreading:
    """The places of one deployment's runs on the machines of its work pool."""

    run: FlowRun
    deployment: UUID
    pool: str
    vain: Path
    """The label with the workers among which a place was handed on in vain."""

    @classmethod
    def of_this_run(cls, config: Config) -> Spreading | None:
        """Return the spreading of the current run, or None outside a deployed run."""
        run = deployed_run()
        if run is None or run.deployment_id is None or run.work_pool_name is None:
            return None
        return cls(run, run.deployment_id, run.work_pool_name, config.state_dir / f"handed-on.{host()}")

    def hand_on(self) -> bool:
        """Create a run for an idle machine in the place of this run. Return whether that was done."""
        with tolerate_prefect_errors("a run for another machine"), get_client(sync_client=True) as client:
            workers = self._online_workers(client)
            if self._other_runs(client) < len(workers) and not self._is_in_vain(workers):
                self._create_run(client)
                return True
        return False

    def submit_and_fill(self, submit: Submit, queue: Queue) -> Submit:
        """Wrap `submit`, so that it also creates runs for other machines if more videos are due when it begins its first one."""
        begun: list[VideoTask] = []

        def submit_one(video: VideoTask) -> Future[Outcome]:
            if not begun and _videos_are_due(queue):
                # In a thread, so that an unreachable server does not delay the work.
                threading.Thread(target=copy_context().run, args=(self._fill,), name="spreading", daemon=True).start()
            begun[:] = [video]
            return submit(video)

        return submit_one

    def _fill(self) -> None:
        with tolerate_prefect_errors("runs for other machines"), get_client(sync_client=True) as client:
            workers = self._online_workers(client)
            if not self._is_in_vain(workers):
                for _ in range(len(workers) - 1 - self._other_runs(client)):
                    self._create_run(client)

    @property
    def _hand_ons(self) -> int:
        return int(str(self.run.labels.get(HAND_ONS, 0)))

    def _is_in_vain(self, workers: list[str]) -> bool:
        """Return whether this place, or recently another one, was handed on in vain among the same workers."""
        if self._hand_ons >= HAND_ONS_MAX:
            self.vain.write_text("\n".join(workers), encoding="utf-8")
            return True
        try:
            age = time.time() - self.vain.stat().st_mtime  # noqa: TID251  the age of a file
            return (
                self._hand_ons == 0
                and age < REST.total_seconds()
                and self.vain.read_text(encoding="utf-8").splitlines() == workers
            )
        except OSError:
            return False

    def _online_workers(self, client: SyncPrefectClient) -> list[str]:
        online = WorkerFilter(status=WorkerFilterStatus(any_=["ONLINE"]))
        workers = client.read_workers_for_work_pool(self.pool, worker_filter=online, limit=PAGE)
        return sorted(worker.name for worker in workers)

    def _other_runs(self, client: SyncPrefectClient) -> int:
        """Return how many other runs of this deployment are running, or due and not begun."""
        at_work = [run for run in runs_of(client, self.deployment, *AT_WORK) if not is_stuck(run)]
        due = runs_of(client, self.deployment, StateType.SCHEDULED, expected_before=now())
        return len({run.id for run in (*at_work, *due)} - {self.run.id})

    def _create_run(self, client: SyncPrefectClient) -> None:
        client.create_flow_run_from_deployment(
            self.deployment, parameters=self.run.parameters, labels={HAND_ONS: self._hand_ons + 1}
        )


def _videos_are_due(queue: Queue) -> bool:
    due = queue.next_due(VIDEO_TASKS)
    return due is not None and due <= queue.store.now()
