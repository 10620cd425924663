"""The project's pages as a reader meets them: blocks of commands, links, headings, words.

A block of commands is ```sh, each line a command, or ```console, where a command follows `$ ` and
the rest is what it prints. Its first line may say how it is to be run:

  # needs an account                   it is not run here, but each of its commands has to exist;
                                       likewise Docker, other hosts, …: whatever is named
  # until Ctrl-C                       it is started, seen to be up, and interrupted
  # in a second terminal               it runs beside those that follow (in a third, …)
  # once the load has ended            that one is interrupted first (the watch likewise)

A comment `# exit code 1` behind a command says that it ends so, and nothing else will do.
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
        """What its first line says, if that is a comment."""
        first = self.text.partition("\n")[0]
        return first.removeprefix("# ").removeprefix("-- ") if first[:2] in ("# ", "--") else ""

    @property
    def script(self) -> str:
        """Its commands, as one would type them; empty where it has none."""
        if self.language == "console":
            return "".join(f"{command}\n" for command in _PROMPT.findall(self.text))
        return self.text if self.language == "sh" else ""

    def __str__(self) -> str:
        """Return the place, to find it by."""
        return f"{name(self.page)}:{self.line}"


def name(page: Path) -> str:
    """Return a page's path as one says it."""
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
    """Return what stands in backticks in a page's prose."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def comments(page: Path) -> list[str]:
    """Return what stands behind a # in a page's commands."""
    texts = [block.text for block in blocks(page) if block.script]
    return re.findall(r"(?:^|\s)# (.+)$", "\n".join(texts), re.MULTILINE)


def links(page: Path) -> list[str]:
    """Return a page's links that lead nowhere else than into the project."""
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
