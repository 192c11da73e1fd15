"""The layout: Prefect can be imported beside a package of that name, and flows and tasks are thin."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "youtube_download_coordinator"
FLOWS_AND_TASKS = [path for folder in ("flows", "tasks") for path in sorted((ROOT / folder).glob("**/*.py"))]


@pytest.mark.parametrize("path", FLOWS_AND_TASKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_flows_and_tasks_define_no_class(path: Path) -> None:
    """Prefect may load a file a second time under another name, and then a class exists twice."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def test_every_import_of_the_package_is_absolute() -> None:
    """Relative imports would make the room `prefect` hide Prefect from its neighbours."""
    relative = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PACKAGE.glob("**/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_every_child_of_python_is_started_with_dash_p() -> None:
    """Without -P, the folder of a program comes first on sys.path, and a file beside it hides a module of its name."""
    without = []
    for path in PACKAGE.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable"):
                continue
            if ast.unparse(node.elts[1]) not in {"'-P'", "'-m'"}:  # -m puts the working directory first
                without.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert without == []


def test_prefect_is_prefect_for_the_package_and_for_who_imports_it() -> None:
    code = "import prefect, youtube_download_coordinator as y; print(prefect.__file__ or '', hasattr(y, 'prefect'))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    path, imported = done.stdout.split()
    assert PACKAGE not in Path(path).parents
    assert imported == "False", "import youtube_download_coordinator does not import Prefect"
