"""AWS' cost lines, through the real boto3 from moto's server: to the cent.

Sizes, request counts and the bill come from the test: the emulator makes none by itself.
"""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest

from loadgen.config.settings import load_settings
from loadgen.costs.aws.bill import BILL_FILE, OTHER_CHARGES
from loadgen.costs.aws.client import clients
from loadgen.costs.aws.costs import AwsCosts
from loadgen.costs.aws.prices import AwsPrices
from loadgen.costs.aws.resources import AwsAccount, RDSCostTracker
from loadgen.costs.cards import load_card
from loadgen.costs.lines import Unavailable
from loadgen.record.costs import CostLine, Costs
from loadgen.record.folder import RunRecord
from loadgen.record.run import Run
from tests.emulated import aws_server

TOOL = "simplyload"
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)  # the emulator's clock stands there
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
TAGS = [{"Key": "tool", "Value": TOOL}]
GIB = 1024**3


@cache
def _client(service: str, region: str, url: str) -> Any:
    return boto3.client(service, region_name=region, endpoint_url=url)


@dataclass
class Aws:
    """The emulated account, emptied for each test."""

    url: str
    folder: Path
    region: str = "us-east-1"
    settings: dict[str, object] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return a client of the test's own, to put things there."""
        return _client(service, self.region, self.url)

    def reset(self) -> None:
        """Take all away."""
        self.post("/moto-api/reset", {})

    def post(self, path: str, body: object) -> None:
        """Tell the emulator something that AWS has no call for."""
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method="POST")  # noqa: S310 - loopback
        urllib.request.urlopen(request).close()  # noqa: S310 - as above

    def bucket(self, name: str, size: int = 0) -> None:
        """Make a tagged bucket with an object of that size."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=name)
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": TAGS})
        s3.put_object(Bucket=name, Key="k", Body=b"x" * size)

    def launch(self, kind: str, tool: str = TOOL) -> None:
        """Start a tagged Linux instance with a tagged volume of 100 GB."""
        ec2 = self.client("ec2")
        image = next(
            image for image in ec2.describe_images()["Images"] if not image.get("Platform")
        )
        ec2.run_instances(
            ImageId=image["ImageId"], MinCount=1, MaxCount=1, InstanceType=kind,
            BlockDeviceMappings=[
                {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 100, "VolumeType": "gp3"}}
            ],
            TagSpecifications=[
                {"ResourceType": what, "Tags": [{"Key": "tool", "Value": tool}]}
                for what in ("instance", "volume")
            ],
        )  # fmt: skip

    def metric(self, name: str, value: float, at: datetime, dimensions: Mapping[str, str]) -> None:
        """Put a value of AWS/S3 there."""
        listed = [{"Name": key, "Value": text} for key, text in dimensions.items()]
        data = {"MetricName": name, "Dimensions": listed, "Timestamp": at, "Value": value}
        self.client("cloudwatch").put_metric_data(Namespace="AWS/S3", MetricData=[data])

    def billed(self, *days: tuple[str, str, bool]) -> None:
        """Put the next answer of Cost Explorer there: days, dollars of S3, whether estimated."""
        results = [
            {
                "TimePeriod": {"Start": day, "End": day},
                "Total": {},
                "Estimated": estimated,
                "Groups": [
                    {
                        "Keys": [f"tool${TOOL}", "Amazon Simple Storage Service"],
                        "Metrics": {"UnblendedCost": {"Amount": dollars, "Unit": "USD"}},
                    }
                ]
                if dollars
                else [],
            }
            for day, dollars, estimated in days
        ]
        path = "/moto-api/static/ce/cost-and-usage-results"
        self.post(path, {"results": [{"ResultsByTime": results}]})

    def costs(self, now: datetime = NOW, card: Unavailable | None = None) -> AwsCosts:
        """Return the source of lines as the product makes it."""
        settings = load_settings(
            {"aws_region": self.region, "aws_endpoint_url": self.url, **self.settings}
        )
        return AwsCosts([TOOL], settings, card or load_card("aws"), now)

    def lines(self, run: Run, now: datetime = NOW) -> dict[str, CostLine]:
        """Return the run's lines by `tool category`."""
        return {f"{line.tool} {line.category}": line for line in self.costs(now).lines(run)}

    def run(self, start: datetime, hours: float) -> Run:
        """Return a run of that time."""
        run = Run(run_id="r", started_at=start, ended_at=start + timedelta(hours=hours))
        RunRecord(self.folder, run).write()
        return Run.of(self.folder)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Run the emulator."""
    with aws_server(NOW) as url:
        yield url


@pytest.fixture
def aws(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Return an empty account, and keys that are not checked."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    account = Aws(server, tmp_path)
    account.reset()
    return account


def cents(line: CostLine) -> str:
    """Return dollars and cents, or that there are none."""
    return "none" if line.amount is None else f"{line.amount:.2f}"


def november(hours: int) -> Decimal:
    """Return the part of November that so many hours are."""
    return Decimal(hours) / (30 * 24)


def test_a_short_run_lists_its_bucket(aws: Aws) -> None:
    """The bucket's present content is taken for the whole run, as an estimate."""
    aws.bucket("short", 3 * 1024**2)
    line = aws.lines(aws.run(NOW - timedelta(hours=1), 1))[f"{TOOL} S3 storage"]
    assert line.basis == "estimate"
    assert line.payer == "service"
    expected = Decimal(3) / 1024 * november(1)
    assert line.quantity == expected.quantize(Decimal("1e-9"))
    assert "1 objects and versions" in line.note


