"""Tags of all resources: they identify the project, and the tool that causes the cost."""

from typing import Final

PROJECT: Final = "simplyload-poc"


def tags(tool: str) -> dict[str, str]:
    """Return a resource's tags; `loadgen costs` reads `tool`. The customer pays for `source`."""
    return {"project": PROJECT, "tool": tool}
