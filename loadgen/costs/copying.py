"""What copying the baseline costs once: a tool's first copy, and each re-sync after it. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Final

from loadgen.costs.cards import Copying
from loadgen.costs.estimate import Priced
from loadgen.costs.usage import Usage
from loadgen.costs.workload import Baseline
from loadgen.record.costs import CostLine, Total, not_priced, worst_grade

FIRST_COPY: Final = "first copy"
RESYNC: Final = "one re-sync"
_ROW: Final = "row"


def copy_lines(priced: Priced, usage: Usage, baseline: Baseline | None) -> Iterator[CostLine]:
    """Yield the two lines: what each adds to the price of a period that has this usage already."""
    yield copy_line(priced, usage, baseline, FIRST_COPY)
    yield copy_line(priced, usage, baseline, RESYNC)


def copy_line(priced: Priced, usage: Usage, baseline: Baseline | None, category: str) -> CostLine:
    """Return what one copy of the baseline adds to the price of the usage."""
    card = priced.card
    copying = card.first_copy if category == FIRST_COPY else card.resync
    if baseline is None:
        why = "the run's record has no rows of the baseline"
        return not_priced(priced.tool, card.payer, category, why)
    if copying is None:
        why = f"rate card {card.name} does not say whether it is billed"
        return not_priced(priced.tool, card.payer, category, why)
    if not copying.billed:
        return _line(priced, copying, category, baseline, Decimal(0))
    before = Total.of(priced.lines(usage))
    lines = priced.lines(usage.with_rows(baseline.rows, baseline.likely))
    after = Total.of(lines)
    if before.unpriced or after.unpriced:
        why = next((line.note for line in lines if line.amount is None), "its price is not known")
        why = why.removeprefix("not priced: ")
        return not_priced(priced.tool, card.payer, category, why, card.vendor)
    line = _line(priced, copying, category, baseline, after.amount - before.amount)
    return replace(line, grade=worst_grade([line, *lines]))


def _line(
    priced: Priced, copying: Copying, category: str, baseline: Baseline, amount: Decimal
) -> CostLine:
    source = priced.card.sources[copying.source]
    return CostLine(
        tool=priced.tool,
        payer=priced.card.payer,
        category=category,
        quantity=baseline.rows,
        unit=_ROW,
        amount=amount,
        basis=priced.basis,
        grade=copying.grade or source.grade,
        source=source.title,
        as_of=source.as_of,
        note=copying.note if copying.billed else "; ".join(filter(None, ("free", copying.note))),
    )
