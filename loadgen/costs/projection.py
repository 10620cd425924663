"""What costs.json says beyond the run's own lines: months, first copies, curves, the cheapest.

The record keeps every figure, whatever the cards say later. Money is Decimal to the cent.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from loadgen.costs import what_if
from loadgen.costs.cards import Plan, RateCard
from loadgen.costs.copying import copy_lines
from loadgen.costs.estimate import Priced
from loadgen.costs.usage import Usage
from loadgen.costs.what_if import Point
from loadgen.costs.workload import Band, Baseline, Workload
from loadgen.record.costs import (
    BaselineSize,
    CheapestVendors,
    PriceCurve,
    PriceCurves,
    PricedMonth,
    PricePoint,
    ProjectedUsage,
    Projection,
    Total,
    UsageFigures,
    worst_grade,
)

_MILLION: Final = Decimal(1_000_000)
_CENT: Final = Decimal("0.01")


def outlook(
    workload: Workload,
    run: Band,
    cards: Sequence[RateCard],
    day: date,
    chosen: Sequence[Priced] = (),
) -> Projection:
    """Return what a month of a run's workload costs, by the plans that are sold on that day.

    `chosen` are the plans of the tools under test, which may have ended.
    """
    month, vendors = workload.month(), what_if.compared(cards, day)
    offered = _offered(cards, day, month.likely, chosen)
    return Projection(
        usage=ProjectedUsage(run=_figures(run), month=_figures(month)),
        baseline=_baseline(workload.baseline),
        event_bytes=workload.event_bytes,
        vendors={name: plans[0].card.vendor for name, plans in vendors.items()},
        months=tuple(_month(priced, month, day, workload.baseline) for priced in offered),
        curves=PriceCurves(
            changes=_curve(vendors, what_if.VOLUMES, lambda v: what_if.at_volume(workload, v)),
            event_bytes=_curve(
                vendors, what_if.EVENT_BYTES, lambda v: what_if.at_event_bytes(workload, v)
            ),
            hot_rows=_curve(vendors, what_if.HOT_ROWS, lambda v: what_if.at_hot_rows(workload, v)),
        ),
        cheapest=tuple(
            CheapestVendors(
                from_changes=_digits(cheapest.low),
                to_changes=_digits(cheapest.high),
                vendors=cheapest.vendors,
                at_from=tuple(map(_point, cheapest.at_low)),
                at_to=tuple(map(_point, cheapest.at_high)),
            )
            for cheapest in what_if.cheapest_ranges(_sold(vendors), workload)
        ),
    )


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


def _month(priced: Priced, month: Band, day: date, baseline: Baseline | None) -> PricedMonth:
    plan, usage = priced.plan, month.likely
    lines = priced.lines(usage)
    total = Total.of(lines)
    amount = None if total.unpriced else total.amount
    highest = Total.of(priced.lines(month.high)).at_most
    return PricedMonth(
        card=priced.card.name,
        vendor=priced.card.vendor,
        plan=plan.title,
        former=plan.ended(day),
        min_interval_seconds=plan.min_interval_seconds,
        amount=None if amount is None else _cents(amount),
        least=_cents(total.amount),
        most=None if total.at_most is None else _cents(total.at_most),
        low=_cents(Total.of(priced.lines(month.low)).amount),
        high=None if highest is None else _cents(highest),
        per_million_changes=_per_million(amount, usage.changes),
        per_million_rows=_per_million(amount, usage.distinct_rows),
        grade=worst_grade(lines),
        as_of=min((line.as_of for line in lines if line.as_of), default=None),
        lines=tuple(lines),
        once=tuple(copy_lines(priced, usage, baseline)),
    )


def _curve(
    vendors: Mapping[str, tuple[Priced, ...]],
    values: Sequence[float],
    usage: Callable[[float], Usage],
) -> PriceCurve:
    usages = {value: usage(value) for value in values}
    return PriceCurve(
        x=tuple(int(value) for value in values),
        vendors={
            name: tuple(map(_point, what_if.over(plans, values, usages.__getitem__)))
            for name, plans in vendors.items()
        },
    )


def _point(point: Point) -> PricePoint:
    return PricePoint(
        plan=point.plan,
        least=_cents(point.least),
        most=None if point.most is None else _cents(point.most),
        grade=point.grade,
    )


def _baseline(baseline: Baseline | None) -> BaselineSize | None:
    if baseline is None:
        return None
    low, likely, high = (int(size) for size in (baseline.low, baseline.likely, baseline.high))
    return BaselineSize(rows=int(baseline.rows), bytes=(low, likely, high))


def _figures(band: Band) -> UsageFigures:
    low, likely, high = band.low, band.likely, band.high
    return UsageFigures(
        inserts=int(likely.inserts),
        updates=int(likely.updates),
        deletes=int(likely.deletes),
        changes=int(likely.changes),
        hours=likely.hours,
        distinct_rows=(int(low.distinct_rows), int(likely.distinct_rows), int(high.distinct_rows)),
        bytes=(int(low.bytes), int(likely.bytes), int(high.bytes)),
    )


def _per_million(amount: Decimal | None, number: Decimal) -> Decimal | None:
    return None if amount is None or not number else _cents(amount / number * _MILLION)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT)


def _digits(number: float) -> int:
    """Return a volume to two digits: it is known no better."""
    return int(float(f"{number:.2g}"))
