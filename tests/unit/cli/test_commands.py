"""`ydc` as a person runs it, in a process of its own. What goes wrong is one clear line, and nothing is lost."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from examples.media_site import make_site, serving
from tests.support.command_output import one_line
from tests.support.terminal import Ydc, add_videos, command, sources, videos
from youtube_download_coordinator.cli import app
from youtube_download_coordinator.models import State
from youtube_download_coordinator.queue import Queue
from youtube_download_coordinator.queue.store import SOURCES, VIDEO_TASKS
from youtube_download_coordinator.reasons import REASONS
from youtube_download_coordinator.stores.sql import SqlStore

CHANNEL = "https://www.youtube.com/channel/UC{:022}"

# --- the commands ----------------------------------------------------------------------------------------------------


def test_help_names_the_commands(ydc: Ydc) -> None:
    done = ydc("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("run", "add", "status"))
    assert "--max-minutes" in ydc("run", "--help").stdout


def test_a_csv_file_is_read_by_its_header_and_lines_with_more_than_an_address_are_named(ydc: Ydc, folder: Path) -> None:
    (folder / "sources.csv").write_text(
        'ID,URL,Accent\n1,https://youtu.be/UKwSQSFN4Nw,"English, Scottish"\n2,@a @b,x\n'
    )
    done = ydc("add", "sources.csv")
    assert done.returncode == 1
    assert "sources.csv, line 3: " in done.stderr
    assert "columns that are not read: ID" in done.stdout
    lines = sources(folder, "https://youtu.be/UKwSQSFN4Nw,pt-BR,interview", "UKwSQSFN4Nw|English, Scottish")
    done = ydc("import", lines)
    assert "0 new, 1 already known, 1 invalid" in done.stdout
    assert "sources.txt, line 1: " in done.stderr
    assert "there is no file other.csv" in one_line(ydc("add", "other.csv"))


def test_a_source_is_added_once_and_counted(ydc: Ydc) -> None:
    first, again = ydc("add", "https://youtu.be/UKwSQSFN4Nw", "pt-BR", "interview"), ydc("add", "UKwSQSFN4Nw")
    assert (first.returncode, again.returncode) == (0, 0)
    assert first.stdout.startswith("queue: coordinator.db, new\nsource 1: ")
    assert again.stdout == "queue: coordinator.db\nsource 1: UKwSQSFN4Nw (already in the queue)\n"
    shown = ydc("status")
    assert shown.returncode == 0
    assert "Rows\tIn\tpending\tall\nRows\tsources\t1\t1\n" in shown.stdout


def test_a_column_of_ones_own_is_kept_and_named(ydc: Ydc, queue: Queue) -> None:
    done = ydc("add", CHANNEL.format(1), "--set", "Frobnicate=3", "--set", "kinds=shorts", "--set", "Region=Bahia")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[2:] == ["custom columns, ignored by workers: Frobnicate, Region"]
    (row,) = queue.rows(SOURCES)
    assert row.extra == {"Frobnicate": "3", "Kinds": "shorts", "Region": "Bahia"}


def test_a_source_that_is_there_with_another_accent_is_left_as_it_is_and_that_is_said(ydc: Ydc, queue: Queue) -> None:
    ydc("add", CHANNEL.format(1), "--accent", "pt-BR")
    assert ydc("add", CHANNEL.format(1), "--accent", "pt-BR").returncode == 0
    done = ydc("add", CHANNEL.format(1), "--accent", "fr", "--type", "talk")
    assert done.returncode == 2
    assert one_line(done).endswith("is source 1 already, with Accent 'pt-BR' and no Type; it was not changed")
    assert [(row.accent, row.type) for row in queue.rows(SOURCES)] == [("pt-BR", "")]


@pytest.mark.parametrize("name", [name for name in app if not name.startswith("-")])
def test_the_help_of_each_command_has_an_example(ydc: Ydc, name: str) -> None:
    done = ydc(name, "--help")
    assert done.returncode == 0
    assert f" ydc {name}" in done.stdout.partition("\n")[2]


def test_a_file_of_sources_is_added_and_its_bad_lines_are_named(ydc: Ydc, folder: Path, queue: Queue) -> None:
    path = sources(folder, CHANNEL.format(1), "# comment", "no address", f"{CHANNEL.format(2)}|a|b")
    done = ydc("add", path)
    assert done.returncode == 1
    assert done.stdout == "queue: coordinator.db\nsources: 2 new, 0 already known, 1 invalid\n"
    (problem,) = done.stderr.splitlines()
    assert problem.startswith(f"{path}, line 3: ")
    assert queue.counts(SOURCES) == {State.PENDING: 2}


def test_import_is_an_alias_of_add(ydc: Ydc, folder: Path, queue: Queue) -> None:
    path = sources(folder, CHANNEL.format(1), "no address")
    added = ydc("add", path)
    again = ydc("import", path)
    assert (again.returncode, again.stderr) == (added.returncode, added.stderr)
    assert again.stdout == "queue: coordinator.db\nsources: 0 new, 1 already known, 1 invalid\n"
    assert queue.counts(SOURCES) == {State.PENDING: 1}


def test_a_long_address_is_an_address(ydc: Ydc) -> None:
    assert ydc("add", f"https://www.youtube.com/watch?v=UKwSQSFN4Nw&pp={'x' * 500}").returncode == 0


def test_the_whole_job_on_a_site_of_ones_own(ydc: Ydc, folder: Path, queue: Queue) -> None:
    titles = ["One & only", "=SUM(1;2)"]
    site = make_site(folder / "site", titles)
    with serving(site, titles) as address:
        arguments = ("run", "--sources", sources(folder, f"{address}/feed.xml|demo|talk"), "--allow-other-sites")
        done = ydc(*arguments, allow_private_addresses=True)
        again = ydc(*arguments, allow_private_addresses=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "listed   A small media site: 2 videos listed, 2 new\n" in done.stdout
    assert "This run: 2 done." in done.stdout
    rows = videos(queue)
    assert {(row.title, row.accent, row.type, row.lease.state) for row in rows} == {
        (title, "demo", "talk", State.DONE) for title in titles
    }
    assert all((folder / "media" / row.result).is_file() and row.result.endswith(".m4a") for row in rows)
    assert (again.returncode, again.stderr) == (0, "")
    assert "0 new, 1 already known" in again.stdout
    assert "This run: no videos." in again.stdout


def test_a_first_run_takes_three_and_the_next_one_the_others(ydc: Ydc, folder: Path, queue: Queue) -> None:
    titles = [f"Part {number}" for number in range(1, 6)]
    site = make_site(folder / "site", titles)
    file = folder / "media.txt"
    with serving(site, titles) as address:
        file.write_text(f"{address}/feed.xml|demo|talk\n", encoding="utf-8")
        arguments = ("run", "--sources", file, "--allow-other-sites", "--processor", "metadata")
        first = ydc(*arguments, "--first", 3, allow_private_addresses=True)
        assert (first.returncode, first.stderr) == (0, "")
        assert len(videos(queue)) == 3
        advice = first.stdout.split("To add the others too: ydc ")[1].split(", then")[0]
        assert ydc(*advice.split()).returncode == 0
        rest = ydc(*arguments, allow_private_addresses=True)
    assert (rest.returncode, len(videos(queue))) == (0, 5)
    plan = (
        "plan: metadata of each video, into media\n"
        "      The first 45 begin without a pause, then one every 16 s\n"
        "      Ctrl-C stops the run. Run it again to continue\n"
    )
    assert plan in first.stdout
    assert "\nleft: 3 videos\n" in first.stdout
    assert "\nleft: 2 videos\n" in rest.stdout


def test_a_run_says_how_long_one_machine_needs_before_it_begins(ydc: Ydc, queue: Queue) -> None:
    """Of YouTube's videos two begin at once, and then one every 6 minutes. This run begins none of them."""
    add_videos(queue, 6)
    arguments = ("run", "--processor", "mine:fine")
    slow = ydc(*arguments, "--max-minutes", 1e-6, videos_per_hour=12)
    assert "\nleft: 6 videos. At YouTube's limit one machine needs at least 24 min\n" in slow.stdout
    few = ydc(*arguments, "--max-videos", 1, videos_per_hour=0)
    assert "without a pause" not in few.stdout
    assert "\nleft: 1 video\n" in few.stdout
    ydc(*arguments, videos_per_hour=0)
    assert "left:" not in ydc(*arguments, videos_per_hour=0).stdout


