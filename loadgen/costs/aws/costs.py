"""AWS as one source of cost lines: usage at list prices until the bill is there.

AWS soon forgets a deleted database or instance. So each listing is stored in the run's folder, and
a resource that has left the list keeps its lines in the costs.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from loadgen.config.settings import Settings
from loadgen.costs.aws.bill import NO_WHOLE_DAY, bill_of, requests_line
from loadgen.costs.aws.client import Clients, clients
from loadgen.costs.aws.prices import AwsPrices
from loadgen.costs.aws.resources import (
    AwsAccount,
    EBSCostTracker,
    EC2CostTracker,
    RDSCostTracker,
    S3CostTracker,
    cost_key,
)
from loadgen.costs.billing_window import Window, run_window
from loadgen.costs.cards import RateCard
from loadgen.costs.lines import ALL_TOOLS, Unavailable, join_notes
from loadgen.errors import RecordError
from loadgen.record.costs import CostLine
from loadgen.record.files import replace_file
from loadgen.record.model import PreciseMoment
from loadgen.record.run import Run
from loadgen.untrusted import read_json

LISTED_FILE: Final = "listed.json"
_NO_TAG: Final = (
    "no resource in the region has the tag `tool` with a name of tools.toml or `source`"
)
_TAG_NOT_ACTIVE: Final = Unavailable(
    "Cost Explorer has no figures for the tag `tool` yet: activate it as a cost allocation tag, "
    "which counts from then on",
    temporary=True,
)


class AwsCosts:
    """Asks S3, EC2 and RDS, then Cost Explorer. Needs AWS_REGION."""

    def __init__(
        self,
        tools: Sequence[str],
        settings: Settings,
        card: RateCard | Unavailable,
        now: datetime,
        clients_: Clients | None = None,
    ) -> None:
        prices = AwsPrices(card, settings.aws_region or "")
        account = AwsAccount(clients_ or clients(settings), prices, tools, now)
        self._account = account
        self._buckets = S3CostTracker(account)
        self._trackers = (EC2CostTracker(account), EBSCostTracker(account), RDSCostTracker(account))
        self._is_set_up = settings.aws_region is not None

    def lines(self, run: Run) -> list[CostLine]:
        """Return the run's lines; a line that can't be read or priced has the reason."""
        window = run_window(run, self._account.now)
        if not self._is_set_up:
            return []
        if window is None:
            return [cost_key(ALL_TOOLS, "AWS").not_priced("the run's record has no time to price")]
        usage = [line for t in (self._buckets, *self._trackers) for line in t.lines(run)]
        listed = {t.name: t.listed for t in self._trackers if t.listed is not None}
        usage += _deleted_since(listed, self._account.now, window, run.path)
        bill = bill_of(self._account, window, run.path)
        if isinstance(bill, Unavailable):
            tools = dict.fromkeys(line.tool for line in usage)
            lines = [line for tool in tools for line in _without_bill(tool, usage, bill)]
            untagged = replace(bill, reason=f"{_NO_TAG}; {bill.reason}")
            return lines or [cost_key(ALL_TOOLS, "AWS").not_priced(untagged)]
        tools = dict.fromkeys([*(line.tool for line in usage), *bill.usage])
        lines = [
            line
            for tool in tools
            for line in [*bill.lines(tool, window)] or _without_bill(tool, usage, _TAG_NOT_ACTIVE)
        ]
        return [*lines, *bill.other_lines(window), requests_line(self._account, bill)]


def _without_bill(tool: str, usage: Sequence[CostLine], bill: Unavailable) -> Iterator[CostLine]:
    """Yield a tool's usage at list prices, with the reason why there is no bill."""
    lines = [line for line in usage if line.tool == tool]
    if tool == ALL_TOOLS:  # the services that did not answer
        yield from lines
        return
    reason = "" if bill.reason == NO_WHOLE_DAY else bill.reason
    for line in lines:
        note = join_notes(line.note, reason)
        yield replace(line, final=line.final and not bill.temporary, note=note)
    reason = "metrics do not show where bytes went: Cost Explorer has it, by whole days"
    yield cost_key(tool, "transfer").not_priced(replace(bill, reason=reason))


@dataclass(frozen=True, slots=True)
class ListedResource:
    """A resource in AWS's newest listing that has it: when, and its lines of the run."""

    at: PreciseMoment
    lines: tuple[CostLine, ...]


_LISTED: Final = TypeAdapter(dict[str, dict[str, ListedResource]])  # by service and name


def _deleted_since(
    listed: Mapping[str, Mapping[str, list[CostLine]]], now: datetime, window: Window, folder: Path
) -> list[CostLine]:
    """Return the lines of resources that only an earlier listing has; store the new listing."""
    stored: dict[str, dict[str, ListedResource]] = {}
    with suppress(RecordError, FileNotFoundError, ValidationError):
        stored = _LISTED.validate_python(read_json(folder / LISTED_FILE, "remove it"))
    lines: list[CostLine] = []
    for service, resources in listed.items():
        known = stored.setdefault(service, {})
        for name in known.keys() - resources.keys():
            lines += _deleted_lines(name, known[name], window)
        known |= {name: ListedResource(now, tuple(own)) for name, own in resources.items() if own}
    text = json.dumps(_LISTED.dump_python(stored, mode="json"), indent=2)
    with suppress(RecordError):  # without the file, later deletions go unnoticed
        replace_file(folder / LISTED_FILE, f"{text}\n".encode())
    return lines


def _deleted_lines(name: str, resource: ListedResource, window: Window) -> Iterator[CostLine]:
    last = f"AWS no longer lists {name}, last at {resource.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    for line in resource.lines:
        yield replace(line, note=join_notes(line.note, last))
    if resource.lines and resource.at < window.end:
        line = resource.lines[0]
        reason = f"{last}: its cost in the rest of the run is unknown"
        yield cost_key(line.tool, line.category).not_priced(reason)
