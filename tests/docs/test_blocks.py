"""The commands of every page: they work as they stand, or, where they can't be run here, exist."""

import re
from pathlib import Path

import pytest

from loadgen.source.postgres import connect
from tests.docs.commands import ask_locust, commands, complaint, without_settings
from tests.docs.reading import ROOT, Block, blocks, name, pages
from tests.docs.terminal import ELSEWHERE, SHORTER, fresh_folder

EVERY = [block for page in pages() for block in blocks(page)]
SCRIPTS = [block for block in EVERY if block.script]
NEEDED = {
    "an account", "Docker", "Kubernetes", "other hosts",
    "a run that was killed", "a run without tools", "a workload of yours",
    "a database of your own", "a load that runs",
}  # fmt: skip
MARKS = re.compile(
    r"needs (?P<what>.+)|until Ctrl-C|in a (second|third) terminal|once the (load|watch) has ended"
)


def is_run(block: Block) -> bool:
    """Tell whether a block does something here."""
    typed = [line for line in block.script.splitlines() if line and line[0] != "#"]
    here = [line for line in typed if not line.startswith((*ELSEWHERE, "source ", "cd "))]
    return bool(here) and not block.mark.startswith("needs ")


def promised(page: Path) -> list[str]:
    """Return what a page says to be printed: the words in italics where one "should see" them."""
    paragraphs = page.read_text(encoding="utf-8").split("\n\n")
    told = [re.sub("`[^`]*`", "", text).partition("ou should see")[2] for text in paragraphs]
    return [words for text in told for words in re.findall(r"\*([^*\n]+)\*", text)]


RUN = [page for page in pages() if any(is_run(block) for block in SCRIPTS if block.page == page)]


@pytest.mark.parametrize("page", RUN, ids=name)
def test_what_a_page_says_to_type_works(page: Path, tmp_path: Path) -> None:
    """Its blocks, typed in order into a fresh folder, end as the page says, and print its words."""
    with fresh_folder(tmp_path) as reader:
        for block in SCRIPTS:
            if block.page == page:
                reader.reads(block)
        printed = "\n".join(reader.printed)
    assert [words for words in promised(page) if words not in printed] == []


@pytest.mark.parametrize("block", SCRIPTS, ids=str)
def test_a_command_exists(block: Block) -> None:
    """Each program, command, option, target and setting that a block names is there."""
    wrong = [complaint(words) for words in commands(block.script)]
    assert [text for text in wrong if text] == []


def test_locust_takes_what_the_pages_give_it() -> None:
    """Each option of each `locust` command line is one of its own, or of ours."""
    asked = [
        words[1:]
        for block in SCRIPTS
        for command in commands(block.script)
        if (words := without_settings(command)[1])[:1] == ["locust"]
    ]
    said, _ = ask_locust(asked)
    assert len(asked) > 5
    assert [text for text in said if text] == []


def test_a_block_is_run_or_says_why_not() -> None:
    """Languages and marks are those that the tests know; no block is passed over unseen."""
    assert {block.language for block in EVERY} <= {"sh", "console", "sql", "toml", "json", "text"}
    for block in SCRIPTS:
        found = MARKS.match(block.mark)
        assert found or not block.mark.startswith(("needs", "until", "in a", "once")), block
        if found and found["what"]:
            assert found["what"] in NEEDED, block


def test_what_is_run_elsewhere_or_shortened_is_on_a_page() -> None:
    """Neither list has a line that no page has, and what runs it elsewhere is there."""
    typed = "\n".join(block.script for block in SCRIPTS)
    for line, where in ELSEWHERE.items():
        assert re.search(rf"^{line}\b", typed, re.MULTILINE), line
        assert (ROOT / where).exists()
    assert all(told in typed for told in SHORTER)


def test_queries_of_the_source_are_answered(database: str) -> None:
    """Each SQL block that is said to be for the source runs on its schema."""
    asked = [block for block in EVERY if block.language == "sql" and "source" in block.mark]
    assert asked
    with connect(database) as connection:
        for block in asked:
            for statement in block.text.split(";\n"):
                if statement.strip():
                    connection.execute(statement.encode())
