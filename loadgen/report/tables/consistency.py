"""The report's table of torn reads, and the sentence on the source's own, from consistency.csv."""

from collections.abc import Mapping

from loadgen import text
from loadgen.report.analysis.consistency import SOURCE, SumsReads
from loadgen.text import NOTHING, Column, Table
from loadgen.tools.runners.abilities import ABILITIES


def torn_reads(reads: Mapping[str, SumsReads], runners: Mapping[str, str]) -> Table:
    """Return each copy's reads; no rows if no copy was read.

    `runners` are those of tools.toml by tool: only for these is it known what to expect.
    """
    copies = {tool: of for tool, of in reads.items() if tool != SOURCE}
    rows = []
    for tool, of in copies.items():
        count, incomplete = of.count(), of.count(while_copying=True)
        apart = (f"{name} by {text.quantity(by)}" for name, by in of.differences.items())
        rows.append(
            (
                tool,
                ABILITIES[runners[tool]].torn_reads if runners.get(tool) in ABILITIES else NOTHING,
                text.count(count.reads),
                text.count(count.torn),
                text.share(count.torn, count.reads),
                ", ".join(apart) or NOTHING,
                f"{incomplete.torn:,} of {incomplete.reads:,}" if incomplete.reads else NOTHING,
            )
        )
    numbers = {"reads", "torn", "share", "torn while it was copied as a whole"}
    labels = (
        "tool",
        "expected",
        "reads",
        "torn",
        "share",
        "most apart",
        "torn while it was copied as a whole",
    )
    return Table(tuple(Column(label, label in numbers) for label in labels), tuple(rows))


def source_control(reads: Mapping[str, SumsReads]) -> str:
    """Return what the same reads of the source say about those of the copies."""
    control = reads.get(SOURCE)
    if control is None:
        return "The source itself was not read, so a wrong declaration of the sums would not show."
    count = control.count()
    number = text.plural(count.reads, "read")
    if not count.torn:
        return f"At the source itself, the sums agreed in {number}."
    return (
        f"At the source itself, {count.torn:,} of {number} did not agree: a transaction of the "
        "workload changes these sums unequally, so the figures say nothing about the copies. "
        "Correct [conserved] in its workload.toml."
    )
