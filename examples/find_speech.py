"""Your own processor as one of several. It gets the audio that the same attempt has made, and finds the speech in it.

pip install silero-vad
ydc run --processor audio,examples.find_speech:find_speech
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from youtube_download_coordinator import VideoTask
from youtube_download_coordinator.processors.ffmpeg import ffmpeg_program

SAMPLE_RATE_HZ = 16000
"""The sample rate for silero-vad, which also accepts 8000."""


def find_speech(task: VideoTask) -> Path:
    """Write the times of speech, in seconds, to a file beside the audio. Return its path."""
    import torch  # imported here, because this module is also imported where only its name is checked
    from silero_vad import get_speech_timestamps, load_silero_vad

    (audio,) = task.files["audio"]
    samples = torch.frombuffer(bytearray(decoded(audio)), dtype=torch.float32)
    speech = get_speech_timestamps(samples, load_silero_vad(), sampling_rate=SAMPLE_RATE_HZ, return_seconds=True)
    seconds = sum(part["end"] - part["start"] for part in speech)
    path = audio.with_suffix(".speech.json")
    path.write_text(json.dumps({"file": audio.name, "speech_seconds": round(seconds, 1), "speech": speech}) + "\n")
    return path


def decoded(audio: Path) -> bytes:
    """Return the samples of one channel, 32-bit floats at SAMPLE_RATE_HZ."""
    options = ["-v", "error", "-i", str(audio), "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), "-f", "f32le", "-"]
    return subprocess.run([ffmpeg_program(), *options], stdout=subprocess.PIPE, check=True).stdout
