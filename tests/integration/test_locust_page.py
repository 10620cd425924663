"""Locust's page: its memory is bounded, its login holds; in a process that gevent patches."""

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
    """The last ten minutes are whole; older points are thinned but reach back to the start."""
    out, err = start_python(TWO_DAYS).communicate(timeout=60)
    longest, whole, first, seconds = out.split()
    assert not err
    assert int(longest) <= 240
    assert whole == "True"
    assert first == "0"
    assert int(seconds) <= 61


MIXES = """
import locust
from types import SimpleNamespace
from loadgen.commands.demo import RATES
from loadgen.config.settings import load_settings
from loadgen.load.web_ui import offer_mixes
from loadgen.workload.operations import operations_of

def begins(**settings):
    web_ui = SimpleNamespace(template_args={})
    configured = load_settings(settings)
    offer_mixes(web_ui, configured, operations_of(configured))
    return web_ui.template_args["loadgen"]

offered = begins()
demo, configured = (mix["rates"] for mix in offered["mixes"])
assert configured == {"orders_per_hour": 50, "events_per_hour": 200,
                      "status_updates_per_hour": 40, "soft_deletes_per_hour": 1}
for name in ("orders", "events", "status-updates"):
    assert demo[f"{name.replace('-', '_')}_per_hour"] == RATES[name]
# Two days delete fewer users than the baseline has.
assert 48 * demo["soft_deletes_per_hour"] < load_settings().initial_users
print(offered["begin_with_demo"], begins(orders_per_hour=51)["begin_with_demo"],
      begins(database_url="postgresql://a:b@c/d")["begin_with_demo"])
"""


def test_the_form_begins_with_the_demo_mix_only_if_nothing_else_is_chosen(
    start_python: Callable[..., subprocess.Popen[str]],
) -> None:
    """Not with rates of one's own, nor at a database where writes may cost something."""
    out, err = start_python(MIXES).communicate(timeout=60)
    assert not err
    assert out.split() == ["True", "False", "False"]
