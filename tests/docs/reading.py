"""Parse the project's pages: blocks of commands, links, headings and prose.

A block of commands is ```sh (each line is a command) or ```console (commands follow `$ `, the other
lines are their output). Its first line may be a mark that says how to run the block:

  # needs an account                   not run here, but each of its commands must exist
                                       (also: needs Docker, needs other hosts, …)
  # until Ctrl-C                       started, checked to be up, and interrupted
  # in a second terminal               runs in parallel with the blocks that follow (also: third)
  # once the load has ended            the load is interrupted first (also: the watch)

A comment `# exit code 1` after a command means that it must end with exactly this exit code.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_ROOMS: Final = (".", "docs", "docs/method", "infra", "bench", "reports")
_FENCE: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_PROMPT: Final = re.compile(r"^(?:\w+)?\$ (.*)$", re.MULTILINE)
_LINK: Final = re.compile(r'(?:\]\(|src="|srcset="|href=")([^)"\s]+)[)"]')
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page, at a line, without its indentation."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def mark(self) -> str:
        """Text of the first line if that is a comment, else empty."""
        first = self.text.partition("\n")[0]
        return first.removeprefix("# ").removeprefix("-- ") if first[:2] in ("# ", "--") else ""

    @property
    def script(self) -> str:
        """Its commands as a user types them; empty if it has none."""
        if self.language == "console":
            return "".join(f"{command}\n" for command in _PROMPT.findall(self.text))
        return self.text if self.language == "sh" else ""

    def __str__(self) -> str:
        """Return page and line."""
        return f"{name(self.page)}:{self.line}"


def name(page: Path) -> str:
    """Return a page's path in the project."""
    return str(page.relative_to(ROOT))


@cache
def pages() -> tuple[Path, ...]:
    """Return every page of the project."""
    return tuple(page for room in _ROOMS for page in sorted((ROOT / room).glob("*.md")))


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found[2], dedent(found[3]))


def prose(page: Path) -> str:
    """Return a page without its blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def code_spans(page: Path) -> list[str]:
    """Return the texts in backticks in a page's prose."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def comments(page: Path) -> list[str]:
    """Return the comments in a page's commands."""
    texts = [block.text for block in blocks(page) if block.script]
    return re.findall(r"(?:^|\s)# (.+)$", "\n".join(texts), re.MULTILINE)


def links(page: Path) -> list[str]:
    """Return a page's links to files of the project."""
    text = re.sub(r"`[^`\n]+`", "", prose(page))
    return [link for link in _LINK.findall(text) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(page)):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip()
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        number = 0
        while (anchor := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(anchor)
    return found
