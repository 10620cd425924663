"""The client-made keys of a run's rows: a uuid5 of the run, the operation and k.

A key depends on nothing else, so any process that knows the run can look up a lost write.
"""

from collections.abc import Callable
from hashlib import sha1
from typing import Final
from uuid import NAMESPACE_URL, uuid5

# The digit of a uuid that holds the two bits of its variant, by the digit that the digest has
# there.
VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def digest_maker(run_id: str, operation: str) -> Callable[[int], str]:
    """Return a function from k to the 40 hex digits from which its key is made."""
    namespace = uuid5(NAMESPACE_URL, f"simplyload-playground/{run_id}")
    # The common prefix is hashed once, which costs a third of uuid.uuid5.
    base = sha1(namespace.bytes + f"{operation}:".encode(), usedforsecurity=False)

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
