"""The Pulumi program in infra/ refuses bad configuration, and the pages match the program."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from loadgen import cli
from loadgen.costs.aws import infra
from tests.pulumi_cases import IN_CLEAR, PROGRAM, PROJECT, REFUSED, WITH_RDS
from tests.stack import ROOT

README: Final = PROGRAM / "README.md"
GUIDE: Final = ROOT / "docs" / "AWS_SETUP.md"
# The permissions that each kind of resource needs at least to be created and deleted.
NEEDED: Final = {
    "Bucket": {"s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteObject", "s3:PutBucketTagging"},
    "BucketLifecycleConfiguration": {"s3:PutLifecycleConfiguration"},
    "BucketMetric": {"s3:PutMetricsConfiguration", "s3:GetMetricsConfiguration"},
    "BucketOwnershipControls": {"s3:PutBucketOwnershipControls"},
    "BucketPolicy": {"s3:PutBucketPolicy", "s3:DeleteBucketPolicy"},
    "BucketPublicAccessBlock": {"s3:PutBucketPublicAccessBlock"},
    "BucketServerSideEncryptionConfiguration": {"s3:PutEncryptionConfiguration"},
    "Policy": {"iam:CreatePolicy", "iam:DeletePolicy", "iam:GetPolicyVersion", "iam:TagPolicy"},
    "Instance": {"rds:CreateDBInstance", "rds:DeleteDBInstance", "rds:DescribeDBInstances"},
    "ParameterGroup": {"rds:CreateDBParameterGroup", "rds:ModifyDBParameterGroup"},
    "SecurityGroup": {"ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupIngress"},
}


def policies(page: Path) -> list[dict[str, set[str]]]:
    """Return the IAM policies that a page prints: the actions allowed, by resource."""
    blocks = re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [allowed(json.loads(block)) for block in blocks]


def allowed(document: dict[str, Any]) -> dict[str, set[str]]:
    """Return the actions that a policy allows, by resource; both may be a text or a list."""
    found: dict[str, set[str]] = {}
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        for resource in listed(statement["Resource"]):
            found.setdefault(resource, set()).update(listed(statement["Action"]))
    return found


def listed(value: Any) -> list[str]:
    """Return a value that IAM accepts alone or in a list as a list."""
    return value if isinstance(value, list) else [value]


def resources(outcome: dict[str, Any]) -> list[str]:
    """Return the kinds of the AWS resources that were registered."""
    told = [one["type"] for one in outcome["resources"] if one["type"].startswith("aws:")]
    return [kind.rpartition(":")[2] for kind in told]


@pytest.fixture
def defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset this machine's region and rate cards, which would give other prices."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "RATE_CARDS_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("config", "said"), REFUSED, ids=lambda value: str(value)[:40])
def test_bad_configuration_is_refused_in_a_line(
    config: dict[str, str], said: str, runs: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """The line names the setting and its allowed values; nothing is made, no password is shown."""
    outcome = runs({"config": {**WITH_RDS, **config}})
    assert outcome["refused"] == f"{PROJECT}:{said}"
    assert outcome["resources"] == []


def test_a_password_in_clear_is_refused(runs: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Without --secret the stack's file would contain the password."""
    outcome = runs(IN_CLEAR)
    said = "db_password is stored in clear: pulumi config set --secret db_password, with a new one"
    assert outcome["refused"] == f"{PROJECT}:{said}"
    assert outcome["resources"] == []


def test_pulumi_installs_what_was_checked() -> None:
    """The program's requirements have the versions of the development lock; its name is PROJECT."""
    asked = re.findall(r"^[\w.-]+==\S+", (PROGRAM / "requirements.txt").read_text(), re.MULTILINE)
    locked = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    assert {one.partition("==")[0] for one in asked} == {"pulumi", "pulumi-aws"}
    for one in asked:
        assert re.search(rf"^{re.escape(one)} ", locked, re.MULTILINE), one
    project = yaml.safe_load((PROGRAM / "Pulumi.yaml").read_text(encoding="utf-8"))
    assert project["name"] == PROJECT
    assert project["runtime"]["name"] == "python"


