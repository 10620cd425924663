"""decision.toml: what a tool is judged by; weights, points and limits, read and applied.

A criterion gives 0 to 10 points. Measured ones get them from their figure, in a straight line
between two values; people's ones from a cell that begins with `7/10`. The score is the sum of
weight x points. What is not measured has no points, and is never taken for 0. Judging is pure.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Final, Literal

from loadgen.config.settings import Settings
from loadgen.config.toml_file import read_named
from loadgen.errors import SettingsError, meant

MOST_POINTS: Final = 10
# The criteria by their names in the file, and the measured figure behind each; people's have none.
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
_POINTS_SAID: Final = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*10(?![\d.])")

Answer = Literal["go", "no-go", "open"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the file says; empty where nobody wrote one."""

    weights: Mapping[str, float] = field(default_factory=dict)
    ten_points: Mapping[str, float] = field(default_factory=dict)
    no_points: Mapping[str, float] = field(default_factory=dict)
    no_go: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """One criterion's part of a score; points None where they are not known."""

    criterion: str
    weight: float
    points: float | None

    @property
    def product(self) -> float | None:
        """Weight x points."""
        return None if self.points is None else self.weight * self.points


@dataclass(frozen=True, slots=True)
class Score:
    """The parts, and what they sum up to: of `most`, which counts only those that are known."""

    parts: tuple[Part, ...]

    @property
    def total(self) -> float:
        """The sum of weight x points."""
        return sum(part.product or 0.0 for part in self.parts)

    @property
    def most(self) -> float:
        """What it would be with full points."""
        return sum(MOST_POINTS * part.weight for part in self.parts if part.points is not None)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The criteria with a weight and without points."""
        return tuple(part.criterion for part in self.parts if part.points is None)


@dataclass(frozen=True, slots=True)
class Held:
    """One limit: what was measured, and whether it is over; None is not measured."""

    figure: str
    limit: float
    measured: float | None

    @property
    def over(self) -> bool | None:
        """Whether it is above the limit; None where nothing tells."""
        return None if self.measured is None else self.measured > self.limit


def load(settings: Settings) -> Rules:
    """Return what DECISION_FILE says; empty rules where nobody wrote the file.

    Raises SettingsError: for a file that was named and is not there, and for each thing in it that
    is not understood.
    """
    raw = read_named(settings, "decision_file")
    if raw is None:
        return Rules()
    if bad := list(_wrong(raw)):
        raise SettingsError("\n".join(f"{settings.decision_file}: {text}" for text in bad))
    return Rules(
        **{name: {key: float(v) for key, v in raw.get(name, {}).items()} for name in _TABLES}
    )


def score(
    rules: Rules, figures: Mapping[str, float | None], cells: Mapping[str, str]
) -> Score | None:
    """Return a tool's score from its figures and people's cells; None where nothing has a weight.

    `figures` are by the names of FIGURES, `cells` by people's criteria.
    """
    parts = tuple(
        Part(name, rules.weights[name], _points(rules, name, figures, cells))
        for name in CRITERIA
        if rules.weights.get(name)
    )
    return Score(parts) if parts else None


def limits(rules: Rules, figures: Mapping[str, float | None]) -> tuple[Held, ...]:
    """Return each limit beside the tool's figure."""
    return tuple(
        Held(name, rules.no_go[name], figures.get(name)) for name in FIGURES if name in rules.no_go
    )


def answer(found: tuple[Held, ...]) -> Answer:
    """Return no-go where a limit is exceeded, open where one could not be judged."""
    if any(held.over for held in found):
        return "no-go"
    return "go" if found and all(held.over is False for held in found) else "open"


def points_said(cell: str) -> float | None:
    """Return the points that a cell begins with, as in `7/10: a wizard`; None where it does not."""
    found = _POINTS_SAID.match(cell.strip())
    if found is None or (points := float(found[1])) > MOST_POINTS:
        return None
    return points


def _points(
    rules: Rules, name: str, figures: Mapping[str, float | None], cells: Mapping[str, str]
) -> float | None:
    figure = CRITERIA[name]
    if figure is None:
        return points_said(cells.get(name, ""))
    measured = figures.get(figure)
    if measured is None:
        return None
    best, worst = rules.ten_points[figure], rules.no_points[figure]
    share = (worst - measured) / (worst - best)
    return round(MOST_POINTS * min(1.0, max(0.0, share)), 1)  # so that the sum shown adds up


def _wrong(raw: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with the file, a line each."""
    bad = False
    for table, inner in raw.items():
        for text in _wrong_table(table, inner):
            bad = True
            yield text
    if not bad:
        yield from _wrong_pairs(raw)


def _wrong_table(table: str, inner: object) -> Iterator[str]:
    known = _TABLES.get(table)
    if known is None:
        yield f"[{table}] is no part of it: {meant(table, tuple(_TABLES))}"
    elif not isinstance(inner, dict):
        yield f"{table} has to be a table, [{table}]"
    else:
        for name, value in inner.items():
            if name not in known:
                yield f"{name} of [{table}] is not known: {meant(name, known)}"
            elif isinstance(value, bool) or not isinstance(value, int | float) or not _fits(value):
                yield f"{name} of [{table}] is {value!r}: it must be a number, 0 or more"


def _wrong_pairs(raw: Mapping[str, object]) -> Iterator[str]:
    """Yield what is missing for the points of a criterion that has a weight."""
    weights, best, worst = (_table(raw, name) for name in ("weights", "ten_points", "no_points"))
    for criterion, figure in CRITERIA.items():
        if figure is None:
            continue
        if figure in best and figure in worst and best[figure] >= worst[figure]:
            yield f"{figure}: [ten_points] has to be below [no_points]"
        for table, values in (("ten_points", best), ("no_points", worst)):
            if weights.get(criterion) and figure not in values:
                yield f"{criterion} has a weight, so [{table}] needs {figure}"


def _table(raw: Mapping[str, object], name: str) -> Mapping[str, float]:
    found = raw.get(name, {})
    return found if isinstance(found, dict) else {}


def _fits(value: float) -> bool:
    return isfinite(value) and value >= 0
