"""A plugin for Prefect that makes the processes of a run wait for the server before their first request.

Prefect's client repeats a refused request only if an earlier one was answered. Without this plugin, a run crashes if the server
goes away while a worker starts the run. Prefect calls the plugin at the end of `import prefect` if PREFECT_PLUGINS_ENABLED is
set. prefect.yaml and the work pool set it for runs. The package registers the plugin in the entry point group
`prefect.plugins`.
"""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from typing import Any

from prefect.plugins import register_hook

WAIT_SECONDS = 3600.0
"""After this time the run continues, and crashes if the server is still away. Its worker is then probably gone as well."""


@register_hook
def setup_environment(*, ctx: Any) -> None:
    """Wait in a process that executes a run, and only there. The environment is not changed."""
    if "PREFECT__FLOW_RUN_ID" in os.environ and _is_a_program_of_prefect():
        from youtube_download_coordinator.prefect.server_answers import wait_until_server_answers

        wait_until_server_answers(WAIT_SECONDS)


def _is_a_program_of_prefect() -> bool:
    """Return whether this is `python -m prefect.engine`, `prefect flow-run execute` or the like.

    A processor in a child process that imports Prefect does not depend on the server.
    """
    return any(word.startswith("prefect.") or PurePath(word).name == "prefect" for word in sys.orig_argv[1:])
