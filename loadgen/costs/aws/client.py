"""The one module that connects to AWS: read-only boto3 clients, and their errors in plain words.

botocore itself retries throttled calls, with back-off and at most five attempts.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from loadgen.config.settings import Settings, without_login
from loadgen.costs.lines import Unavailable
from loadgen.errors import install_hint, one_line
from loadgen.network import is_local

_ATTEMPTS: Final = 5
_SECONDS: Final = 20
_THROTTLED: Final = f"AWS throttles, also after {_ATTEMPTS} attempts: try again later"
_UNKNOWN_KEY: Final = "AWS does not know the key: check AWS_PROFILE"
_DENIED: Final = "denied: the IAM policy is in docs/costs-cloud.md"
# By a part of AWS's error code.
_EXPLANATIONS: Final = {
    "Throttl": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "SlowDown": _THROTTLED,
    "Expired": "the key has expired: log in again",
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "AuthFailure": _UNKNOWN_KEY,
    "UnrecognizedClient": _UNKNOWN_KEY,
    "AccessDenied": _DENIED,
    "Unauthorized": _DENIED,
}

T = TypeVar("T")


class Clients(Protocol):
    """Makes boto3 clients."""

    def __call__(self, service: str, region: str | None = None) -> Any:
        """Return a client of the service, by default in the settings' region."""


def clients(settings: Settings) -> Clients:
    """Return a factory of clients for the settings' profile, region and endpoint."""
    cached: dict[tuple[str, str | None], Any] = {}
    sessions: list[Any] = []

    def client(service: str, region: str | None = None) -> Any:
        key = (service, region or settings.aws_region)
        if key not in cached:
            import boto3  # noqa: PLC0415 - an extra
            from botocore.config import Config  # noqa: PLC0415 - as above

            if not sessions:  # not earlier, since the profile may not exist
                sessions.append(boto3.Session(profile_name=settings.aws_profile))
            endpoint = urlsplit(settings.aws_endpoint_url or "").hostname or ""
            config = Config(
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                connect_timeout=_SECONDS,
                read_timeout=_SECONDS,
                proxies={} if is_local(endpoint) else None,  # None: the environment's
            )
            cached[key] = sessions[0].client(
                service, key[1], endpoint_url=settings.aws_endpoint_url, config=config
            )
        return cached[key]

    return client


def call_aws(action: str, call: Callable[[], T]) -> T | Unavailable:
    """Return the answer of a call, or the reason why it fails; `action` is its name in IAM."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an extra
    except ImportError:
        return Unavailable(f"AWS's package is not installed: {install_hint('aws', 'boto3')}")
    try:
        return call()
    except ClientError as exc:
        error = exc.response.get("Error", {})
        code = str(error.get("Code", ""))
        explanation = next((text for part, text in _EXPLANATIONS.items() if part in code), None)
        return Unavailable(f"{action}: {explanation or one_line(error.get('Message'))} ({code})")
    except BotoCoreError as exc:
        return Unavailable(f"{action}: {without_login(one_line(exc))}")
