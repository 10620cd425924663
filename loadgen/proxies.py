"""Which addresses are reached without the environment's proxy: those of this machine.

A proxy elsewhere can't reach them, and one here has no business between our own processes.
"""

from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import psutil

_DIRECT: Final = build_opener(ProxyHandler({}))


def is_local(host: str) -> bool:
    """Tell whether `host` is this machine; another name may be anybody's and is not looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return True
    interfaces = psutil.net_if_addrs().values()
    return any(
        host == own.address.partition("%")[0] for addresses in interfaces for own in addresses
    )


def open_url(url: str | Request, seconds: float) -> Any:
    """Return the open answer of an http address, with `seconds` as the time limit of each wait.

    Raises OSError, http.client.HTTPException.
    """
    given = url.full_url if isinstance(url, Request) else url
    # One with the environment's proxies is made each time: they are read when it is made.
    opener = _DIRECT if is_local(urlsplit(given).hostname or "") else build_opener()
    return opener.open(url, timeout=seconds)
