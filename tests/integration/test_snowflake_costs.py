"""Snowflake's cost lines, through the real connector from an emulated account: to the cent.

SHOW WAREHOUSES and the live table functions are answered from records: the emulator has none.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from loadgen.costs.billing_window import Window
from loadgen.costs.lines import Unavailable
from tests.conftest import Fakesnow
from tests.snowflake_account import DENIED, Account, a_run, at, tools_of, warehouse

HOUR = a_run("2026-11-20T10:00:00", "2026-11-20T11:00:00", changes=2_000_000)
LATER = "2026-11-23T00:00:00"
TOOL = tools_of("a")


@pytest.fixture(scope="module")
def server(fakesnow: Fakesnow) -> Iterator[Account]:
    """Log in at the emulator."""
    with fakesnow.connect("SNOWFLAKE") as connection:
        account = Account(fakesnow.port, connection)
        for schema in ("account_usage", "organization_usage"):
            account.execute(f"CREATE SCHEMA IF NOT EXISTS snowflake.{schema}")
        yield account


@pytest.fixture
def account(server: Account) -> Account:
    """Return an account with empty views and one known warehouse."""
    server.empty()
    server.recorded = {"warehouses": [warehouse("WH_A"), warehouse("WH_B", "2")]}
    server.settings, server.card = {}, None
    return server


def cents(amount: Decimal | None) -> str:
    """Return dollars and cents, or that there are none."""
    return "none" if amount is None else f"{amount:.2f}"


@pytest.mark.parametrize(
    ("edition", "credits_", "dollars"),
    [
        ("standard", "1", "2.00"),
        ("enterprise", "1", "3.00"),
        ("business_critical", "1", "4.00"),
        ("standard", "1.35", "2.70"),
        ("enterprise", "1.35", "4.05"),
        ("business_critical", "1.35", "5.40"),
    ],
)
def test_an_hour_of_an_xs_costs_what_edition_and_generation_say(
    account: Account, edition: str, credits_: str, dollars: str
) -> None:
    """An hour is 1 credit on Gen1 and 1.35 on Gen2, times the edition's price in us-east-1."""
    account.settings = {"snowflake_edition": edition}
    account.hour("WH_A", "2026-11-20T10:00:00", credits_, attributed="0.25")
    lines = account.lines(TOOL, HOUR, LATER)
    work, idle = lines["a compute: work"], lines["a compute: idle"]
    assert work.amount is not None
    assert idle.amount is not None
    assert cents(work.amount + idle.amount) == dollars
    assert work.quantity == Decimal("0.25")
    assert work.basis == "list"
    assert work.final
    assert "X-Small Gen1" in work.source


def test_null_attributed_credits_leave_work_and_idle_in_one(account: Account) -> None:
    """Credits that Snowflake has not split are not split by us, and the note says so."""
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed=None)
    lines = account.lines(TOOL, HOUR, LATER)
    assert cents(lines["a compute"].amount) == "2.00"
    assert "idle time is unknown" in lines["a compute"].note
    assert "a compute: idle" not in lines


def test_partial_hours_over_midnight_are_pro_rated(account: Account) -> None:
    """22:30 to 00:15 is half an hour, an hour and a quarter: by the clock, since nothing ran."""
    for start, credits_ in (("20T22", "1"), ("20T23", "0.8"), ("21T00", "0.4")):
        account.hour("WH_A", f"2026-11-{start}:00:00", credits_, attributed="0.2")
    run = a_run("2026-11-20T22:30:00", "2026-11-21T00:15:00")
    lines = account.lines(TOOL, run, LATER)
    # 0.5 + 0.8 + 0.1 credits; work 0.1 + 0.2 + 0.05
    assert lines["a compute: work"].quantity == Decimal("0.35")
    assert lines["a compute: idle"].quantity == Decimal("1.05")
    assert cents(lines["a compute: idle"].amount) == "2.10"
    assert "2 partial hour(s) by the clock" in lines["a compute: idle"].note


