"""Canonical keys: every form of the design's table, what is refused and how it is said, and what must hold for any text."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from youtube_download_coordinator.errors import BadUrl
from youtube_download_coordinator.sources.urls import Kind, Target, source_target, video_target

V = "M4gD1WSo5mA"
PL = "PLXJg25X-OulsVsnvZ7RVtSDW-id9_RzAO"
UC = "UCs6nmQViDpUw0nuIx9c_WvA"
YT = "https://www.youtube.com"

VIDEO, LIST, CHANNEL = f"yt:v:{V}", f"yt:p:{PL}", f"yt:c:{UC}"

FORMS = {
    # -- videos
    f"{YT}/watch?v={V}": VIDEO,
    f"{YT}/watch?v={V}&t=10s&si=x&pp=y&index=3&feature=share": VIDEO,
    f"{YT}/watch?app=desktop&v={V}#t=10": VIDEO,
    f"{YT}/watch/{V}": VIDEO,
    f"{YT}/watch_popup?v={V}": VIDEO,
    f"{YT}/?v={V}": VIDEO,
    f"{YT}/shorts/{V}?feature=share": VIDEO,
    f"{YT}/live/{V}?si=abc": VIDEO,
    f"{YT}/embed/{V}?start=3": VIDEO,
    f"{YT}/v/{V}": VIDEO,
    f"{YT}/e/{V}": VIDEO,
    f"https://youtu.be/{V}?si=abc": VIDEO,
    f"https://youtu.be/{V}/": VIDEO,
    f"https://m.youtube.com/watch?v={V}": VIDEO,
    f"https://music.youtube.com/watch?v={V}": VIDEO,
    f"https://www.youtube-nocookie.com/embed/{V}": VIDEO,
    f"{YT}/attribution_link?a=x&u=%2Fwatch%3Fv%3D{V}%26feature%3Dshare": VIDEO,
    f"{YT}/attribution_link?u=https%3A%2F%2Fyoutu.be%2F{V}": VIDEO,
    f"https://consent.youtube.com/m?continue=https%3A%2F%2Fwww.youtube.com%2Fwatch%3Fv%3D{V}&gl=DE": VIDEO,
    V: VIDEO,
    "-_-_-_-_-_-": "yt:v:-_-_-_-_-_-",
    f"{YT}/watch?v={V}&list=TLPQMjgxMTIwMjY5": VIDEO,
    f"{YT}/watch?v={V}&list=TLGGx1y2z3": VIDEO,
    f"{YT}/watch?v={V}?t=3": VIDEO,
    f"{YT}/watch&v={V}": VIDEO,
    f"{YT}/watch%3Fv%3D{V}%26t%3D3": VIDEO,
    f"{YT}/watch?v={V}&t=1,5": VIDEO,
    f"{YT}/watch?v={V}&note=a,b": VIDEO,
    f"{YT}/watch?v={V}#t=1,5": VIDEO,
    f"{YT}/watch?v={V}#:~:text=a,b": VIDEO,
    f"https://m.youtube.com/details?v={V}": VIDEO,
    f"{YT}/ytscreeningroom?v={V}": VIDEO,
    f"{YT}/watch?v={V}&ab_channel=A%2CB": VIDEO,
    f"https://youtu.be/{V}&t=3": VIDEO,
    f"https://youtu.be/watch?v={V}": VIDEO,
    f"https://m.youtube.com/#/watch?v={V}": VIDEO,
    f"https://gaming.youtube.com/watch?v={V}": VIDEO,
    f"https://www.youtubekids.com/watch?v={V}&hl=de": VIDEO,
    f"https://www.youtubeeducation.com/embed/{V}": VIDEO,
    f"https%3A%2F%2Fwww.youtube.com%2Fwatch%3Fv%3D{V}": VIDEO,
    f"https%253A%252F%252Fyoutu.be%252F{V}": VIDEO,
    f"{YT}/redirect?q=https%3A%2F%2Fyoutu.be%2F{V}&event=comments": VIDEO,
    f"{YT}/signin?next=%2Fwatch%3Fv%3D{V}": VIDEO,
    f"{YT}/oembed?url=https%3A%2F%2Fyoutu.be%2F{V}&format=json": VIDEO,
    f"https://www.google.com/url?q=https%3A%2F%2Fwww.youtube.com%2Fwatch%3Fv%3D{V}&sa=D&ust=1": VIDEO,
    f"https://www.google.co.uk/url?sa=t&url=https://www.youtube.com/watch?v={V}&usg=x": VIDEO,
    f"https://l.facebook.com/l.php?u=https%3A%2F%2Fyoutu.be%2F{V}%3Ffbclid%3Dx&h=y": VIDEO,
    f"https://l.instagram.com/?u=https%3A%2F%2Fyoutu.be%2F{V}&e=x": VIDEO,
    f"https://consent.google.com/m?continue=https://www.youtube.com/watch?v={V}&gl=DE": VIDEO,
    f"https://accounts.google.com/ServiceLogin?continue={YT}/signin%3Fnext%3D%252Fwatch%253Fv%253D{V}": VIDEO,
    f"https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fyoutu.be%2F{V}&data=05": VIDEO,
    # -- playlists
    f"{YT}/playlist?list=VL{PL}": LIST,
    f"{YT}/watch?v={V}&list=VL{PL}": LIST,
    f"{YT}/playlist?list={PL}/": LIST,
    f"{YT}/playlist?list={PL}": LIST,
    f"{YT}/playlist?list={PL}&si=x&playnext=1": LIST,
    f"{YT}/watch?list={PL}": LIST,
    f"{YT}/watch?v={V}&list={PL}&index=7": LIST,
    f"{YT}/watch?v={V}&amp;list={PL}": LIST,
    f"https://youtu.be/{V}?list={PL}": LIST,
    f"{YT}/embed/videoseries?list={PL}": LIST,
    f"{YT}/embed/{V}?list={PL}": LIST,
    f"{YT}/view_play_list?p={PL}": LIST,
    f"{YT}/feeds/videos.xml?playlist_id={PL}": LIST,
    f"https://music.youtube.com/browse/VL{PL}": LIST,
    f"https://music.youtube.com/playlist?list={PL}": LIST,
    f"{YT}/playlist?list=PLexample": "yt:p:PLexample",
    PL: LIST,
    f"VL{PL}": LIST,
    "UUSHBR8-60-B28hp2BmDPdntcQ": "yt:p:UUSHBR8-60-B28hp2BmDPdntcQ",
    "OLAK5uy_m4xAFdmMC5rX3Ji3g93pQe3hqLZw_9LhM": "yt:p:OLAK5uy_m4xAFdmMC5rX3Ji3g93pQe3hqLZw_9LhM",
    f"{YT}/watch?v={V}&list=RD{V}&start_radio=1": f"yt:p:RD{V}",
    f"{YT}/playlist?list=RD{V}": f"yt:p:RD{V}",
    # -- channels
    f"{YT}/channel/{UC}": CHANNEL,
    f"{YT}/channel/{UC}/": CHANNEL,
    f"{YT}/channel/{UC}/featured": CHANNEL,
    f"{YT}/channel/{UC}/videos?view=0&sort=p": f"{CHANNEL}/videos",
    f"{YT}/channel/{UC}/Shorts": f"{CHANNEL}/shorts",
    f"{YT}/channel/{UC}/live": f"{CHANNEL}/live",
    f"{YT}/feeds/videos.xml?channel_id={UC}": CHANNEL,
    f"{YT}/embed/live_stream?channel={UC}": f"{CHANNEL}/live",
    f"https://music.youtube.com/browse/{UC}": CHANNEL,
    UC: CHANNEL,
    # -- aliases
    f"{YT}/@l·l-a.b_1": "yt:a:@l·l-a.b_1",
    f"{YT}/%40kurzgesagt": "yt:a:@kurzgesagt",
    "＠kurzgesagt": "yt:a:@kurzgesagt",
    f"{YT}/@हिन्दी": "yt:a:@हिन्दी",
    f"{YT}/@Kurzgesagt": "yt:a:@kurzgesagt",
    "@kurzgesagt": "yt:a:@kurzgesagt",
    f"{YT}/@kurzgesagt/streams": "yt:a:@kurzgesagt/streams",
    f"{YT}/@%E3%81%82%E3%81%84": "yt:a:@あい",
    f"{YT}/@あい": "yt:a:@あい",
    f"{YT}/c/JeffGeerling/videos": "yt:a:c/jeffgeerling/videos",
    f"{YT}/c/videos": "yt:a:c/videos",
    f"{YT}/user/CaptainDisillusion": "yt:a:user/captaindisillusion",
    f"{YT}/feeds/videos.xml?user=CaptainDisillusion": "yt:a:user/captaindisillusion",
    f"{YT}/Kurzgesagt/": "yt:a:kurzgesagt",
}  # fmt: skip


@pytest.mark.parametrize(("text", "key"), FORMS.items())
def test_a_form_has_its_key(text: str, key: str) -> None:
    target = source_target(text)
    assert target.key == key
    assert source_target(target.url) == target


@pytest.mark.parametrize(
    "disguise",
    [
        " {} ", "<{}>", '"{}"', "\ufeff{}", "{}\u200b", "{}\n", "{}#fragment", "{}&t=3", "{}&", "\u00a0{}\u00a0",
        "\u2066{}\u2069",        "{}.", "{},", "{};", "{})", "{}]", "{}>", '{}"', "({})", "({}).", "[{}]", "„{}“", "“{}”",
        "«{}»", "‹{}›", "「{}」",
        "'{}'", "{}!",         "- {}", "* {}", "• {}", "1. {}",
        "12) {}", "- <{}>", "[a title]({})", '[a (title)]({} "x")', "![]({})", "[1]: {}",
        '<a class="x" href="{}">a title</a>', '<iframe width="560" src="{}" allowfullscreen></iframe>', "<{}|a title>",
        "[url]{}[/url]", "[url={}]a title[/url]", '=HYPERLINK("{}")', '=HYPERLINK("{}"; "a title")', '=LIEN_HYPERTEXTE("{}";"x")',
        '="{}"', "- [x]({})",
    ],
)  # fmt: skip
def test_what_comes_along_when_an_address_is_copied_does_not_matter(disguise: str) -> None:
    assert source_target(disguise.format(f"{YT}/watch?v={V}")).key == VIDEO


@pytest.mark.parametrize(
    "escape",
    [("&", "&amp;"), ("&", "\\u0026"), ("=", "\\u003d"), ("/", "\\/"), ("_", "\\_")],
)
def test_escapes_of_other_formats_are_undone(escape: tuple[str, str]) -> None:
    address = f"{YT}/watch?app=desktop&v=M_gD1WSo5_A"
    assert source_target(address.replace(*escape)).key == "yt:v:M_gD1WSo5_A"


@pytest.mark.parametrize(
    "address", ["https://example.org/a,b/(c)?d=1,2", "https://example.org/x?u=https://example.org/y"]
)
def test_commas_brackets_and_addresses_in_parameters_belong_to_an_address(address: str) -> None:
    assert source_target(f"({address}).", allow_other_sites=True).url == address


@pytest.mark.parametrize(
    "start",
    ["www.youtube.com", "youtube.com", "//www.youtube.com", "http://youtube.com", "HTTPS://WWW.YOUTUBE.COM",
     "www.youtube.com:443", "https://www.youtube.com:443", "https://www.youtube.com.", "https://www.youtube.com//"],
)  # fmt: skip
def test_the_start_of_an_address_does_not_matter(start: str) -> None:
    assert source_target(f"{start}/watch?v={V}") == Target(Kind.VIDEO, VIDEO, f"{YT}/watch?v={V}")


REFUSED = {
    "": "empty",
    "  \u200b ": "empty",
    "hello": "neither an address nor a YouTube ID",
    "two words": "one address per cell or line",
    f"{YT}/watch?v={V} and more": "one address per cell or line",
    "C:\\videos\\list.txt": "one address per cell or line",
    YT: "front page",
    f"{YT}/watch": "no video ID",
    f"{YT}/watch?v=short": "not a video ID of 11 characters",
    f"{YT}/watch?v={V}x": "not a video ID of 11 characters",
    "https://youtu.be/": "no video ID",
    f"{YT}/playlist": "no list=",
    f"{YT}/playlist?list=PL<>x": "not a playlist ID",
    f"{YT}/playlist?list=WL": "Watch Later is private",
    "WL": "Watch Later is private",
    f"{YT}/watch?v={V}&list=WL&index=2": "Watch Later is private",
    f"{YT}/playlist?list=LL": "liked videos is private",
    f"{YT}/playlist?list=LM": "liked music is private",
    f"{YT}/watch?v={V}&list=RDMM": "My Mix is private",
    f"{YT}/watch?v={V}&list=RDMM{V}": "My Mix is private",
    f"{YT}/hashtag/cats": "hashtag",
    f"{YT}/results?search_query=cats": "search",
    f"{YT}/feed/subscriptions": "personal feed",
    f"{YT}/post/Ugkx123": "post",
    f"{YT}/clip/Ugkx123": "clip",
    f"{YT}/redirect?q=https%3A%2F%2Fexample.com": "does not lead to a page on YouTube",
    f"{YT}/attribution_link?u=https%3A%2F%2Fexample.com": "does not lead to a page on YouTube",
    f"{YT}/attribution_link?u=/attribution_link?u=/attribution_link?u=/attribution_link?u=/@x": "does not lead to a page",
    f"{YT}/signin?next=https%3A%2F%2Fexample.com": "does not lead to a page on YouTube",
    "https://www.google.com/url?q=https%3A%2F%2Fexample.com": "is not YouTube",
    "https://www.google.com/url?q=file:///etc/passwd": "does not lead to a page on YouTube",
    # -- more than one address, or text behind it
    f"{YT}/watch?v={V},{YT}/watch?v=-_-_-_-_-_-": "two addresses, or other text next to an address; give one address",
    f"{YT}/watch?v={V}\n{YT}/watch?v=-_-_-_-_-_-": "contains two addresses",
    f"youtu.be/{V};youtu.be/-_-_-_-_-_-": "contains two addresses",
    f"https://youtu.be/{V}https://youtu.be/{V}": "contains two addresses",
    f"https://youtu.be/{V}?si=xhttps://youtu.be/{V}": "contains two addresses",
    f"{YT}/@a and {YT}/@b": "contains two addresses",
    f"{V},-_-_-_-_-_-": "give one address per cell or line",
    "@one,@two": "give one address per cell or line",
    "@name,en,x": "no channel, playlist or video; give one address per cell or line",
    f"{YT}/@name,en,x": "give one address per cell or line",
    f"{YT}/c/name;en": "give one address per cell or line",
    f"{YT}/@name/videos,en": "give one address per cell or line",
    f"{YT}/watch?v={V},pt-BR,interview": "not a video ID of 11 characters; give one address per cell or line",
    f"{YT}/watch?v={V}&t=3,pt-BR,interview": "text after the address",
    f"https://youtu.be/{V}?si=Abc-_1,pt-BR,interview": "text after the address",
    f"{YT}/watch?v={V}&ab_channel=BBC,pt-BR": "text after the address",
    f"{YT}/@name/videos?view=0&sort=dd,pt-BR,interview": "text after the address",
    f"{YT}/@name?sub_confirmation=1,pt-BR": "text after the address",
    f"{YT}/@name?,pt-BR": "text after the address",
    f"{YT}/watch?v={V}#,pt-BR": "text after the address",
    f"{YT}/watch?v={V}&list={PL},pt-BR": "text after the address",
    f"{YT}/verify_age?next_url=/watch%3Fv%3D{V}": "no channel, playlist or video",
    f"https://youtu.be/{V},pt-BR,interview": "give one address per cell or line",
    f"{YT}/shorts/{V}|pt-BR": "give one address per cell or line",
    f"{YT}/playlist?list={PL},pt-BR": "give one address per cell or line",
    f"{YT}/channel/{UC},pt-BR": "give one address per cell or line",
    f"Some title {YT}/watch?v={V}": "contains two addresses",
    # -- a part of an address
    f"{YT}/watch?v=M4gD1WS…": "cut off",
    f"{YT}/@kurz...": "cut off",
    f"{YT}/channel/{UC[:-1]}": "not a channel ID",
    f"{YT}/channel/{UC}x": "not a channel ID",
    f"https://music.youtube.com/browse/{UC[:-2]}": "not a channel ID",
    f"{YT}/playlist?list=TLPQMjgxMTIwMjY": "does not last",
    f"{YT}/@two%20words": "no channel, playlist or video",
    f"{YT}/@😀": "no channel, playlist or video",
    f"{YT}/attribution_link": "empty",
    f"{YT}/@x/community": "the tab “community” has no videos",
    f"{YT}/channel/nothing": "not a channel ID",
    f"{YT}/upload": "no channel, playlist or video",
    "https://music.youtube.com/browse/MPREb_gTAcphH99wE": "OLAK5uy_",
    "https://studio.youtube.com/channel/x": "no videos to list",
    "https://youtube.com.evil.com/watch?v=x": "is not YouTube",
    "https://evil.com/youtube.com/watch?v=x": "is not YouTube",
    "https://notyoutube.com/watch?v=x": "is not YouTube",
    "https://yоutube.com/watch?v=x": "not written in plain letters",
    f"https://me:secret@www.youtube.com/watch?v={V}": "user name or a password",
    "https://www.youtube.com@evil.com/": "user name or a password",
    "file:///etc/passwd": "file: is never accepted",
    "ytsearch:cats": "ytsearch: is never accepted",
    "javascript:alert(1)": "javascript: is never accepted",
    "data:text/html,x": "data: is never accepted",
    "ftp://youtube.com/x": "ftp: is never accepted",
    "https:/www.youtube.com/x": "two slashes are missing",
    f"{YT}:99999/watch?v={V}": "not an address",
    "http://[::1/": "not an address",
    "https://example.com/" + "x" * 9000: "longer than",
    "\ud800": "a character",
}  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_what_is_refused_is_refused_in_one_clear_line(text: str, reason: str) -> None:
    with pytest.raises(BadUrl) as caught:
        source_target(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_in_a_video_of_a_list_the_video_stands_where_a_video_is_meant() -> None:
    assert video_target(f"{YT}/watch?v={V}&list={PL}").key == VIDEO
    assert video_target(f"{YT}/watch?v={V}&list=WL").key == VIDEO
    assert video_target(f"{YT}/shorts/{V}").key == VIDEO


@pytest.mark.parametrize("text", [PL, UC, "@kurzgesagt", f"{YT}/watch?list={PL}"])
def test_a_list_is_no_video(text: str) -> None:
    with pytest.raises(BadUrl, match="not a video: add it as a source"):
        video_target(text)


def test_a_mix_is_opened_beside_its_video() -> None:
    assert source_target(f"{YT}/playlist?list=RD{V}").url == f"{YT}/watch?v={V}&list=RD{V}"
    artist = source_target(f"{YT}/watch?v={V}&list=RDEMabcdefghijklmnopqrstuv")
    assert artist.url == f"{YT}/watch?v={V}&list=RDEMabcdefghijklmnopqrstuv"
    assert artist.is_mix
    assert not source_target(PL).is_mix
    assert not source_target(f"{YT}/playlist?list=RDCLAK5uy_abc").is_mix


def test_a_channel_is_whole_without_a_tab() -> None:
    assert all(
        source_target(text).is_whole_channel for text in (UC, "@x", f"{YT}/c/videos", f"{YT}/user/live", f"{YT}/videos")
    )
    assert not any(
        source_target(text).is_whole_channel for text in (PL, V, f"{YT}/c/x/videos", "@x/live", f"{YT}/x/shorts")
    )


OTHER = {
    "http://LOCALHOST:8000/feed.xml?a=1&b=2#top": "http://localhost:8000/feed.xml?a=1&b=2",
    "https://Example.com": "https://example.com/",
    "example.com/a?q": "https://example.com/a?q",
    "http://example.com:80/ü?ö=%20": "http://example.com/%C3%BC?%C3%B6=%20",
    "http://[::1]:8000/x": "http://[::1]:8000/x",
    "https://xn--mnchen-3ya.de/x": "https://xn--mnchen-3ya.de/x",
}


@pytest.mark.parametrize(("text", "url"), OTHER.items())
def test_other_sites_are_taken_when_they_are_allowed(text: str, url: str) -> None:
    assert source_target(text, allow_other_sites=True) == Target(Kind.OTHER, f"url:{url}", url)
    assert video_target(text, allow_other_sites=True).key == f"url:{url}"
    with pytest.raises(BadUrl, match="YDC_ALLOW_OTHER_SITES"):
        source_target(text)


def test_what_yt_dlp_smuggles_stays_in_the_address_and_out_of_the_key() -> None:
    target = video_target("http://a.example/x.mp3#__youtubedl_smuggle=%7B%22a%22%3A+1%7D", allow_other_sites=True)
    assert target.key == "url:http://a.example/x.mp3"
    assert target.url == "http://a.example/x.mp3#__youtubedl_smuggle=%7B%22a%22%3A+1%7D"
    assert source_target(target.url, allow_other_sites=True) == target


@pytest.mark.parametrize(
    "text", ["file:///etc/passwd", "yоutube.com/x", "http://u:p@example.com/", "ftp://example.com/x"]
)
def test_some_addresses_are_never_taken(text: str) -> None:
    with pytest.raises(BadUrl):
        source_target(text, allow_other_sites=True)


# -- what must hold for any text

PIECES = st.sampled_from(
    ["https://", "http://", "//", "www.youtube.com", "youtu.be", "example.com", "/", "/watch", "/playlist", "/channel/", "/@",
     "/c/", "?", "&", "v=", "list=", "u=", "continue=", "#", "%", "%2F", "%C3", "@", ":", ":80", "[", "]", ".", "\\", V, PL, UC,
     "RD", "WL", "/videos", "/attribution_link", "consent.", "\u200b", "é", "İ", "\ud800", " ", "\n", "#__youtubedl_smuggle="]
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=60), st.lists(PIECES, max_size=9).map("".join), st.sampled_from(list(FORMS) + list(OTHER))
)


@given(TEXTS, st.booleans())
@example("https://www.youtube.com/@\u0130", True)
@example("https://www.youtube.com/@%FF", True)
def test_any_text_is_an_address_or_a_bad_one(text: str, allowed: bool) -> None:
    for read in (source_target, video_target):
        with contextlib.suppress(BadUrl):
            target = read(text, allow_other_sites=allowed)
            assert target.url.isascii()
            assert again(read, target, allowed) == target


def again(read: Callable[..., Target], target: Target, allowed: bool) -> Target | BadUrl:
    try:
        return read(target.url, allow_other_sites=allowed)
    except BadUrl as error:
        return error


NOISE = st.dictionaries(
    st.sampled_from(["t", "si", "pp", "index", "feature", "ab_channel", "app"]),
    st.text("abc019", max_size=5),
    max_size=4,
)


@given(
    st.sampled_from(
        [(f"{YT}/watch?v={V}", VIDEO), (f"{YT}/playlist?list={PL}", LIST), (f"{YT}/watch?list={PL}&v={V}", LIST)]
    ),
    NOISE,
)
def test_parameters_that_say_nothing_change_nothing(form: tuple[str, str], noise: dict[str, str]) -> None:
    url, key = form
    tail = "".join(f"&{name}={value}" for name, value in noise.items())
    front = "".join(f"{name}={value}&" for name, value in noise.items())
    assert {source_target(spelled).key for spelled in (url + tail, url.replace("?", f"?{front}"))} == {key}


def test_different_things_have_different_keys() -> None:
    keys = [target.key for target in map(source_target, (V, PL, UC, f"@{UC}", f"{YT}/c/{UC}", f"{YT}/user/{UC}"))]
    assert all(one != other for one, other in itertools.combinations(keys, 2))
