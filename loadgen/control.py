"""The client of a running load's control API, for commands and the watch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

from pydantic import SecretStr

from loadgen.config.settings import Settings, without_login
from loadgen.errors import PlaygroundError, one_line
from loadgen.network import open_url
from loadgen.untrusted import parse_json

_SHOWN = 200  # characters of an address in a message
_SECONDS = 10.0  # time limit; an acknowledgement takes two at most


class ControlError(PlaygroundError):
    """The load did not answer, or refused; the message says why."""


@dataclass(frozen=True, slots=True)
class LoadControl:
    """The control API of a load: its address, and its token if it needs one."""

    url: str
    token: SecretStr | None = None

    @classmethod
    def of(cls, settings: Settings, url: str | None = None) -> "LoadControl":
        """Return the API at `url`, else at LOAD_URL, else this machine's."""
        local = http_address(settings.metrics_host, settings.metrics_port)
        return cls(url or settings.load_url or local, settings.loadgen_web_token)

    def ask(
        self, path: str, body: Mapping[str, object] | None = None, seconds: float = _SECONDS
    ) -> dict[str, Any]:
        """Return the load's answer to a GET, or to a POST of `body`. Raises ControlError."""
        address = f"{self.url.rstrip('/')}/loadgen/{path}"
        shown = one_line(without_login(self.url), _SHOWN)
        if shown != self.url or not address.startswith(("http://", "https://")):
            raise ControlError(
                f"{shown} is no address of a load: write http://host:port; its password is "
                "LOADGEN_WEB_TOKEN"
            )
        posted = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            # A header is Latin-1 to urllib; the bytes that arrive are the token's UTF-8.
            token = self.token.get_secret_value().encode().decode("latin-1")
            headers["Authorization"] = f"Bearer {token}"
        request = Request(address, posted, headers)  # noqa: S310 - http, see above
        try:
            with open_url(request, seconds) as response:
                text = response.read()
            answer = parse_json(text) if text else {}
        except HTTPError as exc:
            raise ControlError(f"the load at {self.url} refused: {_reason(exc)}") from exc
        except (OSError, HTTPException) as exc:
            why = getattr(exc, "reason", None) or exc
            raise ControlError(
                f"no load answers at {self.url} ({why}): start one with `locust`, or name it with "
                "--url"
            ) from exc
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise ControlError(
                f"what answers at {self.url} is no load: check METRICS_PORT, or name it by --url"
            )
        return answer


def http_address(host: str, port: int) -> str:
    """Return the address at which this machine reaches what listens on host and port."""
    if host in {"", "*", "0.0.0.0", "::"}:  # noqa: S104 - listened on, but not called
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _reason(exc: HTTPError) -> str:
    try:
        return one_line(parse_json(exc.read())["error"])
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return f"HTTP {exc.code}"
