"""What tagged AWS resources cost: S3 buckets, EC2 instances, EBS volumes and RDS instances.

Each tracker lists one kind of resource and prices its usage by the rate card; all calls only read.
A resource belongs to the tool in its tag `tool`. The tag `source` marks the source database, which
the customer pays for. Once Cost Explorer has the run's days, its bill replaces these lines.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

from loadgen.costs.aws.client import Clients, call_aws
from loadgen.costs.aws.prices import GIGABYTE, AwsPrices, hours_of_month, split_by_tier
from loadgen.costs.billing_window import DAY, Window, run_window
from loadgen.costs.lines import ALL_TOOLS, CostKey, Provenance, Unavailable, cost_line
from loadgen.record.costs import CostLine
from loadgen.record.run import Run

SOURCE: Final = "source"
METRICS_ID: Final = "EntireBucket"  # the id of the bucket's metrics configuration
_RUNNING: Final = frozenset({"pending", "running"})
_TERMINATED: Final = frozenset({"shutting-down", "terminated"})
_STOPPED_AT: Final = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT\)")
_MOST_OBJECTS: Final = 1_000_000  # a listing has a thousand per request
_WITH_DAILY_SIZES: Final = 2 * DAY  # CloudWatch has a bucket's size once a day
_WITH_MINUTES: Final = 14 * DAY  # CloudWatch keeps a metric's minutes for 15 days
_METRICS_DELAY: Final = timedelta(minutes=20)
_REQUEST_METRICS: Final = {
    "put": ("PutRequests", "PostRequests", "ListRequests"),
    "get": ("GetRequests", "HeadRequests", "SelectRequests"),
}

Resource = Mapping[str, Any]  # as boto3 returns it


def cost_key(tool: str, category: str) -> CostKey:
    """Return a line's key: the customer pays the source, a service the rest."""
    return CostKey(tool, "customer" if tool in {SOURCE, ALL_TOOLS} else "service", category)


@dataclass(frozen=True, slots=True)
class AwsAccount:
    """An AWS account: its clients and prices, the tools whose tags count, and the current time."""

    clients: Clients
    prices: AwsPrices
    tools: Sequence[str]
    now: datetime

    def owner(self, tags: object) -> str | None:
        """Return the tool that a resource belongs to; None if its tag names no tool of ours."""
        pairs = tags if isinstance(tags, list) else []
        tool = {str(tag.get("Key")): str(tag.get("Value")) for tag in pairs}.get("tool")
        return tool if tool in {SOURCE, *self.tools} else None


class ResourceTracker(ABC):
    """Lists the tagged resources of one kind and prices a run's usage of each.

    `listed` has the lines of each resource that AWS listed, None until AWS has answered.
    """

    name: ClassVar[str]
    action: ClassVar[str]  # as IAM names it
    client: ClassVar[tuple[str, str]]  # boto3's service and operation
    parameters: ClassVar[Mapping[str, object]] = {}
    list_key: ClassVar[str]
    id_key: ClassVar[str]
    tags_key: ClassVar[str] = "Tags"

    def __init__(self, account: AwsAccount) -> None:
        self.account = account
        self.listed: dict[str, list[CostLine]] | None = None

    def lines(self, run: Run) -> list[CostLine]:
        """Return the lines of the tagged resources."""
        window = run_window(run, self.account.now)
        if window is None:
            return []
        service, operation = self.client
        pages = call_aws(
            self.action,
            lambda: list(
                self.account.clients(service).get_paginator(operation).paginate(**self.parameters)
            ),
        )
        if isinstance(pages, Unavailable):
            return [cost_key(ALL_TOOLS, self.name).not_priced(pages)]
        self.listed = {
            str(resource[self.id_key]): list(self.resource_lines(tool, resource, window))
            for page in pages
            for resource in self.resources(page)
            if (tool := self.account.owner(resource.get(self.tags_key)))
        }
        return [line for lines in self.listed.values() for line in lines]

    def resources(self, page: Resource) -> Sequence[Resource]:
        """Return the resources in a page of AWS's answer."""
        resources: list[Resource] = page[self.list_key]
        return resources

    @abstractmethod
    def resource_lines(self, tool: str, resource: Resource, window: Window) -> Iterator[CostLine]:
        """Yield the lines of one resource."""

    def hourly(
        self, key: CostKey, window: Window, price: tuple[str, str], provenance: Provenance
    ) -> CostLine:
        """Return the line of something paid by the hour; `price` is a table and its column."""
        prices = self.account.prices.of(*price)
        return cost_line(key, "hour", _hours_by_day(window), prices, provenance)

    def monthly(
        self,
        key: CostKey,
        gigabytes: Decimal,
        window: Window,
        price: tuple[str, str],
        provenance: Provenance,
    ) -> CostLine:
        """Return the line of storage that is paid by the month and was there for the window."""
        by_day = {
            day: gigabytes * hours / hours_of_month(day)
            for day, hours in _hours_by_day(window).items()
        }
        return cost_line(key, "GB month", by_day, self.account.prices.of(*price), provenance)


