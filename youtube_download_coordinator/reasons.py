"""List the reasons of failures, with their meaning and with advice for people.

LastError begins with a reason. This table is the source of docs/reasons.md (`python -m youtube_download_coordinator.reasons >
docs/reasons.md`), of the advice in LastError, and of the advice at the end of `ydc run`. A user's processor may add reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from youtube_download_coordinator.models import Failure, Verdict

ADVICE_MAX_CHARACTERS = 100
"""LastError is short, and YouTube's own words come first."""


class Reason(NamedTuple):
    """The meaning of one reason, and the advice for it."""

    verdict: Verdict | str
    """The effect on the row; a text if that is not the verdict of an attempt."""
    means: str
    do: str = ""
    """Whole sentences, for the docs and the end of a run; empty if there is nothing to do."""
    advice: str = ""
    """The same in a few words, for LastError."""


DEGRADATIONS = {
    "format-18": "YouTube served only its small file with picture and sound, whose sound has 96 kbit/s.",
    "low-bit-rate": "The sound has less than `audio_min_kbps`.",
    "skipped-sabr": "YouTube serves better formats only by its own protocol (SABR), which yt-dlp does not support.",
    "skipped-challenge": "yt-dlp could not solve the challenge for better formats: update yt-dlp, and check deno.",
    "skipped-token": "Better formats require a PO token: docs/yt-dlp.md explains how to provide one.",
    "skipped-drm": "Better formats are encrypted.",
}
"""The meanings of the words after `degraded: ` in a Result."""

HAPPENS: dict[Verdict, tuple[str, ...]] = {
    Verdict.RETRY: (
        "The attempt is counted, and the row is tried again after a pause.",
        "After `max_retries` attempts it is a dead letter.",
    ),
    Verdict.GONE: (
        "The attempt is counted, and the row is tried again after a pause.",
        "As soon as a second attempt fails for the same reason, it is a dead letter.",
    ),
    Verdict.PERMANENT: (
        "The row is a dead letter at once. A source gets the Status `error`.",
        "With `region` and `needs-account` it waits instead if a machine offers what it needs (YDC_OFFERS).",
    ),
    Verdict.LATER: ("The row waits until NotBefore.", "No attempt is counted."),
    Verdict.THROTTLED: (
        "No attempt is counted.",
        "The machine claims nothing for a while, and the row waits a little longer.",
        "A row that is refused `max_throttles` times while others are answered is a dead letter with the reason `blocked`.",
    ),
    Verdict.UNFIT: (
        "The row is released, no attempt is counted, and the worker stops.",
        "A source waits until NotBefore. Other sources are listed, unless this machine can list none.",
    ),
}
"""The effects of each verdict, a sentence each."""

COOKIES_STEPS = (
    "log in to YouTube in a private browser window on any computer",
    "export the cookies of youtube.com with an extension that writes cookies.txt",
    "close the window",
    "copy the file to the worker and set YDC_COOKIES_FILE to its path",
)
COOKIES_HOW_TO = ", ".join(COOKIES_STEPS)
"""Instructions for a machine without a browser. A private window, because YouTube rotates the cookies of an open window."""
_REQUEUE = "then retry the row: `ydc retry ID`, or type `pending` into its Status"
_UPDATE = "ydc upgrade-yt-dlp"
_REPORT = f"If many videos fail with it, update yt-dlp: {_UPDATE}."

