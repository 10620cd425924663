"""Locust's page: what it keeps is bounded, its login holds; in a process that gevent patches."""

import subprocess
from collections.abc import Callable

TWO_DAYS = """
import locust
import time
from locust.stats import RequestStats
from loadgen.page.locust_page import prune

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


LOGIN = """
import locust
from locust.env import Environment
from loadgen.door import make_door

for login in (False, True):
    environment = Environment()
    page = environment.create_web_ui("127.0.0.1", 0, delayed_start=True, web_login=login)
    page.app.secret_key = "secret"
    page.login_manager = page.login_manager if login else None
    if login:
        page.login_manager.user_loader(lambda _: None)
    page.app.register_blueprint(make_door(lambda: None, "/base", page.auth_required_if_enabled))
    client = page.app.test_client()
    asked, told = client.get("/base/loadgen/rates"), client.post("/base/loadgen/pause", json={})
    print(asked.status_code, told.status_code, client.get("/loadgen/rates").status_code)
"""


def test_a_login_protects_our_routes_too(
    start_python: Callable[..., subprocess.Popen[str]],
) -> None:
    """With --web-login who is not logged in is sent to the login, whatever the route is."""
    out, err = start_python(LOGIN).communicate(timeout=60)
    assert out.splitlines() == ["200 409 404", "302 302 404"], err
