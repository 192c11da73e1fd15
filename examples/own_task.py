"""Your own processor, the second way: a Prefect task, whose own retries run inside one attempt.

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
    """Return the size in bytes at a video's address. Errors other than AttemptError are retried within the attempt."""
    request = urllib.request.Request(video.url, method="HEAD")
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        if not answer.headers["Content-Length"]:
            raise PermanentError("the server did not send a Content-Length", reason="no-size")
        return int(answer.headers["Content-Length"])