@pytest.mark.parametrize(
    ("terabytes", "dollars"),
    [
        (40, {"S3 storage": 40 * 1024 * Decimal("0.023")}),
        (
            60,
            {
                "S3 storage, first 50 tb": 51200 * Decimal("0.023"),
                "S3 storage, next 450 tb": 10240 * Decimal("0.022"),
            },
        ),
    ],
)
def test_what_is_stored_is_priced_by_tiers(
    aws: Aws, terabytes: int, dollars: Mapping[str, Decimal]
) -> None:
    """Three days of CloudWatch's daily sizes, under and over 50 TB."""
    aws.bucket("long")
    start = datetime(2026, 11, 17, tzinfo=UTC)
    dimensions = {"BucketName": "long", "StorageType": "StandardStorage"}
    for day in range(3):
        at = start + timedelta(days=day)
        aws.metric("BucketSizeBytes", terabytes * 1024 * GIB, at, dimensions)
    lines = aws.lines(aws.run(start, 72), start + timedelta(hours=80))
    for category, month in dollars.items():
        line = lines[f"{TOOL} {category}"]
        assert cents(line) == f"{month / 10:.2f}"  # three days of November's thirty
        assert line.basis == "list"


def test_older_versions_of_objects_are_paid_for_too(aws: Aws) -> None:
    """Three versions of 1 MiB, the last one hidden by a delete marker: 3 MiB are stored."""
    aws.bucket("versioned")
    s3 = aws.client("s3")
    s3.delete_object(Bucket="versioned", Key="k")
    versioning = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration=versioning)
    for _ in range(3):
        s3.put_object(Bucket="versioned", Key="v", Body=b"x" * 1024**2)
    s3.delete_object(Bucket="versioned", Key="v")
    line = aws.lines(aws.run(NOW - timedelta(hours=1), 1))[f"{TOOL} S3 storage"]
    expected = Decimal(3) / 1024 * november(1)
    assert line.quantity == expected.quantize(Decimal("1e-9"))
    assert "3 objects and versions" in line.note


def test_what_an_emptied_bucket_held_is_not_known(aws: Aws) -> None:
    """Neither $0.00 nor 0 objects: the price is unknown."""
    aws.bucket("emptied", 1024**2)
    aws.client("s3").delete_object(Bucket="emptied", Key="k")
    line = aws.lines(aws.run(NOW - timedelta(hours=1), 1))[f"{TOOL} S3 storage"]
    assert (line.amount, line.quantity, line.grade) == (None, None, "?")
    assert "its size during the run is unknown" in line.note


