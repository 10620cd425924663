"""A report as its reader has it: the page as a browser parses it, the text as its tables."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input"}


@dataclass
class Page(HTMLParser):
    """A page as a browser builds it: its tables by section, its tags, and its links and sources."""

    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _section: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Note the tag; begin a section, a row or a cell."""
        given = dict(attrs)
        self.tags.append(tag)
        self.fetched += [
            value
            for name, value in attrs
            if value and name in {"src", "href", "xlink:href", "action"} and value[0] != "#"
        ]
        if tag == "section":
            self._section = given.get("id") or ""
        if tag == "tr":
            self.tables.setdefault(self._section, []).append([])
        if tag in {"td", "th"}:
            self.tables[self._section][-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost tag, which must be this one."""
        assert self._open.pop() == tag, f"{tag} closes nothing"

    def handle_data(self, data: str) -> None:
        """Keep the text that a person would read."""
        if self._open and self._open[-1] not in {"style", "script"}:
            self.text.append(data)
        if self._open and {"td", "th"} & set(self._open[-2:]):
            self.tables[self._section][-1][-1] += data

    def row(self, section: str, name: str) -> list[str]:
        """Return the cells after a row's name."""
        (found,) = [row[1:] for row in self.tables[section] if row and row[0] == name]
        return found


def page_of(html: str) -> Page:
    """Return the page, which must close every tag that it opens."""
    page = Page()
    page.feed(html)
    page.close()
    assert not page._open
    return page


def markdown_tables(text: str) -> list[list[str]]:
    """Return the cells of all rows of all tables, without the rules under the headings."""
    rows = [
        [unescape(cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [row for row in rows if not set("".join(row)) <= set("-:")]
