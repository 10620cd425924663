"""Where a run is shown on the dashboards: a link that opens them at its time."""

from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

_AROUND = timedelta(seconds=30)  # so that beginning and end are not at the chart's edge


def load_dashboard(grafana_url: str, run_id: str, began: datetime, ended: datetime | None) -> str:
    """Return the address of the dashboard Load at `grafana_url`, from a run's begin to its end.

    A run that has not ended is shown up to now.
    """
    query = {
        "from": _milliseconds(began - _AROUND),
        "to": _milliseconds(ended + _AROUND) if ended else "now",
        "var-run": run_id,
    }
    return f"{grafana_url.rstrip('/')}/d/loadgen-load?{urlencode(query, quote_via=quote)}"


def _milliseconds(at: datetime) -> str:
    return str(round(at.timestamp() * 1000))
