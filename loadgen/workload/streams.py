"""Random numbers by their index: each is a pure function of a stream and an index.

A stream is a 64-bit constant, hashed of a seed and a name. SplitMix64 (Steele, Lea, Flood 2014)
makes the bits of any of its indexes without those before, all in numpy. Whatever is made of bits
here is made by integers, or by operations that IEEE 754 defines to the last bit, so that the same
bits give the same values on every machine.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate
from math import gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
Bits = NDArray[np.uint64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT: Final = 2.0**-53
_SIXTEENTHS: Final = 16
_MOST_SHUFFLED: Final = 2**32


class Stream:
    """The stream of a name, such as "42:tables.orders:amount"."""

    __slots__ = ("_start", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        digest = blake2b(name.encode(), digest_size=8).digest()
        self._start = np.uint64(int.from_bytes(digest, "little"))

    def part(self, name: str) -> "Stream":
        """Return the stream of a part of this one's values, such as their being NULL."""
        return Stream(f"{self.name}:{name}")

    def bits(self, indexes: Int64Array) -> Bits:
        """Return 64 random bits for each index."""
        z = indexes.astype(np.uint64)
        z += np.uint64(1)
        z *= _GOLDEN
        z += self._start
        return _mixed(z)

    def words(self, indexes: Int64Array, n: int) -> Bits:
        """Return `n` times 64 random bits for each index, a row each."""
        steps = np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN
        return _mixed(self.bits(indexes)[:, np.newaxis] + steps)

    def below(self, indexes: Int64Array, limit: int | Int64Array) -> Int64Array:
        """Return whole numbers from 0 to `limit` - 1."""
        return scaled(self.bits(indexes), limit).view(np.int64)

    def share(self, indexes: Int64Array, share: float) -> NDArray[np.bool_]:
        """Return which indexes belong to `share` of all."""
        if share >= 1.0:
            return np.ones(len(indexes), np.bool_)
        return self.bits(indexes) < np.uint64(int(Fraction(share) * 2**64))

    def skewed(self, indexes: Int64Array, limit: int, skew: float) -> Int64Array:
        """Return int(limit * u**skew) of uniform u; `skew` counts in sixteenths."""
        if skew == 1.0:
            return self.below(indexes, limit)
        u = (self.bits(indexes) >> _S11).astype(np.float64) * _UNIT
        below = np.minimum(power(u, skew) * limit, np.nextafter(float(limit), 0.0))
        return np.minimum(below.astype(np.uint64), np.uint64(limit - 1)).view(np.int64)


def _mixed(z: Bits) -> Bits:
    z ^= z >> _S30
    z *= _MIX_1
    z ^= z >> _S27
    z *= _MIX_2
    z ^= z >> _S31
    return z


def scaled(bits: Bits, limit: int | Int64Array) -> Bits:
    """Return bits * limit >> 64: whole numbers from 0 to `limit` - 1."""
    high, low = bits >> _HALF, bits & _LOW
    if isinstance(limit, int):
        factor = np.uint64(limit)
        if limit <= int(_LOW):
            return (high * factor + (low * factor >> _HALF)) >> _HALF
        factor_high, factor_low = factor >> _HALF, factor & _LOW
    else:
        factors = limit.astype(np.uint64)
        return _high_product(high, low, factors >> _HALF, factors & _LOW)
    return _high_product(high, low, factor_high, factor_low)


def _high_product(high: Bits, low: Bits, c: Bits | np.uint64, d: Bits | np.uint64) -> Bits:
    """Return the upper half of (high, low) * (c, d), both in halves of 32 bits."""
    first, second = high * d, low * c
    middle = (low * d >> _HALF) + (first & _LOW) + (second & _LOW)
    product: Bits = high * c + (first >> _HALF) + (second >> _HALF) + (middle >> _HALF)
    return product


def power(u: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Return u**exponent, to a sixteenth, by products and square roots alone: they are exact."""
    whole, sixteenths = divmod(round(exponent * _SIXTEENTHS), _SIXTEENTHS)
    result = u.copy() if whole else np.ones_like(u)
    for _ in range(whole - 1):
        result *= u
    root, part = u, _SIXTEENTHS
    while part > 1 and sixteenths:
        root, part = np.sqrt(root), part // 2
        if sixteenths & part:
            result *= root
    return result


class Weights:
    """Picks indexes of weights, each as often as its weight says."""

    __slots__ = ("_ends",)

    def __init__(self, weights: Sequence[float]) -> None:
        ends = list(accumulate(Fraction(weight) for weight in weights))
        self._ends = np.array([int(end / ends[-1] * 2**64) for end in ends[:-1]], np.uint64)

    def picks(self, bits: Bits) -> Int64Array:
        """Return the index that each of `bits` picks."""
        if not len(self._ends):
            return np.zeros(len(bits), np.int64)
        return np.searchsorted(self._ends, bits, side="right")


class Shuffle:
    """A bijection of 0 to n - 1 that a stream chooses: i -> start + i * step mod n."""

    def __init__(self, stream: Stream, n: int) -> None:
        self._n = n
        draws = stream.words(np.zeros(1, np.int64), 2)[0].tolist()
        self._start = draws[0] % n
        # Of 31 bits, so that its product with an index stays in 64.
        step = 2**30 + draws[1] % 2**30
        while gcd(step, n) != 1:
            step += 1
        self._step = step

    def of(self, indexes: Int64Array) -> Int64Array:
        """Return the image of each index; the first n of them differ, at most 4 billion."""
        rounds = (indexes % min(self._n, _MOST_SHUFFLED)).astype(np.uint64)
        steps = rounds * np.uint64(self._step) + np.uint64(self._start)
        return (steps % np.uint64(self._n)).view(np.int64)


class Spread:
    """The bijection rank -> rank * factor mod n, which takes neighbours far apart; 0 stays 0."""

    def __init__(self, n: int) -> None:
        self._n = n
        # The golden section spreads neighbouring ranks far apart; in 16-bit integers.
        factor = max(1, n * 40503 >> 16)
        while gcd(factor, n) != 1:
            factor += 1
        self._factor = factor

    @cached_property
    def _inverse(self) -> int:
        return pow(self._factor, -1, self._n)

    def rows(self, ranks: Int64Array) -> Int64Array:
        """Return the row of each rank."""
        return ranks * self._factor % self._n

    def ranks(self, rows: Int64Array) -> Int64Array:
        """Return the rank of each row."""
        return rows * self._inverse % self._n
