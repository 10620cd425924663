"""The report's colours, each in a light and a dark form; those of operations are in the run record.

Charts are drawn in the light form; a page replaces each colour by its CSS variable, a file of its
own overrides it where dark is preferred. Every light colour is therefore used for one thing only.
Chosen so that text has a contrast of 4.5 and lines one of 3 on their paper, and that operations
stay apart for red-, green- and blue-blind eyes; tests hold both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from loadgen.record.run import OperationFacts

LIGHT = {
    "paper": "#fdfcfa",
    "panel": "#f4f2ed",
    "ink": "#1c1e22",
    "muted": "#5a5e66",
    "rule": "#d8d5cd",
    "good": "#1a6b3a",
    "warn": "#8a5600",
    "bad": "#a32c16",
    "blue": "#1a3ac5",
    "amber": "#9a6016",
    "teal": "#1d7572",
    "purple": "#8f188c",
    "other-operation": "#55585c",
}
DARK = {
    "paper": "#15171b",
    "panel": "#1e2126",
    "ink": "#e9e7e2",
    "muted": "#a3a8b1",
    "rule": "#363a41",
    "good": "#6fc796",
    "warn": "#e0b354",
    "bad": "#f48e74",
    "blue": "#6e93ed",
    "amber": "#d88c30",
    "teal": "#35d88c",
    "purple": "#f2b4d4",
    "other-operation": "#b9bcc2",
}

_OTHER = "other-operation"
# Those that stay apart for all eyes, for lines of vendors or tools, whose names stand at the ends.
_APART = ("blue", "purple", "teal", "amber", _OTHER)


def apart(number: int) -> list[str]:
    """Return the names of so many colours; beyond five they come again."""
    return [_APART[i % len(_APART)] for i in range(number)]


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a drawing by name, those of all drawings among them."""

    light: dict[str, str]
    dark: dict[str, str]

    def of(self, operation: str) -> str:
        """Return an operation's light colour."""
        return self.light.get(_css_name(operation), self.light[_OTHER])

    def themed(self, svg: str) -> str:
        """Return the drawing with each light colour replaced by its CSS variable."""
        for name, color in self.light.items():
            svg = svg.replace(color, f"var(--{name})")
        return svg

    def dark_overrides(self) -> str:
        """Return CSS that turns a drawing in the light colours dark, for a file by itself."""
        rules = " ".join(
            f'[style*="{kind}: {color}"] {{ {kind}: {self.dark[name]} !important; }}'
            for name, color in self.light.items()
            for kind in ("fill", "stroke")
        )
        return f"@media (prefers-color-scheme: dark) {{ {rules} }}"


PLAIN = Palette(LIGHT, DARK)


def of_operations(operations: Mapping[str, OperationFacts]) -> Palette:
    """Return the palette of drawings of operations; colours of tools and vendors are not in it."""
    light = {_css_name(name): operation.light for name, operation in operations.items()}
    dark = {_css_name(name): operation.dark for name, operation in operations.items()}
    return Palette(_without_series(LIGHT) | light, _without_series(DARK) | dark)


def variables(colors: dict[str, str]) -> str:
    """Return CSS declarations of the colours as variables."""
    return " ".join(f"--{name}: {color};" for name, color in colors.items())


def _css_name(operation: str) -> str:
    return f"operation-{operation.replace('_', '-')}"


def _without_series(colors: dict[str, str]) -> dict[str, str]:
    return {name: c for name, c in colors.items() if name == _OTHER or name not in _APART}
