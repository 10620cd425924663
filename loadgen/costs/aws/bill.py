"""Cost Explorer's word, the final one: what AWS billed by tool, service and UTC day.

Two questions are asked: what the usage cost, by service, and what else was charged or given back
(credits, refunds, taxes), by kind. Without a kind Cost Explorer returns usage net of credits, and a
tool that a credit paid for would cost nothing.

Each request costs $0.01, so answers are kept in the run's folder; a day counts as known a day after
its end, and once all of a run's days are known nothing is asked again.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from loadgen.costs.aws.client import asked
from loadgen.costs.aws.usage import EVERYONE, SOURCE, Account, what_of
from loadgen.costs.billing_window import DAY, Window
from loadgen.costs.lines import CostKey, Provenance, exact, priced
from loadgen.costs.unavailable import Unavailable, not_yet
from loadgen.errors import RecordError
from loadgen.record.costs import CostLine
from loadgen.record.files import replace_file
from loadgen.record.model import moment
from loadgen.untrusted import read_json, reading

BILL_FILE: Final = "aws_bill.json"
NEVER: Final = "Cost Explorer has whole days only, and the run holds none"
APART: Final = "AWS credits, refunds and taxes"  # stand beside the tools' sums, not in them
_USAGE: Final = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
_ASK_AGAIN: Final = "it is asked, and paid, again"
_AGAIN: Final = timedelta(hours=12)
_KIND: Final = "RECORD_TYPE"
_REGION: Final = "us-east-1"  # Cost Explorer is there


# Dollars by tool, by service or kind of charge, and by day.
Charges = Mapping[str, Mapping[str, Mapping[date, Decimal]]]


@dataclass(frozen=True, slots=True)
class Bill:
    """What usage cost by tool and service and day, and `apart` all other charges by their kind.

    `estimated` is whether it may still change.
    """

    billed: Charges
    apart: Charges
    estimated: bool
    asked_at: datetime
    requests: int

    def lines(self, tool: str, window: Window) -> Iterator[CostLine]:
        """Yield a tool's lines; a day that is partly in the window counts by that part."""
        for service, days in self.billed.get(tool, {}).items():
            yield self._line(what_of(tool, f"billed: {service}"), days, window)

    def apart_lines(self, window: Window) -> Iterator[CostLine]:
        """Yield credits, refunds, taxes and the like, which are in no tool's sum."""
        for tool, kinds in self.apart.items():
            for kind, days in kinds.items():
                what = CostKey(APART, what_of(tool, kind).payer, f"{kind} of {tool}")
                yield self._line(what, days, window)

    def _line(self, what: CostKey, days: Mapping[date, Decimal], window: Window) -> CostLine:
        shares = {day: window.share_of(whole) for day, whole in window.days()}
        partial = "; days partly in the run count by the clock" if min(shares.values()) < 1 else ""
        amount = sum((dollars * shares[day] for day, dollars in days.items()), Decimal(0))
        return CostLine(
            tool=what.tool,
            payer=what.payer,
            category=what.category,
            amount=exact(amount),
            basis="measured",
            grade="P",
            source="Cost Explorer, UnblendedCost by the tag `tool`",
            as_of=self.asked_at.date(),
            note=f"{len(days)} UTC days{partial}",
            final=not self.estimated,
        )


def bill_of(account: Account, window: Window, folder: Path) -> Bill | Unavailable:
    """Return what was billed in the window's days, asked for only where that can help.

    Unread says why there is nothing yet, or nothing to be expected.
    """
    days = [whole for _, whole in window.days()]
    if not any(window.share_of(whole) == 1 for whole in days):
        return Unavailable(NEVER)
    ready = days[-1].end + DAY
    if account.now < ready:
        return not_yet("Cost Explorer is up to a day late", ready)
    period = {"Start": days[0].start.date().isoformat(), "End": days[-1].end.date().isoformat()}
    kept = _kept(folder, period)
    if kept is not None and kept.billed and not kept.estimated:
        return kept
    if kept is not None and account.now - kept.asked_at < _AGAIN:
        return kept
    found = asked("ce:GetCostAndUsage", lambda: _answers(account, period))
    if isinstance(found, Unavailable):
        return found
    requests = sum(map(len, found.values())) + (kept.requests if kept else 0)
    at = account.now.isoformat()
    _keep(folder, {"period": period, "asked_at": at, "requests": requests, **found})
    return _bill(found, account.now, requests)


