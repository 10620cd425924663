"""A study of four tools, from the results of each tool and Snowflake to one comparison."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loadgen.record.folder import RunRecord
from loadgen.record.rows import MarkerSample
from loadgen.record.verify import Kind, TableOutcome, ToolVerification, Verification
from tests import records
from tests.conftest import Fakesnow, RunLoadgen
from tests.pages import markdown_tables, page_of
from tests.records import Made, marker, write_run
from tests.snowflake_account import Account

ROOT = Path(__file__).parents[2]
# In the middle of a day whose views are filled, whatever the time is now.
START = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) - timedelta(days=3)
TOOLS = ("fivetran", "rivery", "airbyte", "simplyload")
MEASURED = ("Cost", "Snowflake efficiency", "Correctness", "Freshness")
ROWS = {"orders": 41_000, "events": 92_000}
WRONG: dict[str, dict[Kind, int]] = {"airbyte": {"missing": 2, "stale": 1}, "rivery": {"lossy": 5}}
USAGE = """
[fivetran]
source = "usage page"
billed_usd = 41.20
[rivery]
source = "usage page"
billed_usd = 19.00
[airbyte]
source = "usage page"
billed_usd = 12.50
[simplyload]
source = "AWS bill"
billed_usd = 0.80
"""


def settings_of(tool: str) -> str:
    """Return the tool's table of tools.toml."""
    return (
        f'[tools.{tool}]\nkind = "{tool}"\ndestination = "snowflake"\ndatabase = "DB_{tool}"\n'
        f'schema = "PUBLIC"\nwarehouse = "WH_{tool}"\nuser = "SVC_{tool}"\n'
        f'price = {{ card = "{tool}" }}\n'
    ).replace(f"_{tool}", f"_{tool.upper()}")


def verified(tool: str) -> ToolVerification:
    """Return the verification of the tool's copy."""
    found = WRONG.get(tool, {})
    return ToolVerification(
        at=START.isoformat(),
        verdict="right" if not found else "lossy" if set(found) == {"lossy"} else "wrong",
        totals=found,
        in_flight=0,
        tables={name: TableOutcome(rows, rows) for name, rows in ROWS.items()},
        problems=(),
        findings=(),
    )


def delivered(number: int, tool: str) -> list[MarkerSample]:
    """Return a marker a minute, each delivered later than those of the tool before."""
    return [marker(k, 10.0 * number + k / 60, tool=tool, every=60) for k in range(60)]


@pytest.fixture
def summary(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a run of an hour with four tools, and their settings; return the run's folder."""
    monkeypatch.setattr(records, "START", START)
    folder = write_run(project / "reports", Made(seconds=3600, every=10, start=START))
    record = RunRecord.open(folder)
    Verification(tools={tool: verified(tool) for tool in TOOLS}).write(folder)
    for number, tool in enumerate(TOOLS, 1):
        record.append(delivered(number, tool))
    (folder / "usage.toml").write_text(USAGE)
    (project / "tools.toml").write_text("\n".join(map(settings_of, TOOLS)))
    (project / "decision.toml").write_bytes((ROOT / "decision.example.toml").read_bytes())
    return folder


@pytest.fixture
def answers(fakesnow: Fakesnow) -> dict[str, str]:
    """Fill the emulated account with each warehouse's usage; return the settings to reach it."""
    with fakesnow.connect("SNOWFLAKE") as connection:
        account = Account(fakesnow.port, connection)
        for schema in ("account_usage", "organization_usage"):
            account.execute(f"CREATE SCHEMA IF NOT EXISTS snowflake.{schema}")
        account.empty()
        start, day = START.replace(tzinfo=None), START.date().isoformat()
        for number, tool in enumerate(TOOLS, 1):
            name = f"WH_{tool.upper()}"
            account.hour(
                name, start.isoformat(), str(number), attributed=str(number / 4), cloud="0"
            )
            account.ran(name, START, 60, f"SVC_{tool.upper()}")
            account.put(
                "account_usage.database_storage_usage_history",
                usage_date=day,
                database_name=f"DB_{tool.upper()}",
                average_database_bytes=10**9,
                average_failsafe_bytes=0,
            )
            account.attributed(name, start.isoformat(), f"SVC_{tool.upper()}", str(number / 4))
        account.day(day, "10", "0", "0")
    names = {name.upper(): str(value) for name, value in fakesnow.settings.items()}
    return {**names, "SNOWFLAKE_EDITION": "standard", "SNOWFLAKE_REGION": "aws_us_east_1"}


def test_four_tools_are_compared_by_the_report_alone(
    summary: Path, answers: dict[str, str], run_loadgen: RunLoadgen
) -> None:
    """Each measured cell of the matrix has its figure, and a second report keeps people's words."""
    done = run_loadgen("report", env=answers)
    assert done.returncode == 0, done.stderr
    matrix = summary / "RESULTS.md"
    text = matrix.read_text()
    cells = {row[0]: row for row in markdown_tables(text)[:12]}
    assert tuple(cells["criterion"][2:]) == TOOLS
    for name in MEASURED:
        assert all("not " not in cell for cell in cells[name][2:]), cells[name]
    assert "$41.20" in cells["Cost"][2]
    assert cells["Correctness"][4].startswith("wrong: 2 missing, 1 stale in 133,000 rows")
    assert [cell.partition(":")[0] for cell in cells["Limits"][2:]] == ["go", "go", "no-go", "go"]
    page = page_of((summary / "report.html").read_text())
    told = "".join(page.text)
    assert {"GO", "NO-GO"} <= set(re.findall(r"GO|NO-GO|UNDECIDED", told))
    assert all(tool in told for tool in TOOLS)
    assert len(page.tables["correctness"]) == len(page.tables["freshness"]) == 1 + len(TOOLS)
    sections = [name for name in page.tables if name in {"costs", "correctness", "freshness"}]
    assert sections == ["correctness", "freshness", "costs"]

    row = next(line for line in text.splitlines() if line.startswith("| UX "))
    words = "7/10: plain, *no* alerts \\| none"
    edited = text.replace(row, f"| UX | yours | {words} | 9/10 | | 10/10, ours |") + "\nOur words\n"
    matrix.write_text(edited)
    again = run_loadgen("report", env=answers)
    assert again.returncode == 0, again.stderr
    kept = matrix.read_text()
    assert f"| {words} " in kept
    assert kept.endswith("\nOur words\n")
    assert "| 1 x 7 = 7 " in kept
    told = json.loads(run_loadgen("compare", summary.name, "--json").stdout)
    assert list(told["runs"][0]["tools"]) == list(TOOLS)
