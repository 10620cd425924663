"""The rows that a run may take once: which of their sequence were used up when it began.

A resumed run has to aim at the same rows, so they are a text in its plan: a bit for each row.
"""

from base64 import b64decode, b64encode
from zlib import compress, decompress

import numpy as np
from numpy.typing import NDArray

from loadgen.workload.streams import Int64Array


def pack(used: NDArray[np.bool_]) -> str:
    """Return which indexes of the sequence are used up as text: zlib, base64."""
    return b64encode(compress(np.packbits(used).tobytes(), 9)).decode()


def unused(packed: str, limit: int) -> Int64Array:
    """Return the indexes below `limit` that were not used up, in their order; "" means all.

    Raises ValueError if the text is not one that `pack` returned.
    """
    if not packed:
        return np.arange(limit, dtype=np.int64)
    bits = np.frombuffer(decompress(b64decode(packed)), np.uint8)
    used = np.zeros(limit, np.bool_)
    known = np.unpackbits(bits, count=min(limit, 8 * len(bits)))
    used[: len(known)] = known
    return np.flatnonzero(~used)
