"""The report's table of re-syncs under load: time, rows, WAL kept at the source, and price."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from loadgen import text
from loadgen.costs.estimate import RESYNCED
from loadgen.record.costs import CostLine
from loadgen.record.resyncs import Resync
from loadgen.record.rows import SlotSample
from loadgen.text import NOTHING, Column, Table


def resync_table(
    resyncs: Sequence[Resync],
    samples: Iterable[SlotSample],
    slots: Mapping[str, str | None],
    lines: Iterable[CostLine],
) -> Table:
    """Return the re-syncs; `slots` are the tools' slots, None if a tool has none.

    The price is what the rows add to the run's by the tool's rate card.
    """
    known = list(samples) if resyncs else []
    prices: dict[str, Iterator[CostLine]] = {}
    for tool in dict.fromkeys(resync.tool for resync in resyncs):
        own = [line for line in lines if line.tool == tool and line.category == RESYNCED]
        prices[tool] = iter(own)  # in the order of the re-syncs
    rows = (
        (
            resync.tool,
            text.moment(resync.began_at),
            "not by the end" if resync.seconds is None else text.duration(resync.seconds),
            text.count(resync.rows),
            _wal_kept(resync, known, slots),
            _price(next(prices[resync.tool], None)),
        )
        for resync in resyncs
    )
    columns = [Column("tool"), Column("began")]
    numbers = ("complete after", "rows", "most WAL kept meanwhile", "price of these rows")
    return Table((*columns, *(Column(label, number=True) for label in numbers)), tuple(rows))


def _wal_kept(
    resync: Resync, samples: Sequence[SlotSample], slots: Mapping[str, str | None]
) -> str:
    slot = slots.get(resync.tool)
    if slot is None:
        return "no slot" if resync.tool in slots else NOTHING
    retained = [
        sample.retained_bytes or 0
        for sample in samples
        if sample.slot == slot
        and resync.began_at <= sample.time
        and (resync.ended_at is None or sample.time <= resync.ended_at)
    ]
    return text.size(max(retained)) if retained else NOTHING


def _price(line: CostLine | None) -> str:
    return text.NOT_PRICED if line is None or line.amount is None else text.dollars(line.amount)