def test_a_partial_hour_counts_by_the_time_awake(account: Account) -> None:
    """An hour is wholly the run's if its only work lies in the run's ten minutes."""
    account.hour("WH_A", "2026-11-20T10:00:00", "0.05", attributed="0.01")
    account.ran("WH_A", at("2026-11-20T10:22:00"), 30, "SVC_A")
    run = a_run("2026-11-20T10:20:00", "2026-11-20T10:30:00")
    lines = account.lines(TOOL, run, LATER)
    assert lines["a compute: work"].quantity == Decimal("0.01")
    assert "by the awake time" in lines["a compute: work"].note


@pytest.mark.parametrize(("generation", "dollars"), [("1", "12.80"), ("2", "17.28")])
def test_right_after_a_run_the_bill_is_told_from_uptime(
    account: Account, generation: str, dollars: str
) -> None:
    """A sync of 20 s every 5 minutes with AUTO_SUSPEND 60 is awake for 6.4 h of a day."""
    account.recorded = {
        "warehouses": [warehouse("WH_A", generation)],
        "live_hours": DENIED,
        "live_statements": [
            ("WH_A", start, start + timedelta(seconds=20), "SVC_A", "R", "", "X-Small")
            for k in range(288)
            for start in [at("2026-11-20T00:00:00") + timedelta(minutes=5 * k)]
        ],
    }
    run = a_run("2026-11-20T00:00:00", "2026-11-21T00:00:00", changes=1_000_000)
    tracker = account.tracker(TOOL, "2026-11-21T00:05:00")
    line = next(line for line in tracker.lines(run) if line.category == "compute")
    assert cents(line.amount) == dollars
    assert line.basis == "estimate"
    assert not line.final
    assert "awake 6.400 h" in line.note
    (efficiency,) = tracker.efficiency(run)
    assert efficiency.wake_ups == 288
    assert efficiency.statements_a_wake_up == 1


def test_a_resized_warehouse_costs_what_its_sizes_cost(account: Account) -> None:
    """An hour as X-Small and one as Small are 3 credits, $6, whatever its size is now."""
    account.recorded = {
        "warehouses": [warehouse("WH_A", size="Small")],
        "live_hours": DENIED,
        "live_statements": DENIED,
    }
    for minute in range(0, 120, 2):
        start = at("2026-11-20T10:00:00") + timedelta(minutes=minute)
        account.ran("WH_A", start, 119, "SVC_A", size="X-Small" if minute < 60 else "Small")
    run = a_run("2026-11-20T10:00:00", "2026-11-20T12:00:00")
    line = account.lines(TOOL, run, "2026-11-20T12:05:00")["a compute"]
    assert (cents(line.amount), line.basis) == ("6.00", "estimate")
    assert "1.000 h as X-Small at 1" in line.note
    assert "1.000 h as Small at 2" in line.note


def test_a_partial_hour_of_two_sizes_counts_by_their_credits(account: Account) -> None:
    """Half an hour as X-Small and half as Small, 1.5 credits, of which the run has the latter."""
    account.hour("WH_A", "2026-11-20T10:00:00", "1.5", attributed="1.5")
    for minute in range(0, 60, 2):
        start = at("2026-11-20T10:00:00") + timedelta(minutes=minute)
        seconds = 119 if minute < 58 else 60
        account.ran("WH_A", start, seconds, "SVC_A", size="X-Small" if minute < 30 else "Small")
    run = a_run("2026-11-20T10:30:00", "2026-11-20T11:00:00")
    line = account.lines(TOOL, run, LATER)["a compute: work"]
    assert (line.quantity, cents(line.amount)) == (Decimal(1), "2.00")


