"""The keys that a run's rows are given by the load: uuid5 of the run, the operation and k.

So a write whose answer was lost can be looked up, by whoever knows the run.
"""

from collections.abc import Callable
from hashlib import sha1
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

# The digit of a version 5 uuid that has the variant's two bits, by the digest's own.
VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def run_namespace(run_id: str) -> UUID:
    """Return the namespace of a run's client-made keys."""
    return uuid5(NAMESPACE_URL, f"simplyload-playground/{run_id}")


def digest_maker(run_id: str, operation: str) -> Callable[[int], str]:
    """Return a function from k to the 40 hex digits that its key is made of."""
    # The common prefix is hashed once: a third of what uuid.uuid5 costs.
    base = sha1(run_namespace(run_id).bytes + f"{operation}:".encode(), usedforsecurity=False)

    def digest(k: int) -> str:
        h = base.copy()
        h.update(b"%d" % k)
        return h.hexdigest()

    return digest


def key_maker(run_id: str, operation: str) -> Callable[[int], bytes]:
    """Return a function from k to uuid5(run's namespace, 'operation:k') as text bytes."""
    digest = digest_maker(run_id, operation)

    def key(k: int) -> bytes:
        x = digest(k)
        return f"{x[:12]}5{x[13:16]}{VARIANT[x[16]]}{x[17:32]}".encode()

    return key
