"""Every reason that stands at the front of LastError: what it means, and what a person can do about it. In this one place.

docs/reasons.md is made of it (`python -m youtube_download_coordinator.reasons > docs/reasons.md`), and so is the advice that
stands in LastError and at the end of `ydc run`. A processor of your own may have reasons of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from youtube_download_coordinator.models import Verdict

ADVICE_MAX_CHARACTERS = 100
"""LastError is short, and what YouTube said comes first."""


class Reason(NamedTuple):
    """What is known of one."""

    verdict: Verdict | str
    """What becomes of the row; a text where that is no attempt's verdict."""
    means: str
    do: str = ""
    """Whole sentences, for the docs and the end of a run; nothing where nobody can do anything."""
    advice: str = ""
    """The same in a few words, for LastError."""


HAPPENS = {
    Verdict.RETRY: "an attempt is counted, and it is tried again after a pause; after `max_retries` the dead letters",
    Verdict.GONE: "as a retry, but the dead letters as soon as a second attempt says the same",
    Verdict.PERMANENT: "the dead letters at once (a source: Status `error`)",
    Verdict.LATER: "back in the queue with NotBefore; no attempt is counted",
    Verdict.THROTTLED: "given back, no attempt is counted, and claiming stops for a while",
    Verdict.UNFIT: "given back, no attempt is counted, and this worker stops",
}

COOKIES_HOW_TO = (
    "log in to YouTube in a private browser window on any computer, export the cookies of youtube.com with an extension that"
    " writes cookies.txt, close the window, copy the file to the worker and set YDC_COOKIES_FILE to its path"
)
"""For a machine without a browser. A private window, because YouTube rotates the cookies of one that stays open."""
_REQUEUE = "then have the row tried again: `ydc retry ID`, or type `pending` into its Status"
_REPORT = "If many videos say so, update yt-dlp: pip install -U yt-dlp yt-dlp-ejs."

