"""Addresses of this machine: HTTP requests to them bypass any proxy, and ports that are free.

A proxy elsewhere can't reach this machine's addresses, and between our own processes there is no
need for one.
"""

import errno
import os
import socket
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

_DIRECT: Final = build_opener(ProxyHandler({}))


def is_local(host: str) -> bool:
    """Tell whether `host` is this machine; names other than localhost are not looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return True
    import psutil  # noqa: PLC0415 - 5 MB that pricing does not need

    interfaces = psutil.net_if_addrs().values()
    return any(
        host == own.address.partition("%")[0] for addresses in interfaces for own in addresses
    )


def open_url(url: str | Request, seconds: float) -> Any:
    """Return the open response of an HTTP address; `seconds` limits each wait.

    Raises OSError, http.client.HTTPException.
    """
    address = url.full_url if isinstance(url, Request) else url
    # build_opener reads the environment's proxies, which may have changed since the last request.
    opener = _DIRECT if is_local(urlsplit(address).hostname or "") else build_opener()
    return opener.open(url, timeout=seconds)


def listen_error(host: str, port: int) -> str | None:
    """Return why a server can't listen on the port, in the system's words; None if it can.

    Connections of a server that has just stopped don't count, as for Postgres.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        with socket.socket(family) as probe:  # macOS allows a second server on another address
            probe.settimeout(1)
            taken = probe.connect_ex((host, port)) == 0
    except OSError as exc:
        return exc.strerror or str(exc)
    return os.strerror(errno.EADDRINUSE) if taken else None


def free_port(host: str) -> int:
    """Return a port of `host` that nothing listens on."""
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])
