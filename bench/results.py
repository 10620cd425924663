"""Writes benchmark results: one JSON file per run, with date, machine and versions."""

import json
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
