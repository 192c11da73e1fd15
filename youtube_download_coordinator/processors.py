"""The processors that come with us: `download`, `audio` and `metadata`, each through yt-dlp.

A file is `<output_dir>/<accent or nothing>/<video id>.<ext>`; on another site than YouTube, whose IDs are not unique, the name
ends with a hash of the row's key. It is made in `.parts/` beside it and moved when it is whole: what stands there is never half
a file, and an attempt that was cut off is resumed. A file that is there already is returned at once, without a request.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from youtube_download_coordinator.errors import AttemptError, LaterError, PermanentError, UnfitError
from youtube_download_coordinator.models import VideoTask, utc_text
from youtube_download_coordinator.network import Network
from youtube_download_coordinator.verdicts import MessageKeeper, classify

RETRIES = 3
"""Of one request for media or one fragment, inside an attempt. Further attempts are counted in the row."""
PROGRESS_SECONDS = 1.0
NAME_MAX_BYTES = 180
"""File systems take 255; yt-dlp appends to it (`.f137.mp4.part-Frag1`)."""
VIDEO_EXTENSIONS = ("mp4", "webm", "mkv", "mov", "flv", "avi", "m4v", "3gp", "ogv", "ts", "wmv")
AUDIO_EXTENSIONS = ("m4a", "opus", "mp3", "ogg", "flac", "wav", "aac", "mka", "aiff", "wma")
CODEC_EXTENSIONS = {"vorbis": "ogg", "aac": "m4a", "alac": "m4a"}
"""Of a codec whose files are not called like it."""
NATIVE_FORMATS = {"m4a": "bestaudio[ext=m4a]/", "opus": "bestaudio[acodec=opus]/"}
"""What YouTube has in that codec already: copied, without converting and its loss."""

Emit = Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a built-in needs to know (config.py has the meanings)."""

    output_dir: Path
    audio_codec: str = "m4a"
    network: Network = field(default_factory=Network)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Settings:
        return cls(**{**fields, "output_dir": Path(fields["output_dir"]), "network": Network(**fields["network"])})


# -- the three


def download(task: VideoTask, settings: Settings, emit: Emit | None = None) -> str:
    """Download the best video with the best audio; the path of the file. Raises AttemptError."""
    options = {"format": "bestvideo*+bestaudio/best"}
    return _file(task, settings, "download", VIDEO_EXTENSIONS, options, emit)


def audio(task: VideoTask, settings: Settings, emit: Emit | None = None) -> str:
    """Download the audio alone, as `audio_codec`; the path of the file. Raises AttemptError."""
    codec = settings.audio_codec
    options = {
        "format": NATIVE_FORMATS.get(codec, "") + "bestaudio/best",
        "postprocessors": [{"key": "FFmpegExtractAudio", "preferredcodec": codec}],
    }
    extensions = AUDIO_EXTENSIONS if codec == "best" else (CODEC_EXTENSIONS.get(codec, codec),)
    return _file(task, settings, "audio", extensions, options, emit)


def metadata(task: VideoTask, settings: Settings, emit: Emit | None = None) -> str:
    """Write what YouTube tells about the video to `<video id>.info.json`; its path. Raises AttemptError."""
    path = _folder(settings.output_dir, task.accent) / f"{file_stem(task)}.info.json"
    if path.exists():
        return str(path)
    with _downloader(settings, {}) as (ydl, messages):
        found = _one_video(ydl.extract_info(task.url, download=False))
        _check(found, messages())
        info = ydl.sanitize_info(found, remove_private_keys=True)
    _make_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(info, ensure_ascii=True), encoding="ascii")
    part.replace(path)
    return str(path)


def _file(
    task: VideoTask,
    settings: Settings,
    kind: str,
    extensions: Sequence[str],
    options: Mapping[str, Any],
    emit: Emit | None,
) -> str:
    folder, stem = _folder(settings.output_dir, task.accent), file_stem(task)
    if (there := _existing(folder, stem, extensions)) is not None:
        return str(there)
    work = folder / ".parts" / f"{stem}.{kind}"
    _make_folder(work)
    try:
        made = _fetch(task, settings, {**options, **_output(work, stem, emit)})
    except PermanentError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    except AttemptError:
        with contextlib.suppress(OSError):
            work.rmdir()  # if nothing came; else the next attempt goes on from there
        raise
    path = made.replace(folder / f"{stem}{made.suffix}")
    shutil.rmtree(work, ignore_errors=True)
    return str(path)


def _existing(folder: Path, stem: str, extensions: Sequence[str]) -> Path | None:
    paths = (folder / f"{stem}.{extension}" for extension in extensions)
    return next((path for path in paths if path.is_file()), None)


