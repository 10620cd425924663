"""The projection of a month at the run's rate: plans, first copies, what-if curves, the cheapest.

The record keeps each figure, so a later change of a rate card does not alter it. Money is rounded
to the cent.
"""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Context, Decimal
from typing import Final

from loadgen.costs import what_if
from loadgen.costs.cards import RateCard
from loadgen.costs.estimate import PlanPrice
from loadgen.costs.usage import Band, Usage
from loadgen.costs.what_if import VendorPrice
from loadgen.costs.workload import Baseline, Workload
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
_WIDE: Final = Context(prec=100)  # holds every sum of prices


def projection_of(
    workload: Workload,
    run: Band[Usage],
    cards: Sequence[RateCard],
    day: date,
    chosen: Sequence[PlanPrice] = (),
) -> Projection:
    """Return the projection of a run's workload, by the plans that are sold on that day.

    `chosen` are the plans of the tools under test, which may have ended.
    """
    month, vendors = workload.month(), what_if.compared(cards, day)
    baseline = workload.baseline
    # Our own infrastructure is no service that is sold.
    sold = {name: plans for name, plans in vendors.items() if not plans[0].card.infrastructure}

    def curve(values: Sequence[float], usage: Callable[[Workload, float], Usage]) -> PriceCurve:
        usages = [usage(workload, x) for x in values]
        return PriceCurve(
            x=tuple(map(int, values)),
            vendors={
                name: tuple(_point(what_if.cheapest(plans, usage)) for usage in usages)
                for name, plans in vendors.items()
            },
        )

    return Projection(
        usage=ProjectedUsage(run=usage_figures(run), month=usage_figures(month)),
        baseline=baseline_size(baseline) if baseline else None,
        event_bytes=workload.settings.get("event_bytes"),
        vendors={name: plans[0].card.vendor for name, plans in vendors.items()},
        months=tuple(
            priced_month(price, month, day, baseline)
            for price in plans_on_offer(cards, day, month.likely, chosen)
        ),
        curves=PriceCurves(
            changes=curve(what_if.VOLUMES, what_if.at_volume),
            event_bytes=curve(what_if.EVENT_BYTES, what_if.at_event_bytes)
            if "event_bytes" in workload.settings
            else None,
            hot_rows=curve(what_if.HOT_ROWS, what_if.at_hot_rows),
        ),
        cheapest=tuple(
            CheapestVendors(
                from_changes=_two_digits(cheapest.low),
                to_changes=_two_digits(cheapest.high),
                vendors=cheapest.vendors,
                at_from=tuple(map(_point, cheapest.at_low)),
                at_to=tuple(map(_point, cheapest.at_high)),
            )
            for cheapest in what_if.cheapest_ranges(sold, workload)
        ),
    )


def plans_on_offer(
    cards: Sequence[RateCard], day: date, usage: Usage, chosen: Sequence[PlanPrice] = ()
) -> list[PlanPrice]:
    """Return the plans on sale, of each plan the cheapest size, and the chosen plans."""

    def highest_price(price: PlanPrice) -> tuple[bool, Decimal]:
        most = Total.of(price.lines(usage)).at_most
        return most is None, most or Decimal(0)

    sizes: dict[tuple[str, str], list[PlanPrice]] = {}
    for card in cards:
        for plan in card.plans if card.payer == "service" else ():
            limits = plan.limits.items()
            if plan.is_sold(day) and all(usage.quantity(meter) <= most for meter, most in limits):
                sizes.setdefault((card.name, plan.name), []).append(
                    PlanPrice(card.name, card, plan)
                )
    cheapest = (min(own, key=highest_price) for own in sizes.values())
    by_title = {(price.card.name, price.plan.title): price for price in cheapest}
    for price in chosen:
        by_title.setdefault((price.card.name, price.plan.title), price)
    return list(by_title.values())


def priced_month(
    price: PlanPrice, month: Band[Usage], day: date, baseline: Baseline | None
) -> PricedMonth:
    """Return a month of that usage on one plan, with the price of each copy of the baseline."""
    usage, lines = month.likely, price.lines(month.likely)
    total = Total.of(lines)
    amount = None if total.unpriced else total.amount
    return PricedMonth(
        card=price.card.name,
        vendor=price.card.vendor,
        plan=price.plan.title,
        former=price.plan.has_ended(day),
        min_interval_seconds=price.plan.min_interval_seconds,
        amount=_bound(amount),
        least=_cents(total.amount),
        most=_bound(total.at_most),
        low=_cents(Total.of(price.lines(month.low)).amount),
        high=_bound(Total.of(price.lines(month.high)).at_most),
        per_million_changes=_per_million(amount, usage.changes),
        per_million_rows=_per_million(amount, usage.distinct_rows),
        grade=worst_grade(lines),
        as_of=min((line.as_of for line in lines if line.as_of), default=None),
        lines=tuple(lines),
        once=tuple(price.copy_lines(usage, baseline)),
    )


def _point(price: VendorPrice) -> PricePoint:
    least, most = _cents(price.least), _bound(price.most)
    return PricePoint(plan=price.plan, least=least, most=most, grade=price.grade)


def baseline_size(baseline: Baseline) -> BaselineSize:
    """Return the rows and bytes of a first copy as whole numbers."""
    low, likely, high = map(int, baseline.bytes)
    return BaselineSize(rows=int(baseline.rows), bytes=(low, likely, high))


def usage_figures(band: Band[Usage]) -> UsageFigures:
    """Return a period's usage as whole numbers."""
    low, likely, high = band
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


def _bound(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else _cents(amount)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, context=_WIDE)


def _two_digits(number: float) -> int:
    """Return a volume to two digits, since it is not known better."""
    return int(float(f"{number:.2g}"))
