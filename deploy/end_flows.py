"""End the flows that Prefect workers of our pool run, and wait until their videos are released: `end_flows.py PID [POOL]`.

A worker that receives SIGTERM kills its flows at once: each video in work has a failed attempt more, and where systemd or the
container kills everything else too, the rows are held until their leases expire. So this runs first: as ExecStop of the systemd
unit, and as the container's pre-stop hook. PID is the worker's, or that of any process above it, such as the container's init.
Workers of other pools, and their flows, are left alone.
"""

from __future__ import annotations

import itertools
import sys
from contextlib import suppress

import psutil

POOL = "youtube-coordinator"
GRACE_SECONDS = 30
"""For results on their way to a sheet that answers slowly. Rows that are still held then are free when their leases expire."""
USAGE_ERROR = 2
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Send SIGTERM to each process of a flow, a child of the worker's.

    The exit code is 0 when all have ended, 1 when some still run after GRACE_SECONDS or belong to another account, and 2 when
    the pool has no worker there.
    """
    pid = arguments[0] if arguments else ""
    pool = arguments[1] if len(arguments) > 1 else POOL
    workers = workers_below(int(pid), pool) if pid.isascii() and pid.isdecimal() else []
    if not workers:
        print(f"no Prefect worker of the pool {pool} in, or below, process {pid or '(none given)'}", file=sys.stderr)
        return USAGE_ERROR
    flows = [flow for worker in workers for flow in _children(worker)]
    for flow in flows:
        with suppress(psutil.Error):  # it has ended, or is not ours to end and remains below
            flow.terminate()
    _, left = psutil.wait_procs(flows, GRACE_SECONDS)
    print(f"{len(flows) - len(left)} of {len(flows)} flows have ended")
    return 1 if left else 0


def workers_below(pid: int, pool: str = POOL) -> list[psutil.Process]:
    """Return the workers of the pool among the process and all those below it.

    The command line of an init contains its child's, so a process above another match is not a worker itself.
    """
    try:
        process = psutil.Process(pid)
    except (psutil.Error, OverflowError):
        return []
    return [
        candidate
        for candidate in (process, *_children(process, recursive=True))
        if is_worker(candidate, pool) and not any(is_worker(child, pool) for child in _children(candidate))
    ]


def is_worker(process: psutil.Process, pool: str = POOL) -> bool:
    """Return whether the process was started by `prefect worker start` for the pool. False for one that has ended meanwhile."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    pairs = list(itertools.pairwise(words))
    named = {("--pool", pool), ("-p", pool)}
    return ("worker", "start") in pairs and (not named.isdisjoint(pairs) or f"--pool={pool}" in words)


def _children(process: psutil.Process, *, recursive: bool = False) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children(recursive=recursive)
    except psutil.Error:
        return []
    return children


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
