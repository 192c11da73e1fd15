"""Run the simulated API as a process: `python -m tests.fake_google --port 0 --state DIR` prints its address."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from tests.fake_google.server import SheetsServer


def main() -> None:
    """Serve until SIGTERM or SIGINT; `--state` gets the address and the key files of `--account`s."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_google")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, help="a folder for the file `address` and the accounts' key files")
    parser.add_argument("--account", action="append", default=[], help="a service account to create; may be repeated")
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with SheetsServer(options.port, seed=options.seed) as server:
        if options.state:
            _write_state(options.state, server, options.account)
        print(server.address, flush=True)
        stopped.wait()


def _write_state(folder: Path, server: SheetsServer, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        account = server.simulator.accounts.add(name)
        account.write_key_file(folder / f"{name}.json", server.simulator.token_uri)
    (folder / "address").write_text(server.address, encoding="utf-8")


if __name__ == "__main__":
    main()
