"""The guides: each tool's entry is that of tools.example.toml, and the parts that all must have."""

import re
import tomllib
from pathlib import Path

import pytest

from loadgen.tools.tools_file import Tool, parse_tools

ROOT = Path(__file__).parents[2]
GUIDES = {
    name: f"docs/{name.upper()}_SETUP.md"
    for name in ("fivetran", "airbyte", "rivery", "simplyload")
}
PARTS = ("What you need", "Its limits", "Is it right?", "Tear down and stop paying")


def tools_in(text: str, where: str) -> dict[str, Tool]:
    """Return the tools of a text in TOML."""
    return {tool.name: tool for tool in parse_tools(tomllib.loads(text), where)}


@pytest.mark.parametrize("name", GUIDES)
def test_a_guides_entry_is_the_examples(name: str) -> None:
    """As the project's own reader takes both; it names slot, warehouse and price."""
    text = (ROOT / GUIDES[name]).read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tool,) = tools_in(block, GUIDES[name]).values()
    example = (ROOT / "tools.example.toml").read_text(encoding="utf-8")
    assert tool == tools_in(example, "tools.example.toml")[name]
    assert tool.slot
    assert tool.warehouse
    assert tool.price


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_has_all_its_parts(name: str) -> None:
    """Requirements, numbered steps, limits, the check, the removal, places for pictures."""
    text = (ROOT / GUIDES[name]).read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [one for one in headings if not one[0].isdigit()] == list(PARTS)
    assert [one[0] for one in headings if one[0].isdigit()] == ["1", "2", "3", "4"]
    assert "*Screenshot: " in text
    assert f"loadgen db revoke {name}" in text