# fmt: off
REASONS: dict[str, Reason] = {
    # YouTube asks for a pause
    "bot-check": Reason(Verdict.THROTTLED, "YouTube wants to know whether a person asks.",
        f"Mostly it passes. Where it does not, work with an account: {COOKIES_HOW_TO}; or use another"
        " address (YDC_PROXY) and a lower concurrency.", "if it stays: YDC_COOKIES_FILE, YDC_PROXY or fewer videos at a time"),
    "rate-limit": Reason(Verdict.THROTTLED, "YouTube says that this address has asked for too much, for about an hour.",
        "It passes. If it comes back, ask for less at a time (YDC_CONCURRENCY)."),
    "http-429": Reason(Verdict.THROTTLED, "Too many requests: the same, said by HTTP.",
        "It passes. If it comes back, ask for less at a time (YDC_CONCURRENCY)."),
    "http-403": Reason(Verdict.THROTTLED, "YouTube refuses the player or the media.",
        f"It passes, if it is a block. {_REPORT}", "if it stays: pip install -U yt-dlp yt-dlp-ejs"),
    "closed": Reason(Verdict.THROTTLED, "A cooldown or a person's pause (see `Control`) kept a source from being listed.",
        "It goes on when the cooldown has passed, or when a person takes the pause away."),
    "throttled": Reason(Verdict.THROTTLED, "A processor of your own said so."),
    # the video, for ever
    "private": Reason(Verdict.PERMANENT, "The video or the playlist is private."),
    "removed": Reason(Verdict.PERMANENT, "It was removed, by its owner or by YouTube."),
    "terminated": Reason(Verdict.PERMANENT, "The account that it belonged to was closed."),
    "copyright": Reason(Verdict.PERMANENT, "It was taken down for copyright."),
    "gone": Reason(Verdict.GONE, "\"Video unavailable\", or HTTP 404: it does not exist, or a hiccup looks as if."),
    "drm": Reason(Verdict.PERMANENT, "It is encrypted; yt-dlp does not decrypt it."),
    "needs-account": Reason(Verdict.PERMANENT, "Members only, Premium, or age-restricted.",
        f"The cookies of an account that may see it can help: {COOKIES_HOW_TO}; {_REQUEUE}.",
        "an account that may see it? set YDC_COOKIES_FILE, then requeue"),
    "region": Reason(Verdict.PERMANENT, "Not to be seen in this machine's country.",
        f"A worker somewhere else may do it, or a proxy there (YDC_PROXY); {_REQUEUE}.",
        "a worker or a proxy (YDC_PROXY) elsewhere may do it; then requeue"),
    "unsupported-url": Reason(Verdict.PERMANENT, "yt-dlp knows nothing to do with this address, or it is not YouTube's.",
        "Other sites need YDC_ALLOW_OTHER_SITES=true.", "not YouTube's? YDC_ALLOW_OTHER_SITES=true"),
    "own-network": Reason(Verdict.PERMANENT, "Another site's address leads into the worker's own network, or might.",
        f"If nobody else can edit the list: YDC_ALLOW_PRIVATE_ADDRESSES=true; {_REQUEUE}.", ""),
    "list": Reason(Verdict.PERMANENT, "A row among the videos is a list of videos.",
        "Add it as a source.", ""),
    "empty": Reason(Verdict.PERMANENT, "There is no video at this address."),
    "no-subtitles": Reason(Verdict.PERMANENT, "None in the languages that were asked for, and `subtitles_required` is set.",
        "Widen YDC_SUBTITLE_LANGUAGES or YDC_SUBTITLE_KINDS, or leave YDC_SUBTITLES_REQUIRED off."),
    "permanent": Reason(Verdict.PERMANENT, "A processor of your own gave it up without a reason."),
    # too early
    "upcoming": Reason(Verdict.LATER, "A premiere or a live stream that has not begun; NotBefore is when it does, if known."),
    "live": Reason(Verdict.LATER, "It is live now; it is taken when it has ended."),
    "not-live": Reason(Verdict.LATER, "A channel's live address, and it is not live."),
    "processing": Reason(Verdict.LATER, "YouTube is still processing it."),
    "busy": Reason(Verdict.LATER, "Another process is making the same file: one that was frozen woke up beside its successor."),
    # sources
    "queue-full": Reason(Verdict.LATER, "The spreadsheet has no room for this source's videos; it is tried again each hour.",
        "`ydc doctor` says how full it is, and docs/beyond-one-sheet.md what to do.",
        "`ydc doctor` says how full the sheet is"),
    "no-such-source": Reason(f"{Verdict.PERMANENT}, or {Verdict.GONE} where YouTube is vague",
        "The playlist, the channel or its tab does not exist.", "Correct the URL.", ""),
    "nothing-listed": Reason(Verdict.RETRY, "The source listed nothing although it should: often an age-restricted channel.",
        "Its videos may be in `list=UULF` and the rest of the channel's ID; or cookies help (YDC_COOKIES_FILE)."),
    "redirects": Reason(Verdict.RETRY, "One page leads to another without an end."),
    "incomplete": Reason(Verdict.RETRY, "YouTube sent half a page of a list."),
    "bad-url": Reason(Verdict.PERMANENT, "It is no URL that can be listed.", "Correct the URL.", ""),
    "bad-filter": Reason(Verdict.PERMANENT, "A filter's column has a value that means nothing.",
        f"Correct the cell that the message names, {_REQUEUE}."),
    "lost": Reason(Verdict.RETRY, "Somebody else lists this source now."),
    # the way there
    "timeout": Reason(Verdict.RETRY, "No answer in time, or the attempt took longer than `attempt_timeout_minutes`.",
        "If long videos say so, raise YDC_ATTEMPT_TIMEOUT_MINUTES."),
    "network": Reason(Verdict.RETRY, "The connection broke, or a file came short."),
    "http-NNN": Reason(Verdict.RETRY, "Another HTTP status: YouTube's servers have trouble (5xx), or an address ran out (404)."),
    "no-formats": Reason(Verdict.RETRY, "YouTube gave no formats and no reason.", _REPORT),
    "not-embeddable": Reason(Verdict.RETRY, "yt-dlp asked as the wrong client; it means nothing for the video.", _REPORT),
    "error": Reason(Verdict.RETRY, "An error that nobody has a name for, mostly the processor's own; its message follows.",
        "The worker's log has the traceback."),
    "transient": Reason(Verdict.RETRY, "A processor of your own said that it may work another time."),
    # this machine
    "disk-full": Reason(Verdict.UNFIT, "The disk is full, or has less room than `min_free_disk_bytes`.",
        "Make room where output_dir is, and start the worker again; half files are resumed.",
        "make room, start the worker again"),
    "disk": Reason(Verdict.UNFIT, "The disk is read-only, or broken.", "Look at the disk.", "look at the worker's disk"),
    "output-dir": Reason(Verdict.UNFIT, "The output folder cannot be written, or a link leads out of it.",
        "Correct YDC_OUTPUT_DIR or its permissions."),
    "no-ffmpeg": Reason(Verdict.UNFIT, "There is no ffmpeg.", "Install ffmpeg, or pip install imageio-ffmpeg."),
    "no-js-runtime": Reason(Verdict.UNFIT, "There is no JavaScript runtime for YouTube's player, or its scripts do not fit.",
        "pip install -U deno yt-dlp yt-dlp-ejs."),
    "old-yt-dlp": Reason(Verdict.UNFIT, "yt-dlp is older than 90 days. A warning of the preflight; nothing stops.",
        "pip install -U yt-dlp yt-dlp-ejs."),
    "cookies": Reason(Verdict.UNFIT, "The file of cookies cannot be read, is none of YouTube's, or its login has expired.",
        f"To renew them, {COOKIES_HOW_TO}."),
    "stale-cookies": Reason(Verdict.UNFIT, "YouTube does not take the login in the file of cookies any more.",
        f"Renew them: {COOKIES_HOW_TO}.", "export the cookies again (YDC_COOKIES_FILE)"),
    "yt-dlp-options": Reason(Verdict.UNFIT, "yt-dlp refuses an option.", "Correct YDC_YT_DLP_OPTIONS."),
    "offline": Reason(Verdict.UNFIT, "YouTube cannot be reached from here.", "Look at the network, its DNS, and the proxy.",
        "look at this machine's network"),
    "processor": Reason(Verdict.UNFIT, "The processor cannot be found or called.", "Correct its name; the message says how."),
    "memory": Reason(Verdict.UNFIT, "There is not enough memory.", "Lower YDC_CONCURRENCY.", "lower YDC_CONCURRENCY"),
    "no-process": Reason(Verdict.UNFIT, "No more processes can be started.", "Lower YDC_CONCURRENCY, or raise its limits."),
    "broken": Reason(Verdict.UNFIT, "An attempt broke down in a way that is our fault.", "The worker's log has the traceback."),
    "unfit": Reason(Verdict.UNFIT, "A processor of your own said that this machine cannot do it."),
    # the process
    "crashed": Reason(Verdict.RETRY, "The processor's process was killed by a signal: out of memory, a fault in a library.",
        "If it goes on, look at the machine's memory; lower YDC_CONCURRENCY."),
    "exited": Reason(Verdict.RETRY, "The processor's process ended without an answer (sys.exit)."),
    "garbled": Reason(Verdict.RETRY, "The processor's process sent what nobody understands."),
    "killed": Reason(Verdict.RETRY, "The worker that held it was killed; it is tried again at once."),
    "stalled": Reason(Verdict.RETRY, "The worker that held it did not renew its claim: it died, or the machine was asleep."),
    "by-hand": Reason("a person's word", "A person typed `error` into Status: it is kept away from workers.",
        "Type `pending` to have it processed."),
    "duplicate": Reason("`error`", "The row is a copy of another, which the message names."),
}
# fmt: on

