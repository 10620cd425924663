"""What tagged AWS resources cost: S3, EC2 and RDS by usage and list price, read-only.

A resource belongs to the tool that its tag `tool` names; `source` is the source database, which the
customer pays whatever the tool. `aws_bill` replaces these lines once Cost Explorer has the days.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from loadgen.costs.aws.client import Clients, asked
from loadgen.costs.aws.prices import AwsPrices, hours_of_month
from loadgen.costs.billing_window import Window, run_window
from loadgen.costs.lines import CostKey, Provenance, priced
from loadgen.costs.unavailable import Unavailable
from loadgen.record.costs import CostLine, Payer
from loadgen.record.run import Run

SOURCE: Final = "source"
EVERYONE: Final = "all tools"
_RUNNING: Final = frozenset({"pending", "running"})
_TERMINATED: Final = frozenset({"shutting-down", "terminated"})
_STOPPED: Final = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT\)")


@dataclass(frozen=True, slots=True)
class Account:
    """How AWS is asked: clients, prices, whose tags count, and when it is."""

    clients: Clients
    prices: AwsPrices
    tools: Sequence[str]
    now: datetime
    # By resource, its lines; a service that did not answer is not there.
    listed: dict[str, dict[str, list[CostLine]]] = field(default_factory=dict)

    def owner(self, tags: object) -> str | None:
        """Return whose a resource is; None where its tag names nobody of ours."""
        listed = tags if isinstance(tags, list) else []
        found = {str(tag.get("Key")): str(tag.get("Value")) for tag in listed}.get("tool")
        return found if found in {SOURCE, *self.tools} else None

    def keep(self, service: str, name: str, lines: Iterable[CostLine]) -> list[CostLine]:
        """Note that a service lists a resource, and return its lines."""
        self.listed[service][name] = found = list(lines)
        return found

    def hourly(
        self, what: CostKey, window: Window, column: tuple[str, str], provenance: Provenance
    ) -> CostLine:
        """Return the line of something paid by the hour; `column` is its place in the card."""
        return priced(what, "hour", _by_day(window), self.prices.of(*column), provenance)

    def monthly(
        self,
        what: CostKey,
        gigabytes: Decimal,
        window: Window,
        column: tuple[str, str],
        provenance: Provenance,
    ) -> CostLine:
        """Return the line of gigabytes that were there for the window, paid by the month."""
        parts = gigabyte_months(gigabytes, window)
        return priced(what, "GB month", parts, self.prices.of(*column), provenance)


def what_of(tool: str, category: str) -> CostKey:
    """Return what a line is about: the source is the customer's, the rest a service's."""
    payer: Payer = "customer" if tool in {SOURCE, EVERYONE} else "service"
    return CostKey(tool, payer, category)


def gigabyte_months(gigabytes: Decimal, window: Window) -> dict[date, Decimal]:
    """Return what so many gigabytes are in the window, by day."""
    return {day: gigabytes * hours / hours_of_month(day) for day, hours in _by_day(window).items()}


class EC2CostTracker:
    """Instances by their hours, their public addresses, and the volumes at them."""

    name = "EC2"

    def __init__(self, account: Account) -> None:
        self._account = account

    def lines(self, run: Run) -> list[CostLine]:
        """Return the lines of tagged instances and volumes."""
        window = run_window(run, self._account.now)
        return [] if window is None else list(self._lines(window))

    def _lines(self, window: Window) -> Iterator[CostLine]:
        tagged = [{"Name": "tag-key", "Values": ["tool"]}]
        pages = asked("ec2:DescribeInstances", lambda: self._all("describe_instances", tagged))
        if isinstance(pages, Unavailable):
            yield what_of(EVERYONE, "EC2").unpriced(pages)
        else:
            self._account.listed["EC2"] = {}
            found = [
                one for page in pages for part in page["Reservations"] for one in part["Instances"]
            ]
            for instance in found:
                if tool := self._account.owner(instance.get("Tags")):
                    own = self._instance(tool, instance, window)
                    yield from self._account.keep("EC2", instance["InstanceId"], own)
        disks = asked("ec2:DescribeVolumes", lambda: self._all("describe_volumes", tagged))
        if isinstance(disks, Unavailable):
            yield what_of(EVERYONE, "EBS").unpriced(disks)
            return
        self._account.listed["EBS"] = {}
        for volume in (one for page in disks for one in page["Volumes"]):
            there = Window(volume["CreateTime"].astimezone(UTC), self._account.now).within(window)
            if (tool := self._account.owner(volume.get("Tags"))) and there.length:
                lines = [self._volume(tool, volume, there)]
                yield from self._account.keep("EBS", volume["VolumeId"], lines)

    def _all(self, call: str, filters: list[dict[str, Any]]) -> list[Any]:
        return list(self._account.clients("ec2").get_paginator(call).paginate(Filters=filters))

    def _instance(
        self, tool: str, instance: Mapping[str, Any], window: Window
    ) -> Iterator[CostLine]:
        kind, name = str(instance["InstanceType"]), str(instance["InstanceId"])
        what, launched = what_of(tool, f"EC2 {kind}"), instance["LaunchTime"].astimezone(UTC)
        if launched >= window.end:
            return
        if instance.get("Platform") or "Linux" not in instance.get("PlatformDetails", "Linux"):
            yield what.unpriced(f"{name} does not run plain Linux, which is what the card has")
            return
        ended = _ended(instance, self._account.now)
        if ended is None:
            state = instance["State"]["Name"]
            yield what.unpriced(f"{name} is {state}, since when AWS does not say")
            yield from _gone(tool, instance)
            return
        ran = Window(launched, ended).within(window)
        note = f"{name} since its last start; CPU credits beyond the free ones are not in it"
        provenance = Provenance("ec2:DescribeInstances", note, final=True)
        yield self._account.hourly(what, ran, ("ec2_linux", kind), provenance)
        if instance.get("PublicIpAddress"):
            address = what_of(tool, "public IPv4")
            provenance = Provenance("ec2:DescribeInstances", name)
            yield self._account.hourly(address, ran, ("public_ipv4", "address"), provenance)
        yield from _gone(tool, instance)

    def _volume(self, tool: str, volume: Mapping[str, Any], there: Window) -> CostLine:
        kind = str(volume["VolumeType"])
        provenance = Provenance("ec2:DescribeVolumes", f"{volume['VolumeId']}, {volume['Size']} GB")
        size = Decimal(volume["Size"])
        return self._account.monthly(
            what_of(tool, f"EBS {kind}"), size, there, ("ebs", kind), provenance
        )


class RDSCostTracker:
    """Postgres instances by class and hours, and their storage."""

    name = "RDS"

    def __init__(self, account: Account) -> None:
        self._account = account

    def lines(self, run: Run) -> list[CostLine]:
        """Return the lines of tagged instances; none where there is none."""
        window = run_window(run, self._account.now)
        if window is None:
            return []
        pages = asked("rds:DescribeDBInstances", self._pages)
        if isinstance(pages, Unavailable):
            return [what_of(EVERYONE, "RDS").unpriced(pages)]
        self._account.listed["RDS"] = {}
        lines = []
        for instance in (one for page in pages for one in page["DBInstances"]):
            if tool := self._account.owner(instance.get("TagList")):
                own, name = self._instance(tool, instance, window), instance["DBInstanceIdentifier"]
                lines += self._account.keep("RDS", name, own)
        return lines

    def _pages(self) -> list[Any]:
        pages = self._account.clients("rds").get_paginator("describe_db_instances").paginate()
        return list(pages)

    def _instance(
        self, tool: str, instance: Mapping[str, Any], window: Window
    ) -> Iterator[CostLine]:
        kind, name = str(instance["DBInstanceClass"]), str(instance["DBInstanceIdentifier"])
        storage, size = str(instance["StorageType"]), Decimal(instance["AllocatedStorage"])
        compute, disk = what_of(tool, f"RDS {kind}"), what_of(tool, f"RDS storage {storage}")
        there = Window(instance["InstanceCreateTime"].astimezone(UTC), self._account.now)
        there = there.within(window)
        if not there.length:
            return
        if instance.get("MultiAZ") or instance["Engine"] != "postgres":
            why = f"{name} is not Postgres in one zone, which is what the card has"
            yield from (what.unpriced(why) for what in (compute, disk))
            return
        provenance = Provenance("rds:DescribeDBInstances", name)
        if instance["DBInstanceStatus"] in {"stopped", "stopping"}:
            yield compute.unpriced(f"{name} is stopped, since when AWS does not say")
        else:
            note = f"{name}, as if it had never been stopped; CPU credits are not in it"
            told_hours = Provenance(provenance.source, note)
            yield self._account.hourly(compute, there, ("rds_postgres", kind), told_hours)
            if instance.get("PubliclyAccessible"):
                what = what_of(tool, "public IPv4")
                yield self._account.hourly(what, there, ("public_ipv4", "address"), provenance)
        yield self._account.monthly(disk, size, there, ("rds_storage", storage), provenance)


def _gone(tool: str, instance: Mapping[str, Any]) -> Iterator[CostLine]:
    """Yield what an instance that is not running had, and AWS does not show any more."""
    name, state = instance["InstanceId"], instance["State"]["Name"]
    if state in _RUNNING:
        return
    if not instance.get("PublicIpAddress"):
        yield what_of(tool, "public IPv4").unpriced(
            f"{name} is {state}: whether it had an address can't be seen any more"
        )
    if state in _TERMINATED and not instance.get("BlockDeviceMappings"):
        yield what_of(tool, "EBS").unpriced(
            f"{name} is {state}: the volumes that went with it can't be seen any more"
        )


def _ended(instance: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return until when an instance ran; None where it stopped at a time that is not told."""
    if instance["State"]["Name"] in _RUNNING:
        return now
    found = _STOPPED.search(str(instance.get("StateTransitionReason", "")))
    return None if found is None else datetime.fromisoformat(found[1]).replace(tzinfo=UTC)


def _by_day(window: Window) -> dict[date, Decimal]:
    found = {day: window.within(whole).hours for day, whole in window.days()}
    return found or {window.start.date(): Decimal(0)}