# fmt: off
REASONS: dict[str, Reason] = {
    # YouTube asks for a pause
    "bot-check": Reason(Verdict.THROTTLED, "YouTube asks for proof that a person is watching, or returns another video.",
        f"It usually passes. If it does not, {COOKIES_HOW_TO}; or use another"
        " address (YDC_PROXY) and a lower concurrency.", "if it stays: YDC_COOKIES_FILE, YDC_PROXY or fewer videos at a time"),
    "rate-limit": Reason(Verdict.THROTTLED, "This address has made too many requests; YouTube refuses more for about an hour.",
        "It passes. If it comes back, lower YDC_CONCURRENCY."),
    "http-429": Reason(Verdict.THROTTLED, "HTTP 429, too many requests: as `rate-limit`.",
        "It passes. If it comes back, lower YDC_CONCURRENCY."),
    "subtitles-429": Reason(Verdict.THROTTLED, "HTTP 429 for subtitles. Videos, audio and metadata are still served.",
        "It passes. If it comes back, ask for fewer languages (YDC_SUBTITLE_LANGUAGES)."),
    "http-403": Reason(Verdict.THROTTLED, "YouTube refuses its player or a page. (On another site: a retry.)",
        f"It passes, if it is a block. {_REPORT}", f"if it stays: {_UPDATE}"),
    "closed": Reason(Verdict.THROTTLED, "A cooldown or a person's pause (see `Control`) kept a source from being listed.",
        "It is listed when the cooldown is over, or when a person ends the pause."),
    "blocked": Reason("a dead letter", "YouTube refused the row `max_throttles` times and answered others in between. The message"
        " ends with the last refusal.", f"If the cause has passed, {_REQUEUE}.", "to try it again: `ydc retry`"),
    "suspected": Reason("not counted", "Many videos in a row failed with the reason that follows. yt-dlp, YouTube or the"
        " processor is at fault, not the video: see `Control`.",
        f"If `Control` names a newer yt-dlp: {_UPDATE}. If your own processor fails, fix it."),
    "throttled": Reason(Verdict.THROTTLED, "Your own processor raised ThrottledError without a reason."),
    # the video, for ever
    "private": Reason(Verdict.PERMANENT, "The video or the playlist is private."),
    "removed": Reason(Verdict.PERMANENT, "It was removed, by its owner or by YouTube."),
    "terminated": Reason(Verdict.PERMANENT, "The account that it belonged to was closed or suspended."),
    "copyright": Reason(Verdict.PERMANENT, "It was taken down for copyright."),
    "gone": Reason(Verdict.GONE, "\"Video unavailable\", or HTTP 404: it does not exist, or YouTube had a short failure."),
    "restricted": Reason(Verdict.GONE, "The administrator of a network or of a Google Workspace blocks it, often by DNS.",
        "Use another network or another DNS server, or no Workspace account.", "a machine in another network may do it"),
    "drm": Reason(Verdict.PERMANENT, "It is encrypted; yt-dlp does not decrypt it.", _REPORT),
    "dubbed": Reason(Verdict.PERMANENT, "YouTube offers dubs or audio descriptions alone, not the speaker's own voice. A retry"
        " where YouTube kept other formats back.",
        f"If another voice will do: YDC_AUDIO_TRACK=any; {_REQUEUE}.", "if any voice will do: YDC_AUDIO_TRACK=any"),
    "no-audio": Reason(Verdict.PERMANENT, "The video has no sound, or silence from start to end.",
        "For pictures without sound, use `download` with your own `format` in YDC_YT_DLP_OPTIONS.", ""),
    "needs-account": Reason(Verdict.PERMANENT, "Members only, Premium, age-restricted, or YouTube asks for a login.",
        f"It waits for a machine that offers `account` (YDC_OFFERS). If none does: {COOKIES_HOW_TO}; {_REQUEUE}.",
        "an account that may see it? set YDC_COOKIES_FILE, then requeue"),
    "region": Reason(Verdict.PERMANENT, "It is not available in this machine's country.",
        "It waits for a machine that offers another country (YDC_OFFERS). If none does, use a worker or a proxy there;"
        f" {_REQUEUE}.",
        "a worker or a proxy (YDC_PROXY) elsewhere may do it; then requeue"),
    "unsupported-url": Reason(Verdict.PERMANENT, "yt-dlp does not support this address, or it is not YouTube's.",
        "Other sites need YDC_ALLOW_OTHER_SITES=true.", "not YouTube's? YDC_ALLOW_OTHER_SITES=true"),
    "own-network": Reason(Verdict.PERMANENT, "Another site's address leads into the worker's own network, or might.",
        f"If nobody else can edit the list: YDC_ALLOW_PRIVATE_ADDRESSES=true; {_REQUEUE}.", ""),
    "list": Reason(Verdict.PERMANENT, "A row among the videos is a list of videos.",
        "Add it as a source.", ""),
    "empty": Reason(Verdict.PERMANENT, "There is no video at this address."),
    "no-subtitles": Reason(Verdict.PERMANENT, "There are none in the languages asked for, and `subtitles_required` is set.",
        "Widen YDC_SUBTITLE_LANGUAGES or YDC_SUBTITLE_KINDS, or leave YDC_SUBTITLES_REQUIRED off."),
    "permanent": Reason(Verdict.PERMANENT, "Your own processor raised PermanentError without a reason."),
    # too early
    "upcoming": Reason(Verdict.LATER, "A premiere or live stream that has not begun; NotBefore is its start, if known."),
    "live": Reason(Verdict.LATER, "It is live now; it is processed when it has ended."),
    "not-live": Reason(Verdict.LATER, "It is a channel's live address, and the channel is not live."),
    "processing": Reason(Verdict.LATER, "YouTube is still processing it."),
    "busy": Reason(Verdict.LATER, "Another process is making the same file, for example one that was frozen and woke up."),
    # sources
    "queue-full": Reason(Verdict.LATER, "The spreadsheet has no room for this source's videos; it is tried again each hour.",
        "`ydc doctor` shows how full it is, and docs/beyond-one-sheet.md what to do.",
        "`ydc doctor` shows how full the sheet is"),
    "no-such-source": Reason(f"{Verdict.PERMANENT}, or {Verdict.GONE} where YouTube is vague",
        "The playlist, the channel or its tab does not exist.", "Correct the URL.", ""),
    "nothing-listed": Reason(Verdict.RETRY, "The list is empty although it should not be: often an age-restricted channel.",
        "Its videos may be in `list=UULF` and the rest of the channel's ID; or cookies help (YDC_COOKIES_FILE)."),
    "redirects": Reason(Verdict.RETRY, "The pages of the list lead to each other endlessly."),
    "incomplete": Reason(Verdict.RETRY, "YouTube sent an incomplete page of a list."),
    "bad-url": Reason(Verdict.PERMANENT, "The URL cannot be listed, or does not belong to a video.",
        "Correct the URL, and in a sheet type `pending` into Status.", ""),
    "bad-filter": Reason(Verdict.PERMANENT, "A filter's column has a value that cannot be understood.",
        f"Correct the cell that the message names, {_REQUEUE}."),
    "lost": Reason(Verdict.RETRY, "Another worker lists this source now."),
    # the way there
    "timeout": Reason(Verdict.RETRY, "No answer in time, or the attempt took longer than `attempt_timeout_minutes`.",
        "If long videos fail with it, raise YDC_ATTEMPT_TIMEOUT_MINUTES."),
    "network": Reason(Verdict.RETRY, "The connection broke, or a file was incomplete. A partial file that cannot be resumed"
        " is deleted."),
    "short-file": Reason(Verdict.RETRY, "The file is shorter or longer than YouTube or its own header says, by more than 2 s and"
        " 0.5 %. It is deleted.", "If it stays, YouTube's file is damaged: watch the end of the video there."),
    "bad-media": Reason(Verdict.RETRY, "ffmpeg cannot read or convert the file. The file is deleted and fetched again.",
        "The worker's log contains ffmpeg's output. If many videos fail with it, update ffmpeg."),
    "degraded": Reason(Verdict.RETRY, "The file is worse than usual, as the message explains, and `accept_degraded` is off.",
        "To keep such files: YDC_ACCEPT_DEGRADED=true.", "to keep it: YDC_ACCEPT_DEGRADED=true"),
    "media-403": Reason(Verdict.RETRY, "The media were refused with HTTP 403, also after a fresh extraction. When several videos"
        " in a row end with it, it counts as a block.", _REPORT, f"if many fail with it: {_UPDATE}"),
    "http-NNN": Reason(Verdict.RETRY, "Another HTTP status: a server error (5xx), or an address that has expired (404)."),
    # yt-dlp and YouTube
    "no-formats": Reason(Verdict.RETRY, "YouTube offered no audio or video, and gave no reason.", _REPORT),
    "not-embeddable": Reason(Verdict.RETRY, "YouTube refuses the client that yt-dlp imitates. The video is not at fault.",
        _REPORT, f"if many fail with it: {_UPDATE}"),
    "page-reload": Reason(Verdict.RETRY, "\"The page needs to be reloaded\": YouTube refuses the client that yt-dlp imitates.",
        _REPORT, f"if many fail with it: {_UPDATE}"),
    "yt-dlp-broken": Reason(Verdict.RETRY, "yt-dlp could not interpret YouTube's answer, usually because yt-dlp is too old.",
        f"Update yt-dlp: {_UPDATE}.", f"update yt-dlp: {_UPDATE}"),
    "error": Reason(Verdict.RETRY, "An error that is not in this table, mostly the processor's own; its message follows.",
        "The worker's log has the traceback."),
    "transient": Reason(Verdict.RETRY, "Your own processor raised TransientError without a reason."),
    "too-large": Reason(Verdict.RETRY, "The video is larger than `max_file_bytes`, or does not fit on the disk of this machine"
        " beside `min_free_disk_bytes`. The partial download is removed.",
        f"Raise YDC_MAX_FILE_BYTES, choose smaller formats (YDC_YT_DLP_OPTIONS), or give the worker a larger disk; {_REQUEUE}.",
        "a larger disk, or YDC_MAX_FILE_BYTES"),
    "memory": Reason(Verdict.RETRY, "The attempt used more memory than `max_child_memory_bytes`, or than the machine had.",
        "Raise YDC_MAX_CHILD_MEMORY_BYTES, or lower YDC_CONCURRENCY.", "YDC_MAX_CHILD_MEMORY_BYTES, or a lower YDC_CONCURRENCY"),
    "asked-for": Reason(Verdict.LATER, "A person has asked for one more product of a video that was done (`ydc retry --product`)."
        " Nothing failed."),
    "other-processor": Reason(Verdict.LATER, "A person has asked for the product of a function that this worker does not run.",
        "Start a worker whose --processor names the function."),
    "upload": Reason(Verdict.LATER, "The place of the files (`output_dir`) did not answer. The machine keeps the finished file"
        " and uploads it later. For an hour no other machine takes the video.",
        "Check the storage and the network connection to it."),
    "trainability": Reason(Verdict.LATER, "YDC_TRAINABLE is set, and YouTube's API gives no answer now. The video is neither"
        " fetched nor skipped. The API is asked again within an hour.",
        "Check the machine's network and its proxy, which must also reach youtube.googleapis.com."),
    "no-trainability": Reason(Verdict.LATER, "YDC_TRAINABLE is set and the video exists, but YouTube's API does not know it. The"
        " API is asked again once a day.", "To skip it for good, type `done` into its Status, or call `ydc skip ID`."),
    # this machine
    "place-refused": Reason(Verdict.UNFIT, "The place of the files (`output_dir`) refuses this machine: a right, the bucket or"
        " the credentials are missing. Finished files wait on the machine's own disk.",
        "`ydc doctor` says which right is missing. Start the worker again, and it uploads them.", "ydc doctor says which"),
    "disk-full": Reason(Verdict.UNFIT, "The disk is full, or has less room than `min_free_disk_bytes`.",
        "Free space on the disk of output_dir, and start the worker again; partial files are resumed.",
        "free disk space, start the worker again"),
    "disk": Reason(Verdict.UNFIT, "The disk is read-only, or broken.", "Check the disk.", "check the worker's disk"),
    "output-dir": Reason(Verdict.UNFIT, "The output folder cannot be written, or a link leads out of it.",
        "Correct YDC_OUTPUT_DIR or its permissions."),
    "no-ffmpeg": Reason(Verdict.UNFIT, "ffmpeg is missing.", "Install ffmpeg, or pip install imageio-ffmpeg."),
    "no-js-runtime": Reason(Verdict.UNFIT, "There is no JavaScript runtime for YouTube's player, or its scripts are outdated.",
        "pip install -U deno yt-dlp yt-dlp-ejs."),
    "old-yt-dlp": Reason(Verdict.UNFIT, "yt-dlp is older than 90 days, or there is a newer one. A warning; nothing stops.",
        f"{_UPDATE}."),
    "no-yt-dlp": Reason(Verdict.UNFIT, "yt-dlp is missing from this environment.", "Run `ydc upgrade-yt-dlp`.",
        "ydc upgrade-yt-dlp installs it"),
    "cookies": Reason(Verdict.UNFIT, "The cookies file cannot be read or has no cookies of YouTube, or its login has expired or"
        " belongs to another account.", f"To renew them, {COOKIES_HOW_TO}."),
    "stale-cookies": Reason(Verdict.UNFIT, "YouTube no longer accepts the login in the cookies file.",
        f"Renew them: {COOKIES_HOW_TO}.", "export the cookies again (YDC_COOKIES_FILE)"),
    "yt-dlp-options": Reason(Verdict.UNFIT, "yt-dlp refuses an option.", "Correct YDC_YT_DLP_OPTIONS."),
    "offline": Reason(Verdict.UNFIT, "YouTube cannot be reached from here.", "Check the network, its DNS, and the proxy.",
        "check this machine's network"),
    "processor": Reason(Verdict.UNFIT, "The processor cannot be found or called.", "Correct its name; the message says how."),
    "no-process": Reason(Verdict.UNFIT, "No more processes can be started.", "Lower YDC_CONCURRENCY, or raise its limits."),
    "interrupted": Reason(f"{Verdict.UNFIT}, from the fifth time on {Verdict.RETRY}",
        "Your own function ended its program, as sys.exit() does: the program was stopped, or the function always ends it.",
        "Let the function raise an ordinary exception."),
    "broken": Reason(Verdict.UNFIT, "An attempt failed because of a bug in the coordinator.",
        "The worker's log has the traceback."),
    "unfit": Reason(Verdict.UNFIT, "Your own processor raised UnfitError without a reason."),
    # the process
    "crashed": Reason(Verdict.RETRY, "The processor's process was killed by a signal: out of memory, a fault in a library.",
        "If it continues, check the machine's memory, or lower YDC_CONCURRENCY."),
    "exited": Reason(Verdict.RETRY, "The processor's process ended without an answer (sys.exit)."),
    "garbled": Reason(Verdict.RETRY, "The processor's process sent an answer that cannot be read."),
    "killed": Reason(Verdict.RETRY, "The worker that held it was killed; it is tried again at once."),
    "stalled": Reason(Verdict.RETRY, "The worker that held it did not renew its claim: it died, or the machine was asleep."),
    "by-hand": Reason("a person's word", "A person typed `error` into Status, so workers skip the row.",
        "Type `pending` to have it processed."),
    "unreadable-lease": Reason("`error`", "The row's Lease cell, which the message quotes, cannot be read: a newer version wrote"
        " it, or a person has edited it.", "If no worker processes the row and it is not done, type `pending` into its Status."),
    "unreadable-row": Reason("`error`", "A value of the row raises an error in the coordinator; the message quotes it.",
        "Correct the value, then type `pending` into its Status, or call `ydc retry`."),
    "unknown-status": Reason("`error`, or a note beside any Status",
        "The text typed into Status is unknown, or was typed while the row was in progress. The message quotes it. A pending row"
        " is not processed; another row is not changed.",
        "Type `pending`, `done` or `error` into its Status."),
    "purged": Reason("`error`", "The video was removed from the corpus with `ydc purge`. Its address was typed in again,"
        " but it is not fetched again."),
    "duplicate": Reason("`error`", "The row is a copy of another, which the message names."),
}
# fmt: on