def test_the_example_asks_for_three_videos(ydc: Ydc, queue: Queue) -> None:
    assert ydc("add", Path("sources.example.txt").absolute()).returncode == 0
    (source,) = queue.store.scan(SOURCES)
    assert source.extra == {"Kinds": "videos", "FirstVideos": "3"}


def test_a_source_is_added_with_its_first_videos(ydc: Ydc, queue: Queue) -> None:
    assert ydc("add", CHANNEL.format(1), "--first", 3).returncode == 0
    (source,) = queue.store.scan(SOURCES)
    assert source.extra == {"FirstVideos": "3"}
    assert ydc("add", CHANNEL.format(2), "--first", 0).returncode == 2


def test_a_processor_of_ones_own_is_found_in_the_working_directory(ydc: Ydc, queue: Queue) -> None:
    add_videos(queue, 3)
    done = ydc("run", "--processor", "mine:fine", "--max-videos", 2)
    assert done.returncode == 0
    assert "This run: 2 done." in done.stdout
    assert {row.result for row in videos(queue)} >= {""}
    assert queue.counts(VIDEO_TASKS) == {State.DONE: 2, State.PENDING: 1}


def test_videos_that_fail_are_told_and_the_exit_code_says_so(ydc: Ydc, queue: Queue) -> None:
    add_videos(queue, 1)
    done = ydc("run", max_retries=1, processor="mine:refuses")
    assert done.returncode == 1
    assert "ValueError: not today" in done.stdout
    assert "This run: 1 dead letter." in done.stdout


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ("nowhere:fine", "there is no module nowhere"),
        ("mine:nothing", "there is no nothing in"),
        ("audio,download", "the processors download and audio cannot be combined"),
        ("mine:NUMBER", "is a int, which cannot be called"),
        ("mine:three", "is called with one argument, the video, but takes (a, b, c)"),
        ("fine", "is neither download, audio, metadata, subtitles nor module:function"),
    ],
)
def test_a_processor_that_cannot_be_used_is_said_before_anything_is_done(
    ydc: Ydc, folder: Path, queue: Queue, processor: str, message: str
) -> None:
    add_videos(queue, 1)
    done = ydc("run", "--processor", processor, "--sources", sources(folder, CHANNEL.format(1)))
    assert done.returncode == 2
    assert message in one_line(done)
    assert queue.counts(VIDEO_TASKS) == {State.PENDING: 1}


