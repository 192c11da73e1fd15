"""End the flows that a Prefect worker runs, and wait until they have given back what they hold: `python end_flows.py PID`.

A worker that is told to stop kills its flows at once, and their videos stay claimed until the lease has run out. So this is run
first: by ExecStop of the systemd unit, by the pre_stop hook of the container. PID is the worker's, or that of a process above it,
as a container's init is.
"""

from __future__ import annotations

import sys

import psutil

GRACE_SECONDS = 30
"""For results on their way to a sheet that answers slowly. What is not given back by then comes back with its lease."""


def main() -> int:
    """Send SIGTERM to each process of a flow, a child of the worker's; the exit code is 1 when one is still there in the end."""
    flows = [flow for worker in _workers(int(sys.argv[1])) for flow in worker.children()]
    for flow in flows:
        flow.terminate()
    _, left = psutil.wait_procs(flows, GRACE_SECONDS)
    print(f"{len(flows) - len(left)} of {len(flows)} flows have ended")
    return 1 if left else 0


def _workers(pid: int) -> list[psutil.Process]:
    try:
        above = psutil.Process(pid)
        return [process for process in (above, *above.children(recursive=True)) if _is_worker(process)]
    except psutil.NoSuchProcess:
        return []  # it has ended by itself


def _is_worker(process: psutil.Process) -> bool:
    words = process.cmdline()
    return "worker" in words and words[words.index("worker") + 1 :][:1] == ["start"]


if __name__ == "__main__":
    sys.exit(main())
