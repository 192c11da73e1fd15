"""Tables of YouTube's and yt-dlp's error texts, and of their consequences for a row.

This module is data only. error_rules.py searches the tables in order, and the first match decides. Each row names the origin of
the wording (a file of yt-dlp, an issue, a recorded answer) and the date of the first evidence. A pattern is matched, in any
letter case, against text that error_rules.py has normalised: straight quotes, single spaces, "isn't" for "is not" and the like.
"""

from __future__ import annotations

from typing import NamedTuple

from youtube_download_coordinator.models import Verdict


class Wording(NamedTuple):
    """A row of a table."""

    pattern: str
    """A regular expression."""
    verdict: Verdict
    reason: str
    source: str
    """A file of yt-dlp, `project#issue`, or `recorded`."""
    since: str
    """The first evidence of it, as a year or a month."""
    systemic: bool = False
    """Whether it is known from outages and blocks, in which every video fails with it."""


def _rows(verdict: Verdict, reason: str, *rows: tuple[str, str, str], systemic: bool = False) -> tuple[Wording, ...]:
    return tuple(Wording(pattern, verdict, reason, source, since, systemic) for pattern, source, since in rows)


# fmt: off
MACHINE = (
    # From any source. Neither the video nor YouTube is the cause.
    *_rows(Verdict.UNFIT, "disk-full",
        (r"no space left on device|disk quota exceeded", "Linux", "always")),
    *_rows(Verdict.UNFIT, "output-dir",
        (r"unable to (?:open for writing|create directory).*(?:permission denied|read-only)",
            "yt-dlp downloader/http.py", "2021")),
    *_rows(Verdict.UNFIT, "no-ffmpeg",
        (r"ffmpeg (?:isn't|not) (?:found|installed)|ffprobe (?:and ffmpeg )?not found", "yt-dlp postprocessor/ffmpeg.py", "2021"),
        (r"ffmpeg couldn't be found", "yt-dlp downloader/external.py", "2021")),
)
"""Applied to all errors, including errors of a user's own processor."""

OFFLINE = _rows(Verdict.UNFIT, "offline",
    (r"failed to resolve '|name or service not known|name resolution|getaddrinfo failed|nodename nor servname",
        "urllib3", "2021"),
    (r"network is unreachable|no route to host|proxy.*connection refused|proxy authentication required", "Linux", "always"),
)
"""Applied if YouTube cannot be reached: then every video of this machine would fail."""

NO_JAVASCRIPT = _rows(Verdict.UNFIT, "no-js-runtime",
    (r"no supported javascript runtime", "yt-dlp _video.py", "2025-11"),
)
"""Applied to warnings if there are no formats."""

THROTTLED = (
    # First, because YouTube puts "Video unavailable" and "Sign in to confirm" before a block.
    *_rows(Verdict.THROTTLED, "bot-check",
        (r"(?:confirm|prove|verify) (?:that )?you(?:'re| are) (?:not a (?:ro)?bot|(?:a )?human)", "yt-dlp#10128", "2024-06"),
        (r"(?:you're|you are) not a (?:ro)?bot", "yt-dlp#10128", "2024-06"),
        (r"captcha", "yt-dlp _video.py", "2025"),
        (r"\bip (?:address )?(?:[\w']+ )*(?:is|has been|was) (?:likely |temporarily )?(?:being )?blocked",
            "yt-dlp _video.py", "2024-01"),
        (r"got player responses for video .* instead of", "yt-dlp#8941", "2024-01"),
        (r"\b(?:you|network|requests?|access) (?:has|have|is|are|was|were) (?:been )?(?:temporarily )?blocked\b"
            r"(?! (?:in|from|by)\b)",
            "ytdl-org/youtube-dl", "2019"),
        (r"unusual traffic|automated (?:queries|requests)", "ytdl-org/youtube-dl", "2019")),
    *_rows(Verdict.THROTTLED, "rate-limit",
        (r"(?:content|video) isn't available[,.;]? (?:please )?try again later", "yt-dlp#11426", "2024-11"),
        (r"\brate.?limited\b|(?:rate.?limit|quota)(?: has been| was)? (?:exceeded|hit|reached)|request limit",
            "yt-dlp _video.py", "2025-04"),
        (r"(?:hit|reached|exceeded) (?:your|the|a) [\w ]*(?:limit|quota)|limits? will reset", "Panda-70M#60", "2024")),
)
"""Applied to the error and, unless it is certain, to the warnings."""

