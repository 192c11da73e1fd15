"""The machines of a story: on each several workers, who share a cooldown and a board."""

from __future__ import annotations

from tests.simulation.world import Process

HOSTS = ("host1", "host2")


def host_of(process: Process) -> str:
    """The machine that a process runs on, and whoever takes its place."""
    return HOSTS[process.name.partition("-")[0] in {"w2", "w4"}]


def worker_name(process: Process) -> str:
    """What stands in its leases."""
    return f"{host_of(process)}/{process.name}"
