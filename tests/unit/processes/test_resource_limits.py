"""The limits of a child process: what exceeds them is a failed attempt, and the parent goes on."""

from __future__ import annotations

import contextlib
import errno
import sys
from pathlib import Path

import pytest

from youtube_download_coordinator.errors import TransientError
from youtube_download_coordinator.processes import parent
from youtube_download_coordinator.processes.resource_limits import ResourceLimits

LONG = 60.0
MEGABYTE = 1 << 20


def limited(
    target: str, memory_mb: int = 0, file_bytes: int = 0
) -> contextlib.AbstractContextManager[parent.ChildProcess]:
    limits = ResourceLimits(memory_bytes=memory_mb * MEGABYTE, file_bytes=file_bytes)
    name = f"tests.support.hungry_targets:{target}"
    return parent.run(name, {}, deadline_seconds=LONG, name=target, limits=limits)


@pytest.mark.parametrize("target", ["takes_memory", "takes_it_at_once", "a_program_takes_it", "it_takes_shared_memory"])
def test_a_child_that_takes_too_much_memory_is_ended(target: str) -> None:
    """At about its limit: it would take four times as much."""
    with limited(target, memory_mb=100) as child, pytest.raises(TransientError, match="more than 105 MB") as caught:
        child.result()
    assert caught.value.reason == "memory"


@pytest.mark.parametrize("target", ["takes_half_and_forks", "reserves_memory"])
def test_memory_that_is_shared_or_only_reserved_does_not_count(target: str) -> None:
    with limited(target, memory_mb=100) as child:
        assert child.result() == "done"


def test_no_file_becomes_larger_than_its_limit() -> None:
    """Neither what Python writes, nor what a program does."""
    with limited("writes_files", file_bytes=MEGABYTE) as child:
        assert child.result() == {"errno": errno.EFBIG, "sizes": [MEGABYTE, MEGABYTE]}


@pytest.mark.skipif(sys.platform != "linux", reason="the score is Linux's")
def test_the_kernel_ends_a_child_before_its_parent() -> None:
    with limited("tells_its_score") as child:
        assert child.result() == [min(int(Path("/proc/self/oom_score_adj").read_text()) + 500, 1000)] * 2


def test_a_check_ends_a_child_that_sends_nothing() -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise TransientError(reason="too-large")

    target = "tests.support.bad_processors:hangs"
    with (
        pytest.raises(TransientError) as caught,
        parent.run(target, {}, deadline_seconds=LONG, name="hangs", check=check) as child,
    ):
        child.result()
    assert caught.value.reason == "too-large"
