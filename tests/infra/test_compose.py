"""The compose file: valid, pinned, published to this machine only, and free of secrets."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadgen import __version__
from loadgen.config.settings import Settings
from tests.stack import ROOT, Service, config, services

OURS = ("seed", "load", "worker", "watch")
SECRETS = {
    "POSTGRES_PASSWORD": "of0the0test",
    "LOADGEN_WEB_TOKEN": "of the test",
    "LOADGEN_WORKER_TOKEN": "of its workers",
}
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def stack() -> dict[str, Service]:
    """Return the services as compose reads them."""
    return services(**SECRETS)


def test_it_has_the_whole_stack(stack: dict[str, Service]) -> None:
    """The stack has source, seed, load, workers and watch, with Prometheus and Grafana."""
    assert set(stack) == {*OURS, "postgres", "prometheus", "grafana"}


@pytest.mark.parametrize("secret", SECRETS)
def test_without_a_secret_nothing_starts(secret: str) -> None:
    """No secret has a default; the error names the missing one and the file to set it in."""
    done = config(**{name: value for name, value in SECRETS.items() if name != secret})
    assert done.returncode != 0
    assert secret in done.stderr
    assert "set it in .env" in done.stderr


def test_every_image_is_pinned(stack: dict[str, Service]) -> None:
    """Each image has an exact version; our image has the package's version."""
    images = {name: service["image"].rpartition(":") for name, service in stack.items()}
    for name, (_, _, tag) in images.items():
        assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?(-[a-z]+)?", tag), name
    assert {images[name][2] for name in OURS} == {__version__}
    assert images["postgres"][2].startswith("15.")


def test_every_port_is_this_machine_s_only(stack: dict[str, Service]) -> None:
    """Ports are published on 127.0.0.1 only."""
    ports = [port for service in stack.values() for port in service.get("ports", [])]
    assert len(ports) > 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_is_in_the_file() -> None:
    """Secrets come from .env and have no default in the compose file."""
    read = yaml.safe_load(TEXT)["services"]
    values = [
        str(value)
        for service in read.values()
        for name, value in service.get("environment", {}).items()
        if re.search(r"PASS|SECRET|TOKEN|DATABASE_URL", name)
    ]
    assert len(values) > 4
    secrets = "|".join(SECRETS)
    assert all(re.search(rf"\$\{{({secrets}):\?", value) for value in values)


def test_it_sets_settings_that_exist(stack: dict[str, Service]) -> None:
    """Each variable of our services is a setting; a misspelt one would have no effect."""
    known = {name.upper() for name in Settings.model_fields}
    for name in OURS:
        assert set(stack[name]["environment"]) <= known, name


def test_all_of_ours_are_one(stack: dict[str, Service]) -> None:
    """Our services share code, settings and files; otherwise workers would write other data."""
    same = ("image", "build", "environment", "volumes", "user")
    for name in OURS:
        assert {key: stack[name][key] for key in same} == {key: stack["load"][key] for key in same}


def test_the_example_says_what_compose_reads() -> None:
    """Each variable of the file is explained in .env.example, with its default."""
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    found = dict(re.findall(r"\$\{(\w+)(?::[-?])([^}]*)\}", TEXT))
    assert set(found) == {"POSTGRES_PORT", "RUN_AS", *SECRETS}
    settings = {name.upper() for name in Settings.model_fields}
    for name, default in found.items():
        comment = "" if name in settings else "# "
        assert f"\n{comment}{name}={'' if name in SECRETS else default}\n" in example


def test_a_load_is_stopped_before_its_workers(stack: dict[str, Service]) -> None:
    """Compose stops services in reverse order of dependency, and the drain needs the workers."""
    assert "worker" in stack["load"]["depends_on"]
    assert "load" not in stack["worker"]["depends_on"]
    assert stack["load"]["stop_grace_period"] == "2m"  # 45 s for answers, 20 s for a last scrape


def test_prometheus_scrapes_the_services(stack: dict[str, Service]) -> None:
    """The targets are the services at their ports; jobs and alert rules match prometheus.yml."""
    usual, ours = (
        yaml.safe_load((ROOT / "grafana" / name).read_text(encoding="utf-8"))
        for name in ("prometheus.yml", "prometheus.compose.yml")
    )
    listens = stack["load"]["environment"]
    assert targets(ours) == {
        "load": f"load:{listens['METRICS_PORT']}",
        "watch": f"watch:{listens['WATCH_PORT']}",
    }
    assert targets(usual).keys() == targets(ours).keys()
    assert {key: usual[key] for key in ("global", "rule_files")} == {
        key: ours[key] for key in ("global", "rule_files")
    }
    mounted = [volume.split(":")[0] for volume in stack["prometheus"]["volumes"]]
    assert f"{ROOT}/grafana/alerts.yml" in mounted


def test_what_is_mounted_exists_where_it_is_looked_for(stack: dict[str, Service]) -> None:
    """Mounted files exist, or Docker would make folders; Grafana finds dashboards and source."""
    mounts = {
        target: Path(source)
        for service in stack.values()
        for source, target in (volume.split(":")[:2] for volume in service.get("volumes", []))
        if source.startswith("/")
    }
    assert all(path.exists() for path in mounts.values())
    provisioning = mounts["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load(next((provisioning / "dashboards").glob("*.yml")).read_text())[
        "providers"
    ]
    assert list(mounts[provider["options"]["path"]].glob("*.json"))
    (source,) = yaml.safe_load(next((provisioning / "datasources").glob("*.yml")).read_text())[
        "datasources"
    ]
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert f"127.0.0.1:{port}:{port}/tcp" in stack[host]["ports"]
    shown = stack["load"]["environment"]["GRAFANA_URL"].removeprefix("http://")
    assert f"{shown}:3000/tcp" in stack["grafana"]["ports"]


def test_prometheus_would_start_with_it() -> None:
    """Prometheus accepts the configuration, including the alert rules."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool (Debian's package prometheus)")
    command = [promtool, "check", "config", "grafana/prometheus.compose.yml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def targets(read: dict[str, Any]) -> dict[str, str]:
    """Return the one target of each job of a Prometheus configuration."""
    return {
        job["job_name"]: target
        for job in read["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }
