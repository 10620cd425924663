"""What `loadgen verify` shows of a tool: a line, then tables of findings and hard cases."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape as as_text
from rich.table import Table

from loadgen.errors import printable
from loadgen.record.verify import KINDS, Finding, Kind
from loadgen.terminal import own_words
from loadgen.verify.cases import case_example, case_text
from loadgen.verify.outcome import ToolOutcome

_FINDINGS: Final = 30  # shown of a tool
_OF_A_SORT: Final = 3  # and of one table, kind and column
_COLOURS: Final = {"right": "green", "late": "yellow", "lossy": "yellow"}


def show(outcomes: Mapping[str, ToolOutcome]) -> None:
    """Print what was found of each tool."""
    console = Console(file=own_words(sys.stdout))
    for name, outcome in outcomes.items():
        colour = _COLOURS.get(outcome.verdict, "red")
        verdict = f"[bold]{escape(name)}[/]: [{colour}]{outcome.verdict}[/], {_sum(outcome)}"
        console.print(verdict, highlight=False, soft_wrap=True)
        for problem in outcome.problems:
            console.print(f"  {escape(f'tool {name}: {problem}')}", highlight=False, soft_wrap=True)
        shown = some(outcome.findings)
        if shown:
            console.print(_findings(shown))
        hidden = sum(outcome.totals.values()) - len(shown)
        if hidden > 0:
            console.print(f"  and {hidden:,} more")
        if outcome.verdict == "late":
            console.print("  late: verify again after the next sync, or with --drain")
        if any(case.verdict != "not tried" for case in outcome.cases.values()):
            console.print(_cases(outcome))


def _sum(outcome: ToolOutcome) -> str:
    rows = sum(table.rows for table in outcome.tables.values())
    case_text = [f"{rows:,} rows of {len(outcome.tables)} tables in {outcome.seconds:.1f} s"]
    if outcome.unconverged_seconds is not None:
        case_text.append(f"the sentinel did not arrive in {outcome.unconverged_seconds:g} s")
    if outcome.overdue_seconds is not None:
        case_text.append(f"a marker has not arrived in {outcome.overdue_seconds:.0f} s")
    case_text += _kinds(outcome.totals)
    if late := _kinds(outcome.late.totals):
        case_text.append(f"not due yet: {', '.join(late)}")
    if outcome.in_flight:
        case_text.append(f"{outcome.in_flight:,} in flight")
    return ", ".join(case_text)


def _kinds(totals: Mapping[Kind, int]) -> list[str]:
    return [f"{totals[kind]:,} {kind}" for kind in KINDS if totals.get(kind)]


def some(findings: Sequence[Finding]) -> list[Finding]:
    """Return a few findings of each sort, so that many of one hide no other."""
    seen: Counter[tuple[str, ...]] = Counter()
    shown = []
    for one in findings:
        sort = (one.table, one.kind, one.column or "")
        seen[sort] += 1
        if seen[sort] <= _OF_A_SORT:
            shown.append(one)
    return shown[:_FINDINGS]


def _findings(findings: Sequence[Finding]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("kind", "table", "key", "column", "source", "destination"):
        table.add_column(name, overflow="fold")
    for one in findings:
        values = (_cell(value) for value in (one.source, one.destination))
        place = (escape(text) for text in (one.table, one.key, one.column or ""))
        table.add_row(one.kind, *place, *values)
    return table


def _cases(outcome: ToolOutcome) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("hard case", "verdict (rows)", "first example"):
        table.add_column(name, overflow="fold")
    for name, case in outcome.cases.items():
        if case.verdict != "not tried":
            table.add_row(name, case_text(case), escape(case_example(case)))
    if left := [name for name, case in outcome.cases.items() if case.verdict == "not tried"]:
        table.caption = f"not tried: {', '.join(left)}"
    return table


def _cell(value: str | None) -> str:
    """Return a value, which is short already, or say that there is none."""
    return "[dim]NULL[/]" if value is None else escape(value)


def escape(text: str) -> str:
    """Return a text from a copy, of which Rich and the terminal obey no character."""
    return as_text(printable(text))