def test_what_no_database_or_warehouse_is_named_of_is_not_attributed(account: Account) -> None:
    """A streaming client, Openflow and cloud services of no warehouse belong to no tool."""
    hour = {"start_time": at("2026-11-20T10:00:00"), "end_time": at("2026-11-20T11:00:00")}
    for service, name, database, used in (
        ("SNOWPIPE_STREAMING", "client_7", None, "0.5"),
        ("OPENFLOW_COMPUTE_SNOWFLAKE", "runtime", "", "0.25"),
        ("SNOWPIPE_STREAMING", "t", "DB_A", "0.125"),
        ("PIPE", "p", "DB_ELSE", "9"),
        ("QUERY_ACCELERATION", "WH_ELSE", None, "9"),
    ):
        account.put(
            "account_usage.metering_history", **hour, service_type=service, name=name,
            database_name=database, credits_used=used,
        )  # fmt: skip
    account.hour("CLOUD_SERVICES_ONLY", "2026-11-20T10:00:00", "0", cloud="0.5")
    account.day("2026-11-20", "10", "2", "-1")
    lines = account.lines(TOOL, HOUR, LATER)
    assert cents(lines["a pipes and serverless"].amount) == "0.25"
    streaming = lines["all tools not attributed: SNOWPIPE_STREAMING"]
    assert cents(streaming.amount) == "1.00"
    assert "client_7" in streaming.note
    openflow = lines["all tools not attributed: OPENFLOW_COMPUTE_SNOWFLAKE"]
    assert cents(openflow.amount) == "0.50"
    cloud = lines["all tools not attributed: cloud services without a warehouse"]
    assert cents(cloud.amount) == "0.50"  # 0.5 of the account's 2 credits, of which 1 is billed
    assert sum("not attributed" in name for name in lines) == 3


def test_short_statements_on_a_shared_warehouse_are_not_attributed(account: Account) -> None:
    """Under 100 ms Snowflake attributes nothing, which is not $0.00; who ran nothing pays it."""
    tools = tools_of("a", "b", warehouse="WH_A")
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="0.4")
    account.attributed("WH_A", "2026-11-20T10:10:00", "SVC_A", "0.4")
    account.ran("WH_A", at("2026-11-20T10:10:00"), 60, "SVC_A")
    idle = account.lines(tools, HOUR, LATER)
    assert cents(idle["b compute: work"].amount) == "0.00"
    account.ran("WH_A", at("2026-11-20T10:30:00"), 0.05, "SVC_B")
    lines = account.lines(tools, HOUR, LATER)
    assert lines["b compute"].amount is None
    assert "not attributed" in lines["b compute"].note
    assert "1 statement(s) of SVC_B" in lines["b compute"].note
    assert cents(lines["a compute: work"].amount) == "0.80"
    assert "SVC_B" in lines["a compute: work"].note


def test_a_tool_s_own_short_statements_are_not_a_stranger_s_work(account: Account) -> None:
    """If no credits are attributed to the tool, the part of another user is unknown."""
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="0.4")
    account.ran("WH_A", at("2026-11-20T10:10:00"), 0.05, "SVC_A")
    account.ran("WH_A", at("2026-11-20T10:20:00"), 60, "EVE")
    account.attributed("WH_A", "2026-11-20T10:20:00", "EVE", "0.4")
    lines = account.lines(TOOL, HOUR, LATER)
    assert lines["a compute: work"].quantity == Decimal("0.4")
    assert "1 by EVE, whose part is not attributed" in lines["a compute: work"].note


def test_live_hours_are_provisional_and_replaced_by_the_view(account: Account) -> None:
    """Right after the run the table function is shown; once the view is filled, the view."""
    start = at("2026-11-20T10:00:00")
    account.recorded["live_hours"] = [("WH_A", start, Decimal("0.9"), Decimal("0.01"), None)]
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="0.5")
    early = account.lines(TOOL, HOUR, "2026-11-20T11:10:00")["a compute"]
    assert cents(early.amount) == "1.80"
    assert not early.final
    late = account.lines(TOOL, HOUR, LATER)
    assert cents(late["a compute: work"].amount) == "1.00"
    assert late["a compute: work"].final


def test_before_any_view_is_filled_nothing_is_nothing(account: Account) -> None:
    """Each figure that is not there yet says when to ask again; none of them is $0."""
    account.recorded |= {"live_hours": DENIED, "live_statements": DENIED}
    lines = account.lines(TOOL, HOUR, "2026-11-20T11:10:00")
    assert {line.amount for line in lines.values()} == {None}
    assert not any(line.final for line in lines.values())
    assert "after 2026-11-20 14:00 UTC" in lines["a compute"].note
    assert "after 2026-11-20 23:00 UTC" in lines["a pipes and serverless"].note
    assert "after 2026-11-21 03:00 UTC" in lines["a storage"].note