class S3CostTracker(ResourceTracker):
    """Buckets, by storage and by requests."""

    name = "S3"
    action = "tag:GetResources"
    client = ("resourcegroupstaggingapi", "get_resources")
    parameters: ClassVar = {"TagFilters": [{"Key": "tool"}], "ResourceTypeFilters": ["s3"]}
    list_key = "ResourceTagMappingList"
    id_key = "ResourceARN"

    def resource_lines(self, tool: str, resource: Resource, window: Window) -> Iterator[CostLine]:
        """Yield a bucket's storage and requests."""
        bucket = resource["ResourceARN"].rpartition(":")[2]
        yield from self._storage(tool, bucket, window)
        yield from self._requests(tool, bucket, window)

    def _storage(self, tool: str, bucket: str, window: Window) -> Iterator[CostLine]:
        stored = self._stored(bucket, window)
        if isinstance(stored, Unavailable):
            yield cost_key(tool, "S3 storage").not_priced(stored)
            return
        size, provenance = stored
        tiers = list(split_by_tier(size / GIGABYTE)) or [("first_50_tb", Decimal(0))]
        for tier, gigabytes in tiers:
            category = "S3 storage" if len(tiers) == 1 else f"S3 storage, {tier.replace('_', ' ')}"
            key = cost_key(tool, category)
            yield self.monthly(key, gigabytes, window, ("s3_storage", tier), provenance)

    def _stored(self, bucket: str, window: Window) -> tuple[Decimal, Provenance] | Unavailable:
        """Return the stored bytes and how they are known."""
        *_, (_, last_day) = window.days()
        average = self._average_of_days(bucket, window)
        if average is not None:
            note = f"{bucket}, its days' average, class Standard"
            settled = self.account.now >= last_day.end + DAY
            return average, Provenance("AWS/S3 BucketSizeBytes", note, final=settled)
        sizes = call_aws("s3:ListBucketVersions", lambda: self._object_sizes(bucket))
        if isinstance(sizes, Unavailable):
            return replace(sizes, reason=f"{bucket}: {sizes.reason}")
        if len(sizes) >= _MOST_OBJECTS:
            return Unavailable(
                f"{bucket} has a million objects or more: CloudWatch has its size a day later"
            )
        if not sizes:
            return Unavailable(f"{bucket} is empty now, so its size during the run is unknown")
        note = (
            f"{bucket}, its {len(sizes)} objects and versions of now as if there from the start; "
            "without those deleted since"
        )
        return Decimal(sum(sizes)), Provenance("s3:ListBucketVersions", note, basis="estimate")

    def _average_of_days(self, bucket: str, window: Window) -> Decimal | None:
        """Return CloudWatch's average size over the window's days, None if it has none."""
        if window.end - window.start < _WITH_DAILY_SIZES:
            return None
        dimensions = {"BucketName": bucket, "StorageType": "StandardStorage"}
        first_day = next(whole.start for _, whole in window.days())
        days = Window(first_day, window.end)
        sizes = self._metrics(["BucketSizeBytes"], dimensions, days, "Average", 86400)
        if isinstance(sizes, Unavailable) or not sizes["BucketSizeBytes"]:
            return None
        return sum(sizes["BucketSizeBytes"], Decimal(0)) / len(sizes["BucketSizeBytes"])

    def _object_sizes(self, bucket: str) -> list[int]:
        """Return the bytes of each object, older versions included, which are paid for too."""
        pages = self.account.clients("s3").get_paginator("list_object_versions")
        return [
            int(version["Size"])
            for page in pages.paginate(Bucket=bucket, PaginationConfig={"MaxItems": _MOST_OBJECTS})
            for version in page.get("Versions", [])
        ]

    def _requests(self, tool: str, bucket: str, window: Window) -> Iterator[CostLine]:
        names = [name for kind in _REQUEST_METRICS.values() for name in kind]
        dimensions = {"BucketName": bucket, "FilterId": METRICS_ID}
        period = 60 if self.account.now - window.start < _WITH_MINUTES else 3600
        requests = self._metrics(names, dimensions, window, "Sum", period)
        if isinstance(requests, Unavailable):
            reason = f"{bucket}: {requests.reason}"
            yield cost_key(tool, "S3 requests").not_priced(replace(requests, reason=reason))
            return
        final = self.account.now > window.end + _METRICS_DELAY
        if not any(requests.values()):
            reason = (
                f"{bucket} has no request metrics in the run: turn them on with Id {METRICS_ID}"
            )
            unavailable = Unavailable(reason, temporary=not final)
            yield cost_key(tool, "S3 requests").not_priced(unavailable)
            return
        note = f"{bucket}; AWS calls these metrics best effort"
        provenance = Provenance("AWS/S3 request metrics", note, final)
        for kind, metrics in _REQUEST_METRICS.items():
            number = sum((count for name in metrics for count in requests[name]), Decimal(0))
            key = cost_key(tool, f"S3 requests, {kind} and alike")
            price = self.account.prices.of("s3_requests", kind, per=1000)
            yield cost_line(key, "request", {window.start.date(): number}, price, provenance)

    def _metrics(
        self,
        names: Sequence[str],
        dimensions: Mapping[str, str],
        window: Window,
        statistic: str,
        period: int,
    ) -> dict[str, list[Decimal]] | Unavailable:
        """Return figures of AWS/S3's metrics in the window, one for each period of seconds."""
        where = [{"Name": name, "Value": text} for name, text in dimensions.items()]
        queries = [
            {
                "Id": f"m{i}",
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/S3", "MetricName": name, "Dimensions": where},
                    "Stat": statistic,
                    "Period": period,
                },
            }
            for i, name in enumerate(names)
        ]
        pages = call_aws(
            "cloudwatch:GetMetricData",
            lambda: list(
                self.account.clients("cloudwatch")
                .get_paginator("get_metric_data")
                .paginate(MetricDataQueries=queries, StartTime=window.start, EndTime=window.end)
            ),
        )
        if isinstance(pages, Unavailable):
            return pages
        figures: dict[str, list[Decimal]] = {name: [] for name in names}
        for page in pages:
            for series in page["MetricDataResults"]:
                name = names[int(series["Id"][1:])]
                figures[name] += [Decimal(str(figure)) for figure in series["Values"]]
        return figures


