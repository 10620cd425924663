"""Locust's page in a real browser: start, edit and refusal with two workers; and the report."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright, expect, sync_playwright

from loadgen.config.settings import load_settings
from loadgen.costs.collect import costs_of
from loadgen.record.rows import Sample
from loadgen.report.folder import write_report
from tests.acceptance.conftest import Ask, latest, wait_for
from tests.conftest import RunLoadgen
from tests.records import START, VERIFIED, Made, write_run

CHROMIUM = Path("/usr/bin/chromium")
WIDE = {"width": 1440, "height": 900}


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Start the driver; skip the tests if Chromium is not installed."""
    if not CHROMIUM.exists():
        pytest.skip("no Chromium")
    expect.set_options(timeout=60_000)
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(params=["light", "dark"])
def browser_page(request: pytest.FixtureRequest, playwright: Playwright) -> Iterator[Page]:
    """Yield an empty tab that prefers light or dark."""
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
    )
    page = browser.new_page(viewport=WIDE, color_scheme=request.param)  # type: ignore[arg-type]
    page.set_default_timeout(120_000)  # a machine may be slow
    yield page
    browser.close()


def row(page: Page, operation: str) -> list[str]:
    """Return the cells of an operation's row in our tab."""
    found = page.get_by_role("row", name=re.compile(operation))
    return found.get_by_role("cell").all_inner_texts()


@pytest.mark.parametrize("page", [("--processes", "2")], indirect=True, ids=["two workers"])
def test_a_person_starts_edits_and_is_refused(
    page: Ask, browser_page: Page, project: Path, tmp_path: Path
) -> None:
    """The form starts the load, an Edit reaches both workers, a bad value shows its message."""
    browser_page.goto(page.address)
    browser_page.get_by_label("Orders Per Hour").fill("36000")
    browser_page.get_by_label("Events Per Hour").fill("abc")
    browser_page.get_by_role("button", name="Start").click()
    expect(browser_page.get_by_text("EVENTS_PER_HOUR is 'abc' (form)")).to_be_visible()
    assert not (project / "reports").exists()

    browser_page.get_by_label("Events Per Hour").fill("72000")
    browser_page.get_by_role("button", name="Start").click()
    browser_page.get_by_role("tab", name="Load", exact=True).click()
    wait_for(lambda: (cells := row(browser_page, "insert_order")) and cells[1] == "10", "a target")
    wait_for(lambda: int(row(browser_page, "insert_event")[3]) > 10, "commits in the tab")
    expect(browser_page.get_by_text("Last change of rates: none.")).to_be_visible()

    browser_page.get_by_role("button", name="Edit").click()
    shown = browser_page.get_by_label("Orders Per Hour")
    expect(shown).to_have_value("36000")  # the current rate, not that of the launch
    shown.fill("nan")
    browser_page.get_by_role("button", name="Update").click()
    expect(browser_page.get_by_text("ORDERS_PER_HOUR is 'nan' (form)")).to_be_visible()
    browser_page.get_by_role("button", name="Edit").click()
    expect(shown).to_have_value("36000")  # the whole change was refused
    shown.fill("54000")
    browser_page.get_by_role("button", name="Update").click()
    expect(browser_page.get_by_role("status")).to_have_text("Change applied by 2 of 2")
    wait_for(lambda: row(browser_page, "insert_order")[1] == "15", "the edited target")
    expect(browser_page.get_by_text("Last change of rates: applied by 2 of 2.")).to_be_visible()
    wait_for(lambda: browser_page.screenshot(path=tmp_path / "tab.png"), "a picture")

    def changes() -> list[dict[str, Any]]:
        return [e for e in latest(project)["journal"] if e["kind"] == "rate_change"]

    wait_for(lambda: "applied_by" in changes()[-1], "who applied it, with the next flush")
    (change,) = changes()
    assert change["rates_per_hour"] == {"insert_order": {"from": 36_000, "to": 54_000}}
    assert (change["by"], change["applied_by"]) == ("page", "2 of 2")
    wait_for(
        lambda: (
            {10.0, 15.0}
            <= {
                round(sample.target_rate, 6)
                for sample in Sample.read(project / "reports" / "latest")
                if sample.operation == "insert_order"
            }
        ),
        "both rates in samples.csv",
    )
    browser_page.get_by_role("button", name="Stop").click()
    wait_for(lambda: latest(project)["ended_at"], "the end")
    run = latest(project)
    assert run["valid"] is True
    # The tab keeps the figures, which are now final.
    expect(browser_page.get_by_role("heading", name=f"Run {run['run_id']}: ended")).to_be_visible()
    expect(browser_page.get_by_text("passed (exit code 0)")).to_be_visible()
    for operation, totals in run["totals"].items():
        assert row(browser_page, operation)[3] == f"{totals['committed']:,}"


