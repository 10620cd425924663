"""What costs.json says beyond the run's own lines: months, first copies, curves, the cheapest.

Plain data, so that the record stands for itself whatever the cards say later. Money is Decimal to
the cent, which the record writes as text.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from loadgen.costs import what_if
from loadgen.costs.cards import Plan, RateCard
from loadgen.costs.copying import copy_lines
from loadgen.costs.estimate import Priced
from loadgen.costs.usage import Usage
from loadgen.costs.what_if import Point
from loadgen.costs.workload import Band, Baseline, Workload
from loadgen.record.costs import Total, plain_line, worst_grade

_MILLION: Final = Decimal(1_000_000)
_CENT: Final = Decimal("0.01")


def outlook(
    workload: Workload,
    run: Band,
    cards: Sequence[RateCard],
    day: date,
    chosen: Sequence[Priced] = (),
) -> dict[str, Any]:
    """Return the outlook of a run's workload, by the plans that are sold on that day.

    `chosen` are the plans of the tools under test, which may have ended.
    """
    month, vendors = workload.month(), what_if.compared(cards, day)
    offered = _offered(cards, day, month.likely, chosen)
    return {
        "usage": {"run": _band(run), "month": _band(month)},
        "baseline": _baseline(workload.baseline),
        "event_bytes": workload.event_bytes,
        "vendors": {name: plans[0].card.vendor for name, plans in vendors.items()},
        "months": [_month(priced, month, day, workload.baseline) for priced in offered],
        "curves": {
            "changes": _curve(vendors, what_if.VOLUMES, lambda v: what_if.at_volume(workload, v)),
            "event_bytes": _curve(
                vendors, what_if.EVENT_BYTES, lambda v: what_if.at_event_bytes(workload, v)
            ),
            "hot_rows": _curve(
                vendors, what_if.HOT_ROWS, lambda v: what_if.at_hot_rows(workload, v)
            ),
        },
        "cheapest": [
            {
                "from": _digits(found.low),
                "to": _digits(found.high),
                "vendors": list(found.vendors),
                "at_from": [_point(point) for point in found.at_low],
                "at_to": [_point(point) for point in found.at_high],
            }
            for found in what_if.cheapest_ranges(_sold(vendors), workload)
        ],
    }


def _sold(vendors: Mapping[str, tuple[Priced, ...]]) -> dict[str, tuple[Priced, ...]]:
    """Return the vendors that sell a service; our own infrastructure has no price."""
    return {name: plans for name, plans in vendors.items() if not plans[0].card.infrastructure}


def _offered(
    cards: Sequence[RateCard], day: date, usage: Usage, chosen: Sequence[Priced]
) -> list[Priced]:
    """Return the plans on sale, of each plan's sizes the cheapest, and those that were chosen."""
    sizes: dict[tuple[str, str], list[Priced]] = {}
    for card in cards:
        for plan in card.plans if card.payer == "service" else ():
            if plan.in_force(day) and _allows(plan, usage):
                sizes.setdefault((card.name, plan.name), []).append(Priced(card.name, card, plan))
    offered = [min(own, key=lambda priced: _most(priced, usage)) for own in sizes.values()]
    known = {(priced.card.name, priced.plan.title) for priced in offered}
    more = {(priced.card.name, priced.plan.title): priced for priced in chosen}
    return [*offered, *(priced for name, priced in more.items() if name not in known)]


def _most(priced: Priced, usage: Usage) -> tuple[bool, Decimal]:
    most = Total.of(priced.lines(usage)).at_most
    return most is None, most or Decimal(0)


def _allows(plan: Plan, usage: Usage) -> bool:
    return all(usage.of(meter) <= most for meter, most in plan.limits.items())


def _month(priced: Priced, month: Band, day: date, baseline: Baseline | None) -> dict[str, Any]:
    plan, usage = priced.plan, month.likely
    lines = priced.lines(usage)
    total = Total.of(lines)
    amount = None if total.unpriced else total.amount
    return {
        "card": priced.card.name,
        "vendor": priced.card.vendor,
        "plan": plan.title,
        "former": plan.ended(day),
        "min_interval_seconds": plan.min_interval_seconds,
        "amount": _cents(amount),
        "least": _cents(total.amount),
        "most": _cents(total.at_most),
        "low": _cents(Total.of(priced.lines(month.low)).amount),
        "high": _cents(Total.of(priced.lines(month.high)).at_most),
        "per_million_changes": _per_million(amount, usage.changes),
        "per_million_rows": _per_million(amount, usage.distinct_rows),
        "grade": worst_grade(lines),
        "as_of": min((line.as_of for line in lines if line.as_of), default=None),
        "lines": [plain_line(line) for line in lines],
        "once": [plain_line(line) for line in copy_lines(priced, usage, baseline)],
    }


def _curve(
    vendors: Mapping[str, tuple[Priced, ...]],
    values: Sequence[float],
    usage: Callable[[float], Usage],
) -> dict[str, Any]:
    usages = {value: usage(value) for value in values}
    return {
        "x": [int(value) for value in values],
        "vendors": {
            name: [_point(found) for found in what_if.over(plans, values, usages.__getitem__)]
            for name, plans in vendors.items()
        },
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "plan": point.plan,
        "least": _cents(point.least),
        "most": _cents(point.most),
        "grade": point.grade,
    }


def _baseline(baseline: Baseline | None) -> dict[str, Any] | None:
    if baseline is None:
        return None
    sizes = (baseline.low, baseline.likely, baseline.high)
    return {"rows": int(baseline.rows), "bytes": [int(size) for size in sizes]}


def _band(band: Band) -> dict[str, Any]:
    likely = band.likely
    return {
        "inserts": int(likely.inserts),
        "updates": int(likely.updates),
        "deletes": int(likely.deletes),
        "changes": int(likely.changes),
        "hours": likely.hours,
        "distinct_rows": [int(one.distinct_rows) for one in (band.low, likely, band.high)],
        "bytes": [int(one.bytes) for one in (band.low, likely, band.high)],
    }


def _per_million(amount: Decimal | None, number: Decimal) -> Decimal | None:
    return None if amount is None or not number else _cents(amount / number * _MILLION)


def _cents(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(_CENT)


def _digits(number: float) -> int:
    """Return a volume to two digits: it is known no better."""
    return int(float(f"{number:.2g}"))