ABOUT_ONE_VIDEO = frozenset({
    "private", "removed", "terminated", "copyright", "needs-account", "region", "unsupported-url", "own-network", "list", "empty",
    "no-subtitles", "upcoming", "live", "not-live", "processing", "no-such-source", "bad-url", "bad-filter",
})  # fmt: skip
"""Facts about one video or source. However many fail with one of them, neither YouTube nor yt-dlp is suspected, unless the
wording itself is known from outages (`Failure.systemic`)."""

MEDIA_BLOCK = "media-403"
"""A counted failure of one row; a block of this machine only when several different rows in a row end with it."""
SUBTITLES_BLOCK = "subtitles-429"
"""A block for subtitles alone: videos, audio and metadata are still served."""


def about(reason: str) -> Reason | None:
    """What is known of a reason, also of a status (`http-503`) that has no line of its own; None: it is somebody's own."""
    return REASONS.get(reason) or (REASONS["http-NNN"] if re.fullmatch(r"http-\d{3}", reason) else None)


def advice(reason: str) -> str:
    """What to do about it in a few words; nothing where there is nothing to do."""
    known = about(reason)
    return known.advice if known else ""


def _document() -> Iterator[str]:
    yield "# Reasons"
    yield ""
    yield "LastError begins with one of these words; then comes what YouTube said, then advice, where a person can do something."
    yield "Made by `python -m youtube_download_coordinator.reasons`. The wordings behind each are in `youtube/wordings.py`."
    for title, chosen in _by_verdict():
        yield from ("", f"## {title}", "", "| reason | what it means | what to do |", "| --- | --- | --- |")
        yield from (f"| `{name}` | {reason.means} | {reason.do} |" for name, reason in chosen)


def _by_verdict() -> Iterator[tuple[str, list[tuple[str, Reason]]]]:
    for verdict, happens in HAPPENS.items():
        yield f"{verdict}: {happens}", [each for each in REASONS.items() if each[1].verdict is verdict]
    others = [
        (n, r._replace(means=f"({r.verdict}) {r.means}"))
        for n, r in REASONS.items()
        if not isinstance(r.verdict, Verdict)
    ]
    yield "others", others


def document() -> str:
    """docs/reasons.md."""
    return "\n".join(_document()) + "\n"


if __name__ == "__main__":
    print(document(), end="")