def test_the_configuration_table_is_the_code(told: dict[str, Any]) -> None:
    """Each setting is in infra/README.md once, with its default and its description."""
    section = README.read_text(encoding="utf-8").partition("## Configuration")[2]
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line[:3] == "| `"]
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    shown = [[name.strip("`"), value.strip("`"), words] for name, value, words in rows]
    assert shown == [[name, *about] for name, about in told["settings"].items()]


def test_the_readme_counts_what_is_made(
    bucket_only: dict[str, Any], with_rds: dict[str, Any]
) -> None:
    """infra/README.md has the number of resources, with and without RDS, and each output."""
    text = README.read_text(encoding="utf-8")
    few, many = len(resources(bucket_only)), len(resources(with_rds))
    assert f"{few} AWS resources to create ({many} with RDS)" in text
    section = text.partition("| output | is |")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(with_rds["outputs"])


def test_the_pages_print_the_costs_policy_that_is_made(bucket_only: dict[str, Any]) -> None:
    """The guide's last policy and the one in docs/costs-cloud.md equal the program's."""
    (made,) = (
        json.loads(one["inputs"]["policy"])
        for one in bucket_only["resources"]
        if one["name"] == "simplyload-costs"
    )
    bucket = bucket_only["outputs"]["s3_bucket_arn"]
    named = {
        arn.replace(bucket, "arn:aws:s3:::YOUR-BUCKET"): on for arn, on in allowed(made).items()
    }
    assert policies(GUIDE)[-1] == named
    assert policies(ROOT / "docs" / "costs-cloud.md") == [named]


def test_the_guide_lets_deploy_what_is_made(
    bucket_only: dict[str, Any], with_rds: dict[str, Any]
) -> None:
    """The first policy covers the bucket, the second adds RDS; only s3:GetBucket* is a wildcard."""
    few, rds, _ = policies(GUIDE)
    first = set().union(*few.values())
    both = first.union(*rds.values())
    assert set(resources(with_rds)) == set(NEEDED)
    for kinds, granted in ((resources(bucket_only), first), (resources(with_rds), both)):
        assert set().union(*(NEEDED[kind] for kind in kinds)) <= granted
    assert {one for one in both if one.endswith("*")} == {"s3:GetBucket*"}
    assert {one.partition(":")[2][:8] for one in rds["*"]} <= {"Describe", "ListTags"}
    names = {one["name"] for one in with_rds["resources"]}
    assert all(fnmatchcase(name, "simplyload-*") for name in names)


def test_a_month_is_counted_for_the_programs_defaults(
    told: dict[str, Any], defaults: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """`loadgen costs --infra` prices the default size of RDS, and the page has its output."""
    assert told["settings"]["db_instance_class"][0] == infra.INSTANCE_CLASS
    assert int(told["settings"]["db_storage_gb"][0]) == infra.STORAGE_GB
    assert cli.main(["costs", "--infra"]) == 0
    shown = capsys.readouterr().out.partition("warning: ")[0]  # about outdated prices
    text = README.read_text(encoding="utf-8")
    shown = "\n".join(line.rstrip() for line in shown.splitlines())
    assert shown.strip() in text.partition("\nloadgen costs --infra\n")[2]


def test_a_month_by_hand(defaults: None, capsys: pytest.CaptureFixture[str]) -> None:
    """A month has 730 hours, 20 GB and requests by the thousand; two items have no price."""
    assert cli.main(["costs", "--infra", "--json"]) == 0
    options = json.loads(capsys.readouterr().out)["options"]
    bucket, both = options["the bucket"], options["the bucket, and RDS"]
    assert both[: len(bucket)] == bucket
    amounts = {line["category"]: line["amount"] for line in both}
    assert amounts.pop("S3 request metrics") is None
    assert amounts.pop("transfer out") is None
    assert {name: Decimal(amount) for name, amount in amounts.items()} == {
        "S3 storage": Decimal("0.023"),
        "S3 requests, put and alike": Decimal("0.1314"),  # 26,280 at $0.005 a thousand
        "S3 requests, get and alike": Decimal("0.021024"),  # 52,560 at $0.0004
        "RDS db.t3.micro": Decimal("13.14"),
        "RDS storage gp3": Decimal("2.3"),
        "public IPv4": Decimal("3.65"),
    }