class EC2CostTracker(ResourceTracker):
    """Instances by their hours, with their public addresses."""

    name = "EC2"
    action = "ec2:DescribeInstances"
    client = ("ec2", "describe_instances")
    parameters: ClassVar = {"Filters": [{"Name": "tag-key", "Values": ["tool"]}]}
    id_key = "InstanceId"

    def resources(self, page: Resource) -> Sequence[Resource]:
        """Return the instances of a page."""
        return [
            instance
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        ]

    def resource_lines(self, tool: str, resource: Resource, window: Window) -> Iterator[CostLine]:
        """Yield an instance's hours and its address, or why they are unknown."""
        kind, name = str(resource["InstanceType"]), str(resource["InstanceId"])
        state = str(resource["State"]["Name"])
        compute, launched = cost_key(tool, f"EC2 {kind}"), resource["LaunchTime"].astimezone(UTC)
        if launched >= window.end:
            return
        if resource.get("Platform") or "Linux" not in resource.get("PlatformDetails", "Linux"):
            yield compute.not_priced(f"{name} does not run plain Linux, all that the card has")
            return
        ended = _ended_at(resource, self.account.now)
        address = cost_key(tool, "public IPv4")
        if ended is None:
            yield compute.not_priced(f"{name} is {state}; AWS does not show since when")
        else:
            ran = Window(launched, ended).within(window)
            note = f"{name} since its last start; without CPU credits beyond the free ones"
            provenance = Provenance(self.action, note)
            yield self.hourly(compute, ran, ("ec2_linux", kind), provenance)
            if resource.get("PublicIpAddress"):
                provenance = Provenance(self.action, name)
                yield self.hourly(address, ran, ("public_ipv4", "address"), provenance)
        if state in _RUNNING:
            return
        if not resource.get("PublicIpAddress"):
            yield address.not_priced(
                f"{name} is {state}: AWS no longer shows whether it had an address"
            )
        if state in _TERMINATED and not resource.get("BlockDeviceMappings"):
            yield cost_key(tool, "EBS").not_priced(
                f"{name} is {state}: AWS no longer shows the volumes that were deleted with it"
            )


