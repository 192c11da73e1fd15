"""The documented commands give Prefect's server a password, and nothing starts a server without one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import Settings

from tests.support.unit_files import read_unit
from tests.unit.repository.test_deploy import COMPOSE, DEPLOY, UNITS, read_settings

ROOT = Path(__file__).resolve().parents[3]
WITH_SECRETS = DEPLOY / "with_secrets"
COMMANDS = r"^ *((?:touch \.env.*\n)?password=.*\n(?:echo .*\n)+)"
NAMES = ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING")
OWN_PAGES = "http://127.0.0.1:4200,http://localhost:4200"


def commands(page: str) -> list[str]:
    """Return the commands of a page that make a password, once for each place that they write to."""
    return re.findall(COMMANDS, (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)


def run(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=clean | {"PATH": path} | variables, capture_output=True, text=True
    )


@pytest.mark.parametrize("page", ["README.md", "docs/deploy.md"])
def test_the_server_and_its_clients_read_the_password_in_the_checkout(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").symlink_to(ROOT / "pyproject.toml")
    (tmp_path / ".env").touch(0o600)
    assert run(commands(page)[0], tmp_path).stderr == ""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    of_clients, of_server = settings.api.auth_string, settings.server.api.auth_string
    assert of_clients is not None
    assert of_clients == of_server
    assert re.fullmatch(r"operator:[0-9a-f]{48}", of_clients.get_secret_value())
    assert settings.server.api.cors_allowed_origins == OWN_PAGES
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_readmes_commands_make_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    assert run(commands("README.md")[0], tmp_path).stderr == ""
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_the_units_files_get_the_password_of_the_same_names(tmp_path: Path) -> None:
    script = commands("docs/deploy.md")[1].replace("/etc/youtube-coordinator", str(tmp_path))
    assert run(script, tmp_path).stderr == ""
    lines = [(tmp_path / name).read_text().strip() for name in ("worker.env", "server.env")]
    assert [line.partition("=")[0] for line in lines] == list(NAMES)
    assert len({line.partition("=")[2] for line in lines}) == 1


@pytest.mark.parametrize("password", [None, ""])
def test_the_unit_starts_no_server_without_a_password(password: str | None, tmp_path: Path) -> None:
    (check,) = read_unit(UNITS[0])["Service"]["ExecStartPre"]
    shell, option, script = shlex.split(check)
    assert (shell, option) == ("/bin/sh", "-c")
    assert not re.search(r"(?<!\$)\$(?!\$)", script), "systemd would put the password into the arguments"
    script = script.replace("$$", "$")
    without = run(script, tmp_path, **({} if password is None else {NAMES[1]: password}))
    assert (without.returncode, len(without.stderr.splitlines())) == (1, 1)
    assert NAMES[1] in without.stderr
    assert run(script, tmp_path, **{NAMES[1]: "operator:a"}).returncode == 0


def test_other_pages_of_a_browser_are_refused_everywhere() -> None:
    compose = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert read_settings(DEPLOY / "server.env.example")["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == OWN_PAGES
    assert compose["services"]["server"]["environment"]["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == OWN_PAGES


def test_every_container_that_uses_prefects_api_reads_the_password_from_a_secret() -> None:
    compose: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    for service, name in (("server", NAMES[1]), ("deployments", NAMES[0]), ("worker", NAMES[0])):
        secret = compose["services"][service]["environment"][f"{name}_FILE"].removeprefix("/run/secrets/")
        assert secret == "prefect-password"
        assert secret in compose["services"][service]["secrets"]
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r'^ENTRYPOINT \["tini", "--", "deploy/with_secrets"\]$', dockerfile, re.MULTILINE)


def test_the_entrypoint_reads_the_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("operator:a $b's\n", encoding="utf-8")
    show = f"exec {WITH_SECRETS} sh -c 'echo \"$PREFECT_SERVER_API_AUTH_STRING|${{PREFECT_API_AUTH_STRING-unset}}\"'"
    done = run(show, tmp_path, PREFECT_SERVER_API_AUTH_STRING_FILE="password")
    assert (done.stdout, done.stderr) == ("operator:a $b's|unset\n", "")


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_the_entrypoint_starts_nothing_without_the_password(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "password").write_text(content, encoding="utf-8")
    done = run(f"exec {WITH_SECRETS} echo started", tmp_path, PREFECT_SERVER_API_AUTH_STRING_FILE="password")
    assert (done.returncode, done.stdout) == (1, "")
    assert "password" in done.stderr
