"""Numbers, times and colours as Grafana writes and shows them by default, in its dark theme."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

PAPER, PANEL, RULE, INK, MUTED = "#111217", "#181b1f", "#2c2f36", "#d5d6dd", "#9a9ca5"
_COLORS: Final[Mapping[str, str]] = {
    "green": "#73BF69",
    "semi-dark-yellow": "#F2CC0C",
    "yellow": "#FADE2A",
    "light-blue": "#8AB8FF",
    "blue": "#5794F2",
    "orange": "#FF9830",
    "red": "#F2495C",
    "purple": "#B877D9",
    "text": "#ccccdc",
}
# The palette "classic": series get its colours in their order.
_PALETTE: Final = ("green", "semi-dark-yellow", "blue", "orange", "red", "purple")
_SECONDS: Final = (
    (1e-6, 1e9, "ns"), (1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (60.0, 1.0, "s"),
    (3600.0, 1 / 60, "min"), (86_400.0, 1 / 3600, "hour"), (604_800.0, 1 / 86_400, "day"),
)  # fmt: skip
_SCALED: Final[Mapping[str, tuple[float, str, Sequence[str]]]] = {
    "bytes": (1024.0, "", (" B", " KiB", " MiB", " GiB", " TiB")),
    "Bps": (1000.0, "", (" B/s", " kB/s", " MB/s", " GB/s")),
    "short": (1000.0, "", ("", " K", " Mil", " Bil")),
    "wps": (1000.0, "", (" wr/s", "K wr/s", "M wr/s")),
    "currencyUSD": (1000.0, "$", ("", "K", "M")),
}


def color(name: str) -> str:
    """Return a colour by its name in Grafana."""
    return _COLORS.get(name, name)


def series_color(number: int) -> str:
    """Return the colour of a panel's series by its place."""
    return color(_PALETTE[number % len(_PALETTE)])


def number_text(number: float, unit: str) -> str:
    """Return a number with its unit, to three digits."""
    if unit == "s":
        return _seconds(number)
    if unit == "percentunit":
        return f"{_digits(100 * number)}%"
    base, prefix, suffixes = _SCALED[unit]
    scale = 0
    while abs(number) >= base and scale < len(suffixes) - 1:
        number, scale = number / base, scale + 1
    return f"{prefix}{_digits(number)}{suffixes[scale]}"


def clock(seconds: float) -> str:
    """Return a time of day, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"


def threshold_color(number: float, thresholds: Mapping[str, Any]) -> str:
    """Return the colour of the highest threshold that the number reaches."""
    steps: Iterable[Mapping[str, Any]] = thresholds["steps"]
    reached = [step["color"] for step in steps if step["value"] is None or number >= step["value"]]
    return color(reached[-1])


def mapped(number: float, mappings: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return the text and the colour that a panel gives a value; None if it gives none."""
    for mapping in mappings:
        if option := mapping["options"].get(f"{number:g}"):
            return option["text"], color(option["color"])
    return None


def _seconds(number: float) -> str:
    if number == 0:
        return "0 s"
    for below, factor, unit in _SECONDS:
        if abs(number) < below:
            return f"{_digits(number * factor)} {unit}"
    return f"{_digits(number / 604_800)} week"


def _digits(number: float) -> str:
    if abs(number) >= 100:
        return f"{number:.0f}"
    return f"{float(f'{number:.3g}'):.6f}".rstrip("0").rstrip(".")
