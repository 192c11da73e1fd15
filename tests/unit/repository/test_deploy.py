"""The fleet's files for systemd and for containers: what they start exists, and takes what they say. Nothing is started here.

Where `systemd-analyze` and Docker's compose are installed they read the files too; neither needs a running systemd or engine.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from datetime import timedelta
from importlib import import_module
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from prefect.settings import Settings

from flows.deploy import JOB_DEFAULTS, RUN_ENVIRONMENT
from tests.support.deploy_files import check_prefect_takes, check_settings_exist
from tests.support.unit_files import read_unit
from youtube_download_coordinator.cli import app as ydc_cli
from youtube_download_coordinator.config import SECRETS, Config
from youtube_download_coordinator.operations.upgrade_yt_dlp import IMAGE_VARIABLE
from youtube_download_coordinator.prefect.block import BLOCK_VARIABLE
from youtube_download_coordinator.prefect.events import VIDEO_DONE
from youtube_download_coordinator.youtube.token_provider import DEFAULT_URL, PLUGIN, provider_url

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
HOME = "/opt/youtube-download-coordinator/"
"""Where the units expect a checkout with its .venv."""
UNITS = sorted(DEPLOY.glob("*.service"))
EXAMPLES = sorted(DEPLOY.glob("*.env.example"))
COMPOSE = ROOT / "compose.yaml"


def read_settings(path: Path) -> dict[str, str]:
    """Return the settings of an example, including those that are commented out."""
    lines = (line.removeprefix("#") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: value for name, found, value in (line.partition("=") for line in lines) if found and name.isupper()}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def test_there_is_a_unit_for_the_server_and_one_for_workers() -> None:
    assert [unit.name for unit in UNITS] == ["prefect-server.service", "youtube-coordinator-worker@.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_a_unit_starts_is_there_and_takes_its_words(unit: Path) -> None:
    service = read_unit(unit)["Service"]
    (start,) = service["ExecStart"]
    program, *words = shlex.split(start.replace("%H", "host").replace("%i", "1"))
    assert program == f"{HOME}.venv/bin/prefect"
    check_prefect_takes(words)
    for command in service.get("ExecStop", []):
        python, script, pid = shlex.split(command)
        assert (python, pid) == (f"{HOME}.venv/bin/python", "$MAINPID")
        assert (ROOT / script.removeprefix(HOME)).is_file()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_sets_what_exists_and_takes_the_rest_from_a_file(unit: Path) -> None:
    service = read_unit(unit)["Service"]
    check_settings_exist(setting.partition("=")[0] for setting in service["Environment"])
    (file,) = service["EnvironmentFile"]
    assert DEPLOY / f"{Path(file).name}.example" in EXAMPLES


def test_a_worker_is_stopped_after_its_flows_and_then_alone() -> None:
    service = read_unit(UNITS[1])["Service"]
    assert [service[name] for name in ("KillMode", "KillSignal")] == [["mixed"], ["SIGTERM"]]
    grace = re.search(r"^GRACE_SECONDS = (\d+)$", (DEPLOY / "end_flows.py").read_text(encoding="utf-8"), re.M)
    assert grace
    assert int(grace[1]) < int(service["TimeoutStopSec"][0])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_units_are_confined(unit: Path) -> None:
    service = read_unit(unit)["Service"]
    assert service["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert service["LimitCORE"] == ["0"]
    assert "MemoryMax" in service
    denied = [ip_network(network) for network in service["IPAddressDeny"][0].split()]
    for metadata in ("169.254.169.254", "169.254.170.2", "fe80::a9fe:a9fe", "fd00:ec2::254"):
        assert any(ip_address(metadata) in network for network in denied), metadata
    analyze = shutil.which("systemd-analyze")
    if analyze:
        command = [analyze, "security", "--offline=true", "--no-pager", "--threshold=15", str(unit)]
        read = subprocess.run(command, capture_output=True, text=True, check=False)
        assert read.returncode == 0, read.stdout[-300:]


def test_the_server_copies_its_pages_to_where_it_may_write(compose: dict[str, Any]) -> None:
    """Without that it has no pages: they are copied into Prefect's own package by default."""
    name = "PREFECT_SERVER_UI_STATIC_DIRECTORY"
    service = read_unit(UNITS[0])["Service"]
    (folder,) = (value for value in service["Environment"] if value.startswith(name))
    assert folder.partition("=")[2].startswith(f"/var/lib/{service['StateDirectory'][0].split()[1]}/")
    server = compose["services"]["server"]
    assert any(server["environment"][name].startswith(f"{folder}/") for folder in server["tmpfs"])