def test_a_machine_that_lacks_something_claims_nothing(ydc: Ydc, queue: Queue) -> None:
    add_videos(queue, 1)
    done = ydc("run", min_free_disk_bytes=10**18)
    assert done.returncode == 2
    assert one_line(done).startswith("ydc: this machine cannot process videos yet: ")
    assert "are needed (YDC_MIN_FREE_DISK_BYTES)" in one_line(done)
    assert queue.counts(VIDEO_TASKS) == {State.PENDING: 1}


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (["run", "--sources", "nowhere.txt"], {}, "the sources file 'nowhere.txt' cannot be read: No such file"),
        (["run", "--sources", "."], {}, "the sources file '.' cannot be read: Is a directory"),
        (["status", "--database-url", "sqlite:///mine.py"], {}, "sqlite:///mine.py: file is not a database"),
        (["status", "--database-url", "sqlite:///no/q.db"], {}, "the folder 'no' does not exist"),
        (["status", "--database-url", "sqlite:///."], {}, "unable to open database file"),
        (["status", "--database-url", "queue.db"], {}, "this is not a database URL"),
        (["run"], {"max_retries": 0}, "max_retries='0': input should be greater than or equal to 1"),
        (["run"], {"attempt_timeout_minutes": -1}, "attempt_timeout_minutes='-1': input should be greater than 0"),
        (["run", "--concurrency", "0"], {}, "concurrency=0: input should be greater than or equal to 1"),
        (["run", "--concurrency", "few"], {}, 'unable to convert "few" into int'),
        (["run", "--max-videos=-1"], {}, "--max-videos=-1: it must be greater than 0"),
        (["run", "--max-minutes=0"], {}, "--max-minutes=0.0: it must be greater than 0"),
        (["run", "--nonsense"], {}, "Unknown option: --nonsense"),
        (["add", "https://example.org/feed.xml"], {}, "example.org is not YouTube; other sites need allow_other_sites"),
        (["add", "no address"], {}, "contains a space or a character that addresses cannot contain"),
        (["add"], {}, 'add needs URL, as in: ydc add "https://www.youtube.com/@handle"'),
        (["show"], {}, "show needs ID, as in: ydc show 17"),
        (["copy"], {}, "copy needs --to, as in: ydc copy --to sqlite:///queue.db"),
        (["show", "1", "2"], {}, "show does not take '2': ydc show --help"),
        (["show", "9" * 30], {}, "for ID. Must be <= 9223372036854775807."),
        (["retry", "1", "9" * 30], {}, "for ID. Must be <= 9223372036854775807."),
        (["retry", "--text", "", "--yes"], {}, "--text is empty: give a text, or leave the option out"),
        (["list", "--reason", ""], {}, "--reason is empty: give a reason, or leave the option out"),
        (["pause", "--minutes", "1e30"], {}, "--minutes=1e+30: the date is out of range"),
        (["export", "--rows"], {}, "there is no option --rows: ydc export --help; a file of this name is ./--rows"),
        (["export", ""], {}, "'.' cannot be written: Is a directory"),
        (
            ["export", "x.xlsx"],
            {},
            "'x.xlsx': workbooks are not supported; spreadsheet programs open CSV too, so name it x.csv",
        ),
        (["copy", "--to", ""], {}, "--to is empty: name the queue to copy to"),
        (["copy", "--to", "x.db"], {}, "neither a database URL nor a Google Sheet; a SQLite file is sqlite:///x.db"),
        (["copy", "--to"], {}, 'Command "copy" parameter --to requires an argument.'),
        (["add", "UKwSQSFN4Nw", "--set", "kind=shorts"], {}, "there is no column kind; did you mean Kinds?"),
        (
            ["add", "UKwSQSFN4Nw", "--set", "RefreshHour=6"],
            {},
            "there is no column RefreshHour; did you mean RefreshHours?",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_how_to_mend_it(
    ydc: Ydc, arguments: list[str], settings: dict[str, object], message: str
) -> None:
    done = ydc(*arguments, **settings)
    assert done.returncode == 2
    assert message in one_line(done)
    assert done.stdout in {"", "queue: coordinator.db, new\n"}


def test_doctor_finds_a_processor_that_cannot_be_called(ydc: Ydc) -> None:
    done = ydc("doctor", "--processor", "nowhere:fine")
    assert done.returncode == 1
    assert "PROBLEM  processor: there is no module nowhere" in done.stdout
    assert "ok       processor: mine:fine can be called\n" in ydc("doctor", "--processor", "mine:fine").stdout


def test_a_file_without_a_source_says_so(ydc: Ydc, folder: Path) -> None:
    path = sources(folder, "# none yet", "")
    done = ydc("import", path)
    assert (done.returncode, done.stdout) == (
        0,
        f"queue: coordinator.db, new\n{path} contains no sources: write one per line, as URL|Accent|Type\n",
    )


def test_a_number_of_rows_may_be_as_great_as_one_likes(ydc: Ydc, queue: Queue) -> None:
    add_videos(queue, 3)
    done = ydc("list", "--limit", "9" * 30)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)