_ACCOUNT = (
    *_rows(Verdict.PERMANENT, "needs-account",
        (r"members on level|(?:join|joining) this channel|become a member|exclusive to members|members.only|channel member|"
            r"(?:channel's|available to) members", "recorded", "2021"),
        (r"(?:music|youtube) premium|premium members|available with premium", "recorded", "2022"),
        (r"requires? (?:a )?(?:payment|purchase|paid)|\b(?:buy or rent|rent or buy)\b|paid (?:video|content)",
            "chapmanjacobd/library", "2021"),
        (r"(?:confirm|verify) your age|age.restricted|age.?verif", "recorded", "2021"),
        (r"inappropriate (?:for|or offensive to) some|potentially inappropriate", "recorded", "2021"),
        (r"only available (?:for|to) registered users|login details are needed", "yt-dlp extractor/common.py", "2021")),
    # Without the words of a bot check or an age gate. Usually about one video, but a block looks the same.
    *_rows(Verdict.PERMANENT, "needs-account",
        (r"please (?:sign|log) ?in|(?:sign|log) ?in (?:to (?:youtube|your|view|watch|see|continue|access)|is required|required)",
            "yt-dlp#8941", "2024"),
        (r"(?:need to|must|requires? you to) (?:be )?(?:sign(?:ed)?|log(?:ged)?) ?in"
            r"|(?:login|sign-?in)[ _](?:is )?required|^sign in\b",
            "chapmanjacobd/library", "2021"),
        systemic=True),
)
_VIDEO = (
    # Before copyright: "who has blocked it in your country on copyright grounds".
    *_rows(Verdict.PERMANENT, "region",
        (r"(?:in|on|from|for|to|outside) (?:your|this) (?:current )?(?:country|region|location|area|territory)",
            "recorded", "2021"),
        (r"geo.?(?:restrict|block)|region(?:al)?.?(?:restrict|lock|block)|geolocation|use a vpn",
            "yt-dlp extractor/common.py", "2021")),
    # Before needs-account: "Sign in if you've been granted access to this video".
    *_rows(Verdict.PERMANENT, "private",
        (r"private (?:video|playlist)|(?:video|playlist|channel) (?:is|has been made|was made|is set to|is marked as) private",
            "recorded", "2021"),
        (r"granted (?:you )?access|owner limits who can (?:view|watch)", "chapmanjacobd/library", "2021")),
    *_ACCOUNT,
    # Before copyright: "terminated due to multiple third-party claims of copyright infringement".
    *_rows(Verdict.PERMANENT, "terminated",
        (r"(?:account|channel|user|uploader)\b.*(?:terminated|suspended)|suspended account", "chapmanjacobd/library", "2021"),
        (r"closed their (?:youtube )?account|account (?:that )?no longer exists", "recorded", "2021"),
        (r"account (?:[\w']+ )*(?:been|was) (?:closed|deleted)",
            "recorded", "2021")),
    *_rows(Verdict.PERMANENT, "copyright",
        (r"(?:copyright|trademark) (?:claim|grounds|infringement|strike|notice|takedown|violation)", "recorded", "2021"),
        (r"author's rights infring", "chapmanjacobd/library", "2023")),
    *_rows(Verdict.PERMANENT, "removed",
        (r"has been (?:removed|deleted|taken down)|was (?:removed|deleted|taken down) (?:because|for|by|due)",
            "recorded", "2021"),
        (r"removed by the (?:uploader|user|owner)|\bvideo removed\b", "chapmanjacobd/library", "2021"),
        (r"violat(?:es|ed|ing|ion of) (?:our|youtube's) (?:terms|polic)|community guidelines|privacy (?:claim|complaint)",
            "recorded", "2021")),
    *_rows(Verdict.GONE, "restricted",
        # Only on some videos, on networks with "restricted mode": another machine may succeed.
        (r"(?:workspace|network) administrator|google apps account|restricted mode|video is restricted"
            r"|administrator has (?:restrict|block|disabl)|(?:restricted|blocked|disabled) by (?:[\w']+ )*administrator",
            "yt-dlp#15168", "2019-04")),
)
CERTAIN = (
    *THROTTLED,
    *_VIDEO,
    *_rows(Verdict.PERMANENT, "no-such-source",
        (r"(?<!/)\b(?:playlist|channel) doesn't exist|doesn't have an? \S+ tab", "recorded", "2021"),
        (r"unviewable playlist|playlist type is unviewable", "chapmanjacobd/library", "2021"),
        (r"playlist (?:isn't|is no longer) available|playlist (?:is )?unavailable", "ytdl-org/youtube-dl", "2021")),
    *_rows(Verdict.PERMANENT, "empty",
        (r"(?:channel|playlist) (?:doesn't have any|has no) (?:public )?(?:uploads|content|videos?)|playlist is empty",
            "chapmanjacobd/library", "2021")),
    # The text of ssrf_guard.py, because yt-dlp sometimes keeps only the text of an error.
    *_rows(Verdict.PERMANENT, "own-network",
        (r"\bthe worker's own network\b", "ssrf_guard.py", "2026")),
    # YouTube has served DRM with all videos to one client.
    *_rows(Verdict.RETRY, "no-formats",
        (r"skipped as they are drm|applies drm to all", "yt-dlp#12563", "2025-03"), systemic=True),
    *_rows(Verdict.PERMANENT, "drm",
        (r"drm.protect", "yt-dlp#12563", "2025-03"), systemic=True),
    *_rows(Verdict.PERMANENT, "unsupported-url",
        (r"unsupported url|no suitable extractor|isn't a valid url|invalid url", "yt-dlp YoutubeDL.py", "2021"),
        (r"incomplete youtube id|looks truncated|forget to quote the url", "yt-dlp _mistakes.py", "2021"),
        (r"without video id|unable to find video id", "yt-dlp _tab.py, _clip.py", "2021")),
    *_rows(Verdict.LATER, "upcoming",
        (r"premieres? (?:in|on|at|will|starts?|begins?|soon|shortly|[a-z]{3,9} \d)|\bstart(?:s|ing)? (?:soon|shortly|in \d)",
            "recorded", "2021"),
        (r"live (?:event|stream|broadcast) (?:will (?:begin|start)|(?:begins|starts) )", "recorded", "2021"),
        (r"(?:event|stream|broadcast|premiere) hasn't (?:yet )?(?:begun|started)", "YouTube's player", "2023"),
        (r"\blive in (?:\d+|an?|a few) (?:second|minute|hour|day|week|month|moment)", "YouTube's player", "2024"),
        (r"^waiting for (?!.*\b(?:timed? ?out|connection|response)\b)"
            r"|waiting for .* to (?:start|begin)|\bscheduled for\b|about to (?:begin|start)|^upcoming\b",
            "YouTube's player", "2023"),
        (r"stream (?:is )?offline|^(?:\S.{0,100} is )?offline\.?$", "recorded", "2023")),
    *_rows(Verdict.LATER, "not-live",
        (r"(?:not|n't) currently live", "yt-dlp utils/_utils.py", "2021")),
    *_rows(Verdict.LATER, "live",
        (r"(?:is|still) live now|doesn't pass filter \(.*is_live", "yt-dlp YoutubeDL.py", "2021")),
    *_rows(Verdict.LATER, "processing",
        (r"(?:we're|still|video is) processing|is (?:still )?being processed|live (?:event|stream) has ended"
            r"|(?:video|recording|it) (?:isn't|not) (?:yet (?:available|processed|ready)|(?:available|processed|ready) yet)",
            "recorded", "2021")),
    *_rows(Verdict.UNFIT, "cookies",
        (r"playlists that require authentication may not extract correctly", "yt-dlp _tab.py", "2021")),
    *_rows(Verdict.UNFIT, "yt-dlp-options",
        (r"no player clients have been requested|unsupported language code|login with oauth is no longer",
            "yt-dlp _base.py, _video.py", "2024")),
)
"""Applied to errors. They decide, whatever the warnings are."""

