"""RESULTS.md, the decision matrix: read back, and written again without losing a word. Pure.

Measured cells, score and limits are replaced each time. The cells and rows that people wrote, and
all below `## Notes`, are kept word for word. The file has a checksum of loadgen's own text; if that
was changed, the change would be lost, and the file is refused.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from typing import Final

from markupsafe import Markup

from loadgen.config import decision
from loadgen.config.decision import Rules, Score
from loadgen.errors import RecordError
from loadgen.report.analysis.impact import NOT_MEASURED
from loadgen.report.analysis.tool_answer import Study, decide
from loadgen.report.analysis.tool_summary import ToolSummary
from loadgen.report.markdown import escaped, markdown_table
from loadgen.text import Column, Table

# The rows of the matrix, in this order. People fill in those of _MANUAL, loadgen the others.
_LABELS: Final[Mapping[str, str]] = {
    "set_up_time": "Set-up time",
    "ux": "UX",
    "cost": "Cost",
    "snowflake_efficiency": "Snowflake efficiency",
    "correctness": "Correctness",
    "freshness": "Freshness",
    "features": "Features",
    "notes": "Notes on the tool",
    "score": "Score",
    "limits": "Limits",
    "decision": "Decision",
}
_MANUAL: Final = ("set_up_time", "ux", "features", "notes", "decision")
_FIRST_COLUMNS: Final = ("criterion", "by")
_NOTES: Final = "## Notes"
_MATRIX: Final = "## Decision matrix"
_CHECKSUM: Final = re.compile(r"<!-- loadgen wrote this; sum ([0-9a-f]{64}) -->")
_ESCAPED: Final = re.compile(r"\\([\\`*\[\]|])")
_RULE: Final = re.compile(r"[|\s:-]+")
_INTRO: Final = (
    "`loadgen report` fills in the rows by *loadgen* each time it writes this file. It keeps those "
    "by *yours* word for word, and also rows that you add to the matrix and all below Notes; do "
    "not change the rest. A cell that begins with points, as `7/10: a wizard, an hour`, counts in "
    "the score; weights and limits are in decision.toml, see decision.example.toml."
)
_BLANK: Final = (
    "This one is blank: put it into the folder of a run as RESULTS.md, and fill in your rows "
    "during the run."
)
SCORE_NOTE: Final = "Weight x points, of 10 at most; the weights and the scale are decision.toml's."
LIMITS_NOTE: Final = (
    "A tool over one of them is no-go. What was not measured leaves the answer open."
)
_EXAMPLE_TOOLS: Final = ("fivetran", "airbyte", "rivery", "simplyload")


@dataclass(frozen=True, slots=True)
class Annotations:
    """What people wrote: cells by row and tool, the tools in their order, and all below Notes."""

    tools: tuple[str, ...] = ()
    cells: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # rows: author, and cells
    notes: str = "\n"


@dataclass(frozen=True, slots=True)
class DecisionTables:
    """The decision matrix, the arithmetic of its score, and its limits; the latter may be empty."""

    matrix: Table
    score: Table
    limits: Table


def read_annotations(text: str, file: str) -> Annotations:
    """Return what people wrote into the file; RecordError if some of it would be lost."""
    own, heading, notes = text.partition(f"\n{_NOTES}")
    written = _CHECKSUM.search(own)
    if not heading or (notes and not notes.startswith("\n")):
        raise _unreadable(file, f"has no line `{_NOTES}`")
    if written is None:
        raise _unreadable(file, "was not written by loadgen, or its first comment is gone")
    first, *rows = list(_matrix_rows(own)) or [[]]
    if tuple(first[:2]) != _FIRST_COLUMNS or len(set(first)) != len(first):
        raise _unreadable(file, "has no decision matrix, or its heading was changed")
    tools = tuple(unescape(_ESCAPED.sub(r"\1", name)) for name in first[2:])
    for row in rows:
        if len(row) != len(first):
            raise _unreadable(file, f"has {len(row)} cells in row {row[:1]}, not {len(first)}")
    labels = [row[0] for row in rows]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise _unreadable(file, f"has two rows {twice!r}")
    if _checksum(f"{own}\n{_NOTES}") != written[1]:
        raise _unreadable(file, "was changed in a row or a text that loadgen writes")
    keys = {_LABELS[key]: key for key in _MANUAL}
    cells = {keys[row[0]]: dict(zip(tools, row[2:], strict=True)) for row in rows if row[0] in keys}
    added = {row[0]: tuple(row[1:]) for row in rows if row[0] not in _LABELS.values()}
    return Annotations(tools, cells, added, notes)


def results_text(
    title: str,
    tables: DecisionTables,
    annotations: Annotations,
    warning: str = "",
    *,
    blank: bool = False,
) -> str:
    """Return the file; `warning` says why the run's figures may mean little."""
    parts = [
        f"# {escaped(title)}",
        f"{_INTRO} {_BLANK}" if blank else _INTRO,
        *([f"**{escaped(warning)}**"] if warning else []),
        _MATRIX,
        markdown_table(tables.matrix),
    ]
    if tables.score.rows:
        parts += ["## Score", SCORE_NOTE, markdown_table(tables.score)]
    if tables.limits.rows:
        parts += ["## Limits", LIMITS_NOTE, markdown_table(tables.limits)]
    parts.append(_NOTES)
    text = "\n\n".join(map(str, parts))
    head, rest = text.split("\n", 1)
    return (
        f"{head}\n\n<!-- loadgen wrote this; sum {_checksum(text)} -->\n{rest}{annotations.notes}"
    )


