"""Requests of one statement, many at once: a page of bytes, a row a request.

Parameters of a fixed width lie in columns, each put in place for all rows by one call, so that a
request takes a fraction of what putting it together on its own does. Pure.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loadgen.workload.keys import VARIANT, digest_maker

Page = NDArray[np.uint8]
Whole = NDArray[np.int64]

KEY_WIDTH: Final = 32
_DIGEST_WIDTH: Final = 40
_VERSION_AT, _VARIANT_AT = 12, 16  # of a key's digits
_VARIANTS: Final = np.zeros(256, np.uint8)
for _digit, _variant in VARIANT.items():
    _VARIANTS[ord(_digit)] = ord(_variant)
_GROUP: Final = 4  # decimal digits that are looked up together
_GROUPS: Final = np.frombuffer(b"".join(b"%04d" % n for n in range(10**_GROUP)), np.uint8)
_DIGITS: Final = _GROUPS.reshape(-1, _GROUP)


def page_of(row: bytes, n: int) -> Page:
    """Return a page of `n` rows that are all `row`."""
    return np.frombuffer(row * n, np.uint8).reshape(n, len(row)).copy()


def cut(page: Page) -> list[bytes]:
    """Return the rows of a page."""
    data, width = page.tobytes(), page.shape[1]
    return [data[at : at + width] for at in range(0, len(data), width)]


def table(texts: Iterable[bytes]) -> Page:
    """Return texts of one length as a page, to look up rows of."""
    rows = list(texts)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)


def digits_for(most: int) -> int:
    """Return how many digits `decimals` takes for numbers up to `most`."""
    return -(-len(str(most)) // _GROUP) * _GROUP


def decimals(numbers: Whole, width: int) -> Page:
    """Return whole numbers as digits, zeros before them; `width` is from `digits_for`."""
    groups = []
    for _ in range(0, width, _GROUP):
        numbers, low = np.divmod(numbers, 10**_GROUP)
        groups.append(_DIGITS[low])
    return groups[0] if len(groups) == 1 else np.concatenate(groups[::-1], axis=1)


def hexed(numbers: NDArray[np.uint64]) -> Page:
    """Return 64-bit integers as 16 hex digits."""
    digits = numbers.astype(">u8").tobytes().hex().encode()
    return np.frombuffer(digits, np.uint8).reshape(-1, 16)


def key_pages(run_id: str, operation: str) -> Callable[[Sequence[int]], Page]:
    """Return a function from several k to their keys: the same as `key_maker`'s, a row each."""
    digest = digest_maker(run_id, operation)

    def keys(ks: Sequence[int]) -> Page:
        digests = "".join([digest(k) for k in ks]).encode()
        page = np.frombuffer(digests, np.uint8).reshape(-1, _DIGEST_WIDTH)[:, :KEY_WIDTH].copy()
        page[:, _VERSION_AT] = ord("5")
        page[:, _VARIANT_AT] = _VARIANTS[page[:, _VARIANT_AT]]
        return page

    return keys
