"""A target of a child process: it solves a challenge of YouTube's player with Deno, as yt-dlp does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHALLENGE = "ZdZIqFPQK-Ty8wId"
OPTIONS = ("--no-prompt", "--no-remote", "--no-config", "--no-npm", "--no-lock", "--cached-only")


def solve(payload: Mapping[str, Any], emit: Any) -> dict[str, Any]:
    """Return the solver's answer: {"type": "result", "data": {challenge: solution}}."""
    import deno
    import yt_dlp_ejs.yt.solver as ejs

    player = Path(payload["player"]).read_text(encoding="utf-8")
    request = {"type": "player", "player": player, "requests": [{"type": "n", "challenges": [CHALLENGE]}]}
    call = f"console.log(JSON.stringify(jsc({json.dumps(request | {'output_preprocessed': False})})));"
    script = f"{ejs.lib()}\nObject.assign(globalThis, lib);\n{ejs.core()}\n{call}"
    command = [deno.find_deno_bin(), "run", "--ext=js", *OPTIONS, "-"]
    solved = subprocess.run(command, input=script, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(solved.stdout)["responses"][0]
    return answer