def decision_tables(
    study: Study, annotations: Annotations | None = None, *, trusted: bool = True
) -> DecisionTables:
    """Return the tables; with annotations people's cells are Markdown, as they wrote it.

    A tool that people wrote about and that was not in this run keeps its column.
    """
    rules, by_name = study.rules, {tool.name: tool for tool in study.tools}
    names = tuple(dict.fromkeys([*(annotations.tools if annotations else ()), *by_name]))
    shown = [by_name.get(name, ToolSummary(name)) for name in names]
    scores = [
        decision.score(
            rules,
            tool.figures(),
            {key: row.get(tool.name, "") for key, row in study.cells.items()},
        )
        for tool in shown
    ]
    limits = [_limits_cell(tool, rules, trusted=trusted) for tool in shown]
    if annotations is None:
        matrix = _for_page(_matrix(shown, scores, limits, Annotations(cells=study.cells)))
    else:
        matrix = _matrix(shown, scores, limits, annotations)
    return DecisionTables(matrix, _score_table(shown, scores), _limits_table(shown, rules))


def _for_page(matrix: Table) -> Table:
    """Return the matrix for a page: people's cells as plain text, without rows that are empty.

    Instead of the column of the rows' authors, people's rows are marked as such.
    """
    rows = []
    for label, author, *cells in (tuple(map(_plain_text, row)) for row in matrix.rows):
        if any(cells):
            rows.append((label if author == "loadgen" else f"{label} ({author})", *cells))
    return Table((matrix.columns[0], *matrix.columns[2:]), tuple(rows))


def _plain_text(cell: str) -> str:
    return unescape(_ESCAPED.sub(r"\1", cell)) if isinstance(cell, Markup) else cell


def blank_results() -> str:
    """Return the file as it is before a run, for the tools of tools.example.toml."""
    annotations = Annotations(tools=_EXAMPLE_TOOLS)
    tables = decision_tables(Study(rules=Rules()), annotations)
    return results_text("Results of a study", tables, annotations, blank=True)


def _unreadable(file: str, reason: str) -> RecordError:
    return RecordError(
        f"{file} {reason}: nothing was written, so that no word of yours is lost; move the file "
        "away and copy your words into the new one"
    )


def _matrix_rows(own: str) -> Iterator[list[str]]:
    """Yield the cells of the matrix, its heading first, without the rule below that."""
    section = own.partition(f"\n{_MATRIX}")[2].partition("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("|") and not _RULE.fullmatch(line):
            yield _cells(line)[1:-1]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())]


def _checksum(text: str) -> str:
    """Return the sum over what loadgen wrote: all but people's cells and rows, and spaces."""
    tokens: list[str] = []
    in_matrix = False
    for line in text.splitlines():
        in_matrix = line.rstrip() == _MATRIX or (in_matrix and not line.startswith("## "))
        if _CHECKSUM.fullmatch(line) or _RULE.fullmatch(line):
            continue
        cells = _cells(line)
        if not in_matrix or not line.startswith("|"):
            tokens += line.replace("|", " | ").split()
        elif cells[1] in {_LABELS[key] for key in _MANUAL}:
            tokens += cells[1:3]
        elif cells[1] in {*_LABELS.values(), _FIRST_COLUMNS[0]}:
            tokens += [token for cell in cells for token in cell.split()]
    return sha256(" ".join(tokens).encode()).hexdigest()


