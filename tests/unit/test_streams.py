"""Random numbers by their index, and times of a growing business: exact on every machine."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.workload.history import History
from loadgen.workload.streams import Spread, Stream, Weights, power, scaled
from tests.shop_model import END


def test_streams_are_splitmix64() -> None:
    """The published first words of state 0, and one that follows from the definition."""
    stream = Stream("")
    stream._start = np.uint64(0)
    assert [hex(word) for word in stream.bits(np.arange(3)).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]
    assert Stream("42:tables.orders:id").bits(np.array([0])) != Stream("x").bits(np.array([0]))


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**63 - 1))
def test_scaled_is_the_upper_half_of_a_product(bits: int, limit: int) -> None:
    """For one limit and for a limit a row."""
    words = np.array([bits], np.uint64)
    assert int(scaled(words, limit)[0]) == bits * limit >> 64
    assert int(scaled(words, np.array([limit]))[0]) == bits * limit >> 64


@given(st.floats(0, 1), st.integers(1, 100))
def test_power_in_sixteenths(u: float, sixteenths: int) -> None:
    """By products and roots, as near as may be."""
    expected = math.pow(u, sixteenths / 16)
    made = float(power(np.array([u]), sixteenths / 16)[0])
    assert made == pytest.approx(expected, rel=1e-12, abs=1e-300)


@settings(max_examples=30)
@given(st.integers(1, 5000))
def test_spread_is_a_bijection(n: int) -> None:
    """Rank 0 is row 0, and each row has one rank."""
    ranks = np.arange(n)
    rows = Spread(n).rows(ranks)
    assert rows[0] == 0
    assert sorted(rows.tolist()) == list(range(n))
    assert Spread(n).ranks(rows).tolist() == ranks.tolist()


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6))
@settings(max_examples=20)
def test_choices_are_as_frequent_as_their_weights(weights: list[float]) -> None:
    """Within five standard deviations."""
    n = 20_000
    picks = Counter(Weights(weights).picks(Stream("weights").bits(np.arange(n))).tolist())
    for i, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(picks[i] - n * share) <= 5 * math.sqrt(n * share * (1 - share)) + 1


def test_times_of_growth_are_exact() -> None:
    """They are in order and computed with integers, independent of the machine's floats."""
    history = History(END, 182)
    positions = Stream("positions").below(np.arange(1000), history.total)
    ends, begins = history._ends.tolist(), history._begins.tolist()
    for position, at in zip(positions.tolist(), history.times(positions).tolist(), strict=True):
        hour = next(i for i, end in enumerate(ends) if position < end)
        weight = ends[hour] - begins[hour]
        exact = (position - begins[hour]) * 3_600_000_000 // weight
        assert at == history.start_us + hour * 3_600_000_000 + exact
        assert history.positions(np.array([at]))[0] <= position
    assert history.times(np.arange(0, history.total, history.total // 999)).tolist() == sorted(
        history.times(np.arange(0, history.total, history.total // 999)).tolist()
    )
    assert history.time(0) == history.start_us
    assert history.time(history.total - 1) < history.end_us
    last, first = history.end_us - 30 * 86_400_000_000, history.start_us + 30 * 86_400_000_000
    times = history.times(np.arange(0, history.total, history.total // 9999))
    assert 2.2 < (times > last).sum() / (times < first).sum() < 3