@pytest.mark.parametrize(
    ("cloud", "adjustment", "billed"),
    [
        ("0.8", "-0.8", "0"),  # 8 credits: all below a tenth of 10
        ("3.0", "-1.0", "0.2"),  # 2 of 3 are billed, and this tool used 0.3 of the 3
        ("3.0", None, "0.2"),  # by the rule if the day's adjustment is not there yet
    ],
)
def test_cloud_services_are_billed_above_a_tenth(
    account: Account, cloud: str, adjustment: str | None, billed: str
) -> None:
    """The account's day decides, and the billed credits are split by use."""
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="1", cloud="0.3")
    account.day("2026-11-20", "10", cloud, adjustment)
    line = account.lines(TOOL, HOUR, LATER)["a cloud services"]
    assert line.quantity == Decimal(billed)
    assert line.amount == Decimal(billed) * 2
    assert "0.3 credits before the daily rule" in line.note


def test_cloud_services_of_two_days_are_ruled_apart(account: Account) -> None:
    """The tenth is free each day: what one day leaves is not another's."""
    account.hour("WH_A", "2026-11-20T23:00:00", "1", attributed="1", cloud="0.1")
    account.hour("WH_A", "2026-11-21T00:00:00", "1", attributed="1", cloud="0.2")
    account.day("2026-11-20", "100", "2", "-2")
    account.day("2026-11-21", "10", "2", "-1")
    run = a_run("2026-11-20T23:00:00", "2026-11-21T01:00:00")
    line = account.lines(TOOL, run, LATER)["a cloud services"]
    assert line.quantity == Decimal("0.1")
    assert cents(line.amount) == "0.20"


def test_a_warehouse_of_two_tools_is_split_by_their_users(account: Account) -> None:
    """Attributed credits split it, idle time likewise; without separate users it is refused."""
    tools = tools_of("a", "b", warehouse="WH_A")
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="0.4")
    for user, used in (("SVC_A", "0.3"), ("SVC_B", "0.1")):
        account.attributed("WH_A", "2026-11-20T10:10:00", user, used)
    lines = account.lines(tools, HOUR, LATER)
    assert lines["a compute: work"].quantity == Decimal("0.3")
    assert lines["b compute: idle"].quantity == Decimal("0.15")
    assert "25.0% of WH_A, which a uses too" in lines["b compute: idle"].note
    shared = account.lines(tools_of("a", "b", warehouse="WH_A", user="SVC"), HOUR, LATER)
    assert shared["a compute"].amount is None
    assert "also used by b" in shared["a compute"].note


@pytest.mark.parametrize(
    ("user", "tag", "user_note"),
    [("EVE", "", "1 by EVE"), ("SVC_A", "loadgen verify", "1 by SVC_A as loadgen verify")],
)
def test_a_stranger_s_statement_is_a_line_of_its_own(
    account: Account, user: str, tag: str, user_note: str
) -> None:
    """It stays in the warehouse's sum, and is neither the tool's work nor hidden; ours likewise."""
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="0.4")
    account.ran("WH_A", at("2026-11-20T10:05:00"), 60, "SVC_A")
    account.ran("WH_A", at("2026-11-20T10:20:00"), 60, user, tag)
    account.attributed("WH_A", "2026-11-20T10:05:00", "SVC_A", "0.3")
    account.attributed("WH_A", "2026-11-20T10:20:00", user, "0.1", tag)
    lines = account.lines(TOOL, HOUR, LATER)
    assert lines["a compute: work"].quantity == Decimal("0.3")
    assert lines["a compute: other users"].quantity == Decimal("0.1")
    assert user_note in lines["a compute: other users"].note
    assert lines["a compute: idle"].quantity == Decimal("0.6")


def test_the_contract_s_rate_comes_before_the_card(account: Account) -> None:
    """RATE_SHEET_DAILY decides if it has the account; the last day known stands for gaps."""
    sheet = {"account_name": "PLAYGROUND", "account_locator": "XY1", "usage_type": "compute"}
    for rate, more in (
        ("1.75", {}),
        ("9.00", {"account_name": "OTHER"}),
        ("8.00", {"usage_type": "overage-compute"}),
    ):
        account.put(
            "organization_usage.rate_sheet_daily",
            **{**sheet, **more},
            date="2026-11-18",
            service_type="WAREHOUSE_METERING",
            billing_type="consumption",
            is_adjustment=False,
            currency="USD",
            effective_rate=rate,
        )
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="1")
    line = account.lines(TOOL, HOUR, LATER)["a compute: work"]
    assert (cents(line.amount), line.basis, line.grade) == ("1.75", "measured", "P")
    assert "RATE_SHEET_DAILY" in line.source


