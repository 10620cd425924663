"""The terminal, which obeys no text from outside: escape sequences are shown as text.

What stdout's encoding lacks is written as `?`, so that no command fails at its last line.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, Final, TextIO, cast

from loadgen.errors import escaped

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
