"""The version of yt-dlp that is installed now, and what there is to do about a newer one."""

from __future__ import annotations

from importlib import metadata

import pytest

from youtube_download_coordinator.errors import UpgradeError
from youtube_download_coordinator.operations import package_index
from youtube_download_coordinator.operations.package_index import Release, advise_upgrade
from youtube_download_coordinator.youtube import versions
from youtube_download_coordinator.youtube.versions import KEPT_SECONDS, InstalledYtDlp


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_an_upgrade_is_seen_within_seconds_and_not_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, installed, reads = Clock(), ["2026.10.26"], []

    def version(package: str) -> str:
        reads.append(package)
        if not installed:
            raise metadata.PackageNotFoundError(package)
        return installed[0]

    monkeypatch.setattr(metadata, "version", version)
    current = InstalledYtDlp(clock)
    assert [current() for _ in range(5)] == ["2026.10.26"] * 5
    assert reads == ["yt-dlp"]
    installed.clear()  # pip is replacing it
    clock.seconds += KEPT_SECONDS
    assert current() == "2026.10.26"
    installed.append("2026.11.5")
    clock.seconds += KEPT_SECONDS
    assert current() == "2026.11.5"


def test_the_installed_files_count_and_not_the_imported_module() -> None:
    assert versions.installed_version(versions.YT_DLP) == metadata.version("yt-dlp")
    assert versions.installed_version("there-is-no-such-package") == ""


@pytest.mark.parametrize(
    ("newest", "advice"),
    [("9999.1.1", "yt-dlp 9999.1.1 is out: ydc upgrade-yt-dlp"), ("2020.1.1", ""), ("", "")],
    ids=["newer", "older", "no-index"],
)
def test_what_there_is_to_do_about_a_newer_one(monkeypatch: pytest.MonkeyPatch, newest: str, advice: str) -> None:
    def release() -> Release:
        if not newest:
            raise UpgradeError("the package index does not answer")
        return Release(newest, "")

    monkeypatch.setattr(package_index, "release", release)
    assert advise_upgrade() == advice
