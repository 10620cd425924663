"""A connection shared by threads: opened once, closed when unused, released after its turn."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from loadgen.tools.readers.shared_connection import SharedConnection
from tests.polling import wait_for


class Thing:
    """A resource that can be open once at a time; `events` lists when it opens and closes."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.refuses = False
        self.closes = True

    @contextmanager
    def opened(self) -> Iterator[str]:
        """Open it."""
        if self.refuses:
            raise OSError("busy")
        assert self.events[-1:] != ["open"]
        self.events.append("open")
        yield f"number {self.events.count('open')}"
        self.events.append("closed")
        if not self.closes:
            raise OSError("stuck")


def test_it_is_opened_for_a_use_and_closed_after_it() -> None:
    """Each use opens it again."""
    thing = Thing()
    shared = SharedConnection(thing.opened, longest_hold=60)
    for number in (1, 2):
        with shared.borrow() as borrow:
            assert borrow == f"number {number}"
            assert thing.events[-1] == "open"
        assert thing.events[-1] == "closed"


def test_several_users_have_one_and_the_last_closes_it() -> None:
    """The last user may be in any thread."""
    thing = Thing()
    shared = SharedConnection(thing.opened, longest_hold=60)
    with shared.borrow() as first:
        with ThreadPoolExecutor(1) as pool:
            other = shared.borrow()
            assert pool.submit(other.__enter__).result(10) == first
        assert thing.events == ["open"]
    assert thing.events == ["open"]
    other.__exit__(None, None, None)
    assert thing.events == ["open", "closed"]


def test_kept_it_stays_open_between_uses() -> None:
    """It opens at the first use, and closes when keep_open ends."""
    thing = Thing()
    shared = SharedConnection(thing.opened, longest_hold=60)
    with shared.keep_open():
        assert thing.events == []
        for _ in range(3):
            with shared.borrow() as borrow:
                assert borrow == "number 1"
        assert thing.events == ["open"]
    assert thing.events == ["open", "closed"]


def test_after_its_turn_it_is_closed_though_it_is_kept() -> None:
    """It closes even if there is no later use."""
    thing = Thing()
    shared = SharedConnection(thing.opened, longest_hold=0.05)
    with shared.keep_open():
        with shared.borrow():
            pass
        wait_for(lambda: thing.events == ["open", "closed"], "the end of its turn")
        with shared.borrow() as borrow:
            assert borrow == "number 2"
    assert thing.events == ["open", "closed"] * 2


def test_after_its_turn_who_has_it_keeps_it_and_others_wait() -> None:
    """So a use is never cut short, and uses that overlap do not keep it open for ever."""
    thing = Thing()
    shared = SharedConnection(thing.opened, longest_hold=0.05)
    through = Event()

    def use() -> str:
        with shared.borrow() as borrow:
            return borrow

    with ThreadPoolExecutor(1) as pool, shared.keep_open():
        with shared.borrow():
            through.wait(0.3)
            later = pool.submit(use)
            through.wait(0.2)
            assert not later.done()
            assert thing.events == ["open"]
        assert later.result(10) == "number 2"
        assert thing.events[:3] == ["open", "closed", "open"]


def test_what_can_t_be_opened_is_said_and_tried_again() -> None:
    """One failure leaves nothing behind."""
    thing = Thing()
    shared = SharedConnection(thing.opened, longest_hold=60)
    thing.refuses = True
    with shared.keep_open():
        for _ in range(2):
            with pytest.raises(OSError, match="busy"), shared.borrow():
                pass
        thing.refuses = False
        with shared.borrow():
            assert thing.events == ["open"]
    assert thing.events == ["open", "closed"]


def test_a_use_that_fails_gives_it_back() -> None:
    """And does not close it for the others."""
    thing = Thing()
    shared = SharedConnection(thing.opened, longest_hold=60)
    with shared.keep_open():
        with pytest.raises(ValueError, match="oops"), shared.borrow():
            raise ValueError("oops")
        assert thing.events == ["open"]
    assert thing.events == ["open", "closed"]


def test_a_closing_that_fails_keeps_nobody_waiting() -> None:
    """The closing thread gets the error, and the next user opens a new connection."""
    thing = Thing()
    shared = SharedConnection(thing.opened, longest_hold=0.05)
    thing.closes = False
    with shared.keep_open():
        with pytest.raises(OSError, match="stuck"), shared.borrow():
            Event().wait(0.2)
        thing.closes = True
        with ThreadPoolExecutor(1) as pool:
            other = shared.borrow()
            assert pool.submit(other.__enter__).result(10) == "number 2"
        other.__exit__(None, None, None)
