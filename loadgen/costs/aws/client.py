"""The one door to AWS: clients that only read, and what their errors mean in words.

Throttled calls are tried again by botocore itself, with back-off and at most five times.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from loadgen.config.settings import Settings, without_login
from loadgen.costs.unavailable import Unavailable
from loadgen.errors import install_hint, one_line
from loadgen.proxies import is_local

_ATTEMPTS: Final = 5
_SECONDS: Final = 20
_MEANINGS: Final = {
    "Throttl": f"AWS throttles, also after {_ATTEMPTS} attempts: try again later",
    "RequestLimitExceeded": f"AWS throttles, also after {_ATTEMPTS} attempts: try again later",
    "SlowDown": f"AWS throttles, also after {_ATTEMPTS} attempts: try again later",
    "Expired": "the key is expired: log in again",
    "InvalidClientTokenId": "the key is not known: check AWS_PROFILE",
    "InvalidAccessKeyId": "the key is not known: check AWS_PROFILE",
    "AuthFailure": "the key is not known: check AWS_PROFILE",
    "UnrecognizedClient": "the key is not known: check AWS_PROFILE",
    "AccessDenied": "denied: the IAM policy is in docs/costs-cloud.md",
    "Unauthorized": "denied: the IAM policy is in docs/costs-cloud.md",
}

T = TypeVar("T")


class Clients(Protocol):
    """Makes boto3 clients."""

    def __call__(self, service: str, region: str | None = None) -> Any:
        """Return a client of the service, in the settings' region where none is given."""


def clients(settings: Settings) -> Clients:
    """Return the maker of clients for the settings' profile, region and endpoint."""
    made: dict[tuple[str, str | None], Any] = {}
    sessions: list[Any] = []

    def client(service: str, region: str | None = None) -> Any:
        key = (service, region or settings.aws_region)
        if key not in made:
            import boto3  # noqa: PLC0415 - an extra
            from botocore.config import Config  # noqa: PLC0415 - as above

            if not sessions:  # made when first asked: a profile may not be there
                sessions.append(boto3.Session(profile_name=settings.aws_profile))
            retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
            endpoint = urlsplit(settings.aws_endpoint_url or "").hostname or ""
            config = Config(
                retries=retries,
                connect_timeout=_SECONDS,
                read_timeout=_SECONDS,
                proxies={} if is_local(endpoint) else None,  # None: the environment's
            )
            made[key] = sessions[0].client(
                service, key[1], endpoint_url=settings.aws_endpoint_url, config=config
            )
        return made[key]

    return client


def asked(what: str, read: Callable[[], T]) -> T | Unavailable:
    """Return what `read` returns, or why AWS does not say it; `what` is the call as IAM has it."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an extra
    except ImportError:
        return Unavailable(f"AWS' package is not installed: {install_hint('aws', 'boto3')}")
    try:
        return read()
    except ClientError as exc:
        error = exc.response.get("Error", {})
        code = str(error.get("Code", ""))
        meaning = next((said for begins, said in _MEANINGS.items() if begins in code), None)
        return Unavailable(f"{what}: {meaning or one_line(error.get('Message'))} ({code})")
    except BotoCoreError as exc:
        return Unavailable(f"{what}: {without_login(one_line(exc))}")
