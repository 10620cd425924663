"""The system's calls that the compiled loop makes.

Compiled, Numba resolves each by its name in the C library whenever it loads the loop from its
cache. As plain Python (NUMBA_DISABLE_JIT=1, which tests set) each goes through ctypes. Addresses
are whole numbers. Linux only, on processors of 64 bits.
"""

import ctypes
import platform
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, cast

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_P = ParamSpec("_P")
_R = TypeVar("_R")

AGAIN, INTERRUPTED = 11, 4  # errno: EAGAIN, EINTR
CLOCK_MONOTONIC: Final = 1
EPOLL_ADD, EPOLL_DELETE, EPOLL_MODIFY = 1, 2, 3
READABLE, WRITABLE = 1, 4  # what epoll waits for; hang-ups and errors always
NO_SIGNAL: Final = 0x4000  # send: no SIGPIPE if the other side is gone
TIMER_SLACK: Final = 29  # prctl: how many nanoseconds late a sleep may end; usually 50,000
TIME_SLICE: Final = 100_000  # nanoseconds; the shortest that Linux grants. Usual are 1,400,000
# struct epoll_event in words of 32 bits: its size, and where its data begins. x86-64 packs it.
EVENT_WORDS, EVENT_DATA = (3, 1) if platform.machine() == "x86_64" else (4, 2)

# Numba's cache does not notice a change here.
_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "_nrt": False}
_PLAIN: Final = bool(vars(numba.config)["DISABLE_JIT"])
_C: Final = ctypes.CDLL(None, use_errno=True)
_C_TYPES: Final = {types.int32: ctypes.c_int, types.int64: ctypes.c_int64}
# sched_setattr and sched_getattr, for which most C libraries have no function.
_SET_SCHEDULING, _GET_SCHEDULING = (314, 315) if platform.machine() == "x86_64" else (274, 275)
_SCHEDULING: Final = struct.Struct("=IIQiIQQQ")
_USUAL_POLICY: Final = 0  # SCHED_OTHER


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Have Numba compile a function, to run without Python's lock, and keep the result on disk.

    Without Numba's runtime, which counts references to arrays: Python keeps these as long as the
    functions run, and to count costs a fifth of the loop's time.
    """
    return cast("Callable[_P, _R]", numba.njit(**_OPTIONS)(function))


def _external(name: str, result: Any, *arguments: Any) -> Callable[..., int]:
    """Return a function of the C library, for compiled code and for plain Python."""
    if not _PLAIN:
        return cast("Callable[..., int]", types.ExternalFunction(name, result(*arguments)))
    function = getattr(_C, name)
    function.restype = _C_TYPES[result]
    function.argtypes = [_C_TYPES[argument] for argument in arguments]
    return cast("Callable[..., int]", function)


_int, _long = types.int32, types.int64
clock_gettime: Final = _external("clock_gettime", _int, _int, _long)
epoll_ctl: Final = _external("epoll_ctl", _int, _int, _int, _int, _long)
epoll_pwait2: Final = _external("epoll_pwait2", _int, _int, _long, _int, _long, _long)
memcpy: Final = _external("memcpy", _long, _long, _long, _long)
prctl: Final = _external("prctl", _int, _int, _long, _long, _long, _long)
read: Final = _external("read", _long, _int, _long, _long)
recv: Final = _external("recv", _long, _int, _long, _long, _int)
sched_yield: Final = _external("sched_yield", _int)
send: Final = _external("send", _long, _int, _long, _long, _int)
write: Final = _external("write", _long, _int, _long, _long)
writev: Final = _external("writev", _long, _int, _long, _int)
_errno_location: Final = _external("__errno_location", _long)


@intrinsic
def _load_int32(_: object, address: Any) -> Any:  # noqa: ARG001 - Numba looks for its name
    """Read the whole number of 32 bits at an address."""

    def generate(_: object, builder: Any, __: object, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(32).as_pointer())
        return builder.load(pointer)

    return types.int32(types.int64), generate


@intrinsic
def _fence(_: object) -> Any:
    """Have all other processors see what was written before, before this one reads on."""

    def generate(context: Any, builder: Any, __: object, ___: object) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


if _PLAIN:

    def errno() -> int:
        """Return the error of this thread's last call that failed."""
        return ctypes.get_errno()

    def fence() -> None:
        """Do nothing: Python's lock orders what its threads see."""

else:

    @compiled
    def errno() -> int:
        """Return the error of this thread's last call that failed."""
        return int(_load_int32(_errno_location()))  # type: ignore[call-arg]

    @compiled
    def fence() -> None:
        """Have all other processors see what was written before, before this one reads on."""
        _fence()  # type: ignore[call-arg]


class Scheduling(NamedTuple):
    """How Linux schedules a thread: its struct sched_attr."""

    size: int
    policy: int
    flags: int
    nice: int
    priority: int
    time_slice: int  # nanoseconds; 0 where they can't be chosen
    deadline: int
    period: int


def scheduling(thread: int = 0) -> Scheduling:
    """Return how a thread is scheduled, by its native id; without one, the calling thread."""
    found = ctypes.create_string_buffer(_SCHEDULING.size)
    if _C.syscall(_GET_SCHEDULING, thread, found, _SCHEDULING.size, 0) != 0:
        raise OSError(ctypes.get_errno(), "sched_getattr")
    return Scheduling(*_SCHEDULING.unpack(found.raw))


def shorten_time_slice() -> None:
    """Have the calling thread run soon after it wakes, whatever else is running.

    Linux 6.12 and later interrupt a thread for one with a shorter slice, whose share of the
    processor stays the same; earlier ones do nothing. One that has been given another policy keeps
    it.
    """
    with suppress(OSError):  # a sandbox may forbid it
        own = scheduling()
        if own.policy == _USUAL_POLICY:
            shorter = _SCHEDULING.pack(*own._replace(time_slice=TIME_SLICE))
            _C.syscall(_SET_SCHEDULING, 0, shorter, 0)
