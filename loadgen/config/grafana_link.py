"""Where a run is shown on the dashboards: a link that opens them at its time."""

import re
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

_IN_ADDRESSES = ":/?#@!$&*+,;=%[]~"  # and no bracket that ends a Markdown link
_AROUND = timedelta(seconds=30)  # so that beginning and end are not at the chart's edge


_HTTP = re.compile(r"https?://[^\s/]")


def load_dashboard(grafana_url: str, run_id: str, began: datetime, ended: datetime | None) -> str:
    """Return the address of the dashboard Load at `grafana_url`, from a run's begin to its end.

    A run that has not ended is shown up to now. What is no address of a web page gives none: "".
    A login in the address is left out.
    """
    if not _HTTP.match(grafana_url):
        return ""
    scheme, _, rest = grafana_url.partition("://")
    place, slash, path = rest.partition("/")
    address = quote(f"{scheme}://{place.rpartition('@')[2]}{slash}{path}", safe=_IN_ADDRESSES)
    query = {
        "from": _milliseconds(began - _AROUND),
        "to": _milliseconds(ended + _AROUND) if ended else "now",
        "var-run": run_id,
    }
    return f"{address.rstrip('/')}/d/loadgen-load?{urlencode(query, quote_via=quote)}"


def _milliseconds(at: datetime) -> str:
    return str(round(at.timestamp() * 1000))
