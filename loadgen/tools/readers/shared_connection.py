"""A connection that threads share, and that is closed now and then because it locks others out."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Condition, Timer
from typing import Final, Generic, TypeVar

_T = TypeVar("_T")
_PAUSE: Final = 0.05  # seconds closed, in which a waiting process gets its lock


class SharedConnection(Generic[_T]):
    """The connection that `opened` opens, for one user or several at once.

    It is closed when the last user returns it, except within `keep_open`. `longest_hold` seconds
    after it was opened new users have to wait until the present ones have returned it and it has
    been closed. A user must not borrow it twice.
    """

    def __init__(
        self, opened: Callable[[], AbstractContextManager[_T]], longest_hold: float
    ) -> None:
        self._opened = opened
        self._longest_hold = longest_hold
        self._changes = Condition()
        self._closing = ExitStack()
        self._connection: list[_T] = []  # empty while it is closed
        self._timer: Timer | None = None
        self._must_close = False
        self._users = self._keep_open_count = 0

    @contextmanager
    def keep_open(self) -> Iterator[None]:
        """Leave it open between two uses. The first use opens it."""
        with self._changes:
            self._keep_open_count += 1
        try:
            yield
        finally:
            with self._changes:
                self._keep_open_count -= 1
                self._close_unused()

    @contextmanager
    def borrow(self) -> Iterator[_T]:
        """Yield the connection, opened if necessary. Raises what `opened` raises."""
        with self._changes:
            self._changes.wait_for(lambda: not self._must_close)
            self._users += 1
        try:
            with self._changes:
                if not self._connection:
                    self._open()
            yield self._connection[0]
        finally:
            with self._changes:
                self._users -= 1
                self._close_unused()

    def _open(self) -> None:
        self._connection.append(self._closing.enter_context(self._opened()))
        self._timer = Timer(self._longest_hold, self._time_over)
        self._timer.daemon = True
        self._timer.start()

    def _time_over(self) -> None:
        with self._changes:
            self._must_close = bool(self._connection)
            self._close_unused()

    def _close_unused(self) -> None:
        if self._users or not self._connection or (self._keep_open_count and not self._must_close):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._connection.clear()
        try:
            self._closing.close()
            if self._keep_open_count:
                time.sleep(_PAUSE)
        finally:
            self._must_close = False
            self._changes.notify_all()
