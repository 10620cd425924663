"""Output on the terminal: tables, and protection against control characters in external text.

Escape sequences are shown as text. A character that stdout's encoding lacks becomes `?`, so that no
command fails while it prints.
"""

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, Final, TextIO, cast

from loadgen.errors import escaped, printable
from loadgen.text import Table

_PIPE_WIDTH: Final = 200  # characters of a table that is not written to a terminal
_WIDE_GAP: Final = 3  # characters between two columns of a table that is not compact
_LONGEST_WORD: Final = 24  # characters; longer ones, such as addresses, are broken if need be
_LINE_WIDTH: Final = 80  # of a terminal that does not say
_ERASE: Final = "\x1b[K"  # to the end of the line
_NO_PLAIN_TEXT: Final = re.compile(r"[^ -~\n\t]")


class _Screen:
    """A text stream that escapes all control characters except line breaks and tabs."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        status_line.clear()
        return self.stream.write(_NO_PLAIN_TEXT.sub(lambda match: escaped(match[0]), text))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class StatusLine:
    """The terminal's last line, rewritten in place. All other output replaces it.

    It needs a terminal that can erase a line, and a process in the foreground.
    """

    def __init__(self) -> None:
        self._stream: TextIO | None = None  # with the line; None while it is not shown

    def show(self, text: str) -> bool:
        """Show a line of plain text, cut to the width; return whether that is possible."""
        for guarded in (sys.stderr, sys.stdout):
            stream = guarded.stream if isinstance(guarded, _Screen) else guarded
            if stream is not None and _is_foreground_terminal(stream):
                width = os.get_terminal_size(stream.fileno()).columns or _LINE_WIDTH
                stream.write(f"\r{text[: width - 1]}{_ERASE}")
                stream.flush()
                self._stream = stream
                return True
        return False

    def clear(self) -> None:
        """Erase the line, if it is shown."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.write(f"\r{_ERASE}")
            stream.flush()


status_line: Final = StatusLine()


def _is_foreground_terminal(stream: TextIO) -> bool:
    if not stream.isatty():
        return False
    from rich.console import Console  # noqa: PLC0415 - 40 ms, which logs and most commands save

    if Console(file=stream).is_dumb_terminal:
        return False
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except OSError:
        return False


@contextmanager
def guarded_output() -> Iterator[None]:
    """Guard stdout and stderr in the block; stdout keeps writing `?` for unknown characters."""
    before = sys.stdout, sys.stderr
    guard_output()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def guard_output() -> None:
    """Escape control characters on stdout and stderr; write `?` for those stdout can't encode."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    sys.stdout, sys.stderr = (
        stream if stream is None or isinstance(stream, _Screen) else cast("TextIO", _Screen(stream))
        for stream in (sys.stdout, sys.stderr)
    )


def discard_stdout() -> None:
    """Let stdout lead nowhere, since its reader (`| head`) has ended.

    Otherwise the interpreter's last flush is an error.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def unguarded(stream: TextIO) -> TextIO:
    """Return the unguarded stream, for our own colours; external texts then need `printable`."""
    status_line.clear()
    return stream.stream if isinstance(stream, _Screen) else stream


def print_wrapped(message: str, stream: TextIO | None = None) -> None:
    """Print a message at once; a terminal's lines break between words, others are left whole."""
    stream = stream or sys.stdout
    print("\n".join(_wrapped(message, stream)), file=stream, flush=True)


def _wrapped(message: str, stream: TextIO) -> Iterator[str]:
    width = terminal_width(stream)
    for line in message.splitlines():
        if width is None or len(line) <= width:
            yield line
        else:
            yield from textwrap.wrap(
                line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )


def terminal_width(stream: TextIO) -> int | None:
    """Return the columns of the stream's terminal; None if it is none."""
    if not stream.isatty():
        return None
    return os.get_terminal_size(stream.fileno()).columns or _LINE_WIDTH


def print_table(table: Table, *, title: str = "", caption: str = "") -> None:
    """Print a table to stdout, fitted to the terminal's width.

    If it is too wide, the gaps become narrower, headings of numbers break at spaces, and texts are
    folded between words; numbers and words are broken only if there is no other way.
    """
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - 40 ms, which commands without tables save
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table as RichTable  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    def build(widths: Sequence[int] | None, *, compact: bool) -> RichTable:
        rich_table = RichTable(
            box=SIMPLE_HEAD,
            pad_edge=False,
            padding=0 if compact else (0, 1),
            show_edge=not compact,
            title=title or None,
            title_justify="left",
            title_style="bold",
            caption=caption or None,
            caption_justify="left",
            show_header=any(column.label for column in table.columns),
        )
        for index, column in enumerate(table.columns):
            rich_table.add_column(
                column.label,
                justify="right" if column.number else "left",
                overflow="fold",
                width=widths[index] if widths else None,
            )
        for row in table.rows:
            rich_table.add_row(*(Text(printable(cell)) for cell in row))
        return rich_table

    stdout = unguarded(sys.stdout)
    console = Console(file=stdout, highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    unlimited = console.options.update(width=sys.maxsize)
    natural = build(None, compact=False)
    too_wide = console.measure(natural, options=unlimited).maximum > console.width
    with console.capture() as output:  # rich itself would exit with 1 on a broken pipe
        if not too_wide:
            console.print(natural)
        elif not any(column.number for column in table.columns):
            room = console.width - _WIDE_GAP * len(table.columns)
            console.print(build(_column_widths(table, room), compact=False))
        elif narrow := _column_widths(table, console.width - len(table.columns) + 1):
            console.print("", build(narrow, compact=True), sep="\n")
        else:
            console.print(natural)
    stdout.write(output.get())


def _column_widths(table: Table, room: int) -> list[int] | None:
    """Return the widths at which only texts are folded, else also numbers, in `room` characters.

    Neither is broken within a word; None if there is no room for that.
    """
    for may_fold_numbers in (False, True):
        least, most = [], []
        for index, column in enumerate(table.columns):
            cells = [row[index] for row in table.rows if row]
            headings = column.label.split()
            if column.number and not may_fold_numbers:
                least.append(_longest([*headings, *cells]))
            else:
                least.append(min(_longest([*headings, *_words(cells)]), _LONGEST_WORD))
            most.append(_longest([*(headings if column.number else [column.label]), *cells]))
        free = room - sum(least)
        if free >= 0:
            # What needs least to be whole gets it first.
            for index in sorted(range(len(least)), key=lambda i: most[i] - least[i]):
                wider = max(0, min(most[index] - least[index], free))
                least[index] += wider
                free -= wider
            return least
    return None


def _longest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)


def _words(cells: Iterable[str]) -> list[str]:
    return [word for cell in cells for word in cell.split()]
