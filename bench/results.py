"""Writes benchmark results: one JSON file per run, with date, machine and versions."""

import json
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from loadgen.source import environment

_FOLDER = Path(__file__).parent / "results"


def write_results(name: str, figures: dict[str, object]) -> Path:
    """Write `figures` of benchmark `name` with the circumstances they were measured in."""
    now = datetime.now(UTC)
    _FOLDER.mkdir(exist_ok=True)
    path = _FOLDER / f"{name}-{now:%Y%m%dT%H%M%SZ}.json"
    result = {
        "benchmark": name,
        "at": now.isoformat(timespec="seconds"),
        "machine": environment.machine(),
        "versions": environment.versions(),
        **figures,
    }
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"kept in {path.relative_to(_FOLDER.parent.parent)}")
    return path


def spread(ratios: Sequence[float]) -> dict[str, float]:
    """Return the median, the least and the most of some ratios."""
    return {
        "median": round(statistics.median(ratios), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
    }


def ratio_text(ratios: Sequence[float]) -> str:
    """Return the median of some ratios and their range as text."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
