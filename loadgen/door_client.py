"""Asks a running load's control door, from the command line or from the watch."""

import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

from loadgen.errors import PlaygroundError
from loadgen.proxies import open_url
from loadgen.settings import Settings

_SECONDS = 10.0  # an acknowledgement takes two at most


class DoorError(PlaygroundError):
    """The load did not answer, or refused; the text says why."""


def door_url(settings: Settings) -> str:
    """Return the address of the load that the settings name: LOAD_URL's, or this machine's."""
    if settings.load_url:
        return settings.load_url
    host = settings.metrics_host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - listened on, but not called
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.metrics_port}"


def ask(url: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Return what the load answers; with a body it is posted. Raises DoorError."""
    address = f"{url.rstrip('/')}/loadgen/{path}"
    if not address.startswith(("http://", "https://")):
        raise DoorError(f"{url} is no address of a load: write http://host:port")
    data = None if body is None else json.dumps(body).encode()
    request = Request(address, data, {"Content-Type": "application/json"})  # noqa: S310 - http
    try:
        with open_url(request, _SECONDS) as answer:
            text = answer.read()
        found = json.loads(text) if text else {}
    except HTTPError as exc:
        raise DoorError(f"the load at {url} refused: {_reason(exc)}") from exc
    except (OSError, HTTPException) as exc:
        why = getattr(exc, "reason", None) or exc
        raise DoorError(
            f"no load answers at {url} ({why}): start one with `locust`, or name it with --url"
        ) from exc
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DoorError(
            f"what answers at {url} is no load: check METRICS_PORT, or name it by --url"
        )
    return found


def _reason(exc: HTTPError) -> str:
    try:
        return str(json.loads(exc.read())["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"HTTP {exc.code}"
