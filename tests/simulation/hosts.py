"""The machines of a story: several workers on each, which share a cooldown and a machine state."""

from __future__ import annotations

from tests.simulation.world import Process

HOSTS = ("host1", "host2")


def host_of(process: Process) -> str:
    """Return the machine of a process and of those that replace it."""
    return HOSTS[process.name.partition("-")[0] in {"w2", "w4"}]


def worker_name(process: Process) -> str:
    """Return its name in leases."""
    return f"{host_of(process)}/{process.name}"