NO_FORMATS_HINTS = (
    *_rows(Verdict.RETRY, "no-formats",
        (r"only images (?:are )?available", "yt-dlp YoutubeDL.py", "2021"),
        (r"skipped as they are drm|applies drm to all", "yt-dlp#12563", "2025-03"),
        (r"\bsabr\b|formats have been skipped as they are missing a url", "yt-dlp#12482", "2025-02"),
        (r"(?:signature|n.?challenge|nsig) (?:solving|extraction) failed|challenge solver", "yt-dlp _video.py", "2025-11"),
        (r"formats require a \w+ po token|po token (?:is )?required", "yt-dlp _video.py", "2024-10"),
        systemic=True),
    *_rows(Verdict.RETRY, "yt-dlp-broken",
        (r"http error 400|precondition check failed|contains an invalid argument", "yt-dlp#16212", "2021"), systemic=True),
)
"""Applied to warnings, if the error is only about formats or player responses."""

SKIPPED_FORMATS = (
    ("drm", r"skipped as they are drm|applies drm to all", "yt-dlp _video.py", "2025-03"),
    ("sabr", r"skipped as they are missing a url|\bsabr\b", "yt-dlp#12482", "2025-02"),
    ("challenge", r"(?:signature|n.?challenge|nsig|\bn challenge) solving failed", "yt-dlp _video.py", "2025-11"),
    ("token", r"formats require a \w+ po token", "yt-dlp _video.py", "2024-10"),
)
"""Messages about formats that yt-dlp leaves out, although the video has others: cause, pattern, origin, first evidence."""

