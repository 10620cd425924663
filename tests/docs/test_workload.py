"""Each example in docs/workload.md is a valid model, and the page names every key."""

import re
from pathlib import Path

import pytest

from loadgen.workload.read_model import read_model
from loadgen.workload.read_values import GENERATORS
from loadgen.workload.read_writes import FORMS
from tests.docs.reading import ROOT, Block, blocks, prose

PAGE = ROOT / "docs" / "workload.md"
EXAMPLES = [block for block in blocks(PAGE) if block.language == "toml"]
KEYS = {
    *GENERATORS, *FORMS, *(option for _, options in GENERATORS.values() for option in options),
    "title", "profile", "every", "levels",
    "pools", "rows", "key", "version", "states", "gone", "null", "type", "per_hour",
    "option", "label", "recent", "params", "set", "row", "where", "once", "inserted", "order",
    "parameter", "like", "first", "next", "weight", "minutes", "created_at", "changed_at",
    "violations", "noun", "conserved", "sums",
}  # fmt: skip


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_an_example_is_a_model(block: Block, tmp_path: Path) -> None:
    """Each example is valid as it stands; one without an operation gets the simplest operation."""
    toml = block.text
    if "[operations." not in toml:
        table = re.search(r"\[tables\.(.+)\]", toml)
        assert table
        name = table[1].strip('"')
        toml += f"\n[operations.insert_row]\nper_hour = 1\ninsert = '{name}'\n"
    (tmp_path / "workload.toml").write_text(toml, encoding="utf-8")
    model = read_model(str(tmp_path))
    assert all(table.types for table in model.tables.values())


def test_the_page_has_every_key() -> None:
    """The page has each key in backticks, alone or in an example of a value."""
    written = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`\n]+)`", prose(PAGE)))))
    assert KEYS - written - {"title"} == set()


def test_a_workload_of_one_table_is_short() -> None:
    """The first example is complete, in fewer than 25 lines."""
    assert len(EXAMPLES[0].text.splitlines()) < 25
