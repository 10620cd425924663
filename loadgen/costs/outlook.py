"""What costs.json says beyond the run's own lines: months, unit costs, curves, break-evens.

Plain data, so that the record stands for itself whatever the cards say later. Money is Decimal to
the cent, which the record writes as text.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from loadgen.costs import curves
from loadgen.costs.cards import Plan, RateCard
from loadgen.costs.curves import Point
from loadgen.costs.estimate import Priced
from loadgen.costs.usage import Reported, Usage
from loadgen.costs.workload import Band, Workload
from loadgen.record_costs import GRADES, CostLine, Total, plain_line

_MILLION: Final = Decimal(1_000_000)
_CENT: Final = Decimal("0.01")


def outlook(
    workload: Workload, run: Band, cards: Sequence[RateCard], day: date,
    reported: Mapping[str, Reported],
) -> dict[str, Any]:  # fmt: skip
    """Return the outlook of a run's workload, by the cards that are in force on that day."""
    month, vendors = workload.month(), curves.compared(cards, day)
    return {
        "usage": {"run": _band(run), "month": _band(month)},
        "reported": {
            name: {"source": found.source, **found.told()} for name, found in reported.items()
        },
        "event_bytes": workload.event_bytes,
        "vendors": {name: plans[0].card.vendor for name, plans in vendors.items()},
        "months": [_month(priced, month, day) for priced in _offered(cards, day, month.likely)],
        "curves": {
            "changes": _curve(vendors, curves.VOLUMES, lambda v: curves.at_volume(workload, v)),
            "event_bytes": _curve(
                vendors, curves.EVENT_BYTES, lambda v: curves.at_event_bytes(workload, v)
            ),
            "hot_rows": _curve(
                vendors, curves.HOT_ROWS, lambda v: curves.at_hot_rows(workload, v)
            ),
        },
        "break_evens": [
            {
                "below": found.below,
                "above": found.above,
                "changes": _digits(found.changes),
                "dollars": found.dollars.quantize(_CENT),
            }
            for found in curves.break_evens(vendors, workload)
        ],
    }  # fmt: skip


def _offered(cards: Sequence[RateCard], day: date, usage: Usage) -> list[Priced]:
    """Return the plans that could be had, and those that were in force before, for comparison."""
    return [
        Priced(card.name, card, plan)
        for card in cards
        if card.payer == "service"
        for plan in card.plans
        if (plan.in_force(day) or _former(plan, day)) and _allows(plan, usage)
    ]


def _former(plan: Plan, day: date) -> bool:
    return plan.effective_to is not None and plan.effective_to < day


def _allows(plan: Plan, usage: Usage) -> bool:
    return all(usage.of(meter) <= most for meter, most in plan.limits.items())


def _month(priced: Priced, month: Band, day: date) -> dict[str, Any]:
    plan, usage = priced.plan, month.likely
    lines = priced.lines(usage)
    total = Total.of(lines)
    amount = None if total.unpriced else total.amount
    return {
        "card": priced.card.name,
        "vendor": priced.card.vendor,
        "plan": plan.title,
        "former": _former(plan, day),
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
    }


def worst_grade(lines: Sequence[CostLine]) -> str:
    """Return the grade of what is known least."""
    order = list(GRADES)
    return max((line.grade for line in lines), key=order.index, default="?")


def _curve(
    vendors: Mapping[str, tuple[Priced, ...]],
    values: Sequence[float],
    usage: Callable[[float], Usage],
) -> dict[str, Any]:
    usages = {value: usage(value) for value in values}
    return {
        "x": [int(value) for value in values],
        "vendors": {
            name: [_point(found) for found in curves.over(plans, values, usages.__getitem__)]
            for name, plans in vendors.items()
        },
    }


def _point(point: Point) -> dict[str, Any]:
    return {"plan": point.plan, "least": _cents(point.least), "most": _cents(point.most)}


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
