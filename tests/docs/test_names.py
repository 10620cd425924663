"""Settings, files, commands and options that pages mention exist."""

import re
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from loadgen.config.settings import Settings
from loadgen.workload.read_model import built_in_models, read_model
from tests.docs.commands import FOREIGN, ask_locust, complaint, known, options
from tests.docs.reading import ROOT, blocks, code_spans, comments, name, pages, prose
from tests.docs.terminal import NOT_CLONED

CAPITALS = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b(?!\.md)")
# Names in capitals that are neither settings nor words of the code.
OTHERS = {
    "FREEZE_SECONDS": "a test's own, in method/faults.md",
    "ORGANIZATION_USAGE": "a schema of Snowflake's",
    "RSA_PUBLIC_KEY_2": "Snowflake's",
    "ERR_NGROK_8013": "ngrok's",
    "ERR_NGROK_1808": "ngrok's",
}
# Files that the reader makes, or that a program writes on the reader's machine.
READERS = {
    "deploy.json", "deploy-rds.json", "server.crt", "server.key", "Pulumi.dev.yaml", "pg_hba.conf",
    "copy.duckdb.lock",
}  # fmt: skip
MADE = re.compile(r"(WH|DB|ROLE|SVC)_ELT_[A-Z]+")  # by `loadgen tools snowflake-sql`
OR = "\uff5c"  # as in tables, since | ends a cell
OPTIONS = {"--scale", "--secret"}  # docker's, pulumi's
FILE = re.compile(r"[\w./<>-]*\w\.(?:py|md|toml|sql|json|jsonl|csv|html|yml|yaml|lock|svg|in|txt)")


@cache
def code() -> str:
    """Return the text of all code and configuration."""
    rooms = ("loadgen", "infra", "grafana", "bench", "scripts")
    kept = (".py", ".sql", ".toml", ".yml", ".html", ".yaml", ".example", "")
    paths = [path for room in rooms for path in (ROOT / room).rglob("*")]
    paths += [path for path in ROOT.iterdir() if path.name not in NOT_CLONED]
    texts = [p.read_text(encoding="utf-8") for p in paths if is_text(p, kept)]
    return "\n".join(texts)


def is_text(path: Path, kept: tuple[str, ...]) -> bool:
    """Tell whether a file is one of our text files."""
    return path.is_file() and path.suffix in kept and ".venv" not in path.parts


@cache
def files() -> frozenset[str]:
    """Return every file of the project."""
    tops = [top for top in ROOT.iterdir() if top.name not in NOT_CLONED | {".venv"}]
    paths = [path for top in tops for path in (top, *top.rglob("*"))]
    return frozenset(str(path.relative_to(ROOT)) for path in paths)


@pytest.mark.parametrize("page", pages(), ids=name)
def test_a_name_in_capitals_is_a_setting_or_a_word_of_the_code(page: Path) -> None:
    """No page names a setting that does not exist."""
    typed = [block.text for block in blocks(page) if block.language in ("sh", "console", "toml")]
    named = set(CAPITALS.findall("\n".join([prose(page), *typed])))
    settings = {one.upper() for one in Settings.model_fields}
    others = {one for one in named - settings - OTHERS.keys() if not MADE.fullmatch(one)}
    assert [one for one in others if one not in code()] == []


@pytest.mark.parametrize("page", pages(), ids=name)
def test_a_file_that_is_named_is_there(page: Path) -> None:
    """Each named file is in the project, or is created by the code or by the reader."""
    missing = []
    for span in code_spans(page):
        if not FILE.fullmatch(span) or span in READERS:
            continue
        in_tree = any(f"/{path}".endswith(f"/{span.lstrip('./')}") for path in files())
        if not in_tree and Path(span).name not in code():
            missing.append(span)
    assert missing == []


@pytest.mark.parametrize("page", pages(), ids=name)
def test_a_command_that_is_named_is_there(page: Path) -> None:
    """Each named command of `loadgen` or `aws`, target of make and script exists."""
    wrong = []
    for span in code_spans(page):
        words = [word for word in span.split() if word != "…" and word[:7] != "PYTHON="]
        if words[:1] == ["loadgen"]:
            wrong += [known(one) for one in product(*(word.split(OR) for word in words[1:]))]
        elif words[:1] == ["make"] and words[1:]:
            wrong += ["" if f"\n{words[1]}:" in makefile() else span]
        elif words[:1] == ["aws"] or span.startswith("scripts/"):
            wrong += [complaint(words)]
    assert [text for text in wrong if text] == []


@cache
def makefile() -> str:
    """Return the Makefile."""
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def test_an_option_that_is_named_is_there() -> None:
    """Each `--option`, also in comments, belongs to `loadgen`, `locust`, a workload or OPTIONS."""
    _, of_locust = ask_locust([])
    of_workloads = {
        f"--{operation.option.replace('_', '-')}"
        for workload in built_in_models()
        for operation in read_model(workload).operations.values()
    }
    there = options().union(of_locust, of_workloads, OPTIONS)
    named = {
        (name(page), word.partition("=")[0])
        for page in pages()
        for span in code_spans(page) + comments(page)
        if span.split()[:1] not in ([one] for one in FOREIGN | {"aws", "mypy", "python"})
        for word in span.split()
        if re.fullmatch(r"--[a-z][\w-]+(?:=.*)?", word)
    }
    assert sorted((page, word) for page, word in named if word not in there) == []
