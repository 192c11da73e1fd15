"""Limits on the resources of a child process and all its descendants."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """The limits of one child process; 0: no limit."""

    memory_bytes: int = 0
    """The memory of all its processes together, without programs and pages of files."""
    file_bytes: int = 0
    """The size of each file that one of its processes writes."""


UNLIMITED = ResourceLimits()
