"""Write the text of a card in Markdown. Names from YouTube and from the queue are shown literally."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise

from youtube_download_coordinator.corpus import statistics as of
from youtube_download_coordinator.corpus.figures import BARS_MAX, Bar, bars
from youtube_download_coordinator.corpus.left_out import LeftOut, total
from youtube_download_coordinator.corpus.literal import in_markdown, one_line
from youtube_download_coordinator.corpus.recordings import FOLDER, RECORDINGS
from youtube_download_coordinator.corpus.statistics import Share, Shares, Statistics
from youtube_download_coordinator.reasons import degradation

OWNERS_START, OWNERS_END = "<!-- owner: begin -->", "<!-- owner: end -->"
"""The marks around the part of a card that `ydc card` keeps."""
OWNERS_HINT = "_Write here what only you know. This part is kept when the card is written again._\n"
PROGRAM = "youtube-download-coordinator"
UNKNOWN = "(not known)"
LEFT_OUT_MAX = 25
REMOVAL = "Recordings are removed with `ydc purge`, which also keeps them from being collected again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything that a card is made from."""

    name: str
    contact: str
    license: str
    numbers: Statistics
    left_out: Sequence[LeftOut]
    settings: Mapping[str, str]
    owners_text: str = ""


def page(card: Card) -> str:
    """Return the card without its front matter."""
    sections = (_contents, _period, _channels, _files, _left_out, _made, _rights, _ai_act, _owners)
    lines = [f"# {in_markdown(card.name)}", "", _summary(card), ""]
    for section in sections:
        lines += [*section(card), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def figures(card: Card) -> dict[str, bytes]:
    """Return the figures by their paths. Raises ConfigError if pygal is not installed."""
    shares = card.numbers.shares
    return {
        _figure("accents"): _hours_figure("Hours by accent", shares[of.ACCENT]),
        _figure("licences"): _hours_figure("Hours by licence", shares[of.LICENSE]),
        _figure("channels"): _hours_figure("Hours of the channels with the most", shares[of.CHANNEL]),
        _figure("durations"): _durations_figure(card.numbers),
    }


def _figure(name: str) -> str:
    return f"{FOLDER}/card/{name}.svg"


def _hours_figure(title: str, shares: Shares) -> bytes:
    first = [Bar(one_line(share.label) or UNKNOWN, share.hours, _hours(share)) for share in shares.first[:BARS_MAX]]
    return bars(title, _described(first), first)


def _durations_figure(numbers: Statistics) -> bytes:
    values = [Bar(name, count, f"{count:,}") for name, count in _durations(numbers)]
    return bars("Number of videos by length", _described(values), values)


def _described(values: Sequence[Bar]) -> str:
    return "; ".join(f"{bar.label}: {bar.text}" for bar in values)


def _summary(card: Card) -> str:
    numbers = card.numbers
    return (
        f"{numbers.hours:,.2f} hours of {numbers.videos:,} videos from {numbers.shares[of.CHANNEL].different:,} channels on"
        f" YouTube, in {numbers.files:,} files of together {numbers.bytes / 1e9:,.2f} GB."
        f" Collected from {numbers.first_collected[:10] or '?'} to {numbers.last_collected[:10] or '?'}."
    )


def _contents(card: Card) -> Iterator[str]:
    numbers = card.numbers
    yield "## Contents"
    for title, name, figure in (
        ("Accent", of.ACCENT, "accents"),
        ("Type", of.TYPE, ""),
        ("Language of the sound", of.LANGUAGE, ""),
        ("Licence", of.LICENSE, "licences"),
        ("Audio track", of.TRACK, ""),
        ("Training by third parties, as the channel permits it", of.TRAINABLE, ""),
    ):
        yield from ("", f"### {title}", "", *_table(title, numbers.shares[name], numbers))
        if figure:
            yield from ("", f"![{title}, in hours]({_figure(figure)})")
    captions = numbers.shares[of.CAPTIONS]
    yield from ("", "### Text", "")
    yield f"{numbers.with_text:,} of {numbers.videos:,} videos have captions that a person wrote."
    if captions.different:
        yield from ("", *_table("Language of the captions", captions, numbers))


def _period(card: Card) -> Iterator[str]:
    numbers = card.numbers
    yield from ("## Period", "")
    yield f"* Collected: {numbers.first_collected or '?'} to {numbers.last_collected or '?'}"
    yield f"* Uploaded to YouTube: {_day(numbers.first_uploaded)} to {_day(numbers.last_uploaded)}"
    yield from ("", *_table("Uploaded in", numbers.shares[of.UPLOADED], numbers, by_value=True))
    yield from ("", *_table("Collected in", numbers.shares[of.COLLECTED], numbers, by_value=True))


def _channels(card: Card) -> Iterator[str]:
    shares = card.numbers.shares[of.CHANNEL]
    yield from ("## Channels", "", f"{shares.different:,} channels.", "", *_table("Channel", shares, card.numbers))
    yield from ("", f"![The channels with the most hours]({_figure('channels')})")


def _files(card: Card) -> Iterator[str]:
    numbers = card.numbers
    yield from ("## Files", "")
    yield f"Each line of `{RECORDINGS}` describes one file: path, length, SHA-256, address of the video, and what else is known."
    for title, name in (
        ("Sample rate in Hz", of.SAMPLE_RATE),
        ("Codec", of.CODEC),
        ("Channels of the sound", of.AUDIO_CHANNELS),
        ("Made by", of.PRODUCT),
    ):
        yield from ("", *_table(title, numbers.shares[name], numbers))
    yield from ("", "| Length of a video | Videos |", "| --- | ---: |")
    yield from (f"| {in_markdown(name)} | {count:,} |" for name, count in _durations(numbers))
    yield from ("", f"![Number of videos by length]({_figure('durations')})")


def _durations(numbers: Statistics) -> Iterator[tuple[str, int]]:
    bounds = [bound // 60 for bound in of.DURATIONS_SECONDS]
    names = [f"under {bounds[0]} min", *(f"{low} to {high} min" for low, high in pairwise(bounds))]
    yield from zip([*names, f"{bounds[-1]} min or more"], numbers.durations, strict=True)
    if numbers.without_length:
        yield "not known", numbers.without_length


def _left_out(card: Card) -> Iterator[str]:
    groups = card.left_out
    yield from ("## What was left out, and why", "")
    yield f"{total(groups):,} videos that were listed are not in the corpus."
    if groups:
        yield from ("", "| Videos | State | Reason | Meaning |", "| ---: | --- | --- | --- |")
        for group in groups[:LEFT_OUT_MAX]:
            cells = (f"{group.videos:,}", group.state, in_markdown(group.reason), in_markdown(group.meaning))
            yield f"| {' | '.join(cells)} |"
        if others := groups[LEFT_OUT_MAX:]:
            yield f"| {total(others):,} | | {len(others):,} others | |"
    degraded = card.numbers.shares[of.DEGRADED]
    if degraded.different:
        yield from ("", "These are in the corpus, and worse than usual:", "", "| Videos | Reason | Meaning |")
        yield "| ---: | --- | --- |"
        for share in degraded.first:
            yield f"| {share.videos:,} | {in_markdown(share.value)} | {in_markdown(degradation(share.value))} |"


def _made(card: Card) -> Iterator[str]:
    yield from ("## How it was made", "")
    yield f"By {PROGRAM} {metadata.version(PROGRAM)}, with yt-dlp. These settings decided what was collected:"
    yield from ("", "| Setting | Value |", "| --- | --- |")
    yield from (f"| {in_markdown(name)} | {in_markdown(value)} |" for name, value in card.settings.items())


def _rights(card: Card) -> Iterator[str]:
    contact = in_markdown(card.contact) if card.contact else "**not named yet:** `ydc card --contact ADDRESS`"
    yield from ("## Rights and removal", "")
    yield "* The rights in a recording belong to whoever made it. Its record has the licence that YouTube states."
    yield "* Where YouTube states none, its standard licence applies."
    yield "* Voices and names are personal data."
    yield f"* Contact for removal: {contact}. {REMOVAL}"
    yield f"* Licence of the collection: {in_markdown(card.license) if card.license else 'none; that of each recording holds'}"


def _ai_act(card: Card) -> Iterator[str]:
    """Answer the AI Office's template about scraped data, as far as a corpus contains the answers."""
    numbers = card.numbers
    languages = ", ".join(in_markdown(share.value) for share in numbers.shares[of.LANGUAGE].first if share.value)
    rows = (
        ("1.3 Modality and size", f"Audio or video: {numbers.hours:,.2f} hours, {numbers.videos:,} items"),
        ("1.3 Latest date of data acquisition", numbers.last_collected[:10] or UNKNOWN),
        ("1.3 Linguistic characteristics", languages or UNKNOWN),
        ("1.3 Types of content", "_for the owner:_ the kinds of speech, and whether music or films are among them"),
        ("2.1, 2.2 Data sets of others", "None"),
        ("2.3 Name of the crawler", "yt-dlp, run by YouTube Download Coordinator"),
        ("2.3 Purpose and behaviour of the crawler", "_for the owner:_ whether accounts or proxies were used"),
        ("2.3 Period of collection", f"{numbers.first_collected[:7] or '?'} to {numbers.last_collected[:7] or '?'}"),
        ("2.3 Most relevant domain names", "youtube.com: all items. The channels are listed above"),
        ("2.4, 2.5 User data, synthetic data", "None from this program. Videos may contain synthetic voices"),
        ("3.1 Reservations of rights", f"Licences and permissions for training: above; filters: {_filters(card)}"),
        ("3.2 Illegal content", f"_for the owner:_ how it is found. {REMOVAL}"),
        ("1.1, 1.2 Provider and model", "_for the owner of a model:_ who trains what with it"),
    )
    yield from ("## For a summary of training content (AI Act, Article 53(1)(d))", "")
    yield "The template of the EU's AI Office asks providers of models for this. Its numbers are in front."
    yield from (
        "",
        "| Question | Answer |",
        "| --- | --- |",
        *(f"| {question} | {answer} |" for question, answer in rows),
    )


def _filters(card: Card) -> str:
    chosen = [f"{name}={card.settings[name]}" for name in ("licenses", "trainable") if card.settings.get(name)]
    return in_markdown(", ".join(chosen) or "none")


def _owners(card: Card) -> Iterator[str]:
    yield from ("## Added by the owner", "", OWNERS_START)
    yield (card.owners_text or OWNERS_HINT).rstrip("\n")
    yield OWNERS_END


def _table(title: str, shares: Shares, numbers: Statistics, *, by_value: bool = False) -> Iterator[str]:
    yield f"| {title} | Hours | Share | Videos |"
    yield "| --- | ---: | ---: | ---: |"
    rows = sorted(shares.first, key=lambda share: share.value) if by_value else shares.first
    yield from (_row(in_markdown(share.label or UNKNOWN), share, numbers) for share in rows)
    if shares.others.videos:
        yield _row(in_markdown(shares.others.label), shares.others, numbers)


def _row(label: str, share: Share, numbers: Statistics) -> str:
    of_all = share.milliseconds / numbers.milliseconds if numbers.milliseconds else 0
    return f"| {label} | {_hours(share)} | {of_all:.1%} | {share.videos:,} |"


def _hours(share: Share) -> str:
    return f"{share.hours:,.2f}"


def _day(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:8]}" if len(day) == 8 and day.isdigit() else "?"
