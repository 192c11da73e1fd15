"""The installed yt-dlp's own messages: those without a rule are a recorded list, which a newer yt-dlp may lengthen."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from yt_dlp.version import __version__

from tests.support.yt_dlp_messages import RAISED, SOURCES, messages, recorded, without_rule

RECORD = "python -m tests.support.yt_dlp_messages records them, after wordings.py has rules for those that need one"
SOURCE = """
def extract(self, player_url, video_id):
    msg = "Playback needs a moon"
    if player_url:
        raise ExtractorError(f"{msg}. Cannot identify moon {player_url!r} of " + video_id, expected=True)
    reason = "Tides are high" if video_id else "Video unavailable"
    reason += ". Come back later"
    self.raise_no_formats(reason, expected=True)
    self.report_warning("No moon in {}".format(video_id))
    self.to_screen("Extracting the moon")
"""


@pytest.mark.filterwarnings("default:this yt-dlp")
def test_what_yt_dlp_can_say_without_a_rule_is_known() -> None:
    baseline, found = recorded(), without_rule()
    new = {kind: sorted(set(found[kind]) - set(baseline[kind])) for kind in found}
    if baseline["yt_dlp"] == __version__:
        assert found == {kind: baseline[kind] for kind in found}, f"{new}: {RECORD}"
    elif any(new.values()):
        warnings.warn(f"this yt-dlp ({__version__}) has messages without a rule: {new}. {RECORD}", stacklevel=1)


def test_the_messages_are_found() -> None:
    errors = messages(SOURCES, RAISED)
    assert {"Failed to extract any player response", "Unable to recognize tab page"} <= errors
    assert any(text.startswith("Playlists that require authentication") for text in errors)
    assert len(errors) > 20


def test_a_new_message_is_found_and_listed(tmp_path: Path) -> None:
    (tmp_path / "_moon.py").write_text(SOURCE)
    assert without_rule(tmp_path) == {
        "errors": [". Come back later", "Playback needs a moon. Cannot identify moon X of X", "Tides are high"],
        "warnings": ["No moon in X"],
    }
