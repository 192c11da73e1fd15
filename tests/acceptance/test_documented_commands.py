"""The commands of README and the documentation's pages, run in their order as a reader would: in a clean folder, in one shell.

Google is the simulated Sheets API, and two small media sites stand in for the channels that the examples name. A block that
cannot be run here says why, in the Markdown itself: `<!-- not run: the reason -->` before it. A python block that begins with
`# examples/a_file.py` is an excerpt of that file, and is compared with it.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import dedent

import pytest

from examples.media_site import make_site, serving
from tests.acceptance.conftest import Replay
from tests.fake_google import SheetsServer, Spreadsheet
from tests.support.object_storage import BUCKET, s3_environment, s3_server
from tests.support.prefect_server import PrefectServer
from tests.support.rows import make_queue, new_source, new_video
from youtube_download_coordinator.models import Done, Failure, Verdict
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.stores.sql import SqlStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]  # a Prefect server may begin in it

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"^(?: *<!-- not run: (?P<why>.+?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>sh|python|bash|console)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
EXCERPT = re.compile(r"# (examples/\w+\.py)\n")
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
    why: str | None = None

    @property
    def is_excerpt(self) -> bool:
        return self.language == "python" and EXCERPT.match(self.code) is not None

    @property
    def as_shell(self) -> str:
        return f"python - <<'END_OF_PYTHON'\n{self.code}END_OF_PYTHON\n" if self.language == "python" else self.code


def blocks_of(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [Block(found["language"], dedent(found["code"]), found["why"]) for found in BLOCK.finditer(text)]


def to_run(page: str) -> list[Block]:
    return [block for block in blocks_of(page) if block.why is None and not block.is_excerpt]


PAGES = [str(path.relative_to(ROOT)) for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])]
EXCERPTS = [(page, block) for page in PAGES for block in blocks_of(page) if block.is_excerpt]


def script(blocks: list[Block], stands_in: Mapping[str, str]) -> str:
    """Return one shell script, which ends at the first command that fails, and names each block before it begins."""
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

    def run(
        self, blocks: list[Block], more: Mapping[str, str] | None = None, stands_in: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the blocks in one shell, with `more` variables and with `stands_in` put in place of what they name."""
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
            "HOME": str(self.folder),
            **(more or {}),
        }
        command = ["bash", "-c", script(blocks, {**(stands_in or {}), **self.stands_in})]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Yield a folder with a service account's key, an empty spreadsheet shared with the account, and what `make run` needs."""
    folder = tmp_path / "reader"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
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


@dataclass(frozen=True)
class Scene:
    """The reader's starting point for a page, the evidence of success, and substitutes for names on the page."""

    prepare: Callable[[Sandbox], None] = lambda sandbox: None
    before: str = ""
    after: str = ""
    stands_in: Mapping[str, str] = field(default_factory=dict)


def full_of_trouble(sandbox: Sandbox) -> None:
    """Make an embedded queue of three sources, one of which failed, and of twenty videos that failed in several ways."""
    reasons = [("private", Verdict.PERMANENT), ("needs-account", Verdict.PERMANENT), ("network", Verdict.RETRY)]
    queue = make_queue(SqlStore(f"sqlite:///{sandbox.folder / 'coordinator.db'}"))
    queue.add(SOURCES, [new_source(number) for number in range(1, 4)])
    (source,) = queue.claim(SOURCES, 1)
    queue.settle([(source, Failure(verdict=Verdict.PERMANENT, reason="no-such-source"))])
    queue.add(VIDEO_TASKS, [new_video(number, source_id=3) for number in range(1, 21)])
    claimed = sorted(queue.claim(VIDEO_TASKS, 20), key=lambda claim: claim.row.id or 0)
    failed = [Failure(verdict=verdict, reason=reason) for reason, verdict in reasons]
    queue.settle([(claim, failed[min(number, 2)]) for number, claim in enumerate(claimed)])
    queue.store.close()


def skipped_video(sandbox: Sandbox) -> None:
    """Make an embedded queue of one video that a filter on licences has skipped."""
    queue = make_queue(SqlStore(f"sqlite:///{sandbox.folder / 'coordinator.db'}"))
    queue.add(VIDEO_TASKS, [new_video(1)])
    queue.settle([(claim, Done(result="skipped, licence youtube")) for claim in queue.claim(VIDEO_TASKS, 1)])
    queue.store.close()


