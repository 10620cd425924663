"""The tags that everything here bears: how it is found again, and whose cost it is."""

from typing import Final

PROJECT: Final = "simplyload-poc"


def tags(tool: str) -> dict[str, str]:
    """Return a resource's tags; `loadgen costs` reads `tool`, and `source` is the customer's."""
    return {"project": PROJECT, "tool": tool}
