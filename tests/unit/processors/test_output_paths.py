"""Paths of files: templates, and names that do not lead out of the folder."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import rows
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.errors import ConfigError
from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.processors.output_paths import (
    FIELDS,
    NAME_MAX_BYTES,
    Template,
    file_stem,
    safe_name,
    video_id,
)

# -- names


@given(st.text(max_size=400))
def test_a_name_leads_nowhere_else(text: str) -> None:
    name = safe_name(text)
    assert name
    assert name not in (".", "..")
    assert not set(name) & set('/\\\0<>:"|?*%$~\n')
    assert not name.startswith("-")
    assert len(name.encode()) <= NAME_MAX_BYTES + 1
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Scottish", "Scottish"),
        ("New Zealand (South)", "New Zealand (South)"),
        ("..", "_"),
        ("../../etc", "_.._etc"),
        ("/", "_"),
        ("a\0b", "a_b"),
        ("nul", "_nul"),
        ("COM1.txt", "_COM1.txt"),
        ("$HOME %(id)s ~root", "_HOME _(id)s _root"),
        ("-rf", "_-rf"),
        ("e\u0301", "é"),
        ("🏴 x", "🏴 x"),
    ],
)
def test_a_name_stays_readable(text: str, name: str) -> None:
    assert safe_name(text) == name


@pytest.mark.parametrize(("video_id", "stem"), [("aB_cdefghij", "aB_cdefghij"), ("-aB_cdefghi", "_-aB_cdefghi")])
def test_a_youtube_video_is_called_by_its_id(video_id: str, stem: str) -> None:
    """But no name begins with `-`: `rm *` would take it for an option."""
    task = rows.new_video(1, key=f"yt:v:{video_id}", url="https://www.youtube.com/watch?v=x")
    assert file_stem(task) == stem


@pytest.mark.parametrize(
    ("key", "url", "start"),
    [
        ("yt:v:../../../x", "https://www.youtube.com/watch?v=..%2F", "watch-"),
        ("url:https://a.org/%2e%2e%2fx.mp4?k=1", "https://a.org/%2e%2e%2fx.mp4?k=1#__youtubedl_smuggle=%7B%7D", "x-"),
        ("url:https://a.org/", "https://a.org/", "video-"),
        ("", "https://a.org/b/long.name.mp4", "long.name-"),
    ],
)
def test_another_sites_video_is_called_by_its_address(key: str, url: str, start: str) -> None:
    stem = file_stem(rows.new_video(1, key=key, url=url))
    assert stem.startswith(start)
    assert len(stem) == len(start) + 12
    assert "/" not in stem


# -- templates


def video(key: str = "yt:v:UKwSQSFN4Nw", **fields: Any) -> VideoTask:
    return rows.new_video(1, **{"key": key, "url": f"https://a.org/{key}", "title": "", **fields})


INFO = {"channel": "Kurzgesagt", "channel_id": "UCx", "title": "A Title", "upload_date": "20240229"}


@pytest.mark.parametrize(
    ("template", "fields", "path"),
    [
        ("{accent}/{channel}/{id}", {"accent": "Irish"}, "Irish/Kurzgesagt/UKwSQSFN4Nw"),
        ("{accent}/{channel}/{id}", {}, "Kurzgesagt/UKwSQSFN4Nw"),
        ("{accent} {type}/{id}", {"type": "talk"}, "talk/UKwSQSFN4Nw"),
        ("{accent}-{type}/x/{id}", {}, "x/UKwSQSFN4Nw"),
        ("{title}", {}, "A Title [UKwSQSFN4Nw]"),
        ("all", {}, "all [UKwSQSFN4Nw]"),
        ("{id}/{title}", {}, "UKwSQSFN4Nw/A Title"),
        ("{id}/{type}", {}, "UKwSQSFN4Nw/UKwSQSFN4Nw"),
        ("{kind}/{upload_date}_{id}", {}, "audio/2024-02-29_UKwSQSFN4Nw"),
        ("{source_id}/{channel_id}/{id}", {"source_id": 7}, "7/UCx/UKwSQSFN4Nw"),
        ("{column:Recorded in}/{id}", {"extra": {"Recorded in": "Cork"}}, "Cork/UKwSQSFN4Nw"),
        ("{column:Gender}/{id}", {}, "UKwSQSFN4Nw"),
        ("{{x}}/{id}", {}, "{x}/UKwSQSFN4Nw"),
        ("{type}/{id}", {"type": "a/../b"}, "a_.._b/UKwSQSFN4Nw"),
        ("{type}/{id}", {"type": ".."}, "_/UKwSQSFN4Nw"),
        ("{type}/-{id}", {"type": "--help"}, "_--help/_-UKwSQSFN4Nw"),
        ("{type}/{id}", {"key": "yt:v:-aB_cdefghi"}, "_-aB_cdefghi"),
        ("{title} {id}", {"key": "yt:v:-aB_cdefghi", "title": "x"}, "A Title -aB_cdefghi"),
    ],
)  # fmt: skip
def test_a_template_says_where(template: str, fields: dict[str, Any], path: str) -> None:
    assert Template.read(template).place(video(**fields), "audio", INFO) == PurePosixPath(path)


def test_a_channel_without_a_name_has_its_id() -> None:
    place = Template.read("{channel}/{id}").place(video(), "audio", {"channel": None, "channel_id": "UCx"})
    assert place == PurePosixPath("UCx/UKwSQSFN4Nw")


def test_youtube_may_have_told_nothing() -> None:
    template = Template.read("/".join(f"{{{name}}}" for name in FIELDS))
    assert template.place(video(), "audio", {}) == PurePosixPath("UKwSQSFN4Nw/audio")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{acent}/{id}", "there is no field {acent}; did you mean {accent}? There are accent, type, channel,"),
        ("{}/{id}", "there is no field {}"),
        ("{id!r}", "there is no field {id!r}"),
        ("{id:>20}", "there is no field {id:>20}"),
        ("{id.__class__}", "there is no field {id.__class__}"),
        ("{column}", "there is no field {column}"),
        ("{id", "'{id': expected '}' before end of string"),
        ("id}", "'id}': single '}' encountered in format string"),
        ("/etc/{id}", "must not begin or end with a slash"),
        ("{id}/", "must not begin or end with a slash"),
        ("a//{id}", "or contain two in a row"),
        ("", "must not begin or end"),
        ("../{id}", "'..': names that begin with a dot"),
        (".parts/{id}", "'.parts': names that begin with a dot"),
        ("a:b/{id}", "contains a character that some file systems do not allow"),
        ("a\\b/{id}", "contains a character that some file systems do not allow"),
        ("a\0b/{id}", "contains a character that some file systems do not allow"),
        ("x" * 60 + "/{id}", "is too long"),
        ("{id}{id}", "{id} occurs twice"),
    ],
)
def test_a_wrong_template_is_one_line(template: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(output_template=template)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


TEMPLATES = (
    "{accent}/{channel}/{id}",
    "{title}",
    "{id}/{title}",
    "{type} {title}{id}",
    "{column:X}/{title} {channel} {id}",
)
NASTY = st.one_of(
    st.text(max_size=400),
    st.sampled_from(
        ["../../etc/passwd", "a\0b", "x" * 300, "🏴‍☠️" * 90, "CON", "nul.txt", "\u202egpj.exe",
         "/", ".", "..", "~", "\u0958" * 80]
    ),
)  # fmt: skip
KEYS = st.one_of(st.from_regex(r"\Ayt:v:[A-Za-z0-9_-]{11}\Z"), st.text(min_size=1, max_size=120).map("url:{}".format))


@given(st.sampled_from(TEMPLATES), KEYS, NASTY, NASTY, NASTY, NASTY)
def test_no_text_leads_out_or_makes_a_name_too_long(
    template: str, key: str, title: str, accent: str, channel: str, own: str
) -> None:
    task = video(key, title=title, accent=accent, type=accent, extra={"X": own})
    place = Template.read(template).place(task, "audio", {"title": title, "channel": channel})
    assert not place.is_absolute()
    for name in place.parts:
        assert name not in ("", ".", "..")
        assert not set(name) & set("/\\\0\n")
        assert not name.startswith("-")
        assert len(name.encode()) <= NAME_MAX_BYTES + 1
    assert video_id(task) in str(place)


@given(st.sampled_from(TEMPLATES), st.lists(KEYS, min_size=2, max_size=2, unique=True), NASTY)
def test_two_videos_never_share_a_path(template: str, keys: list[str], title: str) -> None:
    """Whatever their titles: those who upload choose them."""
    one, two = (Template.read(template).place(video(key), "audio", {"title": title}) for key in keys)
    assert one != two
