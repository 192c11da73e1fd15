"""deploy/kubernetes: objects that the API takes as far as they can be read here, and settings that exist. No cluster is used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.end_flows import GRACE_SECONDS, POOL
from tests.support.deploy_files import check_prefect_takes, check_settings_exist

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.28", "1.37")
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def objects() -> list[dict[str, Any]]:
    files = sorted(FOLDER.glob("*.yaml"))
    return [value for file in files for value in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


@pytest.fixture
def pod() -> dict[str, Any]:
    (deployment,) = (value for value in objects() if value["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    assert deployment["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    spec: dict[str, Any] = template["spec"]
    return spec


@pytest.fixture
def worker(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    return dict(container)


def test_the_kustomization_names_every_file_but_the_example() -> None:
    content = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
    files = {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml", "secret.example.yaml"}
    assert set(content["resources"]) == files


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("value", objects(), ids=lambda value: value["kind"])
def test_an_object_fits_the_schema_of_kubernetes(value: dict[str, Any], version: str) -> None:
    if value["kind"] != "Kustomization":  # read by kubectl below
        kubernetes_validate.validate(value, version, strict=True)
        assert re.fullmatch(r"[a-z][a-z0-9-]*", value["metadata"]["name"])


def test_the_schema_knows_misspelled_keys(pod: dict[str, Any]) -> None:
    (deployment,) = (value for value in objects() if value["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"] = pod | {"terminationGracePeriod": 60}
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


def test_workers_start_what_prefect_takes_below_an_init(worker: dict[str, Any]) -> None:
    init, separator, python, option, module, *words = worker["command"]
    assert (init, separator, python, option, module) == ("tini", "--", "python", "-m", "prefect")
    check_prefect_takes(words)
    assert words[words.index("--pool") + 1] == POOL


def test_flows_end_before_their_worker(pod: dict[str, Any], worker: dict[str, Any]) -> None:
    python, script, pid = worker["lifecycle"]["preStop"]["exec"]["command"]
    assert (python, script, pid) == ("python", "deploy/end_flows.py", "1")
    assert re.search(rf"^COPY .*\b{script} ", DOCKERFILE, re.M)
    assert pod["terminationGracePeriodSeconds"] == 60 > GRACE_SECONDS


def test_settings_exist_and_secrets_are_in_secrets(worker: dict[str, Any]) -> None:
    secrets = {value["metadata"]["name"]: value["stringData"] for value in objects() if value["kind"] == "Secret"}
    (source,) = worker["envFrom"]
    names = {variable["name"] for variable in worker["env"]} - {"POD_NAME"}
    check_settings_exist(names | set(secrets[source["secretRef"]["name"]]))
    assert "YDC_CREDENTIALS_FILE" in names


def test_every_mount_is_of_a_volume_that_exists(pod: dict[str, Any], worker: dict[str, Any]) -> None:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {mount["name"]: mount["mountPath"] for mount in worker["volumeMounts"]}
    assert set(mounted) == set(volumes)
    named = {value["metadata"]["name"] for value in objects() if "metadata" in value}
    assert volumes["media"]["persistentVolumeClaim"]["claimName"] in named
    assert volumes["service-account"]["secret"]["secretName"] in named
    settings = {variable["name"]: variable.get("value") for variable in worker["env"]}
    assert (settings["YDC_OUTPUT_DIR"], settings["YDC_STATE_DIR"]) == (mounted["media"], mounted["state"])
    key = Path(str(settings["YDC_CREDENTIALS_FILE"]))
    assert str(key.parent) == mounted["service-account"]
    (account,) = (value for value in objects() if value.get("metadata", {}).get("name") == "service-account")
    assert key.name in account["stringData"]


def test_the_pods_are_confined(pod: dict[str, Any], worker: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    for container in (worker, *pod["initContainers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
    assert "add" not in worker["securityContext"]["capabilities"]
    assert "memory" in worker["resources"]["limits"]
    empty = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
    mounted = {mount["mountPath"] for mount in worker["volumeMounts"] if mount["name"] in empty}
    assert mounted == {"/tmp", "/home/coordinator"}


def test_workers_of_a_node_share_their_state_and_may_write_it(pod: dict[str, Any]) -> None:
    (state,) = (volume for volume in pod["volumes"] if volume["name"] == "state")
    assert state["hostPath"]["type"] == "DirectoryOrCreate"
    (first,) = pod["initContainers"]
    owner = str(pod["securityContext"]["runAsUser"])
    assert f"--owner={owner}" in first["command"]
    assert f"--uid {owner} " in DOCKERFILE
    assert [mount["name"] for mount in first["volumeMounts"]] == ["state"]


def test_kubectl_reads_the_folder(tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not installed: the files were read as YAML alone")
    environment = os.environ | {"HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")}
    command = [kubectl, "kustomize", str(FOLDER)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    built = list(yaml.safe_load_all(done.stdout))
    assert {value["metadata"].get("namespace", value["metadata"]["name"]) for value in built} == {"youtube-coordinator"}


def test_git_never_gets_the_copy_of_the_secret() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "--quiet", "deploy/secrets/kubernetes.yaml"], cwd=ROOT, check=False
    )
    assert ignored.returncode == 0
