"""The link from a run to the dashboards."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from grafana.__main__ import DASHBOARDS
from loadgen.config.settings import dashboard_link

BEGAN, ENDED = datetime(2026, 11, 23, 10, tzinfo=UTC), datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_it_opens_the_load_at_the_runs_time() -> None:
    """The dashboard is one of ours, the variable one of its; a little is shown around the run."""
    link = urlsplit(dashboard_link("http://127.0.0.1:3000/", "a run", BEGAN, ENDED))
    assert link.path == f"/d/{DASHBOARDS['load']['uid']}"
    asked = {name: values[0] for name, values in parse_qs(link.query).items()}
    assert asked == {"from": "1795427970000", "to": "1795435230000", "var-run": "a run"}
    names = {f"var-{one['name']}" for one in DASHBOARDS["load"]["templating"]["list"]}
    assert "var-run" in names


def test_a_run_that_goes_on_is_shown_up_to_now() -> None:
    """Its end is not known."""
    assert "&to=now&" in dashboard_link("https://grafana.example/sub", "r", BEGAN, None)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JavaScript://%0aalert(1)",
        "data:text/html,x",
        "file:///etc",
        "//x",
        "",
    ],
)
def test_only_an_address_of_a_web_page_is_linked(address: str) -> None:
    """Whatever a record holds: a link runs no script."""
    assert not dashboard_link(address, "r", BEGAN, None)


def test_a_link_has_no_login_and_ends_where_it_ends() -> None:
    """A bracket in an address ends no Markdown link, and the link shows no password."""
    link = dashboard_link("https://me:hun@ter2@host/a)[b](javascript:c) d", "r", BEGAN, None)
    assert link.startswith("https://host/a%29[b]%28javascript:c%29%20d/d/")
