"""A processor of your own, the second way: a Prefect task, with retries of its own, which run inside one attempt.

prefect deployment run process-videos/process-videos --param processor=examples.own_task:size
"""

from __future__ import annotations

import urllib.request

from prefect import task
from prefect.tasks import exponential_backoff

from youtube_download_coordinator import PermanentError, VideoTask

ANSWER_SECONDS = 10


@task(retries=3, retry_delay_seconds=exponential_backoff(backoff_factor=1))
def size(video: VideoTask) -> int:
    """Bytes at a video's address. What is no AttemptError is tried again; an attempt is counted after the last retry."""
    request = urllib.request.Request(video.url, method="HEAD")
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        if not answer.headers["Content-Length"]:
            raise PermanentError("it does not say how large it is", reason="no-size")
        return int(answer.headers["Content-Length"])
