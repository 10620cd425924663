"""AWS's bill by tool, service and UTC day, from Cost Explorer.

It takes two requests: one for the cost of usage by service, one for all other charges by record
type (credits, refunds, taxes). A single request would return usage net of credits, so a tool that a
credit paid for would seem free.

A request costs $0.01, so its answer is stored in the run's folder. Once all days of the run are a
day old and no estimates, there is no further request.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from loadgen.costs.aws.client import call_aws
from loadgen.costs.aws.resources import SOURCE, AwsAccount, cost_key
from loadgen.costs.billing_window import DAY, Window
from loadgen.costs.lines import (
    ALL_TOOLS,
    CostKey,
    Provenance,
    Unavailable,
    cost_line,
    not_yet,
    rounded,
)
from loadgen.errors import RecordError
from loadgen.record.costs import CostLine
from loadgen.record.files import replace_file
from loadgen.record.model import moment
from loadgen.untrusted import read_json, reading

BILL_FILE: Final = "aws_bill.json"
NO_WHOLE_DAY: Final = "Cost Explorer has whole days only, and the run has none"
OTHER_CHARGES: Final = "AWS credits, refunds and taxes"  # a separate row, in no tool's sum
_USAGE: Final = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
_REMEDY: Final = "the next request to Cost Explorer costs again"
_REQUEST_INTERVAL: Final = timedelta(hours=12)
_RECORD_TYPE: Final = "RECORD_TYPE"
_REGION: Final = "us-east-1"  # the region of Cost Explorer

# Dollars by tool, by service or record type, and by day.
Charges = Mapping[str, Mapping[str, Mapping[date, Decimal]]]
Page = dict[str, Any]  # of Cost Explorer's answer


@dataclass(frozen=True, slots=True)
class Bill:
    """The cost of usage by tool, service and day, and `other` charges by record type.

    With `estimated` the figures may still change.
    """

    usage: Charges
    other: Charges
    estimated: bool
    asked_at: datetime
    requests: int

    def lines(self, tool: str, window: Window) -> Iterator[CostLine]:
        """Yield a tool's lines; a day that is partly in the window counts by that part."""
        for service, days in self.usage.get(tool, {}).items():
            yield self._line(cost_key(tool, f"billed: {service}"), days, window)

    def other_lines(self, window: Window) -> Iterator[CostLine]:
        """Yield credits, refunds, taxes and the like, which are in no tool's sum."""
        for tool, kinds in self.other.items():
            for kind, days in kinds.items():
                key = replace(cost_key(tool, f"{kind} of {tool}"), tool=OTHER_CHARGES)
                yield self._line(key, days, window)

    def _line(self, key: CostKey, days: Mapping[date, Decimal], window: Window) -> CostLine:
        shares = {day: window.share_of(whole) for day, whole in window.days()}
        partial = "; days partly in the run count by the clock" if min(shares.values()) < 1 else ""
        amount = sum((dollars * shares[day] for day, dollars in days.items()), Decimal(0))
        return CostLine(
            tool=key.tool,
            payer=key.payer,
            category=key.category,
            amount=rounded(amount),
            basis="measured",
            grade="P",
            source="Cost Explorer, UnblendedCost by the tag `tool`",
            as_of=self.asked_at.date(),
            note=f"{len(days)} UTC days{partial}",
            final=not self.estimated,
        )


def bill_of(account: AwsAccount, window: Window, folder: Path) -> Bill | Unavailable:
    """Return the bill of the window's days, or why there is none (yet).

    Sends a request only if it can bring more than the stored answer.
    """
    days = [whole for _, whole in window.days()]
    if not any(window.share_of(whole) == 1 for whole in days):
        return Unavailable(NO_WHOLE_DAY)
    ready = days[-1].end + DAY
    if account.now < ready:
        return not_yet("Cost Explorer is up to a day late", ready)
    period = {"Start": days[0].start.date().isoformat(), "End": days[-1].end.date().isoformat()}
    stored = _stored_bill(folder, period)
    if stored is not None and stored.usage and not stored.estimated:
        return stored
    if stored is not None and account.now - stored.asked_at < _REQUEST_INTERVAL:
        return stored
    answers = call_aws("ce:GetCostAndUsage", lambda: _request(account, period))
    if isinstance(answers, Unavailable):
        return answers
    requests = sum(map(len, answers.values())) + (stored.requests if stored else 0)
    record = {"period": period, "asked_at": account.now.isoformat(), "requests": requests} | answers
    with suppress(RecordError):  # without the file the next `loadgen costs` pays again
        replace_file(folder / BILL_FILE, f"{json.dumps(record, indent=2)}\n".encode())
    return _parse_bill(answers, account.now, requests)