def test_what_a_terminated_instance_had_is_not_known(aws: Aws) -> None:
    """Its volumes and its address went with it: a line each that says so, and none of $0."""
    aws.launch("t3.small")
    ec2 = aws.client("ec2")
    tagged = [
        {"Name": "tag:tool", "Values": [TOOL]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    (reservation,) = ec2.describe_instances(Filters=tagged)["Reservations"]
    ec2.terminate_instances(InstanceIds=[reservation["Instances"][0]["InstanceId"]])
    lines = aws.lines(aws.run(NOW - timedelta(hours=1), 51), NOW + timedelta(hours=50))
    for name in ("EBS", "public IPv4"):
        assert lines[f"{TOOL} {name}"].amount is None
        assert "AWS no longer shows" in lines[f"{TOOL} {name}"].note


def test_requests_are_counted_where_metrics_are_on(aws: Aws) -> None:
    """Put and alike at $0.005, get and alike at $0.0004 a thousand; without metrics no figure."""
    aws.bucket("asked")
    start = NOW - timedelta(hours=2)
    run = aws.run(start, 1)
    off = aws.lines(run)[f"{TOOL} S3 requests"]
    assert off.amount is None
    assert "turn them on with Id EntireBucket" in off.note
    dimensions = {"BucketName": "asked", "FilterId": "EntireBucket"}
    for name, value in (("PutRequests", 90_000), ("ListRequests", 10_000), ("GetRequests", 50_000)):
        aws.metric(name, value, start + timedelta(minutes=5), dimensions)
    on = aws.lines(run)
    assert cents(on[f"{TOOL} S3 requests, put and alike"]) == "0.50"
    assert cents(on[f"{TOOL} S3 requests, get and alike"]) == "0.02"


def test_an_instance_counts_from_its_launch_to_the_run_s_end(aws: Aws) -> None:
    """Hours by type, its public address, its volume by gigabyte; another's tag is not ours."""
    aws.launch("t3.small")
    aws.launch("t3.medium", "other")
    # A run that began an hour before the launch and continues for 50 hours after it.
    run = aws.run(NOW - timedelta(hours=1), 51)
    lines = aws.lines(run, NOW + timedelta(hours=50))
    instance = lines[f"{TOOL} EC2 t3.small"]
    assert cents(instance) == "1.04"  # 50 h at 0.0208
    assert cents(lines[f"{TOOL} public IPv4"]) == "0.25"
    volume = lines[f"{TOOL} EBS gp3"]
    assert volume.amount == pytest.approx(8 * november(50), abs=Decimal("0.01"))
    assert not any("medium" in name for name in lines)


@pytest.mark.parametrize("on", [True, False])
def test_rds_is_the_customer_s_where_there_is_one(aws: Aws, on: bool) -> None:
    """A database tagged `source` is priced by class and storage; without one there is no line."""
    if on:
        aws.client("rds").create_db_instance(
            DBInstanceIdentifier="src", DBInstanceClass="db.t3.micro", Engine="postgres",
            AllocatedStorage=20, StorageType="gp3", MasterUsername="u",
            MasterUserPassword="password1", Tags=[{"Key": "tool", "Value": "source"}],
        )  # fmt: skip
    lines = aws.lines(aws.run(NOW - timedelta(hours=1), 101), NOW + timedelta(hours=100))
    if not on:
        assert list(lines) == ["all tools AWS"]
        assert "no resource in the region" in lines["all tools AWS"].note
        return
    assert cents(lines["source RDS db.t3.micro"]) == "1.80"  # 100 h at 0.018
    assert lines["source RDS db.t3.micro"].payer == "customer"
    assert lines["source RDS db.t3.micro"].grade == "K"
    assert cents(lines["source RDS storage gp3"]) == "0.32"  # 100 h of November at 2.30 a month


def test_a_stopped_database_is_not_free(aws: Aws) -> None:
    """AWS does not say since when it is stopped, so its hours are not priced; its storage is."""
    rds = aws.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="src", DBInstanceClass="db.t3.micro", Engine="postgres",
        AllocatedStorage=20, StorageType="gp3", MasterUsername="u",
        MasterUserPassword="password1", Tags=TAGS,
    )  # fmt: skip
    rds.stop_db_instance(DBInstanceIdentifier="src")
    lines = aws.lines(aws.run(NOW - timedelta(hours=1), 3), NOW + timedelta(hours=3))
    assert "is stopped" in lines[f"{TOOL} RDS db.t3.micro"].note
    assert lines[f"{TOOL} RDS storage gp3"].amount is not None


def test_what_aws_lists_no_more_is_priced_as_it_was_seen(aws: Aws) -> None:
    """A deleted database is not free: its priced hours stay, and the hours after are unknown."""
    rds, run = aws.client("rds"), aws.run(NOW - timedelta(hours=1), 101)
    rds.create_db_instance(
        DBInstanceIdentifier="src", DBInstanceClass="db.t3.micro", Engine="postgres",
        AllocatedStorage=20, StorageType="gp3", MasterUsername="u",
        MasterUserPassword="password1", Tags=[{"Key": "tool", "Value": "source"}],
    )  # fmt: skip
    aws.lines(run, NOW + timedelta(hours=50))
    rds.delete_db_instance(DBInstanceIdentifier="src", SkipFinalSnapshot=True)
    aws.settings = {"aws_endpoint_url": "http://127.0.0.1:9"}
    away = aws.costs(NOW + timedelta(hours=60)).lines(run)
    assert not any(
        "no longer lists" in line.note for line in away
    )  # no answer from AWS: it may still exist
    aws.settings = {}
    for _ in range(2):  # at each call
        lines = aws.costs(NOW + timedelta(hours=100)).lines(run)
        hours, more = (line for line in lines if line.category == "RDS db.t3.micro")
        assert cents(hours) == "0.90"  # 50 h at 0.018
        assert "no longer lists src, last at 2026-11-" in hours.note
        assert more.amount is None
        assert "its cost in the rest of the run is unknown" in more.note
        (storage,) = (line for line in lines if line.category == "RDS storage gp3")
        assert cents(storage) == "0.16"


def test_what_was_priced_whole_stays_so_once_it_is_deleted(aws: Aws) -> None:
    """Volume and instance existed to the run's end when they were priced."""
    aws.launch("t3.small")
    run = aws.run(NOW - timedelta(hours=1), 51)
    before = aws.lines(run, NOW + timedelta(hours=50))
    aws.reset()
    after = aws.lines(run, NOW + timedelta(hours=60))
    for name in (f"{TOOL} EC2 t3.small", f"{TOOL} public IPv4", f"{TOOL} EBS gp3"):
        assert after[name].amount == before[name].amount
        assert "no longer lists" in after[name].note
    assert not any("rest of the run" in line.note for line in after.values())


DAYS = [f"2026-11-{day}" for day in (17, 18)]
TWO_DAYS = datetime(2026, 11, 17, tzinfo=UTC)


def test_cost_explorer_has_the_last_word(aws: Aws) -> None:
    """Once its days are there they replace the list prices; asking is paid, and done once."""
    aws.bucket("billed")
    aws.billed((DAYS[0], "1.10", False), (DAYS[1], "0.13", False))
    run, later = aws.run(TWO_DAYS, 48), TWO_DAYS + timedelta(days=4)
    first = aws.lines(run, later)
    assert cents(first[f"{TOOL} billed: Amazon Simple Storage Service"]) == "1.23"
    assert first[f"{TOOL} billed: Amazon Simple Storage Service"].final
    assert f"{TOOL} S3 storage" not in first
    assert cents(first["all tools Cost Explorer"]) == "0.02"  # usage, and all else
    assert aws.lines(run, later) == first


CHARGES = (
    # kind, service, day, dollars
    ("Usage", "Amazon Simple Storage Service", DAYS[0], "1.10"),
    ("Usage", "Amazon Simple Storage Service", DAYS[1], "0.13"),
    ("SavingsPlanCoveredUsage", "Amazon EC2", DAYS[0], "0.77"),
    ("Credit", "Amazon Simple Storage Service", DAYS[0], "-1.10"),
    ("Credit", "Amazon Simple Storage Service", DAYS[1], "-0.13"),
    ("Refund", "Amazon Simple Storage Service", DAYS[1], "-0.05"),
    ("Tax", "Tax", DAYS[1], "0.09"),
    ("SavingsPlanNegation", "Amazon EC2", DAYS[0], "-0.77"),
)


class CostExplorer(BaseHTTPRequestHandler):
    """Answers GetCostAndUsage from CHARGES by the question's filter and groups, as AWS does."""

    def do_POST(self) -> None:
        """Answer a question."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        by = request["GroupBy"][1]["Key"]
        sums: dict[str, dict[str, Decimal]] = {day: {} for day in DAYS}
        for kind, service, day, dollars in CHARGES:
            row = {"RECORD_TYPE": kind, "SERVICE": service, "tool": TOOL}
            if _matches(request["Filter"], row):
                sums[day][row[by]] = sums[day].get(row[by], Decimal(0)) + Decimal(dollars)
        results = [
            {
                "TimePeriod": {"Start": day, "End": day},
                "Estimated": False,
                "Groups": [
                    {
                        "Keys": [f"tool${TOOL}", name],
                        "Metrics": {"UnblendedCost": {"Amount": str(amount), "Unit": "USD"}},
                    }
                    for name, amount in groups.items()
                ],
            }
            for day, groups in sums.items()
        ]
        body = json.dumps({"ResultsByTime": results}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _matches(which: Mapping[str, Any], row: Mapping[str, str]) -> bool:
    if "And" in which:
        return all(_matches(part, row) for part in which["And"])
    if "Not" in which:
        return not _matches(which["Not"], row)
    (only,) = which.values()
    return row[only["Key"]] in only["Values"]


def test_a_credit_does_not_make_a_tool_free(aws: Aws) -> None:
    """Usage is the tool's: 1.10 + 0.13, and 0.77. Credits, refunds and taxes are separate lines."""
    aws.bucket("credited")
    with ThreadingHTTPServer(("127.0.0.1", 0), CostExplorer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        settings = {"aws_region": aws.region, "aws_endpoint_url": aws.url}
        others = clients(load_settings(settings))
        bills = clients(load_settings({**settings, "aws_endpoint_url": address}))

        def routed(service: str, region: str | None = None) -> Any:
            return (bills if service == "ce" else others)(service, region)

        now = TWO_DAYS + timedelta(days=4)
        source = AwsCosts([TOOL], load_settings(settings), load_card("aws"), now, routed)
        lines = source.lines(aws.run(TWO_DAYS, 48))
        server.shutdown()
    costs = Costs(made_at=now, lines=tuple(lines))
    assert costs.total(TOOL).amount == Decimal("2.00")
    apart = {line.category: line.amount for line in lines if line.tool == OTHER_CHARGES}
    assert apart == {
        f"Credit of {TOOL}": Decimal("-1.23"),
        f"Refund of {TOOL}": Decimal("-0.05"),
        f"Tax of {TOOL}": Decimal("0.09"),
        f"SavingsPlanNegation of {TOOL}": Decimal("-0.77"),
    }
    assert all(line.final for line in lines)


def test_an_answer_kept_without_kinds_is_asked_again(aws: Aws) -> None:
    """What an older program kept was net of credits: $0.00, and final."""
    aws.bucket("billed")
    aws.billed((DAYS[0], "1.10", False), (DAYS[1], "0.13", False))
    period = {"Start": "2026-11-17", "End": "2026-11-19"}
    group = {
        "Keys": [f"tool${TOOL}", "Amazon Simple Storage Service"],
        "Metrics": {"UnblendedCost": {"Amount": "0", "Unit": "USD"}},
    }
    results = [{"TimePeriod": {"Start": DAYS[0]}, "Estimated": False, "Groups": [group]}]
    stored = {
        "period": period,
        "asked_at": "2026-11-20T00:00:00+00:00",
        "requests": 1,
        "pages": [{"ResultsByTime": results}],
    }
    (aws.folder / BILL_FILE).write_text(json.dumps(stored))
    lines = aws.lines(aws.run(TWO_DAYS, 48), TWO_DAYS + timedelta(days=4))
    assert cents(lines[f"{TOOL} billed: Amazon Simple Storage Service"]) == "1.23"


def test_a_partial_day_of_the_bill_counts_by_its_part(aws: Aws) -> None:
    """A run of a day and a half has half of the second day."""
    aws.bucket("billed")
    aws.billed((DAYS[0], "1.10", False), (DAYS[1], "0.20", False))
    lines = aws.lines(aws.run(TWO_DAYS, 36), TWO_DAYS + timedelta(days=4))
    line = lines[f"{TOOL} billed: Amazon Simple Storage Service"]
    assert cents(line) == "1.20"
    assert "by the clock" in line.note


def test_cost_explorer_late_or_empty_leaves_list_prices(aws: Aws) -> None:
    """There is no query before the bill can be complete; after an empty one the next waits too."""
    aws.bucket("billed")
    run = aws.run(TWO_DAYS, 48)
    late = aws.lines(run, TWO_DAYS + timedelta(days=2, hours=1))
    storage = late[f"{TOOL} S3 storage"]
    assert not storage.final
    assert "up to a day late" in storage.note
    assert "all tools Cost Explorer" not in late
    aws.billed((DAYS[0], "", False), (DAYS[1], "", False))
    empty = aws.lines(run, TWO_DAYS + timedelta(days=4))
    assert "activate it as a cost allocation tag" in empty[f"{TOOL} S3 storage"].note
    aws.billed((DAYS[0], "1.00", False), (DAYS[1], "1.00", False))
    soon = aws.lines(run, TWO_DAYS + timedelta(days=4, hours=1))
    assert soon["all tools Cost Explorer"].quantity == 2
    assert soon[f"{TOOL} transfer"].amount is None


def test_estimated_days_are_provisional(aws: Aws) -> None:
    """What AWS itself calls an estimate may still change."""
    aws.bucket("billed")
    aws.billed((DAYS[0], "1.00", False), (DAYS[1], "1.00", True))
    lines = aws.lines(aws.run(TWO_DAYS, 48), TWO_DAYS + timedelta(days=4))
    assert not lines[f"{TOOL} billed: Amazon Simple Storage Service"].final


def test_a_missing_price_leaves_the_usage(aws: Aws) -> None:
    """Another region than the card's, a type it lacks, no card at all: said in the line."""
    aws.bucket("priced")
    run = aws.run(NOW - timedelta(hours=1), 1)
    no_card = aws.costs(card=Unavailable("there is no rate card 'aws'")).lines(run)
    assert all(line.amount is None for line in no_card)
    assert any("there is no rate card" in line.note for line in no_card)
    aws.launch("m5.large")
    large = aws.lines(aws.run(NOW - timedelta(hours=1), 3), NOW + timedelta(hours=2))
    assert "has no ec2_linux price for us-east-1, m5.large" in large[f"{TOOL} EC2 m5.large"].note


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("AccessDenied", "denied: the IAM policy"),
        ("ThrottlingException", "AWS throttles"),
        ("ExpiredToken", "the key has expired"),
        ("InvalidClientTokenId", "AWS does not know the key"),
    ],
)
def test_a_refusal_stands_where_the_figure_would(aws: Aws, code: str, message: str) -> None:
    """One service that refuses costs its own lines; the others are complete."""
    aws.bucket("refused")
    settings = load_settings({"aws_region": aws.region, "aws_endpoint_url": aws.url})
    made = clients(settings)

    def refusing(service: str, region: str | None = None) -> Any:
        client = made(service, region)
        if service == "rds":
            client.meta.events.register("before-call.rds", refuse)
        return client

    def refuse(**_: object) -> tuple[object, dict[str, Any]]:
        response = type("Response", (), {"status_code": 400, "headers": {}})()
        return response, {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {}}

    run = aws.run(NOW - timedelta(hours=1), 1)
    source = AwsCosts([TOOL], settings, load_card("aws"), NOW, refusing)
    lines = {f"{line.tool} {line.category}": line for line in source.lines(run)}
    assert message in lines["all tools RDS"].note
    assert "rds:DescribeDBInstances" in lines["all tools RDS"].note
    assert lines["all tools RDS"].amount is None
    assert lines[f"{TOOL} S3 storage"].amount is not None


