"""RESULTS.md: the decision matrix of a study, written and written again. Pure.

Measured cells, score and limits are replaced each time; people's cells, rows that they added and
all below `## Notes` are kept word for word, as `matrix` reads them back.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from markupsafe import Markup

from loadgen.config import decision
from loadgen.config.decision import Rules, Score
from loadgen.report.analysis.impact import NOT_MEASURED
from loadgen.report.analysis.tool_summary import ToolSummary
from loadgen.report.decision_matrix import HEAD, LABELS, MATRIX, NOTES, PEOPLES, Words, checksum
from loadgen.report.markdown import escaped, plain_table
from loadgen.text import Column, Table

_INTRO: Final = (
    "Rows by *loadgen* are filled in by `loadgen report`, each time it writes this file. Those by "
    "*yours* are kept word for word, and so are rows that you add to the matrix and all below "
    "Notes; leave the rest as it is. A cell that begins with points, as `7/10: a wizard, an hour`, "
    "counts in the score; weights and limits are in decision.toml, see decision.example.toml."
)
_BLANK: Final = (
    "This one is blank: put it into the folder of a run as RESULTS.md before the study, and fill "
    "in what is yours while it goes on."
)
_STUDIED: Final = ("fivetran", "airbyte", "rivery", "simplyload")
_NO_RULES: Final = "no decision.toml"
_NO_LIMITS: Final = "no limits set"


def results(
    title: str, standings: Sequence[ToolSummary], rules: Rules, kept: Words, warning: str = ""
) -> str:
    """Return the file; `title` is what the study is called, `warning` what its run lacks."""
    by_tool = {one.tool: one for one in standings}
    tools = tuple(dict.fromkeys([*kept.tools, *by_tool]))
    known = [by_tool.get(tool, ToolSummary(tool)) for tool in tools]
    scores = {one.tool: _score(one, rules, kept) for one in known}
    parts = [
        f"# {escaped(title)}",
        _INTRO if standings else f"{_INTRO} {_BLANK}",
        *([f"**{escaped(warning)}**"] if warning else []),
        MATRIX,
        plain_table(_matrix(known, scores, rules, kept)),
        *_arithmetic(known, scores),
        *_limits(known, rules),
        NOTES,
    ]
    text = "\n\n".join(map(str, parts))
    head, rest = text.split("\n", 1)
    marked = f"{head}\n\n<!-- loadgen wrote this; sum {checksum(text)} -->\n{rest}"
    return marked + kept.notes


def blank() -> str:
    """Return the file as it is before a study, for the tools of tools.example.toml."""
    return results("Results of a study", (), Rules(), Words(tools=_STUDIED))


def _matrix(
    known: Sequence[ToolSummary], scores: Mapping[str, Score | None], rules: Rules, kept: Words
) -> Table:
    rows = []
    for key, label in LABELS.items():
        if key in PEOPLES:
            cells = [_raw(kept.cells.get(key, {}).get(one.tool, "")) for one in known]
            rows.append((label, "yours", *cells))
        else:
            rows.append((label, "loadgen", *(_cell(key, one, scores, rules) for one in known)))
    for label, (whose, *cells) in kept.added.items():
        own = dict(zip(kept.tools, cells, strict=True))
        rows.append((_raw(label), _raw(whose), *(_raw(own.get(one.tool, "")) for one in known)))
    columns = [*map(Column, HEAD), *(Column(one.tool) for one in known)]
    return Table(tuple(columns), tuple(rows))


def _cell(key: str, one: ToolSummary, scores: Mapping[str, Score | None], rules: Rules) -> str:
    if key == "score":
        return _score_words(scores[one.tool])
    if key == "limits":
        return _answer_words(one, rules)
    found = {
        "cost": one.paid,
        "snowflake_efficiency": one.warehouse_use,
        "correctness": one.correct,
        "freshness": one.fresh,
    }[key]
    if found is None:
        return NOT_MEASURED
    bases = {
        "cost": f"; {_basis(one)}",
        "snowflake_efficiency": "; Snowflake's own views",
        "correctness": "; every row and column compared",
        "freshness": "; markers, timed on one clock",
    }
    return str(found) if str(found) == NOT_MEASURED else f"{found}{bases[key]}"


def _basis(one: ToolSummary) -> str:
    if one.paid is None:
        return ""
    basis = f"basis: {one.paid.basis or 'nothing priced'}"
    return f"a month at this rate {one.paid.month} by list; {basis}" if one.paid.month else basis


def _score(one: ToolSummary, rules: Rules, kept: Words) -> Score | None:
    cells = {key: kept.cells.get(key, {}).get(one.tool, "") for key in PEOPLES}
    return decision.score(rules, one.figures(), cells)


def _score_words(found: Score | None) -> str:
    if found is None:
        return _NO_RULES
    unknown = ", ".join(LABELS[name] for name in found.unknown)
    missing = f"; without {unknown}: {NOT_MEASURED}" if unknown else ""
    return f"{_number(found.total)} of {_number(found.most)}{missing}"


def _answer_words(one: ToolSummary, rules: Rules) -> str:
    held = decision.limits(rules, one.figures())
    if not held:
        return _NO_LIMITS
    over = [
        f"{limit.figure} {_number(limit.measured or 0)}, limit {_number(limit.limit)}"
        for limit in held
        if limit.over
    ]
    unknown = [limit.figure for limit in held if limit.over is None]
    why = "; ".join([*over, *(f"{name} {NOT_MEASURED}" for name in unknown)])
    said = decision.answer(held)
    return f"{said}: {why}" if why else said


def _arithmetic(
    known: Sequence[ToolSummary], scores: Mapping[str, Score | None]
) -> Iterator[object]:
    """Yield the section that shows each weight x points, and the sum."""
    found = [scores[one.tool] for one in known]
    first = next((score for score in found if score is not None), None)
    if first is None:
        return
    rows = []
    for number, part in enumerate(first.parts):
        cells = [_product(score.parts[number]) for score in found if score is not None]
        rows.append((LABELS[part.criterion], _number(part.weight), *cells))
    sums = (f"{_number(score.total)} of {_number(score.most)}" for score in found if score)
    rows.append(("Sum", "", *sums))
    columns = [Column("criterion"), Column("weight", number=True)]
    columns += [Column(one.tool) for one in known]
    yield "## Score"
    yield "Weight x points, of 10 at most; the weights and the scale are decision.toml's."
    yield plain_table(Table(tuple(columns), tuple(rows)))


def _product(part: decision.Part) -> str:
    if part.points is None or part.product is None:
        return NOT_MEASURED
    return f"{_number(part.weight)} x {_number(part.points)} = {_number(part.product)}"


def _limits(known: Sequence[ToolSummary], rules: Rules) -> Iterator[object]:
    """Yield the section that shows each limit beside what was measured."""
    if not rules.no_go:
        return
    held = [decision.limits(rules, one.figures()) for one in known]
    rows = [
        (name, _number(limit), *(_held(found[number]) for found in held))
        for number, (name, limit) in enumerate(
            (found.figure, found.limit) for found in decision.limits(rules, {})
        )
    ]
    columns = [Column("figure"), Column("at most", number=True)]
    columns += [Column(one.tool) for one in known]
    yield "## Limits"
    yield "A tool over one of them is no-go. What was not measured leaves the answer open."
    yield plain_table(Table(tuple(columns), tuple(rows)))


def _held(found: decision.Held) -> str:
    if found.measured is None:
        return NOT_MEASURED
    return f"{_number(found.measured)}, {'OVER' if found.over else 'held'}"


def _number(value: float) -> str:
    text = f"{value:,.4f}".rstrip("0").rstrip(".")
    return "<0.0001" if value and text == "0" else text


def _raw(cell: str) -> str:
    """Return what people wrote as it is: it is Markdown already."""
    return Markup(cell)  # noqa: S704 - their own words, in their own file
