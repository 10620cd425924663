"""Locust's own options: each works, or is refused or warned about in one line."""

import csv
import json
import shutil
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

from tests.acceptance.conftest import LENIENT, ROOT, Ask, Locust, latest, rates
from tests.conftest import find_free_port, spawning
from tests.polling import wait_for

NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
IN_VAIN = (
    ("--profile", "burst"),
    ("--host", "http://example.com"),
    ("--exit-code-on-error", "7"),
    ("--equal-weights",),
)


def requests_in(file: Path) -> int:
    """Return how many requests Locust's own CSV counts in all."""
    with file.open() as text:
        return sum(int(row["Request Count"]) for row in csv.DictReader(text) if row["Type"])


def committed(project: Path) -> int:
    """Return how many writes the newest run committed."""
    return sum(totals["committed"] for totals in latest(project)["totals"].values())


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (("-t", "0"), {}, "--run-time is 0: give 1 second or more"),
        ((), {"LOCUST_RUN_TIME": "0"}, "--run-time is 0: give 1 second or more"),
        (("--tags", "nosuch"), {}, "--tags and --exclude-tags leave no task to perform"),
        ((), {"LOCUST_TAGS": "nosuch"}, "--tags and --exclude-tags leave no task to perform"),
    ],
)
def test_what_a_load_cannot_do_is_refused(
    arguments: tuple[str, ...], env: dict[str, str], said: str, locust: Locust, project: Path
) -> None:
    """The load exits with 2 and one line before it connects to the source."""
    out, err = (process := locust(NOWHERE, *arguments, env=env)).communicate(timeout=60)
    assert process.returncode == 2, out + err
    [line] = [line for line in err.splitlines() if "loadgen: error" in line]
    assert said in line
    assert not (project / "reports").exists()


def test_files_of_locust_hold_the_last_write_and_what_is_in_vain_is_said(
    seeded: str, locust: Locust, project: Path
) -> None:
    """CSV, JSON and HTML are complete, stdout is only JSON, and each warning is one line."""
    files = ("--csv", "out/c", "--csv-full-history", "--html", "out/r.html", "--json")
    in_vain = [word for words in IN_VAIN for word in words]
    process = locust(seeded, "-t", "3s", "-r", "2", *files, *in_vain, *rates())
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    done = committed(project)
    assert done > 50
    assert requests_in(project / "out" / "c_stats.csv") == done
    assert sum(entry["num_requests"] for entry in json.loads(out)) == done
    assert f'"num_requests": {done}' in (project / "out" / "r.html").read_text()
    with (project / "out" / "c_stats_history.csv").open() as history:
        assert list(csv.reader(history))[-1][-7:][0] == str(done)
    warnings = [line for line in err.splitlines() if "loadgen: warning" in line]
    assert [sum(words[0] in line for line in warnings) for words in IN_VAIN] == [1] * 4
    assert "did you mean --load-profile burst?" in err
    assert "verdict: passed (exit code 0)" in err


def test_a_page_below_a_path_and_a_run_that_ends_by_itself(
    seeded: str, project: Path, metrics_port: int
) -> None:
    """`--web-base-path` applies to our script and routes; `--autoquit` prints the summary."""
    shutil.copy(ROOT / "locustfile.py", project)
    (project / "thresholds.toml").write_text(LENIENT)
    port = find_free_port()
    ask = Ask(f"http://127.0.0.1:{port}/base")
    env = {"DATABASE_URL": seeded, "PYTHONPATH": str(ROOT), "METRICS_PORT": str(metrics_port)}
    options = ("--autostart", "--autoquit", "0", "--web-base-path", "/base", "--csv", "c")
    with spawning() as spawn:
        web_port = ("--web-port", str(port))
        process = spawn(
            "-m", "locust", *options, *web_port, "-t", "8s", *rates(), cwd=project, env=env
        )

        def shown() -> str:
            assert process.poll() is None, process.communicate()
            try:
                return ask("/")
            except URLError:
                return ""

        assert '<script src="/base/loadgen/page.js">' in wait_for(shown, "the page")
        assert "current_settings" in ask("/loadgen/page.js")
        wait_for(lambda: json.loads(ask("/loadgen/rates"))["state"] == "running", "the run")
        form = {"user_count": "2", "spawn_rate": "1", "run_time": "0"}
        refused = json.loads(ask("/swarm", form))
        assert refused["message"].startswith("Run time is '0': it must be 1 second or more")
        with pytest.raises(HTTPError):
            Ask(f"http://127.0.0.1:{port}")("/loadgen/rates")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert "Rows gained equal the committed counters" in out
    assert "verdict: passed (exit code 0)" in out
    assert requests_in(project / "c_stats.csv") == committed(project)