def another_spreadsheet(sandbox: Sandbox) -> None:
    """Create an empty spreadsheet, whose ID replaces the page's placeholder for the target."""
    (account,) = sandbox.sheets.simulator.accounts.by_email.values()
    book = sandbox.sheets.simulator.create_spreadsheet(share_with=(account,))
    (sandbox.folder / "target").write_text(book.spreadsheet_id, encoding="utf-8")


ON_A_SHEET = "export YDC_SPREADSHEET_ID=1AbC...xyz YDC_CREDENTIALS_FILE=service-account.json"
A_SOURCE = 'ydc add "https://www.youtube.com/@handle" --accent pt-BR'
A_BLOCK_THAT_NOTIFIES = """
from prefect.blocks.notifications import SlackWebhook
SlackWebhook(url="https://slack.example.org/hook").save("ops")
"""
SCENES = {
    "docs/command-line.md": Scene(prepare=full_of_trouble),
    "docs/corpus.md": Scene(
        before=A_SOURCE,
        after="test $(wc -l < media/manifest.csv) = 4 && test -s media/recordings.jsonl.gz",
        stands_in={"audio,subtitles": "audio", "interview": "''"},
    ),
    "docs/deploy.md": Scene(
        stands_in={"/etc/youtube-coordinator": ".", "/var/lib/youtube-coordinator": "."},
    ),
    "docs/google.md": Scene(
        stands_in={"ydc run\n": "ydc run --max-videos 1\n"}, after="ydc list --status done | grep pt-BR"
    ),
    "docs/moving.md": Scene(
        prepare=another_spreadsheet,
        before=f"{ON_A_SHEET}; {A_SOURCE}",
        after="ydc list --table sources --spreadsheet-id $(cat target) | grep pt-BR",
        stands_in={"--to 1AbC...xyz": "--to $(cat target)"},
    ),
    "docs/operate.md": Scene(
        prepare=full_of_trouble, stands_in={"status --watch": "status"}
    ),  # it goes on until Ctrl-C
    "docs/prefect.md": Scene(before=f"python - <<'END'\n{A_BLOCK_THAT_NOTIFIES}\nEND"),
    "docs/processors.md": Scene(
        before=A_SOURCE,
        after="ls media/pt-BR/*.wav && ydc doctor",
        stands_in={"--processor audio\n": "--processor audio --max-videos 1\n"},
    ),
    "docs/rights.md": Scene(prepare=skipped_video, after="ydc list --status pending | grep video-00001"),
    "docs/write-a-processor.md": Scene(
        before=A_SOURCE,
        after="ydc list --status done | grep sha256",
        stands_in={"examples.own_function:formats\nprefect": "examples.own_function:formats --max-videos 1\nprefect"},
    ),
}
"""Of the pages that need more than a clean folder."""
NEED_PREFECT = {"docs/deploy.md", "docs/prefect.md", "docs/stopping.md", "docs/write-a-processor.md"}
TESTED_ABOVE = {"README.md", "docs/tutorial.md", "docs/from-the-first-implementation.md", "docs/first-hour.md"}


