"""The units of systemd in deploy/, read."""

from __future__ import annotations

from pathlib import Path

Values = dict[str, list[str]]


def read_unit(path: Path) -> dict[str, Values]:
    """Return the settings of each section with all their values, as systemd reads them."""
    sections: dict[str, Values] = {}
    section: Values = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and line[0] not in "#;":
            name, found, value = line.partition("=")
            assert found, line
            section.setdefault(name, []).append(value)
    return sections
