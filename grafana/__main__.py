"""`python -m grafana` writes the dashboards of the other modules as files for Grafana."""

import json
from pathlib import Path
from typing import Any

from grafana.load import LOAD
from grafana.source import SOURCE_AND_SLOTS
from grafana.tools import TOOLS

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {"load": LOAD, "source": SOURCE_AND_SLOTS, "tools": TOOLS}


def written(dashboard: dict[str, Any]) -> str:
    """Return the content of a dashboard's file."""
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, dashboard in DASHBOARDS.items():
        (FOLDER / f"{name}.json").write_text(written(dashboard), encoding="utf-8")