def check(page: str, sandbox: Sandbox, scene: Scene | None = None, server: PrefectServer | None = None) -> str:
    """Run every block of the page that can be run here, one after the other, and give what they printed."""
    scene = scene or Scene()
    scene.prepare(sandbox)
    more, stands_in = {}, dict(scene.stands_in)
    if server:
        more = {
            name: server.environment[name] for name in ("PREFECT_HOME", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
        }
        stands_in["http://127.0.0.1:4200/api"] = more["PREFECT_API_URL"]
    before, after = ([Block("sh", code)] if code else [] for code in (scene.before, scene.after))
    blocks = [*before, *to_run(page), *after]
    done = sandbox.run(blocks, more, stands_in)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.stderr.count("== block") == len(blocks)
    assert "Traceback" not in done.stdout + done.stderr
    assert sandbox.sheets.simulator.answer_problems == []
    return done.stdout


def test_readme(sandbox: Sandbox) -> None:
    check("README.md", sandbox)
    assert len((sandbox.folder / "videos.csv").read_text(encoding="utf-8").splitlines()) == 4


def test_the_tutorial_ends_with_a_corpus(sandbox: Sandbox) -> None:
    check("docs/tutorial.md", sandbox)
    with (sandbox.folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["accent"] for row in rows) == ["en-IE"] * 2 + ["pt-BR"] * 3
    files = [sandbox.folder / "corpus" / row["path"] for row in rows]
    assert all(file.is_file() and file.suffix == ".wav" for file in files)


def test_the_loop_of_the_first_implementation(sandbox: Sandbox) -> None:
    channel = sandbox.stands_in["https://www.youtube.com/@handle"]
    (sandbox.folder / "sources.txt").write_text(f"{channel}|en|talk\n", encoding="utf-8")
    check("docs/from-the-first-implementation.md", sandbox)
    done = [row for row in sandbox.book.rows("Video Tasks")[1:] if row and row[3] == "done"]
    assert len(done) == 3


def test_the_first_hour_ends_with_a_corpus_in_a_bucket(sandbox: Sandbox, replay: Replay) -> None:
    """The channel is a video of the recordings whose captions a person wrote."""
    scene = {
        "s3://my-corpus": f"s3://{BUCKET}",
        "https://www.youtube.com/@handle": "https://www.youtube.com/watch?v=M4gD1WSo5mA",
        "LICENSES=creative-commons": "LICENSES=unknown",
    }
    with s3_server() as address:
        added = {name: text for name, text in replay.environment.items() if os.environ.get(name) != text}
        more = {**added, **s3_environment(address), "PYTHONPATH": f"{added['PYTHONPATH']}:{ROOT}"}
        done = replace(sandbox, stands_in=scene).run(to_run("docs/first-hour.md"), more)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "en/" in done.stdout
    assert "ytkit" in done.stdout, "the text of the captions"


@pytest.mark.parametrize("page", [page for page in PAGES if page not in TESTED_ABOVE | NEED_PREFECT and to_run(page)])
def test_a_page(page: str, sandbox: Sandbox) -> None:
    """Of a repair each command finds something to repair."""
    said = check(page, sandbox, SCENES.get(page))
    assert not re.search(r"^0 (tried again|skipped)", said, flags=re.MULTILINE), said


@pytest.mark.parametrize("page", sorted(NEED_PREFECT))
def test_a_page_about_prefect(page: str, sandbox: Sandbox, prefect_server: PrefectServer) -> None:
    check(page, sandbox, SCENES.get(page), prefect_server)
    waiting = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    for run in prefect_server.ask("/flow_runs/filter", waiting):  # no worker of another test's should begin them
        prefect_server.ask(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLED"}, "force": True})


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_found(page: str) -> None:
    """Every fenced block is either found by these tests, or of a language that nobody runs."""
    fences = re.findall(r"^ *```(\S+)", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(blocks_of(page)) == sum(language not in ("text", "toml") for language in fences)


@pytest.mark.parametrize("page", CANNOT_RUN_AT_MOST)
def test_few_blocks_are_not_run(page: str) -> None:
    assert sum(block.why is not None for block in blocks_of(page)) <= CANNOT_RUN_AT_MOST[page]


@pytest.mark.parametrize(("page", "block"), EXCERPTS, ids=[page for page, _ in EXCERPTS])
def test_an_excerpt_is_that_of_its_file(page: str, block: Block) -> None:
    """Its lines stand there in this order, but for what a comment says; `...` stands for lines that are left out."""
    (name,) = EXCERPT.match(block.code).groups()  # type: ignore[union-attr]
    there = iter(without_comments((ROOT / name).read_text(encoding="utf-8")))
    missing = [line for line in without_comments(block.code) if line.strip() != "..." and line not in there]
    assert missing == []


def without_comments(code: str) -> list[str]:
    lines = (re.sub(r"\s*#.*", "", line).rstrip() for line in code.splitlines())
    return [line for line in lines if line]


def test_a_command_that_fails_ends_the_script(sandbox: Sandbox) -> None:
    done = sandbox.run([Block("sh", "ydc show 99\n"), Block("python", "print('on')\n")])
    assert done.returncode == 2
    assert done.stdout == ""
