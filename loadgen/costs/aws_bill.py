"""Cost Explorer's word, the final one: what AWS billed by tool, service and UTC day.

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

from loadgen.costs.aws import EVERYONE, SOURCE, Account, what_of
from loadgen.costs.aws_door import asked
from loadgen.costs.lines import Told, exact, priced
from loadgen.costs.reading import Unread
from loadgen.costs.window import DAY, Window
from loadgen.record_costs import CostLine
from loadgen.record_files import replace_file

BILL_FILE: Final = "aws_bill.json"
NEVER: Final = "Cost Explorer has whole days only, and the run holds none"
_AGAIN: Final = timedelta(hours=12)
_REGION: Final = "us-east-1"  # Cost Explorer is there


@dataclass(frozen=True, slots=True)
class Bill:
    """What is billed by tool and service and day; `estimated` is whether it may still change."""

    billed: Mapping[str, Mapping[str, Mapping[date, Decimal]]]
    estimated: bool
    asked_at: datetime
    requests: int

    def lines(self, tool: str, window: Window) -> Iterator[CostLine]:
        """Yield a tool's lines; a day that is partly in the window counts by that part."""
        shares = {day: window.share_of(whole) for day, whole in window.days()}
        partial = "; days partly in the run count by the clock" if min(shares.values()) < 1 else ""
        for service, days in self.billed.get(tool, {}).items():
            amount = sum((dollars * shares[day] for day, dollars in days.items()), Decimal(0))
            what = what_of(tool, f"billed: {service}")
            yield CostLine(
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


def bill_of(account: Account, window: Window, folder: Path) -> Bill | Unread:
    """Return what was billed in the window's days, asked for only where that can help.

    Unread says why there is nothing yet, or nothing to be expected.
    """
    days = [whole for _, whole in window.days()]
    if not any(window.share_of(whole) == 1 for whole in days):
        return Unread(NEVER)
    ready = days[-1].end + DAY
    if account.now < ready:
        when = f"{ready:%Y-%m-%d %H:%M} UTC"
        return Unread(f"Cost Explorer is up to a day late: run `loadgen costs` again after {when}")
    period = {"Start": days[0].start.date().isoformat(), "End": days[-1].end.date().isoformat()}
    kept = _kept(folder, period)
    if kept is not None and kept.billed and not kept.estimated:
        return kept
    if kept is not None and account.now - kept.asked_at < _AGAIN:
        return kept
    found = asked("ce:GetCostAndUsage", lambda: _pages(account, period))
    if isinstance(found, Unread):
        return found
    requests = len(found) + (kept.requests if kept else 0)
    at = account.now.isoformat()
    _keep(folder, {"period": period, "asked_at": at, "requests": requests, "pages": found})
    return _bill(found, account.now, requests)


def requests_line(account: Account, bill: Bill) -> CostLine:
    """Return what asking Cost Explorer itself cost."""
    parts = {bill.asked_at.date(): Decimal(bill.requests)}
    price = replace(account.prices, region=_REGION).of("cost_explorer", "request")
    told = Told(BILL_FILE, "what asking cost; answers are kept")
    return priced(what_of(EVERYONE, "Cost Explorer"), "request", parts, price, told)


def _pages(account: Account, period: dict[str, str]) -> list[dict[str, Any]]:
    """Return the answer's pages; each is a request that is paid for."""
    client = account.clients("ce", _REGION)
    names = [SOURCE, *account.tools]
    question: dict[str, Any] = {
        "TimePeriod": period,
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{"Type": "TAG", "Key": "tool"}, {"Type": "DIMENSION", "Key": "SERVICE"}],
        "Filter": {"Tags": {"Key": "tool", "Values": names, "MatchOptions": ["EQUALS"]}},
    }
    found: list[dict[str, Any]] = []
    while True:
        page = client.get_cost_and_usage(**question)
        found.append({"ResultsByTime": page["ResultsByTime"]})
        if not (token := page.get("NextPageToken")):
            return found
        question["NextPageToken"] = token


def _bill(pages: list[dict[str, Any]], at: datetime, requests: int) -> Bill:
    billed: dict[str, dict[str, dict[date, Decimal]]] = {}
    estimated = False
    for result in (one for page in pages for one in page["ResultsByTime"]):
        day = date.fromisoformat(result["TimePeriod"]["Start"])
        estimated = estimated or bool(result.get("Estimated"))
        for group in result.get("Groups", []):
            tag, service = group["Keys"]
            tool, cost = tag.partition("$")[2], group["Metrics"]["UnblendedCost"]
            if tool and cost["Unit"] == "USD":
                days = billed.setdefault(tool, {}).setdefault(service, {})
                days[day] = days.get(day, Decimal(0)) + Decimal(cost["Amount"])
    return Bill(billed, estimated, at, requests)


def _keep(folder: Path, kept: dict[str, object]) -> None:
    with suppress(OSError):  # it would be asked, and paid, again
        replace_file(folder / BILL_FILE, f"{json.dumps(kept, indent=2)}\n".encode())


def _kept(folder: Path, period: dict[str, str]) -> Bill | None:
    try:
        kept = json.loads((folder / BILL_FILE).read_bytes())
        if kept["period"] != period:
            return None
        return _bill(kept["pages"], datetime.fromisoformat(kept["asked_at"]), kept["requests"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
