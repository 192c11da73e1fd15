"""Measure how reliably `ydc doctor` finds a Google that does not apply batches one after the other: `make power`.

Each weakness is met by a number of runs on the simulated API, over real HTTP. Prints how many of them found it, and the requests.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tests.fake_google import Simulator
from tests.fake_google.weaknesses import Weaknesses
from tests.support.sheets_setting import google
from youtube_download_coordinator.config import Config
from youtube_download_coordinator.stores.sheets.api import Connection, Environment
from youtube_download_coordinator.stores.sheets.setup.guarantees import Proof, ProofResult, prove_all

WEAKNESSES: Mapping[str, Mapping[str, float]] = {
    "nothing": {},
    "tokens that are validated on a snapshot of 30 ms ago": {"stale_tokens_seconds": 0.03},
    "a swap window of 1 ms": {"stale_swaps_seconds": 0.001},
    "swaps that collide in 6 % of neighbours": {"colliding_swaps": 0.06},
    "appended lines that are merged within 30 ms": {"merged_appends_seconds": 0.03},
}


def examine(
    config: Config, simulator: Simulator, weakness: Mapping[str, float], seed: int, *, thorough: bool
) -> list[Proof]:
    """Test the guarantees on a Google with a weakness, without the pauses for the quota."""
    simulator.weaknesses = Weaknesses(random=random.Random(seed))
    for name, value in weakness.items():
        setattr(simulator.weaknesses, name, value)
    environment = Environment(sleep=lambda _seconds: None)
    try:
        with closing(Connection(config, environment)) as connection:
            return prove_all(connection, thorough=thorough)
    finally:
        simulator.weaknesses = Weaknesses()


def is_found(proofs: list[Proof]) -> bool:
    """Return whether any test of a guarantee noticed something."""
    return any(proof.outcome in (ProofResult.FAILS, ProofResult.NOTED) for proof in proofs)


def main() -> None:
    """Print a line for each weakness."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="without --thorough")
    parser.add_argument("--only", default="", help="the weaknesses whose name contains this text")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, google(Path(folder)) as setting:
        for name, weakness in WEAKNESSES.items():
            if arguments.only not in name:
                continue
            since = setting.simulator.stats()["last"]
            found = sum(
                is_found(examine(setting.config(), setting.simulator, weakness, seed, thorough=not arguments.quick))
                for seed in range(arguments.runs)
            )
            requests = setting.simulator.stats(since)["requests"] / arguments.runs
            print(f"{name}: found in {found} of {arguments.runs} runs, {requests:.0f} requests each", flush=True)


if __name__ == "__main__":
    main()
