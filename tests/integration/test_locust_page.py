"""Locust's page: what it keeps is bounded, its login holds; in a process that gevent patches."""

import subprocess
from collections.abc import Callable

TWO_DAYS = """
import locust
import time
from locust.stats import RequestStats
from loadgen.load.web_ui import prune

stats = RequestStats()
entry, longest = stats.get("insert_order", "SQL"), 0
for point in range(2 * 86_400 // 5):
    stats.history.append(point)
    prune(stats)
    longest = max(longest, len(stats.history))
now = int(time.time())
entry.num_reqs_per_sec.update(dict.fromkeys(range(now - 3600, now), 1))
prune(stats)
assert stats.history == sorted(stats.history)
print(longest, stats.history[-120:] == list(range(point - 119, point + 1)), stats.history[0],
      len(entry.num_reqs_per_sec))
"""


def test_two_days_of_chart_points_and_seconds_are_bounded(
    start_python: Callable[..., subprocess.Popen[str]],
) -> None:
    """The last ten minutes are whole, what is older is thinned but reaches back to the start."""
    out, err = start_python(TWO_DAYS).communicate(timeout=60)
    longest, whole, first, seconds = out.split()
    assert not err
    assert int(longest) <= 240
    assert whole == "True"
    assert first == "0"
    assert int(seconds) <= 61
