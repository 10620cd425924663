"""decision.toml: the weights, points and limits that tools are judged by, read and applied.

A criterion gives 0 to 10 points: measured ones in a straight line between two values, people's ones
from a cell that begins with `7/10`. The score is the sum of weight x points. A criterion that was
not measured has no points, which is not the same as 0.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Final, Literal

from loadgen.config.settings import Settings, read_toml_setting
from loadgen.errors import SettingsError, suggest

MOST_POINTS: Final = 10
# The criteria by their names in the file, with the measured figure of each; people's have none.
CRITERIA: Final[Mapping[str, str | None]] = {
    "set_up_time": None,
    "ux": None,
    "cost": "cost_dollars",
    "snowflake_efficiency": "credits_per_million_changes",
    "correctness": "wrong_rows",
    "freshness": "freshness_p95_seconds",
    "features": None,
}
FIGURES: Final = tuple(figure for figure in CRITERIA.values() if figure is not None)
_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "weights": tuple(CRITERIA),
    "ten_points": FIGURES,
    "no_points": FIGURES,
    "no_go": FIGURES,
}
_POINTS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*10(?![\d.])")

Answer = Literal["go", "no-go", "open"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The content of decision.toml; `file` is its name, "" if the rules are built in."""

    weights: Mapping[str, float] = field(default_factory=dict)
    ten_points: Mapping[str, float] = field(default_factory=dict)
    no_points: Mapping[str, float] = field(default_factory=dict)
    no_go: Mapping[str, float] = field(default_factory=dict)
    file: str = ""


# Without a decision.toml a tool is judged by one limit: no row may be wrong.
BUILT_IN: Final = Rules(no_go={"wrong_rows": 0.0})


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One criterion's part of a score; `points` is None if unknown."""

    criterion: str
    weight: float
    points: float | None

    @property
    def product(self) -> float | None:
        """Weight x points."""
        return None if self.points is None else self.weight * self.points


@dataclass(frozen=True, slots=True)
class Score:
    """A score and its parts; `total` and `most` count only the parts with known points."""

    parts: tuple[ScorePart, ...]

    @property
    def total(self) -> float:
        """The sum of weight x points."""
        return sum(part.product or 0.0 for part in self.parts)

    @property
    def most(self) -> float:
        """The score with full points."""
        return sum(MOST_POINTS * part.weight for part in self.parts if part.points is not None)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The criteria with a weight and without points."""
        return tuple(part.criterion for part in self.parts if part.points is None)


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """A limit and the measured figure, which is None if it was not measured."""

    figure: str
    limit: float
    measured: float | None

    @property
    def over(self) -> bool | None:
        """Whether the figure is above the limit; None if it is unknown."""
        return None if self.measured is None else self.measured > self.limit


def load(settings: Settings) -> Rules:
    """Return the rules in DECISION_FILE; the built-in ones if the file does not exist.

    Raises SettingsError if a file that was named explicitly does not exist, and with a line for
    each error in the file.
    """
    raw = read_toml_setting(settings, "decision_file")
    if raw is None:
        return BUILT_IN
    if errors := list(_errors(raw)):
        raise SettingsError("\n".join(f"{settings.decision_file}: {text}" for text in errors))
    tables = {name: {key: float(v) for key, v in raw.get(name, {}).items()} for name in _TABLES}
    return Rules(**tables, file=settings.decision_file.name)


def score(
    rules: Rules, figures: Mapping[str, float | None], cells: Mapping[str, str]
) -> Score | None:
    """Return a tool's score from its figures and people's cells; None if no criterion has a weight.

    The keys of `figures` are FIGURES, those of `cells` people's criteria.
    """
    parts = tuple(
        ScorePart(name, rules.weights[name], _points(rules, name, figures, cells))
        for name in CRITERIA
        if rules.weights.get(name)
    )
    return Score(parts) if parts else None


def limits(rules: Rules, figures: Mapping[str, float | None]) -> tuple[LimitCheck, ...]:
    """Compare a tool's figures with each limit."""
    return tuple(
        LimitCheck(name, rules.no_go[name], figures.get(name))
        for name in FIGURES
        if name in rules.no_go
    )


def answer(checks: tuple[LimitCheck, ...], wrong_rows: float | None = None) -> Answer:
    """Return no-go if a limit is exceeded, open if one could not be checked.

    A tool with wrong rows is no-go unless a limit allows them; then the answer is open.
    """
    if any(check.over for check in checks):
        return "no-go"
    if wrong_rows:
        return "open" if any(check.figure == "wrong_rows" for check in checks) else "no-go"
    return "go" if checks and all(check.over is False for check in checks) else "open"


def points_in_cell(cell: str) -> float | None:
    """Return the points at the beginning of a cell such as `7/10: a wizard`; None without any."""
    match = _POINTS.match(cell.strip())
    if match is None or (points := float(match[1])) > MOST_POINTS:
        return None
    return points


def _points(
    rules: Rules, name: str, figures: Mapping[str, float | None], cells: Mapping[str, str]
) -> float | None:
    figure = CRITERIA[name]
    if figure is None:
        return points_in_cell(cells.get(name, ""))
    measured = figures.get(figure)
    if measured is None:
        return None
    best, worst = rules.ten_points[figure], rules.no_points[figure]
    share = (worst - measured) / (worst - best)
    return round(MOST_POINTS * min(1.0, max(0.0, share)), 1)  # so that the displayed sum adds up


def _errors(raw: Mapping[str, object]) -> Iterator[str]:
    """Yield a line for each error in the file."""
    errors = [text for table, inner in raw.items() for text in _table_errors(table, inner)]
    yield from errors or _missing_points(raw)


def _table_errors(table: str, inner: object) -> Iterator[str]:
    known = _TABLES.get(table)
    if known is None:
        yield f"[{table}] is not a table of this file: {suggest(table, tuple(_TABLES))}"
    elif not isinstance(inner, dict):
        yield f"{table} must be a table, [{table}]"
    else:
        for name, number in inner.items():
            if name not in known:
                yield f"{name} of [{table}] is unknown: {suggest(name, known)}"
            elif (
                isinstance(number, bool)
                or not isinstance(number, int | float)
                or not (isfinite(number) and number >= 0)
            ):
                yield f"{name} of [{table}] is {number!r}: it must be a number, 0 or more"


def _missing_points(raw: Mapping[str, object]) -> Iterator[str]:
    """Yield a line for each figure whose points can't be computed although it has a weight."""
    weights, best, worst = (_table(raw, name) for name in ("weights", "ten_points", "no_points"))
    for criterion, figure in CRITERIA.items():
        if figure is None:
            continue
        if figure in best and figure in worst and best[figure] >= worst[figure]:
            yield f"{figure}: [ten_points] must be below [no_points]"
        for table, figures in (("ten_points", best), ("no_points", worst)):
            if weights.get(criterion) and figure not in figures:
                yield f"{criterion} has a weight, so [{table}] needs {figure}"


def _table(raw: Mapping[str, object], name: str) -> Mapping[str, float]:
    table = raw.get(name, {})
    return table if isinstance(table, dict) else {}