def _fetch(task: VideoTask, settings: Settings, options: Mapping[str, Any]) -> Path:
    with _downloader(settings, {**options, "ffmpeg_location": find_ffmpeg()}) as (ydl, messages):
        # Called with the whole information, before anything is downloaded.
        ydl.params["match_filter"] = lambda info, incomplete=False: None if incomplete else _check(info, messages())
        info = _one_video(ydl.extract_info(task.url, download=True))
        return Path(info["requested_downloads"][0]["filepath"])


# -- yt-dlp


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
    "ignore_no_formats_error": True,  # else the start of a premiere is not told; _check raises instead
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


def find_ffmpeg() -> str | None:
    """Where ffmpeg is; None when the system has it, with ffprobe."""
    if shutil.which("ffmpeg") and shutil.which("ffprobe"):
        return None
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise UnfitError(f"there is no ffmpeg: {error}", reason="no-ffmpeg") from error


def _one_video(info: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The video that an address led to; a page with one video in it is that video."""
    entries = [info] if info and "entries" not in info else list((info or {}).get("entries") or [])
    if len(entries) > 1:
        raise _is_a_list()
    if not entries:
        raise PermanentError("there is no video", reason="empty")
    return dict(entries[0])


def _is_a_list() -> PermanentError:
    return PermanentError("this is a list of videos: add it as a source", reason="list")


def _check(info: Mapping[str, Any], messages: Sequence[str]) -> None:
    """Raise unless there is a whole video to be had now: downloading a stream that is live would never end."""
    status, begins = info.get("live_status"), info.get("release_timestamp")
    if status == "is_upcoming" and begins:
        not_before = datetime.fromtimestamp(begins, UTC)
        raise LaterError(f"begins at {utc_text(not_before)}", reason="upcoming", not_before=not_before)
    if status in _LATER:
        said = _why_no_formats(messages)  # it may say when
        raise said if isinstance(said, LaterError) else LaterError(_LATER[status][1], reason=_LATER[status][0])
    if (info.get("n_entries") or 1) > 1:
        raise _is_a_list()
    if not info.get("url") and not info.get("requested_formats"):
        raise _why_no_formats(messages)


_LATER = {
    "is_upcoming": ("upcoming", "has not begun"),
    "is_live": ("live", "is live now"),
    "post_live": ("processing", "was live and is not processed yet"),
}
_SAYS_NOTHING = re.compile("No video formats found|Requested format is not available")


def _why_no_formats(messages: Sequence[str]) -> AttemptError:
    """With ignore_no_formats_error what YouTube says is a warning, mostly the last one that says anything."""
    from yt_dlp.utils import ExtractorError

    said = [message for message in messages if not _SAYS_NOTHING.search(message)]
    verdicts = (classify(ExtractorError(message, expected=True), messages) for message in reversed(said))
    known = next((verdict for verdict in verdicts if verdict.reason not in ("error", "no-formats")), None)
    return known or classify(ExtractorError(" / ".join(said) or "No video formats found!", expected=True), messages)


# -- names


def file_stem(task: VideoTask) -> str:
    """The name of the video's file, without its extension: the same for the same row, different for different ones."""
    kind, _, video_id = task.key.partition("yt:v:")
    if not kind and re.fullmatch(r"[A-Za-z0-9_-]{5,64}", video_id):
        return video_id
    last = unquote(urlsplit(task.url).path).rstrip("/").rpartition("/")[2]
    digest = hashlib.sha256((task.key or task.url).encode()).hexdigest()[:12]
    return f"{safe_name(last.rpartition('.')[0] or last or 'video', 80)}-{digest}"


def safe_name(text: str, max_bytes: int = NAME_MAX_BYTES) -> str:
    """A name that every file system takes, of at least one character, and that leads nowhere else."""
    plain = unicodedata.normalize("NFC", text)
    kept = "".join(each if each.isprintable() and each not in '<>:"/\\|?*%$~' else "_" for each in plain)
    name = kept.strip(" .").encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore").strip(" .") or "_"
    return f"_{name}" if name.partition(".")[0].upper() in _RESERVED else name


_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}


def _folder(output_dir: Path, accent: str) -> Path:
    """Where the accent's files are. Raises UnfitError when a link leads out of `output_dir`."""
    folder = output_dir / safe_name(accent) if accent.strip() else output_dir
    if not folder.resolve().is_relative_to(output_dir.resolve()):
        raise UnfitError(f"{folder} leads out of {output_dir}", reason="output-dir")
    return folder


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno is None or isinstance(error, PermissionError | FileExistsError | NotADirectoryError):
            raise UnfitError(f"cannot make {folder}: {error.strerror}", reason="output-dir") from error
        raise
