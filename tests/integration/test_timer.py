"""The load's timer, in a separate interpreter, in which gevent has patched everything."""

import json
import subprocess
import sys
import textwrap

import pytest

from tests.conftest import clean_environment


def played(kind: str) -> dict[str, list[float]]:
    """Return when a timer of that kind called back, by the names of its starts."""
    code = """
        import locust, gevent, json, sys, time
        from loadgen.load.driver import timer as timers
        timer = getattr(timers, sys.argv[1])()
        called, began = {}, time.monotonic()

        def start(seconds, name):
            note = lambda: called.setdefault(name, []).append(time.monotonic() - began)
            timer.start(seconds, note)

        start(0.2, "once")
        gevent.sleep(0.5)
        start(-1.0, "overdue")
        gevent.sleep(0.3)
        start(0.1, "forgotten")
        start(0.2, "in its place")
        gevent.sleep(0.5)
        start(0.1, "stopped")
        timer.stop()
        gevent.sleep(0.3)
        start(0.1, "after a stop")
        time.sleep(0.3)
        gevent.sleep(0.3)
        start(0.1, "closed")
        timer.close()
        timer.close()
        gevent.sleep(0.3)
        print(json.dumps(called))
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), kind],
        env=clean_environment(gevent=True),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    called: dict[str, list[float]] = json.loads(done.stdout)
    return called


@pytest.mark.parametrize("kind", ["FileTimer", "LoopTimer"])
def test_it_calls_back_once_and_not_early(kind: str) -> None:
    """The last start counts, a stop or a close ends it; overdue means at once."""
    called = played(kind)
    assert list(called) == ["once", "overdue", "in its place", "after a stop"]
    assert all(len(times) == 1 for times in called.values())
    assert called["once"][0] >= 0.2 - 0.002  # the loop's own rounds its clock


def test_the_best_there_is_is_taken() -> None:
    """On Linux that is the timer that is a file."""
    code = "import locust, loadgen.load.driver.timer as t; print(type(t.new_timer()).__name__)"
    found = subprocess.check_output(
        [sys.executable, "-c", code], env=clean_environment(gevent=True)
    )
    assert found.decode().strip() == ("FileTimer" if sys.platform == "linux" else "LoopTimer")
