"""Which of the two dispatchers a process uses: the compiled one if it can work."""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import ctypes
import logging
import platform
import sys
from importlib.util import find_spec

import gevent
from gevent import monkey

from loadgen.errors import install_hint, one_line
from loadgen.load.dispatcher import Dispatcher
from loadgen.load.driver.plain import is_plain
from loadgen.load.hub_dispatcher import HubDispatcher
from loadgen.source import postgres

_log = logging.getLogger(__name__)
_NOTICE_SECONDS = 3.0
_LOADING = "Loading the compiled loop; the first time it is compiled, which takes some seconds"


def dispatcher_for(connection: postgres.Session, loop: str) -> type[Dispatcher]:
    """Return the kind of dispatcher for a source, and log which one it is and why.

    The first time on a machine, Numba compiles for some seconds; gevent goes on meanwhile.
    """
    obstacle = "LOAD_LOOP=gevent" if loop == "gevent" else _obstacle(connection)
    level = logging.WARNING if loop == "compiled" else logging.INFO
    if not obstacle:
        notice = gevent.spawn_later(_NOTICE_SECONDS, _log.info, _LOADING)
        try:
            kind = gevent.get_hub().threadpool.apply(_compiled_or_obstacle)
        finally:
            notice.kill()
        if not isinstance(kind, str):
            _log.info("The compiled loop sends the writes")
            return kind
        obstacle, level = kind, logging.WARNING
    _log.log(level, "Gevent sends the writes, not the compiled loop: %s", obstacle)
    return HubDispatcher


def _obstacle(connection: postgres.Session) -> str:
    """Return what stands in the way of the compiled loop; empty if nothing does."""
    if find_spec("numba") is None:
        return f"Numba is not installed: {install_hint('fast', 'numba')}"
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return "it needs Linux on x86-64 or aarch64"
    if not _has_epoll_pwait2():
        return "it needs the call epoll_pwait2, of Linux 5.11 and glibc 2.35"
    if not is_plain(connection):
        return "the connection is encrypted"
    return ""


def _has_epoll_pwait2() -> bool:
    """Tell whether the C library and the kernel have the call, and nothing forbids it."""
    call = getattr(ctypes.CDLL(None), "epoll_pwait2", None)
    if call is None:
        return False
    with monkey.get_original("select", "epoll")() as epoll:
        at_once = (ctypes.c_long * 2)(0, 0)
        return bool(call(epoll.fileno(), ctypes.create_string_buffer(16), 1, at_once, None) == 0)


def _compiled_or_obstacle() -> type[Dispatcher] | str:
    try:
        return compiled_dispatcher()
    except Exception as exc:  # noqa: BLE001 - whatever Numba fails with, gevent can send too
        if "no locator available" in str(exc):
            return "Numba has no folder for its cache: name one in NUMBA_CACHE_DIR"
        return f"that can't be used: {one_line(exc)}"


def compiled_dispatcher() -> type[Dispatcher]:
    """Import the compiled dispatcher, and have all of its loop compiled."""
    from loadgen.load import request_block  # noqa: PLC0415
    from loadgen.load.compiled_dispatcher import CompiledDispatcher  # noqa: PLC0415 - Numba is slow
    from loadgen.load.driver import loop_thread  # noqa: PLC0415

    loop_thread.LoopThread(1, 1, 1.0, ()).stop()
    request_block.compile_all()
    return CompiledDispatcher
