"""Access control for our HTTP ports: Locust's page, the control API, the metrics.

One WSGI middleware stands in front of each. A browser sends requests of any web page to
loopback, so requests from pages of other sites are refused (Origin, Sec-Fetch-Site), and so are
host names that a foreign DNS points at this machine (Host). On a port that other machines can
reach, everything but /metrics and /health also needs LOADGEN_WEB_TOKEN, as a Bearer token or by a
login page.
"""

import hashlib
import hmac
import html
import json
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError
from loadgen.network import is_local

LARGEST_BODY: Final = 2**20  # bytes
_OPEN_PATHS: Final = ("/metrics", "/health")
_OWN_REQUESTS: Final = ("same-origin", "none")  # values of Sec-Fetch-Site; none: typed by a person
_COOKIE: Final = "loadgen_session"
_ANY_ADDRESS: Final = ("", "*", "0.0.0.0", "::")  # noqa: S104 - recognised, not listened on

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Application = Callable[[Environ, Any], Iterable[bytes]]


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach what listens on `host`."""
    if host in _ANY_ADDRESS:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_token(settings: Settings, host: str, option: str) -> None:
    """Refuse an address that other machines can reach if no token protects it.

    `option` sets the address: `--web-host` or METRICS_HOST. Raises SettingsError.
    """
    if settings.loadgen_web_token is None and not is_loopback(host):
        raise SettingsError(
            f"{option} is {host or '*'!r}: other machines could drive this load. Set "
            f"LOADGEN_WEB_TOKEN to a long random text, or {option} to 127.0.0.1"
        )


class AccessControl:
    """Refuses requests that are not allowed, each with one line; passes on all others.

    `login_path` is the page where a person types the token; an API without people has none.
    """

    def __init__(
        self, application: Application, settings: Settings, login_path: str | None = None
    ) -> None:
        self._application = application
        self._allowed_hosts = settings.allowed_hosts()
        self._login_path = login_path
        self._token = self._session = b""
        if settings.loadgen_web_token is not None:
            self._token = settings.loadgen_web_token.get_secret_value().encode()
            session = hmac.new(self._token, b"session of the page", hashlib.sha256)
            self._session = session.hexdigest().encode()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer a request (WSGI)."""
        refusal = self._refusal(environ)
        if refusal is not None:
            return _answer_json(start_response, *refusal)
        if self._token and environ["PATH_INFO"] not in _OPEN_PATHS:
            if environ["PATH_INFO"] == self._login_path:
                return self._log_in(environ, start_response)
            if not self._is_known(environ):
                return self._ask_for_login(environ, start_response)

        def without_cors(status: str, headers: Headers, *rest: Any) -> Any:
            allowed = [h for h in headers if not h[0].lower().startswith("access-control-")]
            return start_response(status, allowed, *rest)

        return self._application(environ, without_cors)

    def _refusal(self, environ: Environ) -> tuple[str, str] | None:
        """Return the status and the reason if a request is refused even with the token."""
        host = environ.get("HTTP_HOST", "")
        if not self._is_ours(host):
            reason = f"{host!r} is no name of this machine: use its IP address, or add the name to"
            return "403 Forbidden", f"{reason} LOADGEN_ALLOWED_HOSTS"
        origin = environ.get("HTTP_ORIGIN")
        site = environ.get("HTTP_SEC_FETCH_SITE", "none")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return "403 Forbidden", f"a page of {origin} may not use this load"
        if site not in _OWN_REQUESTS:
            return "403 Forbidden", "no other page may use or link to this load: type its address"
        if not _has_bounded_body(environ):
            reason = f"a body needs a Content-Length of at most {LARGEST_BODY} bytes"
            return "413 Content Too Large", reason
        return None

    def _is_ours(self, host: str) -> bool:
        """Tell whether a Host header names this machine: rebound DNS names do not."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        return is_local(name) or name in self._allowed_hosts

    def _is_known(self, environ: Environ) -> bool:
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer":
            return hmac.compare_digest(token.strip().encode("latin-1"), self._token)
        try:
            cookies = SimpleCookie(environ.get("HTTP_COOKIE", ""))
        except CookieError:
            return False
        session = cookies.get(_COOKIE)
        return session is not None and hmac.compare_digest(session.value.encode(), self._session)

    def _ask_for_login(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        if self._login_path and "text/html" in environ.get("HTTP_ACCEPT", ""):
            start_response("303 See Other", [("Location", self._login_path)])
            return [b""]
        return _answer_json(
            start_response,
            "401 Unauthorized",
            "a login is needed: send LOADGEN_WEB_TOKEN as a Bearer token",
            [("WWW-Authenticate", "Bearer")],
        )

    def _log_in(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Show the login page, or check the token that was typed into it."""
        if environ["REQUEST_METHOD"] != "POST":
            return _answer_page(start_response, "200 OK", "")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        form = parse_qs(environ["wsgi.input"].read(length).decode("utf-8", "replace"))
        if not hmac.compare_digest(form.get("token", [""])[0].encode(), self._token):
            return _answer_page(start_response, "401 Unauthorized", "This is not the token.")
        secure = "; Secure" if environ.get("wsgi.url_scheme") == "https" else ""
        cookie = f"{_COOKIE}={self._session.decode()}; Path=/; HttpOnly; SameSite=Strict{secure}"
        page = (self._login_path or "/").removesuffix("login")
        start_response("303 See Other", [("Location", page), ("Set-Cookie", cookie)])
        return [b""]


def _has_bounded_body(environ: Environ) -> bool:
    """Tell whether a request's body, if it has one, has a length that we accept."""
    if environ.get("HTTP_TRANSFER_ENCODING"):
        return False
    length = environ.get("CONTENT_LENGTH") or "0"
    return length.isdecimal() and int(length[:12]) <= LARGEST_BODY


def _answer_json(
    start_response: Any, status: str, reason: str, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    body = json.dumps({"error": reason}).encode() + b"\n"
    content = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(status, [*content, *headers])
    return [body]


def _answer_page(start_response: Any, status: str, problem: str) -> Iterable[bytes]:
    body = _LOGIN_PAGE.replace("PROBLEM", html.escape(problem)).encode()
    content = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, [*content, ("Cache-Control", "no-store")])
    return [body]


_LOGIN_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>SimplyLoad Playground: log in</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 Roboto, Helvetica, Arial, sans-serif; }
  form { max-width: 22rem; margin: 18vh auto 0; padding: 0 1rem; display: grid; gap: 0.75rem; }
  h1 { font-size: 1.25rem; margin: 0; }
  input, button { font: inherit; padding: 0.5rem 0.75rem; }
  button { background: #15803d; color: #fff; border: 0; border-radius: 4px; cursor: pointer; }
  p { margin: 0; }
  [role=alert] { color: #c2410c; min-height: 1.5rem; }
</style>
<form method="post">
  <h1>SimplyLoad Playground</h1>
  <label for="token">Token of this load (LOADGEN_WEB_TOKEN)</label>
  <input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
  <button>Log in</button>
  <p role="alert">PROBLEM</p>
</form>
</html>
"""
