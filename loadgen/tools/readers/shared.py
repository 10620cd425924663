"""One thing that is slow to open and keeps others out: shared by threads, let go now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Condition, Timer
from typing import Final, Generic, TypeVar

_T = TypeVar("_T")
_PAUSE: Final = 0.05  # seconds that it is left alone, in which somebody who waits for it gets it


class SharedConnection(Generic[_T]):
    """What `opened` opens, for one user or several at once.

    It is closed when nobody uses it, unless it is kept. `turn` seconds after it was opened nobody
    gets it any more until those who have it are through, and it was closed. Who has it must not ask
    for it again.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[_T]], turn: float) -> None:
        self._opened = opened
        self._turn = turn
        self._changes = Condition()
        self._closing = ExitStack()
        self._there: list[_T] = []  # it, while it is open
        self._ends: Timer | None = None
        self._ending = False
        self._users = self._keepers = 0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Leave it open between two uses within. It is first opened for a use."""
        with self._changes:
            self._keepers += 1
        try:
            yield
        finally:
            with self._changes:
                self._keepers -= 1
                self._close_unused()

    @contextmanager
    def lent(self) -> Iterator[_T]:
        """Lend it. Raises what `opened` raises."""
        with self._changes:
            self._changes.wait_for(lambda: not self._ending)
            self._users += 1
        try:
            with self._changes:
                if not self._there:
                    self._open()
            yield self._there[0]
        finally:
            with self._changes:
                self._users -= 1
                self._close_unused()

    def _open(self) -> None:
        self._there.append(self._closing.enter_context(self._opened()))
        self._ends = Timer(self._turn, self._end)
        self._ends.daemon = True
        self._ends.start()

    def _end(self) -> None:
        with self._changes:
            self._ending = bool(self._there)
            self._close_unused()

    def _close_unused(self) -> None:
        if self._users or not self._there or (self._keepers and not self._ending):
            return
        if self._ends is not None:
            self._ends.cancel()
        self._there.clear()
        try:
            self._closing.close()
            if self._keepers:
                time.sleep(_PAUSE)
        finally:
            self._ending = False
            self._changes.notify_all()