@pytest.mark.parametrize("name", ["server", "deployments", "worker"])
def test_the_containers_are_confined(name: str, compose: dict[str, Any]) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "pids_limit"} <= set(service)
    assert service["ulimits"] == {"core": 0}
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (account,) = re.findall(r"groupadd --gid (\d+)", dockerfile)
    assert f"useradd --create-home --uid {account} " in dockerfile
    assert service["tmpfs"] == ["/tmp", f"/home/coordinator:uid={account},gid={account},mode=0700"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_names_settings_that_exist(example: Path) -> None:
    settings = read_settings(example)
    assert settings
    check_settings_exist(settings)


@pytest.mark.parametrize("source", ["server.env.example", "compose.yaml"])
def test_the_server_deletes_what_is_old(source: str, compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect would ignore a misspelt kind of event, and keep runs for ever where the vacuum is not enabled."""
    example = {name: "".join(shlex.split(text)) for name, text in read_settings(DEPLOY / "server.env.example").items()}
    of_compose = compose["services"]["server"]["environment"]
    kept = [name for name in example if "RETENTION" in name or "VACUUM" in name or "LEASE" in name]
    for name in kept:
        monkeypatch.setenv(name, example[name] if source == "server.env.example" else of_compose[name])
    server = Settings().server
    assert server.events.retention_period == timedelta(days=2)
    assert server.services.db_vacuum.enabled_vacuum_types == {"events", "flow_runs", "orphans"}
    assert server.services.db_vacuum.retention_period == timedelta(days=14)
    tasks = {"Pending", "Running", "Completed", "Failed"}
    flows = {"Scheduled", "Pending", "Submitting", "Running", "Completed", "Skipped", "heartbeat", "pull-step.executed"}
    workers = {"submitted-flow-run", "executed-flow-run"}
    hourly = {
        f"prefect.{kind}.{name}"
        for kind, names in (("task-run", tasks), ("flow-run", flows), ("worker", workers))
        for name in names
    }
    hourly.add(VIDEO_DONE)
    assert server.services.db_vacuum.event_retention_overrides == dict.fromkeys(hourly, timedelta(hours=1))
    assert hasattr(import_module(server.concurrency.lease_storage), "ConcurrencyLeaseStorage")


def test_the_workers_example_is_a_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in read_settings(DEPLOY / "worker.env.example").items():
        monkeypatch.setenv(name, value)
    assert Config().output_dir == Path("/var/lib/youtube-coordinator/media")


def test_containers_start_what_prefect_takes(compose: dict[str, Any]) -> None:
    python, option, module, *words = compose["services"]["server"]["command"]
    assert (python, option, module) == ("python", "-m", "prefect")
    check_prefect_takes(words)
    (default,) = re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.M)
    python, option, module, *words = yaml.safe_load(default)
    assert (python, option, module) == ("python", "-m", "prefect"), "the script does not find flows/ and tasks/"
    check_prefect_takes(words)
    ydc, *words = compose["services"]["deployments"]["command"]
    assert ydc == "ydc"
    ydc_cli.parse_args(words, print_error=False, exit_on_error=False)


def test_containers_set_what_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        ours = [name for name in service.get("environment", {}) if not name.startswith("POSTGRES_")]
        check_settings_exist(name if name.startswith("YDC_") else name.removesuffix("_FILE") for name in ours)


def image_environment() -> dict[str, str]:
    (line,) = re.findall(r"^ENV (.*)$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.M)
    return dict(setting.split("=", 1) for setting in line.split())


def test_the_image_knows_its_checkout_and_the_state_that_its_workers_share(compose: dict[str, Any]) -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    environment = image_environment()
    assert re.findall(r"^WORKDIR (.*)$", dockerfile, re.M) == [environment["YDC_CHECKOUT"]]
    mounted = dict(volume.split(":", 1) for volume in compose["services"]["worker"]["volumes"])
    assert compose["services"]["worker"]["environment"]["YDC_STATE_DIR"] == environment["YDC_STATE_DIR"]
    assert mounted["state"] == environment["YDC_STATE_DIR"]
    (made,) = re.findall(r"install --directory --owner coordinator \\\n +(.*)$", dockerfile, re.M)
    volumes = [volume for service in compose["services"].values() for volume in service.get("volumes", [])]
    ours = {volume.partition(":")[2] for volume in volumes if not volume.startswith("database:")}
    assert ours <= set(made.split()), "a new volume would belong to root"


def test_the_docker_pool_mounts_the_volumes_of_compose_yaml(compose: dict[str, Any]) -> None:
    job = JOB_DEFAULTS["docker"]
    worker = compose["services"]["worker"]
    assert {volume.removeprefix(f"{compose['name']}_") for volume in job["volumes"]} == set(worker["volumes"])
    assert job["image"] == worker["image"]
    assert job["networks"] == [f"{compose['name']}_default"]
    settings = set(job["env"]) - {BLOCK_VARIABLE, *RUN_ENVIRONMENT}
    assert settings <= {f"YDC_{name.upper()}" for name in Config.model_fields}
    assert not {f"YDC_{name.upper()}" for name in SECRETS} & set(job["env"])


def test_the_image_asks_to_be_built_again_for_another_yt_dlp() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(rf"^ENV .*\b{IMAGE_VARIABLE}=1$", dockerfile, re.M)


def test_the_provider_of_tokens_is_where_the_workers_example_says(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts on demand, and no other machine can reach it."""
    (name,) = (name for name, service in compose["services"].items() if service.get("profiles") == ["tokens"])
    service = compose["services"][name]
    assert "ports" not in service
    setting = read_settings(DEPLOY / "worker.env.example")["YDC_YT_DLP_OPTIONS"]
    monkeypatch.setenv("YDC_YT_DLP_OPTIONS", setting)
    url = provider_url(Config().yt_dlp_options)
    assert url == f"http://{name}:{urlsplit(DEFAULT_URL).port}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (plugin,) = project["optional-dependencies"]["tokens"]
    assert plugin.startswith(f"{PLUGIN}>={service['image'].rpartition(':')[2]},<")


def test_no_secret_is_in_the_files() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    for name, value in re.findall(r"(\w*(?:PASSWORD|AUTH_STRING)\w*)(?:: |=)(\S+)", text):
        assert name.endswith("_FILE"), name
        assert value.startswith("/run/secrets/"), value
    assert not [name for example in EXAMPLES for name in read_settings(example) if "AUTH_STRING" in name]


def test_containers_depend_on_what_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= set(compose["volumes"])
    assert compose["services"]["worker"]["deploy"]["replicas"] == 2


def test_the_image_gets_files_that_exist_and_no_others() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        source.rstrip("/")
        for line in re.findall(r"^COPY --chown=\w+ (.*) \S+$", dockerfile, re.M)
        for source in line.split()
    }
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert {line.strip("!/") for line in ignored if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def test_git_and_the_image_never_get_secrets(compose: dict[str, Any]) -> None:
    files = [secret["file"] for secret in compose["secrets"].values()] + [compose["services"]["worker"]["env_file"]]
    for file in files:
        ignored = subprocess.run(["git", "check-ignore", "--quiet", file], cwd=ROOT, check=False)
        assert ignored.returncode == 0, file


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is not installed: the units were read by our own parser alone")
    if not (ROOT / ".venv/bin/prefect").exists():
        pytest.skip("this checkout has no .venv: systemd-analyze refuses units whose program does not exist")
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace(HOME, f"{ROOT}/")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    names = [str(tmp_path / unit.name.replace("@.", "@1.")) for unit in UNITS]
    read = subprocess.run([analyze, "verify", "--man=no", *names], capture_output=True, text=True, check=False)
    assert [line for line in read.stderr.splitlines() if str(tmp_path) in line] == []
    assert read.returncode == 0, read.stderr


def test_docker_reads_compose_yaml(tmp_path: Path) -> None:
    command = compose_command()
    if not command:
        pytest.skip("Docker's compose is not installed: compose.yaml was read as YAML alone")
    for name in ("compose.yaml", "deploy/Dockerfile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copy(DEPLOY / "worker.env.example", tmp_path / "deploy" / "worker.env")
    read = subprocess.run([*command, "config", "--quiet"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


def compose_command() -> list[str]:
    """Compose as Docker's plug-in, or by itself; nothing where there is neither."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            version = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if version.returncode == 0 and version.stdout.lstrip("v")[:1] not in {"", "1"}:
                return command
    return []