class EBSCostTracker(ResourceTracker):
    """Volumes, by their size."""

    name = "EBS"
    action = "ec2:DescribeVolumes"
    client = ("ec2", "describe_volumes")
    parameters: ClassVar = EC2CostTracker.parameters
    list_key = "Volumes"
    id_key = "VolumeId"

    def resource_lines(self, tool: str, resource: Resource, window: Window) -> Iterator[CostLine]:
        """Yield a volume's storage since it was created."""
        existed = Window(resource["CreateTime"].astimezone(UTC), self.account.now).within(window)
        if not existed.length:
            return
        kind, size = str(resource["VolumeType"]), Decimal(resource["Size"])
        provenance = Provenance(self.action, f"{resource['VolumeId']}, {size} GB")
        yield self.monthly(cost_key(tool, f"EBS {kind}"), size, existed, ("ebs", kind), provenance)


class RDSCostTracker(ResourceTracker):
    """Postgres instances by class and hours, and their storage."""

    name = "RDS"
    action = "rds:DescribeDBInstances"
    client = ("rds", "describe_db_instances")
    tags_key = "TagList"
    list_key = "DBInstances"
    id_key = "DBInstanceIdentifier"

    def resource_lines(self, tool: str, resource: Resource, window: Window) -> Iterator[CostLine]:
        """Yield an instance's hours, its address and its storage, or why they are unknown."""
        kind, name = str(resource["DBInstanceClass"]), str(resource["DBInstanceIdentifier"])
        storage, size = str(resource["StorageType"]), Decimal(resource["AllocatedStorage"])
        compute, disk = cost_key(tool, f"RDS {kind}"), cost_key(tool, f"RDS storage {storage}")
        created = resource["InstanceCreateTime"].astimezone(UTC)
        existed = Window(created, self.account.now).within(window)
        if not existed.length:
            return
        if resource.get("MultiAZ") or resource["Engine"] != "postgres":
            reason = f"{name} is not Postgres in one zone, all that the card has"
            yield from (key.not_priced(reason) for key in (compute, disk))
            return
        provenance = Provenance(self.action, name)
        if resource["DBInstanceStatus"] in {"stopped", "stopping"}:
            yield compute.not_priced(f"{name} is stopped; AWS does not show since when")
        else:
            note = f"{name}, as if it never stopped; without CPU credits"
            hours = replace(provenance, note=note)
            yield self.hourly(compute, existed, ("rds_postgres", kind), hours)
            if resource.get("PubliclyAccessible"):
                address, price = cost_key(tool, "public IPv4"), ("public_ipv4", "address")
                yield self.hourly(address, existed, price, provenance)
        yield self.monthly(disk, size, existed, ("rds_storage", storage), provenance)


def _ended_at(instance: Resource, now: datetime) -> datetime | None:
    """Return when an instance stopped, `now` if it runs; None if AWS does not show it."""
    if instance["State"]["Name"] in _RUNNING:
        return now
    stopped = _STOPPED_AT.search(str(instance.get("StateTransitionReason", "")))
    return None if stopped is None else datetime.fromisoformat(stopped[1]).replace(tzinfo=UTC)


def _hours_by_day(window: Window) -> dict[date, Decimal]:
    hours = {day: window.within(whole).hours for day, whole in window.days()}
    return hours or {window.start.date(): Decimal(0)}
