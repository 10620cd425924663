"""`loadgen costs` as a user runs it, with Snowflake and AWS emulated."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import boto3
import pytest

from loadgen.costs.billing_window import hour_of
from tests.conftest import Fakesnow, RunLoadgen
from tests.emulated import aws_server
from tests.snowflake_account import Account

TOOLS = """
[tools.simplyload]
kind = "simplyload"
destination = "snowflake"
database = "DB_A"
schema = "PUBLIC"
warehouse = "WH_A"
user = "SVC_A"
price = { card = "simplyload" }
"""
START = hour_of(datetime.now(UTC)) - timedelta(days=3)


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    """Run the emulator of AWS."""
    with aws_server() as url:
        yield url


@pytest.fixture
def run_folder(project: Path) -> Path:
    """Write tools.toml and the record of a run of an hour, three days ago; return its folder."""
    folder = project / "reports" / "20260101T000000Z-0001"
    folder.mkdir(parents=True)
    (project / "tools.toml").write_text(TOOLS)
    totals = {"insert_order": {"offered": 1000, "committed": 1000}}
    raw = {
        "schema_version": 1,
        "run_id": folder.name,
        "started_at": START.isoformat(),
        "ended_at": (START + timedelta(hours=1)).isoformat(),
        "totals": totals,
    }
    (folder / "run.json").write_text(json.dumps(raw))
    return folder


def test_both_clouds_are_in_costs_json(
    run_folder: Path, run_loadgen: RunLoadgen, fakesnow: Fakesnow, cloud: str
) -> None:
    """The file costs.json has the figures of Snowflake and AWS, and no estimates of these costs."""
    with fakesnow.connect("SNOWFLAKE") as connection:
        account = Account(fakesnow.port, connection)
        for schema in ("account_usage", "organization_usage"):
            account.execute(f"CREATE SCHEMA IF NOT EXISTS snowflake.{schema}")
        account.empty()
        account.hour("WH_A", START.replace(tzinfo=None).isoformat(), "1", attributed="0.25")
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    s3 = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=cloud,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - never checked
    )
    s3.create_bucket(Bucket="staging")
    s3.put_bucket_tagging(
        Bucket="staging", Tagging={"TagSet": [{"Key": "tool", "Value": "simplyload"}]}
    )
    s3.put_object(Bucket="staging", Key="k", Body=b"x")
    env = {
        **keys,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": cloud,
        "SNOWFLAKE_EDITION": "enterprise",
        "SNOWFLAKE_REGION": "aws_us_east_1",
        **{name.upper(): str(value) for name, value in fakesnow.settings.items()},
    }
    ended = run_loadgen("costs", "--all", "--run", run_folder.name, env=env)
    assert ended.returncode == 0, ended.stderr
    assert "What Snowflake's credits were spent on" in ended.stdout
    assert "estimated lines are left out" in ended.stdout
    costs = json.loads((run_folder / "costs.json").read_text())
    lines = {f"{line['tool']} {line['category']}": line for line in costs["lines"]}
    assert Decimal(lines["simplyload compute: idle"]["amount"]) == Decimal("2.25")
    assert lines["simplyload S3 storage"]["payer"] == "service"
    assert "simplyload instance" not in lines
    assert costs["outlook"]["snowflake"][0]["idle_share"] == "0.75"