def test_throttling_is_tried_again_and_bounded(aws: Aws) -> None:
    """Two refusals cost two more attempts and nothing else; it ends after five."""
    refused: list[str] = []

    class Throttles(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            busy = len(refused) < self.server.refusals  # type: ignore[attr-defined]
            if busy:
                refused.append(self.path)
            body = _THROTTLED if busy else _NO_INSTANCES
            self.send_response(400 if busy else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Throttles) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        settings = load_settings({"aws_region": "us-east-1", "aws_endpoint_url": address})
        account = AwsAccount(
            clients(settings), AwsPrices(load_card("aws"), "us-east-1"), [TOOL], NOW
        )
        run = aws.run(NOW - timedelta(hours=1), 1)
        server.refusals = 2  # type: ignore[attr-defined]
        assert RDSCostTracker(account).lines(run) == []
        assert len(refused) == 2
        refused.clear()
        server.refusals = 99  # type: ignore[attr-defined]
        (line,) = RDSCostTracker(account).lines(run)
        assert "AWS throttles, also after 5 attempts" in line.note
        assert len(refused) == 5
        server.shutdown()


_THROTTLED = b"""<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>
<Message>Rate exceeded</Message></Error><RequestId>r</RequestId></ErrorResponse>"""
_NO_INSTANCES = b"""<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances/>
</DescribeDBInstancesResult></DescribeDBInstancesResponse>"""


def test_nobody_there_and_no_keys(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a server or without keys the lines say so, within bounded attempts."""
    run = aws.run(NOW - timedelta(hours=1), 1)
    aws.settings = {"aws_endpoint_url": "http://127.0.0.1:9"}
    away = aws.lines(run)
    assert {line.amount for line in away.values()} == {None}
    assert any("Could not connect" in line.note for line in away.values())
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    keyless = aws.lines(run)
    assert any("credentials" in line.note for line in keyless.values())


def test_without_a_region_aws_is_not_used(aws: Aws) -> None:
    """No setting, no lines."""
    aws.settings = {"aws_region": None}
    assert aws.lines(aws.run(NOW - timedelta(hours=1), 1)) == {}
