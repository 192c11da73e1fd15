"""End the flows that a Prefect worker runs, and wait until they have given back what they hold: `python end_flows.py PID`.

A worker that is told to stop kills its flows at once, which costs each video in work an attempt; and where everything is killed
with it, as by systemd or with a container, nobody is left to give the videos back before their leases run out. So this is run
first: by ExecStop of the systemd unit, by the pre_stop hook of the container. PID is the worker's, or that of the init above it.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import psutil

GRACE_SECONDS = 30
"""For results on their way to a sheet that answers slowly. What is not given back by then comes back with its lease."""


def main(arguments: list[str]) -> int:
    """Send SIGTERM to each process of a flow, a child of the worker's.

    The exit code is 0 when all have ended, 1 when one is still there after GRACE_SECONDS, 2 when there is no worker to be found.
    """
    workers = workers_below(int(arguments[0])) if len(arguments) == 1 and arguments[0].isdigit() else []
    if not workers:
        print(f"no Prefect worker in, or below, process {' '.join(arguments) or '(none given)'}", file=sys.stderr)
        return 2
    flows = [flow for worker in workers for flow in _children(worker)]
    for flow in flows:
        with suppress(psutil.NoSuchProcess):
            flow.terminate()
    _, left = psutil.wait_procs(flows, GRACE_SECONDS)
    print(f"{len(flows) - len(left)} of {len(flows)} flows have ended")
    return 1 if left else 0


def workers_below(pid: int) -> list[psutil.Process]:
    """Return the children that are workers, else the process itself if it is one.

    The children come first, because the command line of an init contains its child's.
    """
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return []
    return list(filter(is_worker, _children(process))) or list(filter(is_worker, [process]))


def is_worker(process: psutil.Process) -> bool:
    """Return whether the process was started by `prefect worker start`. False for one that has ended meanwhile."""
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    return ["worker", "start"] in [words[at : at + 2] for at in range(len(words))]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children()
    except psutil.NoSuchProcess:
        return []
    return children


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
