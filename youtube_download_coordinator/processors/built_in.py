"""The processors that come with us: `download`, `audio`, `metadata` and `subtitles`, each through yt-dlp.

Where files go is layout.py's business, what is there already archive.py's. A file is made in `.parts/` below the output folder
and moved when it is whole: what stands at its place is never half a file, and an attempt that was cut off is resumed. A file
that is there already is returned at once, without a request. Docs: docs/processors.md.
"""

from __future__ import annotations

import contextlib
import json
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
from youtube_download_coordinator.youtube.error_rules import MessageKeeper, classify
from youtube_download_coordinator.youtube.network import Network

RETRIES = 3
"""Of one request for media or one fragment, inside an attempt. Further attempts are counted in the row."""
PROGRESS_SECONDS = 1.0
PARTS = ".parts"
NATIVE_FORMATS = {"m4a": "bestaudio[ext=m4a]/", "opus": "bestaudio[acodec=opus]/"}
"""What YouTube has in that codec already: copied, without converting and its loss."""

Emit = Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a built-in needs to know (config.py has the meanings)."""

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
    """What came out of yt-dlp."""

    info: Mapping[str, Any]
    files: Mapping[str, Path]
    """By how the file's name is to end (`m4a`, `en.vtt`), where it is now."""
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """More for the sidecars, by the same."""


Make = Callable[[Path], Made]
"""Makes the files of a product in a folder of its own."""


# -- the four