def requests_line(account: Account, bill: Bill) -> CostLine:
    """Return what asking Cost Explorer itself cost."""
    parts = {bill.asked_at.date(): Decimal(bill.requests)}
    price = replace(account.prices, region=_REGION).of("cost_explorer", "request")
    provenance = Provenance(BILL_FILE, "what asking cost; answers are kept")
    return priced(what_of(EVERYONE, "Cost Explorer"), "request", parts, price, provenance)


def _answers(account: Account, period: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the pages of both answers; each page is a request that is paid for."""
    names = [SOURCE, *account.tools]
    ours = {"Tags": {"Key": "tool", "Values": names, "MatchOptions": ["EQUALS"]}}
    usage = {"Dimensions": {"Key": _KIND, "Values": list(_USAGE), "MatchOptions": ["EQUALS"]}}
    return {
        "usage": _pages(account, period, "SERVICE", {"And": [ours, usage]}),
        "apart": _pages(account, period, _KIND, {"And": [ours, {"Not": usage}]}),
    }


def _pages(
    account: Account, period: dict[str, str], by: str, which: dict[str, Any]
) -> list[dict[str, Any]]:
    client = account.clients("ce", _REGION)
    question: dict[str, Any] = {
        "TimePeriod": period,
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{"Type": "TAG", "Key": "tool"}, {"Type": "DIMENSION", "Key": by}],
        "Filter": which,
    }
    found: list[dict[str, Any]] = []
    while True:
        page = client.get_cost_and_usage(**question)
        found.append({"ResultsByTime": page["ResultsByTime"]})
        if not (token := page.get("NextPageToken")):
            return found
        question["NextPageToken"] = token


def _bill(answers: Mapping[str, list[dict[str, Any]]], at: datetime, requests: int) -> Bill:
    results = [one for pages in answers.values() for page in pages for one in page["ResultsByTime"]]
    estimated = any(one.get("Estimated") for one in results)
    return Bill(_charges(answers["usage"]), _charges(answers["apart"]), estimated, at, requests)


def _charges(pages: list[dict[str, Any]]) -> Charges:
    found: dict[str, dict[str, dict[date, Decimal]]] = {}
    for result in (one for page in pages for one in page["ResultsByTime"]):
        day = date.fromisoformat(result["TimePeriod"]["Start"])
        for group in result.get("Groups", []):
            tag, name = group["Keys"]
            tool, cost = tag.partition("$")[2], group["Metrics"]["UnblendedCost"]
            if tool and cost["Unit"] == "USD":
                days = found.setdefault(tool, {}).setdefault(name, {})
                days[day] = days.get(day, Decimal(0)) + Decimal(cost["Amount"])
    return found


def _keep(folder: Path, kept: dict[str, object]) -> None:
    with suppress(RecordError):  # it would be asked, and paid, again
        replace_file(folder / BILL_FILE, f"{json.dumps(kept, indent=2)}\n".encode())


def _kept(folder: Path, period: dict[str, str]) -> Bill | None:
    file = folder / BILL_FILE
    with suppress(RecordError, FileNotFoundError):
        kept = read_json(file, _ASK_AGAIN)
        with reading(file, _ASK_AGAIN):
            if kept["period"] == period:
                answers = {name: kept[name] for name in ("usage", "apart")}
                return _bill(answers, moment(kept["asked_at"]), kept["requests"])
    return None
