"""The compiled loop sends the writes if it can, else gevent; the start says which."""

import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.conftest import LENIENT, ROOT, Locust, check_record, counted, rates
from tests.conftest import Cluster, RunLoadgen, spawning
from tests.tls import tls

COMPILED = "The compiled loop sends the writes"
GEVENT = "Gevent sends the writes, not the compiled loop: "
PACKAGES = Path(sysconfig.get_path("platlib"))


@pytest.fixture
def without_numba(tmp_path: Path) -> Path:
    """Return a folder with all packages of this environment except Numba."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for entry in PACKAGES.iterdir():
        if not entry.name.startswith(("numba", "llvmlite")):
            (folder / entry.name).symlink_to(entry)
    return folder


def ran(
    locust: Locust, project: Path, dsn: str, env: Mapping[str, str], *options: str
) -> list[str]:
    """Run a short load and check its record; return the lines that name its loop."""
    before = counted(dsn)
    process = locust(dsn, "-u", "2", "-t", "2s", *rates(), *options, env=env)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert any(check_record(project, dsn, before)["totals"].values())
    return [line for line in err.splitlines() if "sends the writes" in line]


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_it_is_compiled_where_the_extra_is_installed(
    seeded: str, locust: Locust, project: Path, processes: tuple[str, ...]
) -> None:
    """LOAD_LOOP=auto uses the compiled loop in each process that has users."""
    lines = ran(locust, project, seeded, {"LOAD_LOOP": "auto"}, *processes)
    assert len(lines) == (2 if processes else 1)
    assert all(line.endswith(COMPILED) and "/INFO/" in line for line in lines)


def test_gevent_sends_if_it_is_asked_for(seeded: str, locust: Locust, project: Path) -> None:
    """LOAD_LOOP=gevent turns the compiled loop off."""
    (line,) = ran(locust, project, seeded, {"LOAD_LOOP": "gevent"})
    assert line.endswith(f"{GEVENT}LOAD_LOOP=gevent")


@pytest.mark.parametrize(("asked", "level"), [("auto", "INFO"), ("compiled", "WARNING")])
def test_gevent_sends_without_the_extra(
    seeded: str, project: Path, without_numba: Path, metrics_port: int, asked: str, level: str
) -> None:
    """The missing extra is a warning only if LOAD_LOOP requests the compiled loop."""
    (project / "locustfile.py").symlink_to(ROOT / "locustfile.py")
    (project / "thresholds.toml").write_text(LENIENT)
    with spawning() as spawn:

        def locust(
            dsn: str, *arguments: str, env: Mapping[str, str] | None = None
        ) -> subprocess.Popen[str]:
            environment = {
                "PYTHONPATH": f"{without_numba}:{ROOT}",
                "METRICS_PORT": str(metrics_port),
                "DATABASE_URL": dsn,
                **(env or {}),
            }
            arguments = ("-S", "-m", "locust", "--headless", *arguments)
            return spawn(*arguments, cwd=project, env=environment)

        (line,) = ran(locust, project, seeded, {"LOAD_LOOP": asked})
    assert f"/{level}/" in line
    remedy = "run `make setup EXTRAS=fast`, or install numba"
    assert line.endswith(f"{GEVENT}Numba is not installed: {remedy}")


def test_gevent_sends_over_an_encrypted_connection(
    debian_cluster: Cluster,
    locust: Locust,
    project: Path,
    run_loadgen: RunLoadgen,
    tmp_path: Path,
) -> None:
    """The compiled loop does not support TLS."""
    with tls(debian_cluster, tmp_path), debian_cluster.database("migrated_template") as dsn:
        encrypted = f"{dsn}?sslmode=require"
        size = ("--users", "1000", "--orders", "3000", "--events", "3000")
        assert run_loadgen("seed", *size, env={"DATABASE_URL": encrypted}).returncode == 0
        (line,) = ran(locust, project, encrypted, {"LOAD_LOOP": "auto"})
    assert line.endswith(f"{GEVENT}the connection is encrypted")


def test_gevent_sends_if_nothing_can_be_compiled(
    seeded: str, locust: Locust, project: Path
) -> None:
    """Numba refuses to work without a folder for its cache; the start names the remedy."""
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "IPythonCacheLocator"}
    (line,) = ran(locust, project, seeded, nowhere | {"LOAD_LOOP": "auto"})
    assert "/WARNING/" in line
    assert line.endswith(f"{GEVENT}Numba has no folder for its cache: name one in NUMBA_CACHE_DIR")
