"""The commands of README and other pages, run in their order as a reader would: in a clean folder, in one shell.

Google is the simulated Sheets API, and two small media sites stand in for the channels that the examples name. A block that
cannot be run here says why, in the Markdown itself: `<!-- not run: the reason -->` before it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.media_site import make_site, serving
from tests.sheets_api import SheetsServer, Spreadsheet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>.+?) -->\n)?^```(?P<language>sh|python)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
SITES = {
    "https://www.youtube.com/@handle": ("Interview, part 1", "=SUM(1;2)", "Interview, part 3"),
    "https://www.youtube.com/@another": ("A reading", "Weather for the fishermen"),
}
CANNOT_RUN_AT_MOST = {"README.md": 2, "docs/tutorial.md": 1, "docs/from-the-first-implementation.md": 0}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `why` it is not run, or nothing."""

    language: str
    code: str
    why: str | None

    @property
    def as_shell(self) -> str:
        return self.code if self.language == "sh" else f"python - <<'END_OF_PYTHON'\n{self.code}END_OF_PYTHON\n"


def blocks_of(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [Block(found["language"], found["code"], found["why"]) for found in BLOCK.finditer(text)]


def script(blocks: list[Block], stands_in: Mapping[str, str]) -> str:
    """One shell script; it ends at the first command that fails, and names each block before it begins."""
    lines = ["set -euo pipefail"]
    for number, block in enumerate(blocks, start=1):
        lines += [f"echo '== block {number}' >&2", block.as_shell]
    text = "\n".join(lines)
    for placeholder, real in stands_in.items():
        text = text.replace(placeholder, real)
    return text


@dataclass(frozen=True)
class Sandbox:
    """A reader's folder, and what stands in for the accounts and channels that the examples name."""

    folder: Path
    sheets: SheetsServer
    book: Spreadsheet
    stands_in: Mapping[str, str]

    def run(self, blocks: list[Block]) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("YDC_", "PREFECT_", "GOOGLE_"))
        }
        environment = kept | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "YDC_SHEETS_API_URL": self.sheets.address,
            "YDC_ALLOW_OTHER_SITES": "true",
            "YDC_ALLOW_PRIVATE_ADDRESSES": "true",
            "YDC_CLAIM_JITTER_SECONDS": "0",
        }
        command = ["bash", "-c", script(blocks, self.stands_in)]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """With the key of a service account, an empty spreadsheet that is shared with it, and what `make run` needs."""
    folder = tmp_path / "reader"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    with ExitStack() as stack:
        sheets = stack.enter_context(SheetsServer())
        account = sheets.simulator.accounts.add("worker")
        account.write_key_file(folder / "service-account.json", sheets.simulator.token_uri)
        book = sheets.simulator.create_spreadsheet(share_with=(account,))
        stands_in = {"1AbC...xyz": book.spreadsheet_id}
        for number, (url, titles) in enumerate(SITES.items()):
            site = make_site(tmp_path / f"site-{number}", titles)
            stands_in[url] = f"{stack.enter_context(serving(site, titles))}/feed.xml"
        channel = stands_in["https://www.youtube.com/@handle"]
        (folder / "sources.example.txt").write_text(f"{channel}|en|talk\n", encoding="utf-8")
        yield Sandbox(folder, sheets, book, stands_in)


def check(page: str, sandbox: Sandbox) -> None:
    """Every block of the page that can be run here, one after the other."""
    blocks = [block for block in blocks_of(page) if block.why is None]
    done = sandbox.run(blocks)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.stderr.count("== block") == len(blocks) > 0
    assert "Traceback" not in done.stdout + done.stderr
    assert sandbox.sheets.simulator.answer_problems == []


def test_readme(sandbox: Sandbox) -> None:
    check("README.md", sandbox)
    assert len((sandbox.folder / "videos.csv").read_text(encoding="utf-8").splitlines()) == 4


def test_the_tutorial_ends_with_a_corpus(sandbox: Sandbox) -> None:
    check("docs/tutorial.md", sandbox)
    header, *rows = (sandbox.folder / "manifest.csv").read_text(encoding="utf-8").splitlines()
    assert header == "path,accent,type,seconds,title,url"
    assert sorted(row.split(",")[1] for row in rows) == ["en-IE"] * 2 + ["pt-BR"] * 3


def test_the_loop_of_the_first_implementation(sandbox: Sandbox) -> None:
    channel = sandbox.stands_in["https://www.youtube.com/@handle"]
    (sandbox.folder / "sources.txt").write_text(f"{channel}|en|talk\n", encoding="utf-8")
    check("docs/from-the-first-implementation.md", sandbox)
    done = [row for row in sandbox.book.rows("Video Tasks")[1:] if row and row[3] == "done"]
    assert len(done) == 3


@pytest.mark.parametrize("page", CANNOT_RUN_AT_MOST)
def test_few_blocks_are_not_run(page: str) -> None:
    """Every fenced block is either found above, or of a language that nobody runs."""
    fences = re.findall(r"^ *```(\w+)$", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(blocks_of(page)) == sum(language in ("sh", "python", "bash", "console") for language in fences)
    assert sum(block.why is not None for block in blocks_of(page)) <= CANNOT_RUN_AT_MOST[page]


def test_a_command_that_fails_ends_the_script(sandbox: Sandbox) -> None:
    done = sandbox.run([Block("sh", "ydc show 99\n", None), Block("python", "print('on')\n", None)])
    assert done.returncode == 2
    assert done.stdout == ""