def test_a_day_without_its_rate_is_provisional_until_the_sheet_is_filled(account: Account) -> None:
    """Until then the last rate before it stands in, or the card; both may still change."""
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="1")
    soon, filled = "2026-11-21T12:00:00", "2026-11-22T00:00:00"
    for now, settled in ((soon, False), (filled, True)):
        line = account.lines(TOOL, HOUR, now)["a compute: work"]
        assert (cents(line.amount), line.final) == ("2.00", settled)
    rate = {
        "account_name": "PLAYGROUND", "account_locator": "XY1", "usage_type": "compute",
        "service_type": "WAREHOUSE_METERING", "billing_type": "consumption",
        "is_adjustment": False, "currency": "USD",
    }  # fmt: skip
    account.put("organization_usage.rate_sheet_daily", **rate, date="2026-11-19",
                effective_rate="1.75")  # fmt: skip
    line = account.lines(TOOL, HOUR, soon)["a compute: work"]
    assert (cents(line.amount), line.final) == ("1.75", False)
    account.put("organization_usage.rate_sheet_daily", **rate, date="2026-11-20",
                effective_rate="1.80")  # fmt: skip
    line = account.lines(TOOL, HOUR, soon)["a compute: work"]
    assert (cents(line.amount), line.final) == ("1.80", True)


@pytest.mark.parametrize(
    ("ours", "of_tool"),
    [
        ("https://org-playground.privatelink.snowflakecomputing.com", "ORG-PLAYGROUND"),
        ("ORG-PLAYGROUND", "org-playground.privatelink"),
        ("xy1.us-east-1.aws", "XY1"),
    ],
)
def test_an_account_may_be_written_in_any_form(ours: str, of_tool: str, account: Account) -> None:
    """The tool's is priced, and the contract's rate is found."""
    account.settings = {"snowflake_account": ours}
    account.put(
        "organization_usage.rate_sheet_daily", account_name="PLAYGROUND", account_locator="XY1",
        usage_type="compute", date="2026-11-20", service_type="WAREHOUSE_METERING",
        billing_type="consumption", is_adjustment=False, currency="USD", effective_rate="1.75",
    )  # fmt: skip
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="1")
    names = {"account": of_tool, "warehouse": "wh_a", "database": "db_a", "user": "svc_a"}
    line = account.lines(tools_of("a", **names), HOUR, LATER)["a compute: work"]
    assert cents(line.amount) == "1.75"


def test_storage_pipes_acceleration_and_transfer(account: Account) -> None:
    """A day of a tebibyte in November is a thirtieth of $23; the rest by credits and bytes."""
    tebibyte = 1024**4
    account.hour("WH_A", "2026-11-20T00:00:00", "1", attributed="1")
    account.put(
        "account_usage.database_storage_usage_history", usage_date="2026-11-20",
        database_name="DB_A", average_database_bytes=tebibyte * 2, average_failsafe_bytes=tebibyte,
    )  # fmt: skip
    hour = {"start_time": at("2026-11-20T05:00:00"), "end_time": at("2026-11-20T06:00:00")}
    services = (("PIPE", "P", "DB_A", "0.5"), ("QUERY_ACCELERATION", "WH_A", None, "0.25"))
    for service, name, database, used in services:
        account.put(
            "account_usage.metering_history", **hour, service_type=service, name=name,
            database_name=database, credits_used=used,
        )  # fmt: skip
    account.put(
        "account_usage.data_transfer_history", **hour,
        source_cloud="AWS", source_region="us-east-1", target_cloud="AWS",
        target_region="eu-west-1", bytes_transferred=tebibyte / 2,
    )  # fmt: skip
    run = a_run("2026-11-20T00:00:00", "2026-11-21T00:00:00")
    lines = account.lines(TOOL, run, LATER)
    assert cents(lines["a storage"].amount) == "2.30"
    assert cents(lines["a pipes and serverless"].amount) == "1.00"
    assert cents(lines["a query acceleration"].amount) == "0.50"
    assert cents(lines["all tools transfer"].amount) == "10.00"


