"""Installing: no hint names a package that somebody else could register, and constraints.txt pins what was tested."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OURS = canonicalize_name(PROJECT["project"]["name"])
"""Not on the package index: whoever registers it there has whatever installs it by this name."""
INSTALL = re.compile(r"\bpip install ([^`\"\n]*?)(?=[`\"\n#;)&|,]|\. |$)")
WITH_VALUE = {"--constraint", "--group", "--report"}
TOOLS = {"pip", "prefect-docker", "silero-vad"}  # the last one: of an example
LINE = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+")


def requirements() -> list[Requirement]:
    """Return what the project and its extras need, and its groups for tests and documentation."""
    project = PROJECT["project"]
    groups = [*project["optional-dependencies"].values(), *PROJECT["dependency-groups"].values()]
    return [Requirement(line) for lines in (project["dependencies"], *groups) for line in lines]


def names_in(arguments: str) -> set[str]:
    """Return the packages that arguments of `pip install` name, without files and folders."""
    words = re.sub(r"['\\]|\{[^}]*\}", " ", arguments).split()
    after_option = {number + 1 for number, word in enumerate(words) if word in WITH_VALUE}
    named = (word for number, word in enumerate(words) if number not in after_option)
    packages = (re.match(r"[A-Za-z][\w.-]*", word) for word in named)
    return {canonicalize_name(package[0].rstrip(".")) for package in packages if package}


def text_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name and not name.startswith("tests/")]
    return [path for path in paths if path.is_file() and path.suffix not in {".png", ".svg"}]


def test_a_hint_names_packages_that_the_project_needs_and_never_the_project() -> None:
    known = {canonicalize_name(requirement.name) for requirement in requirements()} | TOOLS
    unknown = {
        (str(path.relative_to(ROOT)), name)
        for path in text_files()
        for arguments in INSTALL.findall(path.read_text(encoding="utf-8", errors="replace"))
        for name in names_in(arguments) - known
    }
    assert unknown == set()


def test_a_hint_is_read() -> None:
    assert names_in("--constraint constraints.txt --editable '.[postgresql]' -U 'Psycopg[binary]>=3' deno") == {
        "psycopg",
        "deno",
    }
    assert INSTALL.findall("pip install 'youtube-download-coordinator[postgresql]'") == [f"'{OURS}[postgresql]'"]


def test_nothing_depends_on_the_project_by_its_name_alone() -> None:
    for path in ROOT.glob("examples/**/pyproject.toml"):
        for line in tomllib.loads(path.read_text(encoding="utf-8"))["project"]["dependencies"]:
            requirement = Requirement(line)
            assert canonicalize_name(requirement.name) != OURS or requirement.url, path


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#") and not LINE.fullmatch(line)] == []
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def unpinned() -> set[str]:
    (names,) = re.findall(r"^UNPINNED := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return set(names.split())


def test_the_constraints_pin_everything_but_what_keeps_up_with_youtube() -> None:
    pinned = pins()
    of_tools = {Requirement(line).name for group in ("audit", "mutate") for line in PROJECT["dependency-groups"][group]}
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        if name in unpinned() | of_tools:
            assert name not in pinned
        else:
            assert name in pinned, f"{name} is not pinned: make constraints, or add its version"
            assert requirement.specifier.contains(pinned[name], prereleases=True), name


def test_the_image_and_the_tests_use_the_constraints() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM python:3\.11-", dockerfile, re.MULTILINE)
    for path in ("deploy/Dockerfile", ".ci/with-postgresql", "docs/deploy.md"):
        assert "--constraint constraints.txt" in (ROOT / path).read_text(encoding="utf-8"), path
    plan = subprocess.run(
        ["make", "--dry-run", "--always-make", "lint"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "pip install --quiet --constraint constraints.txt --editable ." in plan.stdout