ABOUT_ONE_VIDEO = frozenset({
    "private", "removed", "terminated", "copyright", "needs-account", "region", "unsupported-url", "own-network", "list", "empty",
    "no-subtitles", "dubbed", "no-audio", "upcoming", "live", "not-live", "processing", "no-such-source", "bad-url", "bad-filter",
})  # fmt: skip
"""Facts about one video or source. However many videos fail with one of these reasons, no outage is suspected, unless the message
itself is known from outages (`Failure.systemic`)."""

MACHINE_WIDE = frozenset({"cookies", "yt-dlp-options", "offline", "no-process"})
"""Reasons with which this machine cannot list any source."""

PLAYER_BLOCKS = frozenset({"bot-check", "rate-limit", "http-429", "http-403"})
"""Refusals of a page or a player. YouTube then refuses every video, so a canary can prove or disprove the block."""
UPLOAD, PLACE_REFUSED = "upload", "place-refused"
"""Reasons of attempts whose files were made but not published."""
MEDIA_BLOCK = "media-403"
"""A counted failure of one row. It is treated as a block of this machine only after several different rows in succession."""
BLOCKED = "blocked"
"""The reason of a dead letter that YouTube refused `max_throttles` times while it answered others."""
TOO_LARGE = "too-large"
"""The reason of a video that is larger than the machine allows. If the disk is nearly full, the failure is systemic."""
ASKED_FOR = "asked-for"
"""The reason of a row for which a person has requested a further product, before the first attempt at it."""
OTHER_PROCESSOR = "other-processor"
TRAINABILITY, NO_TRAINABILITY = "trainability", "no-trainability"
"""Reasons of videos that wait for YouTube's answer on training. With the first, YouTube itself was not contacted."""
REQUEST_START = "⟦asked for "
"""The start of the requested products in such a row's detail (queue/product_requests.py)."""
SUSPECTED = "suspected"
"""The prefix of a failure that is not counted because an outage is suspected."""
PURGED = "purged"
"""The reason of a row of a sheet with the address of a purged video, which a person has typed (queue/tombstones.py)."""
UNREADABLE_LEASE = "unreadable-lease"
UNKNOWN_STATUS = "unknown-status"
"""The reason of a row of a sheet that is set apart because the coordinator did not write its Lease cell."""
UNREADABLE_ROW = "unreadable-row"
"""The reason of a row that is set apart because one of its values raises an error."""
INTERRUPTED = "interrupted"
"""The reason of an attempt whose function ended the process that called it."""
SUBTITLES_BLOCK = "subtitles-429"
"""A block for subtitles alone: videos, audio and metadata are still served."""


