"""The files of a release beside the code name the same version, in the form that their readers expect."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
FIELDS = {"input", "textarea", "dropdown", "checkboxes"}


@pytest.fixture
def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_citation_has_what_the_citation_file_format_requires(project: Any) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_the_newest_entry_of_the_changelog_is_this_version_or_unreleased(project: Any) -> None:
    entries = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert next(entry for entry in entries if entry != "Unreleased") == project["version"]
    assert len(entries) == len(set(entries))
    assert "Unreleased" not in entries[1:]


@pytest.mark.parametrize("path", [path for path in FORMS if path.stem != "config"], ids=lambda path: path.stem)
def test_an_issue_form_is_one_that_github_takes(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(form) <= {"name", "description", "labels", "body", "title"}
    assert all(isinstance(form[key], str) and form[key] for key in ("name", "description"))
    fields = [element for element in form["body"] if element["type"] != "markdown"]
    assert {element["type"] for element in fields} <= FIELDS
    assert any(element.get("validations", {}).get("required") for element in fields)
    ids = [element["id"] for element in fields]
    labels = [element["attributes"]["label"] for element in fields]
    assert len(set(ids)) == len(ids)
    assert len(set(labels)) == len(labels)
    for element in fields:
        options = element["attributes"].get("options", [])
        assert (element["type"] == "dropdown") is bool(options)
        assert len(set(options)) == len(options)


def test_there_are_forms_for_a_bug_and_for_a_wish() -> None:
    assert {path.stem for path in FORMS} == {"bug", "config", "feature"}
