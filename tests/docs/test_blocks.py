"""The commands of every page work as they stand, or at least exist if they can't run here."""

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
    "a database of your own", "a load that runs", "packages from PyPI",
}  # fmt: skip
MARKS = re.compile(
    r"needs (?P<what>.+)|until Ctrl-C|in a (second|third) terminal|once the (load|watch) has ended"
)


def is_run(block: Block) -> bool:
    """Tell whether a block runs any command here."""
    typed = [line for line in block.script.splitlines() if line and line[0] != "#"]
    here = [line for line in typed if not line.startswith((*ELSEWHERE, "source ", "cd "))]
    return bool(here) and not block.mark.startswith("needs ")


def promised(page: Path) -> list[str]:
    """Return the words in italics that a page says you "should see"."""
    paragraphs = page.read_text(encoding="utf-8").split("\n\n")
    told = [re.sub("`[^`]*`", "", text).partition("ou should see")[2] for text in paragraphs]
    return [words for text in told for words in re.findall(r"\*([^*\n]+)\*", text)]


RUN = [page for page in pages() if any(is_run(block) for block in SCRIPTS if block.page == page)]


@pytest.mark.parametrize("page", RUN, ids=name)
def test_what_a_page_says_to_type_works(page: Path, tmp_path: Path) -> None:
    """The blocks, run in order in a fresh folder, end as the page says and print its words."""
    with fresh_folder(tmp_path) as reader:
        for block in SCRIPTS:
            if block.page == page:
                reader.reads(block)
        printed = "\n".join(reader.printed)
    assert [words for words in promised(page) if words not in printed] == []


@pytest.mark.parametrize("block", SCRIPTS, ids=str)
def test_a_command_exists(block: Block) -> None:
    """Each program, command, option, target and setting that a block names exists."""
    wrong = [complaint(words) for words in commands(block.script)]
    assert [text for text in wrong if text] == []


def test_locust_takes_what_the_pages_give_it() -> None:
    """Each option of each `locust` command line is defined by Locust or by this project."""
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
    """The tests know the language and the mark of each block, so none is skipped by mistake."""
    assert {block.language for block in EVERY} <= {"sh", "console", "sql", "toml", "json", "text"}
    for block in SCRIPTS:
        found = MARKS.match(block.mark)
        assert found or not block.mark.startswith(("needs", "until", "in a", "once")), block
        if found and found["what"]:
            assert found["what"] in NEEDED, block


def test_what_is_run_elsewhere_or_shortened_is_on_a_page() -> None:
    """Each entry of both lists is on a page, and the files that run it elsewhere exist."""
    typed = "\n".join(block.script for block in SCRIPTS)
    for line, where in ELSEWHERE.items():
        assert re.search(rf"^{line}\b", typed, re.MULTILINE), line
        assert (ROOT / where).exists()
    assert all(told in typed for told in SHORTER)


def test_queries_of_the_source_are_answered(database: str) -> None:
    """Each SQL block that is marked for the source runs on its schema."""
    asked = [block for block in EVERY if block.language == "sql" and "source" in block.mark]
    assert asked
    with connect(database) as connection:
        for block in asked:
            for statement in block.text.split(";\n"):
                if statement.strip():
                    connection.execute(statement.encode())