def about(reason: str) -> Reason | None:
    """Return the entry of a reason or an HTTP status (`http-503`), or None for a reason of a user's processor."""
    return REASONS.get(reason) or (REASONS["http-NNN"] if re.fullmatch(r"http-\d{3}", reason) else None)


def advice(reason: str) -> str:
    """Return the short advice for a reason, or an empty text if there is nothing to do."""
    entry = about(reason)
    return entry.advice if entry else ""


def degradation(reason: str) -> str:
    """Return the meaning of a reason for degraded files, or an empty text for a reason of a user's processor."""
    return DEGRADATIONS.get(reason, "")


def is_machine_wide(failure: Failure) -> bool:
    """Return whether a failure shows that this machine cannot list any source."""
    return failure.verdict is Verdict.UNFIT and failure.reason in MACHINE_WIDE


def _document() -> Iterator[str]:
    yield "# Reasons"
    yield ""
    yield "*For operators: what does the first word of LastError mean, and what can you do about it?*"
    yield ""
    yield "LastError contains the reason, then YouTube's own message, then advice if there is any. Find the reason with your"
    yield "browser's search. The sections are the effects on a row. `youtube/wordings.py` maps messages to reasons. This page is"
    yield "generated by `python -m youtube_download_coordinator.reasons`."
    for title, effects, entries in _by_verdict():
        yield from ("", f"## {title}", "", *(f"* {effect}" for effect in effects), "")
        yield from ("| reason | what it means | what to do |", "| --- | --- | --- |")
        yield from (f"| `{name}` | {reason.means} | {_linked(reason.do)} |" for name, reason in entries)
    yield from _degradations()
    yield from ("", "## Cookies of an account", "")
    yield "They let a worker watch what a guest cannot. YouTube may block the account, so use one that you can afford to lose."
    yield "For a machine without a browser:"
    yield ""
    yield from (f"{number}. {step[0].upper()}{step[1:]}." for number, step in enumerate(COOKIES_STEPS, start=1))
    yield ""
    yield "Use a private window, because YouTube changes the cookies of a window that stays open."


