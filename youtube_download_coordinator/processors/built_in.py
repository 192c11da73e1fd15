"""The built-in processors: `download`, `audio`, `metadata` and `subtitles`, each through yt-dlp.

output_paths.py decides where files go, archive.py knows which exist. A file is made in `.parts/` below the output folder and
moved when it is complete: no half file is ever at its place, and an attempt that was cut off is resumed. A file that exists
is returned at once, without a request. Docs: docs/processors.md.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from youtube_download_coordinator.errors import AttemptError, GoneError, PermanentError, TransientError
from youtube_download_coordinator.models import Done, VideoTask
from youtube_download_coordinator.processors.archive import Archive, Product
from youtube_download_coordinator.processors.availability import check_whole, one_video
from youtube_download_coordinator.processors.ffmpeg import find_ffmpeg
from youtube_download_coordinator.processors.files import check_free_disk, held_alone, make_folder, move_into_place
from youtube_download_coordinator.processors.output_paths import Template, file_stem, safe_name
from youtube_download_coordinator.processors.sidecar import video_task_columns, write_sidecar, yt_dlp_version
from youtube_download_coordinator.processors.subtitles import Choice, choose
from youtube_download_coordinator.reasons import MEDIA_BLOCK
from youtube_download_coordinator.youtube.error_rules import MessageKeeper, classify, has_bad_part
from youtube_download_coordinator.youtube.network import Network

_log = logging.getLogger(__name__)

RETRIES = 3
"""Of one request for media or one fragment, within an attempt. Further attempts are counted in the row."""
PROGRESS_SECONDS = 1.0
PARTS = ".parts"
NATIVE_FORMATS = {"m4a": "bestaudio[ext=m4a]/", "opus": "bestaudio[acodec=opus]/"}
"""YouTube offers these codecs itself: copied without the loss of a conversion."""

Emit = Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a built-in processor; config.py documents them."""

    output_dir: Path
    output_template: str = "{accent}/{channel}/{id}"
    audio_codec: str = "m4a"
    audio_sample_rate_hz: int | None = None
    audio_mono: bool = False
    subtitle_languages: Sequence[str] = ("original",)
    subtitle_kinds: str = "both"
    subtitle_format: str = "vtt"
    subtitles_required: bool = False
    min_free_disk_bytes: int = 0
    network: Network = field(default_factory=Network)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Settings:
        return cls(**{**fields, "output_dir": Path(fields["output_dir"]), "network": Network(**fields["network"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files that yt-dlp has made, in the work folder."""

    info: Mapping[str, Any]
    files: Mapping[str, Path]
    """By the end of the file's name (`m4a`, `en.vtt`)."""
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the same end: more facts for the sidecar."""


Make = Callable[[Path, Network], Made]
"""Makes the files of a product in a work folder."""


# -- the four


def download(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Download the best video with the best audio; the result is the path of the file. Raises AttemptError."""
    product = Product(kind="download", name="download")
    return _produce(
        task, settings, product, partial(_media, task, settings, {"format": "bestvideo*+bestaudio/best"}, emit)
    )


def audio(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Download the audio alone, as `audio_codec`; the result is the path of the file. Raises AttemptError."""
    codec = settings.audio_codec
    resampling = {"sample_rate_hz": settings.audio_sample_rate_hz, "mono": settings.audio_mono}
    product = Product(
        kind="audio",
        name=f"audio-{codec}",
        made_with={name: value for name, value in resampling.items() if value},
    )
    options: dict[str, Any] = {"format": NATIVE_FORMATS.get(codec, "") + "bestaudio/best"}
    if not product.made_with:
        options["postprocessors"] = [{"key": "FFmpegExtractAudio", "preferredcodec": codec}]
    return _produce(
        task, settings, product, partial(_media, task, settings, options, emit, resampled=bool(product.made_with))
    )


def metadata(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Write all metadata of the video, and the row's columns, as `.info.json`; the result is its path. Raises AttemptError."""
    product = Product(kind="metadata", name="metadata")
    return _produce(task, settings, product, partial(_metadata, task))


def subtitles(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Download the subtitles in `subtitle_languages`; the result is the path of the file, of several `x.{de,en}.vtt`.

    A video without subtitles is done, with a result that says so, or a PermanentError with `subtitles_required`.
    Raises AttemptError.
    """
    choice = {"languages": list(settings.subtitle_languages), "kinds": settings.subtitle_kinds}
    product = Product(kind="subtitles", name=f"subtitles-{settings.subtitle_format}", made_with=choice)
    done = _produce(task, settings, product, partial(_subtitles, task, settings))
    if done.result or not settings.subtitles_required:
        return done if done.result else Done(result=_no_subtitles(settings))
    raise PermanentError(_no_subtitles(settings), reason="no-subtitles")


def _no_subtitles(settings: Settings) -> str:
    kinds = "" if settings.subtitle_kinds == "both" else f"{settings.subtitle_kinds} "
    return f"no {kinds}subtitles in {', '.join(settings.subtitle_languages)}"


# -- what they share


def _produce(task: VideoTask, settings: Settings, product: Product, make: Make) -> Done:
    """Make the product's files unless they exist, and move them to their place with sidecars and a record."""
    archive = Archive(settings.output_dir)
    if existing := archive.find(task, product):
        return Done(result=_describe_files(existing), asked_youtube=False)
    check_free_disk(settings.output_dir, settings.min_free_disk_bytes)
    try:
        with _work_folder(settings.output_dir, task, product) as work:
            made = _make(make, work, settings.network)
            files = _put_into_place(task, settings, product, made)
            if files:
                archive.add(task, product, files)
    except OSError as error:
        raise classify(error) from error
    return Done(result=_describe_files(files))


def _make(make: Make, work: Path, network: Network) -> Made:
    """Make the files, once more with cookies where they are kept for videos that need an account."""
    try:
        return make(work, network)
    except AttemptError as error:
        with_cookies = network.cookies_after(error)
        if with_cookies is None:
            raise
    return make(work, with_cookies)


@contextlib.contextmanager
def _work_folder(output_dir: Path, task: VideoTask, product: Product) -> Iterator[Path]:
    """Make a folder for one product; the next attempt finds in it what this one has left, unless that is of no use."""
    work = make_folder(output_dir / PARTS / f"{file_stem(task)}.{product.name}", output_dir)
    with held_alone(work):
        try:
            yield work
        except Exception as error:
            is_broken = isinstance(error, AttemptError) and error.reason == "network" and has_bad_part(error)
            if isinstance(error, PermanentError) or is_broken:
                shutil.rmtree(work, ignore_errors=True)
            with contextlib.suppress(OSError):
                work.rmdir()  # if it is empty; else the next attempt resumes from it
            raise
        shutil.rmtree(work, ignore_errors=True)


def _put_into_place(task: VideoTask, settings: Settings, product: Product, made: Made) -> list[Path]:
    """Move the files to their place, each after its sidecar: whoever sees the file also finds the sidecar."""
    stem = settings.output_dir / Template.read(settings.output_template).place(task, product.kind, made.info)
    make_folder(stem.parent, settings.output_dir)
    files = []
    for suffix, file in made.files.items():
        path = stem.with_name(f"{stem.name}.{suffix}")
        if product.kind != "metadata":  # a JSON file that has the row's columns itself
            write_sidecar(
                file, path, task, product.kind, made.info, {**product.made_with, **made.facts.get(suffix, {})}
            )
        move_into_place(file, path)
        files.append(path)
    return files


def _describe_files(files: Sequence[Path]) -> str:
    """Return the path, or all of them in the notation of a shell."""
    if len(files) < 2:
        return str(files[0]) if files else ""
    languages = [path.suffixes[-2].removeprefix(".") for path in files]
    first = files[0]
    stem = first.name.removesuffix("".join(first.suffixes[-2:]))
    return str(first.with_name(f"{stem}.{{{','.join(languages)}}}{first.suffix}"))


# -- through yt-dlp


def _media(
    task: VideoTask,
    settings: Settings,
    options: Mapping[str, Any],
    emit: Emit | None,
    work: Path,
    network: Network,
    *,
    resampled: bool = False,
) -> Made:
    """Download the media. Where they are refused, their addresses may have run out: extract them afresh, once."""
    download_once = partial(_download_media, task, settings, options, emit, work, network, resampled=resampled)
    try:
        return download_once()
    except TransientError as error:
        if error.reason != MEDIA_BLOCK:
            raise
        _log.info("%s: %s; its media are looked up afresh", task.url, error)
    return download_once()


def _download_media(
    task: VideoTask,
    settings: Settings,
    options: Mapping[str, Any],
    emit: Emit | None,
    work: Path,
    network: Network,
    *,
    resampled: bool,
) -> Made:
    output = _output(work, file_stem(task), emit)
    with _downloader(network, {**options, **output, "ffmpeg_location": find_ffmpeg()}) as (ydl, messages):
        # yt-dlp calls it with the complete information before it downloads anything.
        ydl.params["match_filter"] = lambda info, incomplete=False: (
            None if incomplete else check_whole(info, messages())
        )
        if resampled:
            from youtube_download_coordinator.processors.resampling import FFmpegResampleAudioPP

            rate, mono = settings.audio_sample_rate_hz, settings.audio_mono
            ydl.add_post_processor(FFmpegResampleAudioPP(ydl, settings.audio_codec, sample_rate_hz=rate, mono=mono))
        info = one_video(ydl.extract_info(task.url, download=True))
        path = Path(info["requested_downloads"][0]["filepath"])
    return Made(info=info, files={path.suffix[1:]: path})


def _metadata(task: VideoTask, work: Path, network: Network) -> Made:
    with _downloader(network, {}) as (ydl, messages):
        extracted = one_video(ydl.extract_info(task.url, download=False))
        check_whole(extracted, messages())
        info = ydl.sanitize_info(extracted, remove_private_keys=True)
    added = {"video_task": video_task_columns(task), "made_with": {"yt_dlp": yt_dlp_version()}}
    path = work / "info.json"
    path.write_text(json.dumps({**info, **added}, ensure_ascii=True, default=str), encoding="ascii")
    return Made(info=info, files={"info.json": path})


def _subtitles(task: VideoTask, settings: Settings, work: Path, network: Network) -> Made:
    with _downloader(network, {}) as (ydl, messages):
        info = one_video(ydl.extract_info(task.url, download=False))
        check_whole(info, messages())
        choices = {
            f"{safe_name(choice.language)}.{safe_name(choice.track['ext'])}": choice
            for choice in choose(info, settings.subtitle_languages, settings.subtitle_kinds, settings.subtitle_format)
        }
        for suffix, choice in choices.items():
            _download_subtitles(ydl, info, choice, work / suffix, messages)
    facts = {suffix: {"language": choice.language, "automatic": choice.automatic} for suffix, choice in choices.items()}
    return Made(info=info, files={suffix: work / suffix for suffix in choices}, facts=facts)


def _download_subtitles(
    ydl: Any, info: Mapping[str, Any], choice: Choice, path: Path, messages: Callable[[], Sequence[str]]
) -> None:
    if choice.track.get("data") is not None:
        path.write_text(choice.track["data"], encoding="utf-8", newline="")
        return
    try:
        ydl.dl(str(path), {"http_headers": info.get("http_headers"), **choice.track}, subtitle=True)
    except Exception as error:
        failure = classify(error, messages())
        if isinstance(failure, GoneError):  # an address that has run out: the video exists
            raise TransientError(f"the subtitles in {choice.language}: {failure}", reason="http-404") from error
        raise failure from error


@contextlib.contextmanager
def _downloader(network: Network, options: Mapping[str, Any]) -> Iterator[tuple[Any, Callable[[], Sequence[str]]]]:
    """Open a YoutubeDL; yields it and a function that returns its messages. Its errors are translated."""
    keeper = MessageKeeper()
    try:
        with network.youtube_dl({**_OPTIONS, **options}, keeper) as ydl:
            yield ydl, lambda: keeper.messages
    except (AttemptError, MemoryError):
        raise
    except Exception as error:
        raise classify(error, keeper.messages) from error


_OPTIONS: Mapping[str, Any] = {
    "noplaylist": True,
    "playlist_items": "1:2",  # a second one is enough to see that it is a list
    "retries": RETRIES,
    "fragment_retries": RETRIES,
    "skip_unavailable_fragments": False,  # else a file with holes in it is taken for a complete one
    "ignore_no_formats_error": True,  # else yt-dlp hides the start of a premiere; check_whole raises instead
    "overwrites": False,
    "continuedl": True,
}


def _output(work: Path, stem: str, emit: Emit | None) -> dict[str, Any]:
    # yt-dlp expands variables and ~ in a template; file_stem has none, and the folder is the operator's own.
    template = str(work / stem).replace("%", "%%") + ".%(ext)s"
    return {"outtmpl": {"default": template}, "progress_hooks": [_progress_hook(emit)] if emit else []}


def _progress_hook(emit: Emit) -> Callable[[Mapping[str, Any]], None]:
    last = time.monotonic() - PROGRESS_SECONDS

    def hook(progress: Mapping[str, Any]) -> None:
        nonlocal last
        if progress.get("status") == "downloading" and time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            total = progress.get("total_bytes") or progress.get("total_bytes_estimate")
            emit({"downloaded_bytes": progress.get("downloaded_bytes"), "total_bytes": int(total) if total else None})

    return hook
