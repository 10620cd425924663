"""The client-made keys of a run's rows: a uuid of the run, the operation and k.

A key depends on nothing else, so any process that knows the run can look up a lost write. It is of
version 8 (RFC 9562: made by the application), by SplitMix64: SHA-1, of which version 5 is made,
would take a tenth of the load's time for each write.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from loadgen.workload.streams import Bits, Int64Array, Stream
from loadgen.workload.typed import hex_digits

_VERSION: Final = (np.uint64(0xFFFFFFFF_FFFF0FFF), np.uint64(8 << 12))  # mask, and the bits of 8
_VARIANT: Final = (np.uint64(0x3FFFFFFF_FFFFFFFF), np.uint64(2 << 62))


def key_words(run_id: str, operation: str) -> Callable[[Int64Array], Bits]:
    """Return a function from several k to the keys of these arrivals, two 64-bit words each."""
    stream = Stream(f"{run_id}:{operation}")

    def keys(ks: Int64Array) -> Bits:
        words = stream.words(ks, 2)
        for half, (mask, bits) in enumerate((_VERSION, _VARIANT)):
            words[:, half] &= mask
            words[:, half] |= bits
        return words

    return keys


def key_maker(run_id: str, operation: str) -> Callable[[int], bytes]:
    """Return a function from k to its key, 32 hex digits."""
    words = key_words(run_id, operation)
    return lambda k: hex_digits(words(np.array([k]))).tobytes()