def _linked(text: str) -> str:
    """Return a text with links to pages, also in place of the long instructions for cookies."""
    text = text.replace(COOKIES_HOW_TO, "export [the cookies of an account](#cookies-of-an-account)")
    return re.sub(r"\bdocs/([\w-]+)\.md\b", r"[\1](\1.md)", text)


def _degradations() -> Iterator[str]:
    yield from ("", "## Degraded", "")
    yield "If the file of a video has lower quality than usual, its Result ends with `(degraded: ...)`. `ydc status` counts such"
    yield "videos."
    yield from ("", "| reason | what it means |", "| --- | --- |")
    yield from (f"| `{name}` | {_linked(means)} |" for name, means in DEGRADATIONS.items())


def _by_verdict() -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, Reason]]]]:
    for verdict, effects in HAPPENS.items():
        yield verdict.capitalize(), effects, [entry for entry in REASONS.items() if entry[1].verdict is verdict]
    others = [
        (name, reason._replace(means=f"({reason.verdict}) {reason.means}"))
        for name, reason in REASONS.items()
        if not isinstance(reason.verdict, Verdict)
    ]
    yield "Others", ("The effect is in parentheses.",), others


def document() -> str:
    """Return the text of docs/reasons.md."""
    return "\n".join(_document()) + "\n"


if __name__ == "__main__":
    print(document(), end="")