@pytest.mark.parametrize("page", [("--processes", "2")], indirect=True, ids=["two workers"])
def test_a_form_shows_what_was_changed_elsewhere(
    page: Ask, browser_page: Page, project: Path, run_loadgen: RunLoadgen, metrics_port: int
) -> None:
    """A page that is already open shows the new values, so posting its form undoes nothing."""
    browser_page.goto(page.address)
    browser_page.get_by_label("Events Per Hour").fill("72000")
    browser_page.get_by_role("button", name="Start").click()
    browser_page.get_by_role("tab", name="Load", exact=True).click()
    wait_for(lambda: (cells := row(browser_page, "insert_event")) and cells[1] == "20", "a target")

    elsewhere = ("rates", "--set", "insert_event=90000", "--profile", "burst")
    done = run_loadgen(*elsewhere, env={"METRICS_PORT": str(metrics_port)})
    assert "applied by 2 of 2" in done.stdout, done.stderr
    wait_for(lambda: row(browser_page, "insert_event")[1] != "20", "what was set elsewhere")
    for _ in range(2):  # the form takes its values from statistics requested after the change
        with browser_page.expect_response("**/stats/requests"):
            pass
    browser_page.get_by_role("button", name="Edit").click()
    expect(browser_page.get_by_label("Events Per Hour")).to_have_value("90000")
    expect(browser_page.get_by_label("Load Profile")).to_have_value("burst")
    browser_page.get_by_label("Orders Per Hour").fill("3600")
    browser_page.get_by_role("button", name="Update").click()
    expect(browser_page.get_by_role("status")).to_have_text("Change applied by 2 of 2")
    changes = [entry for entry in latest(project)["journal"] if entry["kind"] == "rate_change"]
    assert [entry["by"] for entry in changes][-1] == "page"
    assert changes[-1]["rates_per_hour"] == {"insert_order": {"from": 50, "to": 3600}}
    assert "profile" not in changes[-1]


@pytest.mark.parametrize("width", [390, 1200])
def test_the_rates_come_first(page: Ask, browser_page: Page, width: int) -> None:
    """Rates are unfolded and shown per second; one click sets a mix; the note is above."""
    browser_page.set_viewport_size({"width": width, "height": 844})
    browser_page.goto(page.address)
    orders = browser_page.get_by_label("Orders Per Hour")
    expect(orders).to_have_value("50")
    form = browser_page.locator("form")
    expect(form.locator("input").first).to_have_attribute("name", "ordersPerHour")
    expect(form.get_by_text("one every 72 s")).to_be_visible()
    browser_page.get_by_role("button", name="Demo mix (35 a second)").click()
    expect(orders).to_have_value("36000")
    expect(form.get_by_text("10 a second")).to_be_visible()
    expect(form.get_by_role("note")).to_have_text("Together: 35 a second; 3,020,000 writes a day.")
    orders.fill("abc")
    expect(form.get_by_text("10 a second")).to_be_hidden()
    browser_page.get_by_role("button", name="Rates of the settings").click()
    expect(orders).to_have_value("50")
    note = browser_page.get_by_text("Users are database connections").bounding_box()
    first = orders.bounding_box()
    assert note is not None
    assert first is not None
    assert note["y"] < first["y"]
    # A click on the heading does not fold them.
    browser_page.get_by_text("Rates: writes per hour").click()
    browser_page.wait_for_timeout(600)
    expect(orders).to_be_visible()
    assert browser_page.evaluate("document.documentElement.scrollWidth") == width


def test_the_first_form_begins_with_the_demo_mix(page: Ask, browser_page: Page) -> None:
    """The form does so if the load has its own server and the default rates."""
    text = page()
    assert '"begin_with_demo": false' in text  # this one has DATABASE_URL
    begun = text.replace('"begin_with_demo": false', '"begin_with_demo": true')
    browser_page.route(f"{page.address}/", lambda route: route.fulfill(body=begun))
    browser_page.goto(page.address)
    expect(browser_page.get_by_label("Events Per Hour")).to_have_value("72000")
    browser_page.get_by_label("Events Per Hour").fill("36000")
    browser_page.get_by_role("button", name="Start").click()
    browser_page.get_by_role("tab", name="Load", exact=True).click()
    wait_for(lambda: (cells := row(browser_page, "insert_event")) and cells[1] == "10", "a target")
    wait_for(lambda: int(row(browser_page, "insert_event")[3]) > 0, "a commit")
    browser_page.get_by_role("button", name="Stop").click()
    browser_page.get_by_role("button", name="New").click()
    # The last run's rate, not the demo mix again.
    expect(browser_page.get_by_label("Events Per Hour")).to_have_value("36000")


def test_the_load_tab_fits_a_phone(page: Ask, browser_page: Page) -> None:
    """The tab has chart, explained columns and links, and no line is wider than the screen."""
    browser_page.goto(page.address)
    browser_page.get_by_role("button", name="Demo mix").click()
    browser_page.get_by_role("button", name="Start").click()
    browser_page.get_by_role("tab", name="Load", exact=True).click()
    browser_page.set_viewport_size({"width": 390, "height": 844})
    tab = browser_page.get_by_role("region", name="Load")
    chart = tab.get_by_role("img", name="Target, offered and committed writes a second")
    expect(chart).to_be_visible()
    expect(tab.get_by_text("Committed 3")).to_be_visible()  # a rate of 30 to 39
    expect(tab.get_by_role("definition")).to_have_count(10)
    assert browser_page.evaluate("document.documentElement.scrollWidth") == 390
    # In one call, since the page draws the table again with every poll.
    right_edges = "cells => cells.map(cell => cell.getBoundingClientRect().right)"
    assert max(tab.get_by_role("cell").evaluate_all(right_edges)) <= 390
    with browser_page.expect_popup() as opened:
        tab.get_by_role("link", name="reports/").click()
    expect(opened.value.get_by_role("link", name="samples.csv")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1100])
def test_the_report_keeps_its_margins(browser_page: Page, tmp_path: Path, width: int) -> None:
    """A report with costs and copies keeps its margins on a phone and on a desktop."""
    path = write_run(tmp_path, Made(seconds=60))
    costs_of(path, load_settings({}), START).write(path)
    VERIFIED.write(path)
    browser_page.set_viewport_size({"width": width, "height": 900})
    browser_page.goto(write_report(path, START).html.as_uri())
    assert browser_page.evaluate("document.documentElement.scrollWidth") == width
    for part in ("h1", "#costs h2", "#answer .tool", "#correctness h2", "#impact h2"):
        box = browser_page.locator(part).first.bounding_box()
        assert box is not None
        assert box["x"] == (16 if width == 390 else (width - 880) / 2 + 24)
