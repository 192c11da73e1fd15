"""What a child process, and all processes below it, may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """The limits of one child process; 0: no limit."""

    memory_bytes: int = 0
    """Of all its processes together, as far as the memory is their own: no programs, and no pages of files."""
    file_bytes: int = 0
    """Of each file that one of them writes."""


UNLIMITED = ResourceLimits()