BAD_MEDIA = _rows(Verdict.RETRY, "bad-media",
    (r"conversion failed|unable to obtain file audio codec", "yt-dlp postprocessor/ffmpeg.py", "2021"),
    (r"invalid data found when processing|could not write header|error (?:muxing|submitting) a packet", "ffmpeg", "2021"),
)
"""Errors after the download: ffmpeg can neither read nor convert the file."""

BAD_PART = _rows(Verdict.RETRY, "network",
    (r"didn't get any data blocks", "yt-dlp downloader/http.py", "2021"),
    (r"fragment \d+ not found|downloaded file is empty", "yt-dlp downloader/fragment.py", "2021"),
    (r"http error 416|range not satisfiable|conflicting range", "yt-dlp downloader/http.py", "2021"),
)
"""Errors that the partial file on the disk may cause. If it were resumed, it would fail for ever."""

VAGUE = (
    *_rows(Verdict.RETRY, "not-embeddable",
        (r"(?:playback|embedding|disabled)(?: of this video)? on other (?:web)?sites",
            "yt-dlp#17497", "2026-09"),
        (r"embedding (?:has been |is )?disabled|embedded player",
            "yt-dlp#17497", "2026-09"),
        (r"blocked it from (?:display|being displayed|playback)|(?:isn't|can't be) embedd", "alexta69/metube#1047", "2015"),
        (r"watch(?:ed)? (?:this |the |it )?(?:video )?on youtube\b", "yt-dlp#14426", "2025-09"),
        (r"\berror (?:code)?:? ?(?:101|15|15[0-3])\b|player configuration error", "yt-dlp#14426, #14826, #16077", "2025-09"),
        (r"(?:isn't|not|no longer|can't be) (?:currently )?(?:available|supported|playable|allowed|played|viewed)"
            r" (?:on|in|by|for) (?:this|your) (?:youtube )?"
            r"(?:app|application|device|client|player|platform|browser|tv|web ?site)\b", "yt-dlp#10108", "2024-06"),
        (r"available (?:on|for) (?:a |the )?(?:mobile|tvs?\b|televisions?\b|web\b|desktop|embedded)",
            "yt-dlp#10108", "2024-06"),
        (r"(?:app|application|device|client|browser|version of youtube) (?:isn't|is no longer) supported",
            "yt-dlp#10108", "2024-06"),
        (r"latest version of (?:the )?youtube|update (?:(?:the|your) (?:youtube )?(?:app|browser)\b|youtube\b)",
            "yt-dlp#10305", "2024-06"),
        systemic=True),
    *_rows(Verdict.RETRY, "page-reload",
        (r"page (?:needs?|has|must) (?:to )?be (?:reloaded|refreshed)|page needs (?:reloading|a reload)"
            r"|(?:reload|refresh) (?:the|this) page",
            "yt-dlp#16212, #17389", "2026-03"), systemic=True),
    *_rows(Verdict.RETRY, "yt-dlp-broken",
        (r"can't identify player|without player url", "yt-dlp _video.py", "2021"),
        (r"unable to recogni[sz]e tab page|unable to find selected tab", "yt-dlp _tab.py", "2021"),
        (r"\bnsig\b|n.?function (?:code|name)|(?:signature|challenge) (?:function|extraction|solving)",
            "yt-dlp _video.py", "2021"),
        (r"contains an invalid argument|precondition check failed", "yt-dlp#16212", "2021"),
        (r"unable to extract (?:yt )?(?:initial|player|js|signature|ytcfg)|couldn't find js function", "yt-dlp _base.py", "2021"),
        systemic=True),
    *_rows(Verdict.GONE, "no-such-source",
        (r"does the playlist exist|channel/playlist doesn't exist|failed to resolve album", "yt-dlp _tab.py", "2021")),
    *_rows(Verdict.GONE, "gone",
        (r"(?:video|content|clip|channel|recording|it) (?:is currently |is |has become )?unavailable", "recorded", "2015"),
        (r"(?:video|content|clip|channel|recording|it) (?:isn't|is no longer|not|no longer) (?:currently )?available",
            "recorded", "2015"),
        (r"hasn't made this video available|(?:pending|under) review|video (?:has been|is) (?:disabled|flagged)",
            "chapmanjacobd/library", "2021"),
        (r"video (?:[\w']+ )*(?:doesn't|no longer) exists?|(?:video|entity) (?:wasn't|couldn't be|not) found",
            "chapmanjacobd/library", "2021"),
        (r"processing abandoned", "YouTube's player", "2015")),
    *_rows(Verdict.RETRY, "timeout",
        (r"timed? ?out", "Python", "always")),
    *_rows(Verdict.RETRY, "incomplete",
        (r"incomplete (?:data|yt initial data) received", "yt-dlp _base.py, _tab.py", "2021")),
    *_rows(Verdict.RETRY, "no-formats",
        (r"no video formats found|requested format isn't available|any player response",
            "yt-dlp extractor/common.py", "2021")),
    *BAD_PART,
    *_rows(Verdict.RETRY, "network",
        (r"connection|remote end closed|broken pipe|eof occurred|incomplete ?read", "Python", "always"),
        (r"bytes read|downloaded \d+ bytes, expected|content too short", "yt-dlp utils/_utils.py", "2021"),
        (r"\b(?:ssl|tls)\b|certificate verify failed", "Python", "always")),
)
"""Applied after the warnings, because a block looks the same."""
# fmt: on

TABLES = (MACHINE, OFFLINE, NO_JAVASCRIPT, CERTAIN, NO_FORMATS_HINTS, BAD_MEDIA, VAGUE)

FILE_TOO_LARGE = r"\bfile too large\b"
"""The C library's text for EFBIG: a file exceeds the limit of this process (RLIMIT_FSIZE), or of the file system."""
STALE_COOKIES = "account cookies are no longer valid"
"""A warning of yt-dlp (_base.py, 2025-04): YouTube requires a login although there is one."""
