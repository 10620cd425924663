"""What tagged S3 buckets cost: what is stored in them, and the requests."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from loadgen.costs.aws.client import asked
from loadgen.costs.aws.prices import GIGABYTE, tiers
from loadgen.costs.aws.usage import EVERYONE, Account, gigabyte_months, what_of
from loadgen.costs.billing_window import DAY, Window, run_window
from loadgen.costs.lines import Provenance, priced
from loadgen.costs.unavailable import Unavailable
from loadgen.record.costs import CostLine
from loadgen.record.run import Run

FILTER: Final = "EntireBucket"  # the id of the bucket's metrics configuration
_LISTED: Final = 1_000_000  # objects, a thousand a request
_DAILY: Final = 2 * DAY  # CloudWatch has a bucket's size once a day: of use from two days on
_OLD: Final = 14 * DAY  # CloudWatch keeps minutes for 15 days
_LATE: Final = timedelta(minutes=20)
_KINDS: Final = {
    "put": ("PutRequests", "PostRequests", "ListRequests"),
    "get": ("GetRequests", "HeadRequests", "SelectRequests"),
}


class S3CostTracker:
    """Buckets by what is stored and what was asked."""

    name = "S3"

    def __init__(self, account: Account) -> None:
        self._account = account

    def lines(self, run: Run) -> list[CostLine]:
        """Return the lines of tagged buckets."""
        window = run_window(run, self._account.now)
        if window is None:
            return []
        found = asked("tag:GetResources", self._buckets)
        if isinstance(found, Unavailable):
            return [what_of(EVERYONE, "S3").unpriced(found)]
        return [
            line
            for bucket, tool in found
            for line in (
                *self._storage(tool, bucket, window),
                *self._requests(tool, bucket, window),
            )
        ]

    def _buckets(self) -> list[tuple[str, str]]:
        """Return our buckets in the region, each with its tool."""
        pages = self._account.clients("resourcegroupstaggingapi").get_paginator("get_resources")
        found = [
            (one["ResourceARN"].rpartition(":")[2], self._account.owner(one["Tags"]))
            for page in pages.paginate(TagFilters=[{"Key": "tool"}], ResourceTypeFilters=["s3"])
            for one in page["ResourceTagMappingList"]
        ]
        return [(bucket, tool) for bucket, tool in found if tool is not None]

    def _storage(self, tool: str, bucket: str, window: Window) -> Iterator[CostLine]:
        stored = self._stored(bucket, window)
        if isinstance(stored, Unavailable):
            yield what_of(tool, "S3 storage").unpriced(stored)
            return
        size, provenance = stored
        in_tiers = list(tiers(size / GIGABYTE)) or [("first_50_tb", Decimal(0))]
        for tier, gigabytes in in_tiers:
            name = "S3 storage" if len(in_tiers) == 1 else f"S3 storage, {tier.replace('_', ' ')}"
            parts = gigabyte_months(gigabytes, window)
            price = self._account.prices.of("s3_storage", tier)
            yield priced(what_of(tool, name), "GB month", parts, price, provenance)

    def _stored(self, bucket: str, window: Window) -> tuple[Decimal, Provenance] | Unavailable:
        """Return how many bytes were there, and how that is known."""
        *_, (_, last) = window.days()
        daily = self._daily(bucket, window)
        if daily is not None:
            note = f"{bucket}, its days' average, class Standard"
            settled = self._account.now >= last.end + DAY
            return daily, Provenance("AWS/S3 BucketSizeBytes", note, final=settled)
        listed = asked("s3:ListBucketVersions", lambda: self._listed(bucket))
        if isinstance(listed, Unavailable):
            return replace(listed, why=f"{bucket}: {listed.why}")
        size, objects = listed
        if objects >= _LISTED:
            return Unavailable(
                f"{bucket} has a million objects or more: CloudWatch has its size a day later"
            )
        if not objects:
            return Unavailable(
                f"{bucket} is empty now, and what it held in the run can't be seen any more"
            )
        note = (
            f"{bucket}, {objects} objects and versions as they are now, as if there from the "
            "start; what was deleted since is not in it"
        )
        return size, Provenance("s3:ListBucketVersions", note, basis="estimate")

    def _daily(self, bucket: str, window: Window) -> Decimal | None:
        """Return the average size that CloudWatch has of the window's days, None without one."""
        if window.end - window.start < _DAILY:
            return None
        dimensions = {"BucketName": bucket, "StorageType": "StandardStorage"}
        first = next(whole.start for _, whole in window.days())
        whole = Window(first, window.end)
        found = asked(
            "cloudwatch:GetMetricData",
            lambda: self._metrics(["BucketSizeBytes"], dimensions, whole, ("Average", 86400)),
        )
        sizes = [] if isinstance(found, Unavailable) else found["BucketSizeBytes"]
        return sum(sizes, Decimal(0)) / len(sizes) if sizes else None

    def _listed(self, bucket: str) -> tuple[Decimal, int]:
        """Return bytes and number of objects, older versions included, which are paid for too."""
        pages = self._account.clients("s3").get_paginator("list_object_versions")
        limits = {"MaxItems": _LISTED}
        found = [
            int(one["Size"])
            for page in pages.paginate(Bucket=bucket, PaginationConfig=limits)
            for one in page.get("Versions", [])
        ]
        return Decimal(sum(found)), len(found)

    def _requests(self, tool: str, bucket: str, window: Window) -> Iterator[CostLine]:
        names = [name for kind in _KINDS.values() for name in kind]
        dimensions = {"BucketName": bucket, "FilterId": FILTER}
        period = 60 if self._account.now - window.start < _OLD else 3600
        found = asked(
            "cloudwatch:GetMetricData",
            lambda: self._metrics(names, dimensions, window, ("Sum", period)),
        )
        if isinstance(found, Unavailable):
            why = f"{bucket}: {found.why}"
            yield what_of(tool, "S3 requests").unpriced(replace(found, why=why))
            return
        final = self._account.now > window.end + _LATE
        if not any(found.values()):
            why = f"{bucket} has no request metrics in the run: turn them on with Id {FILTER}"
            yield what_of(tool, "S3 requests").unpriced(Unavailable(why, yet=not final))
            return
        day = window.start.date()
        provenance = Provenance("AWS/S3 request metrics", f"{bucket}; best effort, says AWS", final)
        for kind, metrics in _KINDS.items():
            number = sum((one for name in metrics for one in found[name]), Decimal(0))
            price = self._account.prices.of("s3_requests", kind, per=1000)
            what = what_of(tool, f"S3 requests, {kind} and alike")
            yield priced(what, "request", {day: number}, price, provenance)

    def _metrics(
        self,
        names: list[str],
        dimensions: dict[str, str],
        window: Window,
        how: tuple[str, int],
    ) -> dict[str, list[Decimal]]:
        """Return the values of metrics of AWS/S3 in the window."""
        listed = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        queries = [
            {
                "Id": f"m{i}",
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/S3", "MetricName": name, "Dimensions": listed},
                    "Stat": how[0],
                    "Period": how[1],
                },
            }
            for i, name in enumerate(names)
        ]
        pages: Any = (
            self._account.clients("cloudwatch")
            .get_paginator("get_metric_data")
            .paginate(MetricDataQueries=queries, StartTime=window.start, EndTime=window.end)
        )
        found: dict[str, list[Decimal]] = {name: [] for name in names}
        for page in pages:
            for result in page["MetricDataResults"]:
                values = [Decimal(str(value)) for value in result["Values"]]
                found[names[int(result["Id"][1:])]] += values
        return found