def requests_line(account: AwsAccount, bill: Bill) -> CostLine:
    """Return the cost of Cost Explorer's own requests."""
    by_day = {bill.asked_at.date(): Decimal(bill.requests)}
    price = replace(account.prices, region=_REGION).of("cost_explorer", "request")
    provenance = Provenance(BILL_FILE, "the requests for the bill; answers are stored")
    return cost_line(cost_key(ALL_TOOLS, "Cost Explorer"), "request", by_day, price, provenance)


def _request(account: AwsAccount, period: dict[str, str]) -> dict[str, list[Page]]:
    """Return the pages of both answers; each page is a paid request."""
    names = [SOURCE, *account.tools]
    tagged = {"Tags": {"Key": "tool", "Values": names, "MatchOptions": ["EQUALS"]}}
    types = {"Key": _RECORD_TYPE, "Values": list(_USAGE), "MatchOptions": ["EQUALS"]}
    usage = {"Dimensions": types}
    return {
        "usage": _pages(account, period, "SERVICE", {"And": [tagged, usage]}),
        "apart": _pages(account, period, _RECORD_TYPE, {"And": [tagged, {"Not": usage}]}),
    }


def _pages(
    account: AwsAccount, period: dict[str, str], dimension: str, condition: dict[str, Any]
) -> list[Page]:
    client = account.clients("ce", _REGION)
    request: dict[str, Any] = {
        "TimePeriod": period,
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{"Type": "TAG", "Key": "tool"}, {"Type": "DIMENSION", "Key": dimension}],
        "Filter": condition,
    }
    pages: list[Page] = []
    while True:
        page = client.get_cost_and_usage(**request)
        pages.append({"ResultsByTime": page["ResultsByTime"]})
        if not (token := page.get("NextPageToken")):
            return pages
        request["NextPageToken"] = token


def _parse_bill(answers: Mapping[str, list[Page]], asked_at: datetime, requests: int) -> Bill:
    estimated = any(
        day.get("Estimated")
        for pages in answers.values()
        for page in pages
        for day in page["ResultsByTime"]
    )
    usage, other = _charges(answers["usage"]), _charges(answers["apart"])
    return Bill(usage, other, estimated, asked_at, requests)


def _charges(pages: list[Page]) -> Charges:
    charges: dict[str, dict[str, dict[date, Decimal]]] = {}
    for period in (period for page in pages for period in page["ResultsByTime"]):
        day = date.fromisoformat(period["TimePeriod"]["Start"])
        for group in period.get("Groups", []):
            tag, name = group["Keys"]
            tool, cost = tag.partition("$")[2], group["Metrics"]["UnblendedCost"]
            if tool and cost["Unit"] == "USD":
                days = charges.setdefault(tool, {}).setdefault(name, {})
                days[day] = days.get(day, Decimal(0)) + Decimal(cost["Amount"])
    return charges


def _stored_bill(folder: Path, period: dict[str, str]) -> Bill | None:
    """Return the stored answer for these days, None if there is none."""
    file = folder / BILL_FILE
    with suppress(RecordError, FileNotFoundError):
        record = read_json(file, _REMEDY)
        with reading(file, _REMEDY):
            if record["period"] == period:
                answers = {name: record[name] for name in ("usage", "apart")}
                return _parse_bill(answers, moment(record["asked_at"]), record["requests"])
    return None
