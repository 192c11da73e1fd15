"""`ydc init` and `ydc doctor`: prepare a sheet, and check everything that a worker needs."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import EXIT_FAILED, WORK, app
from youtube_download_coordinator.cli.queue_options import AS_SET, QueueOptions
from youtube_download_coordinator.cli.terminal import say


@app.command(group=WORK)
def init(*, new_tabs: bool = False, queue: QueueOptions = AS_SET) -> int:
    """Prepare a Google Sheet.

    Adds tabs, columns, drop-downs, colours and notes. Everything that exists is kept.

    ```
    ydc init --spreadsheet-id 1AbC...xyz --credentials-file service-account.json
    ```

    Parameters
    ----------
    new_tabs
        Continue although a tab with rows is gone: use the tab that has its usual title now, or create an empty one. Videos whose
        rows are lost are processed again if their source is listed again.
    """
    from youtube_download_coordinator.operations.init import init_queue

    for line in init_queue(queue.config(), new_tabs=new_tabs) or ["everything was ready; nothing was changed"]:
        say(line)
    return 0


@app.command(group=WORK)
def doctor(
    *,
    processor: Annotated[str | None, Parameter(name=["--processor", "-p"])] = None,
    thorough: Annotated[bool, Parameter(negative="")] = False,
    record: Path | None = None,
    queue: QueueOptions = AS_SET,
) -> int:
    """Check everything that a worker needs.

    With a Google Sheet, it also tests, on a temporary tab, that the spreadsheet behaves as claiming requires.

    ```
    ydc doctor
    ```

    Parameters
    ----------
    processor
        The processors that the workers run, as for `ydc run`; YDC_PROCESSOR unless given. Without either, check everything that
        the built-in processors need.
    thorough
        Repeat each race for the sheet ten times instead of twice, and test a tab of 20,000 rows. Takes about five minutes.
    record
        A folder in which to record the requests and answers about the temporary tab, without keys, tokens and addresses.
    """
    from youtube_download_coordinator.operations.doctor import checks
    from youtube_download_coordinator.operations.examine import examine

    problems = warnings = 0
    with ExitStack() as stack:
        config = queue.config()
        spec = processor or (config.processor if "processor" in config.model_fields_set else "download")
        for finding in examine(checks(config, stack, spec, thorough=thorough, record=record)):
            say(f"{finding}")
            problems += finding.stops and not finding.ok
            warnings += not finding.stops and not finding.ok
    say("")
    say(_count(problems, "problem") + (f", {_count(warnings, 'warning')}" if warnings else ""))
    return EXIT_FAILED if problems else 0


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