def test_a_missing_grant_is_said_where_the_figure_would_stand(account: Account) -> None:
    """One view that may not be read costs its own line, and no other."""
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="1")
    account.execute("DROP TABLE snowflake.account_usage.database_storage_usage_history")
    account.execute("DROP TABLE snowflake.organization_usage.rate_sheet_daily")
    account.recorded["warehouses"] = DENIED
    lines = account.lines(TOOL, HOUR, LATER)
    assert cents(lines["a compute: work"].amount) == "2.00"
    storage = lines["a storage"]
    assert storage.amount is None
    assert "DATABASE_STORAGE_USAGE_HISTORY is not there or not granted" in storage.note


def test_an_unknown_warehouse_is_not_free(account: Account) -> None:
    """A known warehouse without an hour cost nothing; an unknown one is not priced."""
    known = account.lines(TOOL, HOUR, LATER)["a compute: work"]
    assert known.amount == 0
    unknown = account.lines(tools_of("a", warehouse="WH_X"), HOUR, LATER)["a compute"]
    assert unknown.amount is None
    assert "WH_X has no metered hour" in unknown.note


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"snowflake_edition": None}, "SNOWFLAKE_EDITION is not set"),
        ({"snowflake_region": None}, "SNOWFLAKE_REGION is not set"),
        ({"snowflake_region": "aws_mars_1"}, "has no credit price for aws_mars_1"),
    ],
)
def test_without_a_price_the_credits_are_still_there(
    account: Account, settings: dict[str, object], message: str
) -> None:
    """The measured credits are shown, and no price is made up."""
    account.settings = settings
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="1")
    line = account.lines(TOOL, HOUR, LATER)["a compute: work"]
    assert (line.quantity, line.amount) == (Decimal(1), None)
    assert message in line.note


def test_without_a_card_and_without_a_login(account: Account) -> None:
    """The lines report both."""
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="1")
    account.card = Unavailable("there is no rate card 'snowflake'")
    line = account.lines(TOOL, HOUR, LATER)["a compute: work"]
    assert "no rate card" in line.note
    account.settings = {"snowflake_port": 1}
    nobody = account.lines(TOOL, HOUR, LATER)
    assert list(nobody) == ["a Snowflake"]
    assert "can't reach snowflake://ORG-PLAYGROUND" in nobody["a Snowflake"].note


def test_efficiency_is_what_the_credits_were_spent_on(account: Account) -> None:
    """Credits a million changes, the idle share, bytes a row, statements a wake-up, and who."""
    account.hour("WH_A", "2026-11-20T10:00:00", "1", attributed="0.25")
    for minute in (5, 5.2, 30):
        account.ran("WH_A", at("2026-11-20T10:00:00") + timedelta(minutes=minute), 10, "SVC_A")
    account.put("account_usage.tables", table_catalog="DB_A", row_count=1000, bytes=150_000)
    (efficiency,) = account.tracker(TOOL, LATER).efficiency(HOUR)
    assert efficiency.credits_per_million_changes == Decimal("0.5")
    assert efficiency.idle_share == Decimal("0.75")
    assert efficiency.bytes_a_row == 150
    assert (efficiency.statements, efficiency.wake_ups) == (3, 2)
    assert efficiency.statements_a_wake_up == Decimal("1.5")
    assert efficiency.users == (("SVC_A", "R", "", 3),)


def test_a_tool_without_warehouse_or_database_is_told_so(account: Account) -> None:
    """tools.toml has to name them."""
    tool = {"kind": "generic", "destination": "snowflake", "schema": "PUBLIC"}
    lines = account.lines({"a": tool}, HOUR, LATER)
    assert "does not name its warehouse" in lines["a compute"].note
    assert "does not name its database" in lines["a storage"].note


def test_a_run_without_a_start_has_no_window(account: Account) -> None:
    """A record that says nothing gets lines that say so."""
    lines = account.lines(TOOL, a_run("2026-11-24T00:00:00", None), LATER)
    assert "no time to price" in lines["a Snowflake"].note
    assert Window(at(LATER), at(LATER)).length == 0