def test_without_a_network_the_first_source_ends_the_round_and_all_stay_pending(
    ydc: Ydc, folder: Path, queue: Queue
) -> None:
    urls = [CHANNEL.format(number) for number in range(2)]
    with closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
        done = ydc("run", "--sources", sources(folder, *urls), variables={"https_proxy": proxy, "no_proxy": ""})
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.split()[1].rstrip(":") in urls
    assert line.startswith("failed ")
    assert "0 videos listed, 0 new; offline: " in line
    assert queue.counts(SOURCES) == {State.PENDING: 2}
    assert {row.retry_count for row in queue.rows(SOURCES)} == {0}
    assert f"offline (1): {REASONS['offline'].do}\n" in done.stdout, "what can be done is said at the end"


def test_a_variable_that_is_no_setting_is_named_once(ydc: Ydc) -> None:
    unknown = {"frobnicate": 1, "xyz": 2}
    for arguments, line in (
        (["run"], "ydc: unknown settings are ignored: YDC_FROBNICATE, YDC_XYZ"),
        (
            ["doctor"],
            "warning  settings: there is no setting YDC_FROBNICATE, YDC_XYZ: `docs/settings.md` lists all settings",
        ),
    ):
        done = ydc(*arguments, **unknown)
        assert (done.stdout + done.stderr).splitlines().count(line) == 1
        assert "YDC_" not in done.stdout.replace(line, "")
    assert "problems, 1 warning\n" in done.stdout


AS_NOBODY = """
import os
from youtube_download_coordinator import Config, Coordinator, cli
from youtube_download_coordinator.stores import sql

if os.geteuid() == 0:  # nothing is read-only to root
    os.setuid(65534)
cli.main(["status"])
"""


def test_a_database_that_may_only_be_read_is_said_in_one_line(environment: dict[str, str]) -> None:
    with TemporaryDirectory() as name:
        path = Path(name) / "queue.db"
        SqlStore(f"sqlite:///{path}").close()
        path.chmod(0o444)
        Path(name).chmod(0o555)
        more = {"YDC_DATABASE_URL": f"sqlite:///{path}"}
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY],
            cwd=name,
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
        )
        Path(name).chmod(0o755)
    assert done.returncode == 2
    assert "attempt to write a readonly database" in one_line(done)


def test_a_full_disk_is_said_in_one_line_and_nothing_is_lost(
    ydc: Ydc, folder: Path, environment: dict[str, str], queue: Queue
) -> None:
    path = sources(folder, *(CHANNEL.format(number) for number in range(3000)))
    limited = ["sh", "-c", 'ulimit -f 600; exec "$@"', "sh", *command("add", path)]
    done = subprocess.run(limited, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "disk" in one_line(done)
    kept = sum(queue.counts(SOURCES).values())
    assert kept < 3000
    assert ydc("add", path).stdout.endswith(f"\nsources: {3000 - kept} new, {kept} already known, 0 invalid\n")
