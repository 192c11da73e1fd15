"""The short form of `make uploads`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.uploads import Uploads

KILLS = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_killed_attempts_leave_nothing_half_and_fetch_nothing_twice(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "NO_PROXY"):
            patch.setenv(name, "")  # restored afterwards
        uploads = Uploads(tmp_path, 1, stack)
        uploads.rage(KILLS)
        uploads.settle()
    assert uploads.evidence.wrong == []
    assert uploads.evidence.published > 0
    assert uploads.evidence.killed_with_files > 0
