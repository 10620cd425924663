"""The Kubernetes example: complete objects that run the same commands as the compose file."""

from typing import Any

import pytest
import yaml

from loadgen import __version__
from loadgen.config.settings import Settings
from tests.stack import ROOT

Manifest = dict[str, Any]
PORTS = {"workers": 5557, "page": 8089, "metrics": 9646, "watch": 9647}


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], Manifest]:
    """Return the objects by kind and name."""
    text = (ROOT / "docs/kubernetes/playground.yaml").read_text(encoding="utf-8")
    found = list(yaml.safe_load_all(text))
    assert all({"apiVersion", "kind", "metadata"} <= one.keys() for one in found)
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def pods(objects: dict[tuple[str, str], Manifest]) -> dict[str, Manifest]:
    """Return the pod templates by the name of their job or deployment."""
    return {
        name: one["spec"]["template"]
        for (kind, name), one in objects.items()
        if kind in {"Job", "Deployment"}
    }


def test_it_has_the_objects_that_a_run_needs(objects: dict[tuple[str, str], Manifest]) -> None:
    """The example has a seed, a master with watch, workers, settings, a secret and a volume."""
    assert {(one["apiVersion"], *key) for key, one in objects.items()} == {
        ("v1", "ConfigMap", "playground"),
        ("v1", "Secret", "playground"),
        ("v1", "PersistentVolumeClaim", "playground-reports"),
        ("batch/v1", "Job", "playground-seed"),
        ("v1", "Service", "playground-load"),
        ("apps/v1", "Deployment", "playground-load"),
        ("apps/v1", "Deployment", "playground-worker"),
    }


def test_each_container_runs_what_compose_runs(objects: dict[tuple[str, str], Manifest]) -> None:
    """Containers run the compose file's tested commands; workers use the master's service name."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    seen = set()
    for pod in pods(objects).values():
        for container in pod["spec"]["containers"]:
            command = [
                "load" if word == "playground-load" else word for word in container["command"]
            ]
            assert command == compose[container["name"]]["command"]
            assert container["image"] == f"simplyload-playground:{__version__}"
            sources = [next(iter(one.values()))["name"] for one in container["envFrom"]]
            assert sources == ["playground", "playground"]
            seen.add(container["name"])
    assert seen == {"seed", "load", "watch", "worker"}


def test_selectors_find_their_pods(objects: dict[tuple[str, str], Manifest]) -> None:
    """Deployments and service select the labels of the pods, and the volumes exist."""
    for name in ("playground-load", "playground-worker"):
        spec = objects["Deployment", name]["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    load = objects["Deployment", "playground-load"]["spec"]
    service = objects["Service", "playground-load"]["spec"]
    assert service["selector"] == load["template"]["metadata"]["labels"]
    assert {port["name"]: port["port"] for port in service["ports"]} == PORTS
    assert load["replicas"] == 1
    reports, files = load["template"]["spec"]["volumes"]
    claim = reports["persistentVolumeClaim"]["claimName"]
    assert ("PersistentVolumeClaim", claim) in objects
    assert files["configMap"]["optional"] is True
    hosts = (ROOT / "docs/hosts.md").read_text(encoding="utf-8")
    assert f"kubectl create configmap {files['configMap']['name']} " in hosts
    for container in load["template"]["spec"]["containers"]:
        assert container["volumeMounts"] == [
            {"name": reports["name"], "mountPath": "/playground/reports"},
            {"name": files["name"], "mountPath": "/project", "readOnly": True},
        ]


def test_load_and_watch_are_probed(objects: dict[tuple[str, str], Manifest]) -> None:
    """Probes ask /health, which needs no login, at each container's own port."""
    load = objects["Deployment", "playground-load"]["spec"]["template"]["spec"]
    ports = {"load": PORTS["metrics"], "watch": PORTS["watch"]}
    for container in load["containers"]:
        for probe in ("readinessProbe", "livenessProbe"):
            asked = container[probe]["httpGet"]
            assert asked == {"path": "/health", "port": ports[container["name"]]}


def test_no_pod_runs_as_root_or_is_told_of_services(
    objects: dict[tuple[str, str], Manifest],
) -> None:
    """Pods run as user 1000; Kubernetes' variables for services could be taken for settings."""
    for name, pod in pods(objects).items():
        assert pod["spec"]["enableServiceLinks"] is False, name
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 1000


def test_what_it_sets_are_settings(objects: dict[tuple[str, str], Manifest]) -> None:
    """Each key is a setting with a text as value; the secret has only example values."""
    settings = objects["ConfigMap", "playground"]["data"]
    assert {name.lower() for name in settings} <= set(Settings.model_fields)
    assert all(isinstance(value, str) for value in settings.values())
    secret = objects["Secret", "playground"]["stringData"]
    assert secret == {
        "DATABASE_URL": "postgresql://USER:PASSWORD@HOST:5432/DATABASE",
        "LOADGEN_WEB_TOKEN": "TOKEN",
        "LOADGEN_WORKER_TOKEN": "TOKEN",
    }
