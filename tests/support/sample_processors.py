"""Processors as people write them: functions of a video task or of its URL. Prefect tasks are in sample_tasks.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from youtube_download_coordinator import PermanentError, ThrottledError, VideoTask
from youtube_download_coordinator.models import Done

READY_FOLDER = "YDC_TEST_READY_FOLDER"
"""Names a folder that gets a file for each attempt which has begun."""


TOLD = "told"

NOTES = "YDC_TEST_NOTES"
"""Names a file that gets a line for each attempt which has begun: the video's ID and the time."""


def spells(url: str) -> dict[str, int]:
    return {"letters": len(url)}


def tells_accent(task: VideoTask) -> str:
    return f"{task.id} {task.accent}"


def asks_yt_dlp(url: str) -> str:
    """Ask yt-dlp as a user does who does not know the coordinator's errors."""
    from yt_dlp import YoutubeDL

    with YoutubeDL({"quiet": True, "noprogress": True}) as ydl:
        return str(ydl.extract_info(url, download=False)["title"])


def runs_yt_dlp(url: str) -> str:
    """Run it by its command, whose output is all that is known of an error."""
    command = [sys.executable, "-m", "yt_dlp", "--ignore-config", "--print", "title", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def does_nothing(task: VideoTask) -> None:
    pass


def refuses(task: VideoTask) -> None:
    raise PermanentError("nobody speaks", reason="no-speech")


def refuses_the_second(task: VideoTask) -> None:
    if task.id == 2:
        raise PermanentError("nobody speaks", reason="no-speech")


def notes_what_others_may_see(task: VideoTask) -> None:
    """Return the command lines of this process and its ancestors, and its environment."""
    above = [psutil.Process(), *psutil.Process().parents()]
    seen = [each.cmdline() for each in above], dict(os.environ)
    Path(ready_file(task)).write_text(repr(seen), encoding="utf-8")


def says_more_than_words(task: VideoTask) -> str:
    return f"\x1b]0;owned\x07{task.id}\x9b31m\ttab"


def fails(task: VideoTask) -> None:
    raise ValueError("not today")


def is_throttled(task: VideoTask) -> None:
    raise ThrottledError("Sign in to confirm", reason="bot-check")


def hangs_with_a_child(task: VideoTask) -> None:
    """Wait for a process of its own, which would go on alone."""
    program = f"import pathlib, time; pathlib.Path({ready_file(task)!r}).touch(); time.sleep(10_000)"
    subprocess.run([sys.executable, "-S", "-c", program], check=True)


def ends_when_it_is_told(task: VideoTask) -> str:
    """Wait for the file that a test makes."""
    Path(ready_file(task)).touch()
    told = Path(os.environ[READY_FOLDER]) / TOLD
    while not told.exists():
        time.sleep(0.05)
    return "told"


def ready_file(task: VideoTask) -> str:
    return str(Path(os.environ[READY_FOLDER]) / str(task.id))


def takes_three(task: VideoTask, accent: str, type: str) -> None:
    pass


a_number = 7


def notes_and_sleeps(task: VideoTask) -> None:
    with open(os.environ[NOTES], "a", encoding="utf-8") as notes:
        notes.write(f"{task.id} {time.time()}\n")
    time.sleep(2)


def lists_files(task: VideoTask) -> dict[str, object]:
    """Return what exists of the video, and its title, as a transcriber would use them."""
    return {"files": {kind: [path.name for path in files] for kind, files in task.files.items()}, "id": task.info["id"]}


def writes_a_file(task: VideoTask) -> Path:
    path = task.files["audio"][0].with_suffix(".txt")
    path.write_text("transcript")
    return path


def returns_no_length(task: VideoTask) -> Done:
    return Done(result="whole", media_seconds=float("nan"), degraded="noise (bad), " * 100)


def is_killed_once(task: VideoTask) -> None:
    mark = task.files["audio"][0].with_suffix(".mark")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
