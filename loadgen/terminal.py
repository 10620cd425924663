"""What is printed on the terminal: tables, and text from outside that the terminal must not obey.

Escape sequences are shown as text. A character that stdout's encoding lacks is written as `?`, so
that no command fails at its last line.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, Final, TextIO, cast

from loadgen.errors import escaped, printable
from loadgen.text import Table

_PIPE_WIDTH: Final = 200  # columns of a table that is not written to a terminal
_NO_PLAIN_TEXT: Final = re.compile(r"[^ -~\n\t]")


class _Screen:
    """A text stream whose texts may break lines, and do nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return self.stream.write(_NO_PLAIN_TEXT.sub(lambda found: escaped(found[0]), text))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def guarded_output() -> Iterator[None]:
    """Guard stdout and stderr meanwhile; what stdout's encoding lacks stays `?` from then on."""
    before = sys.stdout, sys.stderr
    guard_output()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def guard_output() -> None:
    """Let stdout and stderr obey no text, and write `?` for what stdout's encoding lacks."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    sys.stdout, sys.stderr = (
        stream if stream is None or isinstance(stream, _Screen) else cast("TextIO", _Screen(stream))
        for stream in (sys.stdout, sys.stderr)
    )


def own_words(stream: TextIO) -> TextIO:
    """Return the stream for colours and bars of our own; texts from outside need `printable`."""
    return stream.stream if isinstance(stream, _Screen) else stream


def print_table(table: Table, *, title: str = "", caption: str = "") -> None:
    """Print a table to stdout, its cells folded to the terminal's width."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - 40 ms, which commands without tables save
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table as RichTable  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    console = Console(file=own_words(sys.stdout), highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    rich_table = RichTable(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=title or None,
        title_justify="left",
        title_style="bold",
        caption=caption or None,
        caption_justify="left",
        show_header=any(column.label for column in table.columns),
    )
    for column in table.columns:
        rich_table.add_column(
            column.label, justify="right" if column.number else "left", overflow="fold"
        )
    for row in table.rows:
        rich_table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(rich_table)
