"""Requests of one statement, many at once: a batch is a matrix of bytes, a row a request.

Parameters of a fixed width are columns, each filled for all rows by one call. A request made so
takes a fraction of the time that one put together by itself does. Pure.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loadgen.workload.keys import VARIANT, digest_maker

Batch = NDArray[np.uint8]
Integers = NDArray[np.int64]

KEY_WIDTH: Final = 32
_DIGEST_WIDTH: Final = 40
_VERSION_AT, _VARIANT_AT = 12, 16  # of a key's digits
_VARIANTS: Final = np.zeros(256, np.uint8)
for _digit, _variant in VARIANT.items():
    _VARIANTS[ord(_digit)] = ord(_variant)
_GROUP: Final = 4  # decimal digits for one look-up
_GROUPS: Final = np.frombuffer(b"".join(b"%04d" % n for n in range(10**_GROUP)), np.uint8)
_DIGITS: Final = _GROUPS.reshape(-1, _GROUP)


def batch_of(request: bytes, n: int) -> Batch:
    """Return a batch of `n` requests that are all `request`."""
    return np.frombuffer(request * n, np.uint8).reshape(n, len(request)).copy()


def requests_of(batch: Batch) -> list[bytes]:
    """Return the rows of a batch."""
    rows, width = batch.tobytes(), batch.shape[1]
    return [rows[at : at + width] for at in range(0, len(rows), width)]


def lookup_table(texts: Iterable[bytes]) -> Batch:
    """Return texts of one length as rows, to be picked by their index."""
    rows = list(texts)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)


def width_for(largest: int) -> int:
    """Return how many digits `decimal_digits` needs for numbers up to `largest`."""
    return -(-len(str(largest)) // _GROUP) * _GROUP


def decimal_digits(numbers: Integers, width: int) -> Batch:
    """Return whole numbers as digits with leading zeros; `width` is from `width_for`."""
    groups = []
    for _ in range(0, width, _GROUP):
        numbers, low = np.divmod(numbers, 10**_GROUP)
        groups.append(_DIGITS[low])
    return groups[0] if len(groups) == 1 else np.concatenate(groups[::-1], axis=1)


def hex_digits(numbers: NDArray[np.uint64]) -> Batch:
    """Return 64-bit integers as 16 hex digits."""
    digits = numbers.astype(">u8").tobytes().hex().encode()
    return np.frombuffer(digits, np.uint8).reshape(-1, 16)


def key_batches(run_id: str, operation: str) -> Callable[[Sequence[int]], Batch]:
    """Return a function from several k to their keys, the same as `key_maker`'s, a row each."""
    digest = digest_maker(run_id, operation)

    def keys(ks: Sequence[int]) -> Batch:
        digests = "".join([digest(k) for k in ks]).encode()
        batch = np.frombuffer(digests, np.uint8).reshape(-1, _DIGEST_WIDTH)[:, :KEY_WIDTH].copy()
        batch[:, _VERSION_AT] = ord("5")
        batch[:, _VARIANT_AT] = _VARIANTS[batch[:, _VARIANT_AT]]
        return batch

    return keys