def _matrix(
    tools: Sequence[ToolSummary],
    scores: Sequence[Score | None],
    limits: Sequence[str],
    annotations: Annotations,
) -> Table:
    rows = []
    for key, label in _LABELS.items():
        if key in _MANUAL:
            cells = [_raw(annotations.cells.get(key, {}).get(tool.name, "")) for tool in tools]
            rows.append((label, "yours", *cells))
        elif key == "score":
            rows.append((label, "loadgen", *map(_score_cell, scores)))
        elif key == "limits":
            rows.append((label, "loadgen", *limits))
        else:
            rows.append((label, "loadgen", *(_measured_cell(key, tool) for tool in tools)))
    for label, (author, *cells) in annotations.added.items():
        by_tool = dict(zip(annotations.tools, cells, strict=True))
        own = (_raw(by_tool.get(tool.name, "")) for tool in tools)
        rows.append((_raw(label), _raw(author), *own))
    columns = [*map(Column, _FIRST_COLUMNS), *(Column(tool.name) for tool in tools)]
    return Table(tuple(columns), tuple(rows))


def _measured_cell(key: str, tool: ToolSummary) -> str:
    figures, basis = {
        "cost": (tool.cost, _cost_basis(tool)),
        "snowflake_efficiency": (tool.warehouse_use, "Snowflake's own views"),
        "correctness": (tool.correctness, "every row and column compared"),
        "freshness": (tool.freshness, "markers, timed on one clock"),
    }[key]
    if figures is None or str(figures) == NOT_MEASURED:
        return NOT_MEASURED
    return f"{figures}; {basis}" if basis else str(figures)


def _cost_basis(tool: ToolSummary) -> str:
    if tool.cost is None or not (tool.cost.bases or tool.cost.month):
        return ""
    basis = f"basis: {tool.cost.basis or 'nothing priced'}"
    return f"a month at this rate {tool.cost.month} by list; {basis}" if tool.cost.month else basis


def _score_cell(score: Score | None) -> str:
    if score is None:
        return "no decision.toml"
    unknown = ", ".join(_LABELS[name] for name in score.unknown)
    missing = f"; without {unknown}: {NOT_MEASURED}" if unknown else ""
    return f"{_number(score.total)} of {_number(score.most)}{missing}"


def _limits_cell(tool: ToolSummary, rules: Rules, *, trusted: bool) -> str:
    answer, reasons = decide(tool, rules, trusted=trusted)
    if not rules.no_go and not reasons:
        return "no limits set"
    return f"{answer}: {'; '.join(reasons)}" if reasons else answer


def _score_table(tools: Sequence[ToolSummary], scores: Sequence[Score | None]) -> Table:
    """Return each weight x points, and the sum; an empty table without weights."""
    known = [score for score in scores if score is not None]
    if not known:
        return Table((), ())
    rows = []
    for number, part in enumerate(known[0].parts):
        products = [_product(score.parts[number]) for score in known]
        rows.append((_LABELS[part.criterion], _number(part.weight), *products))
    sums = (f"{_number(score.total)} of {_number(score.most)}" for score in known)
    rows.append(("Sum", "", *sums))
    columns = [Column("criterion"), Column("weight", number=True)]
    columns += [Column(tool.name) for tool in tools]
    return Table(tuple(columns), tuple(rows))


def _product(part: decision.ScorePart) -> str:
    if part.points is None or part.product is None:
        return NOT_MEASURED
    return f"{_number(part.weight)} x {_number(part.points)} = {_number(part.product)}"


def _limits_table(tools: Sequence[ToolSummary], rules: Rules) -> Table:
    """Return each limit beside its measurements; an empty table without limits."""
    if not rules.no_go:
        return Table((), ())
    by_tool = [decision.limits(rules, tool.figures()) for tool in tools]
    rows = (
        (limit.figure, _number(limit.limit), *(_held(limits[number]) for limits in by_tool))
        for number, limit in enumerate(decision.limits(rules, {}))
    )
    columns = [Column("figure"), Column("at most", number=True)]
    columns += [Column(tool.name) for tool in tools]
    return Table(tuple(columns), tuple(rows))


def _held(limit: decision.LimitCheck) -> str:
    if limit.measured is None:
        return NOT_MEASURED
    return f"{_number(limit.measured)}, {'OVER' if limit.over else 'held'}"


def _number(number: float) -> str:
    text = f"{number:,.4f}".rstrip("0").rstrip(".")
    return "<0.0001" if number and text == "0" else text


def _raw(cell: str) -> str:
    """Return what people wrote as it is, since it is Markdown already."""
    return Markup(cell)  # noqa: S704 - their words, in their file