def download(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Download the best video with the best audio; the path of the file. Raises AttemptError."""
    product = Product(kind="download", name="download")
    return _produce(
        task, settings, product, partial(_media, task, settings, {"format": "bestvideo*+bestaudio/best"}, emit)
    )


def audio(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Download the audio alone, as `audio_codec`; the path of the file. Raises AttemptError."""
    codec = settings.audio_codec
    asked = {"sample_rate_hz": settings.audio_sample_rate_hz, "mono": settings.audio_mono}
    product = Product(
        kind="audio",
        name=f"audio-{codec}",
        made_with={name: value for name, value in asked.items() if value},
    )
    options: dict[str, Any] = {"format": NATIVE_FORMATS.get(codec, "") + "bestaudio/best"}
    if not product.made_with:
        options["postprocessors"] = [{"key": "FFmpegExtractAudio", "preferredcodec": codec}]
    return _produce(
        task, settings, product, partial(_media, task, settings, options, emit, resampled=bool(product.made_with))
    )


def metadata(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Write what YouTube tells about the video, and the row's columns, as `.info.json`; its path. Raises AttemptError."""
    product = Product(kind="metadata", name="metadata")
    return _produce(task, settings, product, partial(_metadata, task, settings))


def subtitles(task: VideoTask, settings: Settings, emit: Emit | None = None) -> Done:
    """Download the subtitles in `subtitle_languages`; the path of the file, or of all as `x.{de,en}.vtt`.

    A video that has none is done, and its result says so; with `subtitles_required` it is a PermanentError. Raises AttemptError.
    """
    asked = {"languages": list(settings.subtitle_languages), "kinds": settings.subtitle_kinds}
    product = Product(kind="subtitles", name=f"subtitles-{settings.subtitle_format}", made_with=asked)
    done = _produce(task, settings, product, partial(_subtitles, task, settings))
    if done.result or not settings.subtitles_required:
        return done if done.result else Done(result=_no_subtitles(settings))
    raise PermanentError(_no_subtitles(settings), reason="no-subtitles")


def _no_subtitles(settings: Settings) -> str:
    kinds = "" if settings.subtitle_kinds == "both" else f"{settings.subtitle_kinds} "
    return f"no {kinds}subtitles in {', '.join(settings.subtitle_languages)}"


# -- what they share


def _produce(task: VideoTask, settings: Settings, product: Product, make: Make) -> Done:
    """Make the product's files unless they are there, and put them into their place with sidecars and a record."""
    archive = Archive(settings.output_dir)
    if there := archive.find(task, product):
        return Done(result=_describe_files(there), asked_youtube=False)
    check_free_disk(settings.output_dir, settings.min_free_disk_bytes)
    try:
        with _work_folder(settings.output_dir, task, product) as work:
            made = make(work)
            files = _put_into_place(task, settings, product, made)
            if files:
                archive.add(task, product, files)
    except OSError as error:
        raise classify(error) from error
    return Done(result=_describe_files(files))


@contextlib.contextmanager
def _work_folder(output_dir: Path, task: VideoTask, product: Product) -> Iterator[Path]:
    """A folder that the next attempt finds as this one leaves it, if there is any use in that."""
    work = make_folder(output_dir / PARTS / f"{file_stem(task)}.{product.name}", output_dir)
    with held_alone(work):
        try:
            yield work
        except PermanentError:
            shutil.rmtree(work, ignore_errors=True)
            raise
        except Exception:
            with contextlib.suppress(OSError):
                work.rmdir()  # if nothing came; else the next attempt goes on from there
            raise
        shutil.rmtree(work, ignore_errors=True)


def _put_into_place(task: VideoTask, settings: Settings, product: Product, made: Made) -> list[Path]:
    """The sidecar first: who sees the file also finds what belongs to it."""
    stem = settings.output_dir / Template.read(settings.output_template).place(task, product.kind, made.info)
    make_folder(stem.parent, settings.output_dir)
    files = []
    for suffix, file in made.files.items():
        path = stem.with_name(f"{stem.name}.{suffix}")
        if product.kind != "metadata":  # which is JSON itself, and has the row's columns
            write_sidecar(
                file, path, task, product.kind, made.info, {**product.made_with, **made.facts.get(suffix, {})}
            )
        move_into_place(file, path)
        files.append(path)
    return files


def _describe_files(files: Sequence[Path]) -> str:
    """The path, or all of them as a shell writes them."""
    if len(files) < 2:
        return str(files[0]) if files else ""
    ends = [path.suffixes[-2].removeprefix(".") for path in files]
    first = files[0]
    stem = first.name.removesuffix("".join(first.suffixes[-2:]))
    return str(first.with_name(f"{stem}.{{{','.join(ends)}}}{first.suffix}"))


# -- through yt-dlp


def _media(
    task: VideoTask,
    settings: Settings,
    options: Mapping[str, Any],
    emit: Emit | None,
    work: Path,
    *,
    resampled: bool = False,
) -> Made:
    output = _output(work, file_stem(task), emit)
    with _downloader(settings, {**options, **output, "ffmpeg_location": find_ffmpeg()}) as (ydl, messages):
        # Called with the whole information, before anything is downloaded.
        ydl.params["match_filter"] = lambda info, incomplete=False: (
            None if incomplete else check_whole(info, messages())
        )
        if resampled:
            _resample(ydl, settings)
        info = one_video(ydl.extract_info(task.url, download=True))
        path = Path(info["requested_downloads"][0]["filepath"])
    return Made(info=info, files={path.suffix[1:]: path})


def _resample(ydl: Any, settings: Settings) -> None:
    from youtube_download_coordinator.processors.resampling import FFmpegResampleAudioPP

    rate, mono = settings.audio_sample_rate_hz, settings.audio_mono
    ydl.add_post_processor(FFmpegResampleAudioPP(ydl, settings.audio_codec, sample_rate_hz=rate, mono=mono))


def _metadata(task: VideoTask, settings: Settings, work: Path) -> Made:
    with _downloader(settings, {}) as (ydl, messages):
        found = one_video(ydl.extract_info(task.url, download=False))
        check_whole(found, messages())
        info = ydl.sanitize_info(found, remove_private_keys=True)
    ours = {"video_task": video_task_columns(task), "made_with": {"yt_dlp": yt_dlp_version()}}
    path = work / "info.json"
    path.write_text(json.dumps({**info, **ours}, ensure_ascii=True, default=str), encoding="ascii")
    return Made(info=info, files={"info.json": path})


def _subtitles(task: VideoTask, settings: Settings, work: Path) -> Made:
    with _downloader(settings, {}) as (ydl, messages):
        info = one_video(ydl.extract_info(task.url, download=False))
        check_whole(info, messages())
        chosen = choose(info, settings.subtitle_languages, settings.subtitle_kinds, settings.subtitle_format)
        files = {f"{safe_name(each.language)}.{safe_name(each.track['ext'])}": each for each in chosen}
        for suffix, choice in files.items():
            _download_subtitles(ydl, info, choice, work / suffix, messages)
    facts = {suffix: {"language": each.language, "automatic": each.automatic} for suffix, each in files.items()}
    return Made(info=info, files={suffix: work / suffix for suffix in files}, facts=facts)


def _download_subtitles(
    ydl: Any, info: Mapping[str, Any], choice: Choice, path: Path, messages: Callable[[], Sequence[str]]
) -> None:
    if choice.track.get("data") is not None:
        path.write_text(choice.track["data"], encoding="utf-8", newline="")
        return
    try:
        ydl.dl(str(path), {"http_headers": info.get("http_headers"), **choice.track}, subtitle=True)
    except Exception as error:
        verdict = classify(error, messages())
        if isinstance(verdict, GoneError):  # an address that has run out: the video is there
            raise TransientError(f"the subtitles in {choice.language}: {verdict}", reason="http-404") from error
        raise verdict from error


@contextlib.contextmanager
def _downloader(settings: Settings, options: Mapping[str, Any]) -> Iterator[tuple[Any, Callable[[], Sequence[str]]]]:
    """A YoutubeDL, and a look at its warnings. Its errors are translated."""
    keeper = MessageKeeper()
    try:
        with settings.network.youtube_dl({**_OPTIONS, **options}, keeper) as ydl:
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
    "skip_unavailable_fragments": False,  # else a file with holes in it is taken for a whole one
    "ignore_no_formats_error": True,  # else the start of a premiere is not told; check_whole raises instead
    "overwrites": False,
    "continuedl": True,
}


def _output(work: Path, stem: str, emit: Emit | None) -> dict[str, Any]:
    # yt-dlp expands variables and ~ in a template; no name of ours has any, and the folder is the operator's own.
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
