"""The report's colours, each in a light and a dark form; those of operations are in `workload`.

Charts are drawn in the light form; a page replaces each colour by its CSS variable, a file of its
own overrides it where dark is preferred. Every light colour is therefore used for one thing only.
Chosen so that text has a contrast of 4.5 and lines one of 3 on their paper, and that operations
stay apart for red-, green- and blue-blind eyes; tests hold both.
"""

from loadgen.workload.operations import OPERATIONS


def _css_name(operation: str) -> str:
    return operation.replace("_", "-")


LIGHT = {
    "paper": "#fdfcfa",
    "panel": "#f4f2ed",
    "ink": "#1c1e22",
    "muted": "#5a5e66",
    "rule": "#d8d5cd",
    "good": "#1a6b3a",
    "warn": "#8a5600",
    "bad": "#a32c16",
    **{_css_name(name): operation.light for name, operation in OPERATIONS.items()},
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
    **{_css_name(name): operation.dark for name, operation in OPERATIONS.items()},
    "other-operation": "#b9bcc2",
}

# Those that stay apart for all eyes, for lines of vendors or tools, whose names stand at the ends.
_APART = (
    "insert-order", "soft-delete-user", "update-order-status", "insert-event", "other-operation",
)  # fmt: skip


def apart(number: int) -> list[str]:
    """Return the names of so many colours; beyond five they come again."""
    return [_APART[i % len(_APART)] for i in range(number)]


def color_name(operation: str) -> str:
    """Return the name of an operation's colour."""
    name = _css_name(operation)
    return name if name in LIGHT else "other-operation"


def variables(colors: dict[str, str]) -> str:
    """Return CSS declarations of the colours as variables."""
    return " ".join(f"--{name}: {color};" for name, color in colors.items())


def themed(svg: str) -> str:
    """Return the drawing with each light colour replaced by its CSS variable."""
    for name, color in LIGHT.items():
        svg = svg.replace(color, f"var(--{name})")
    return svg


def dark_overrides() -> str:
    """Return CSS that turns a drawing in the light colours dark, for a file that stands alone."""
    rules = " ".join(
        f'[style*="{kind}: {color}"] {{ {kind}: {DARK[name]} !important; }}'
        for name, color in LIGHT.items()
        for kind in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme: dark) {{ {rules} }}"
