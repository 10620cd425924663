"""Numbers as they are typed."""

import argparse

import pytest

from loadgen.commands.numbers import number, whole


@pytest.mark.parametrize(("text", "found"), [("0.5", 0.5), ("60", 60.0), ("1e2", 100.0)])
def test_what_is_allowed_is_taken(text: str, found: float) -> None:
    """Up to the most itself; 0 where that is asked for."""
    assert number("seconds", 100)(text) == found
    assert number("seconds", or_zero=True)("0") == 0


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "100.1", "ten", ""])
def test_what_is_not_is_refused_with_what_would_be(text: str) -> None:
    """The unit and the bounds are said."""
    with pytest.raises(
        argparse.ArgumentTypeError, match="must be seconds, above 0 and at most 100"
    ):
        number("seconds", 100)(text)


@pytest.mark.parametrize("text", ["-0.1", "nan", "inf"])
def test_without_a_most_it_is_finite_all_the_same(text: str) -> None:
    """And not below 0."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be hours, 0 or more$"):
        number("hours", or_zero=True)(text)


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "²", ""])
def test_a_whole_number_is_one(text: str) -> None:
    """Of 1 or more, in plain digits."""
    assert whole("12") == 12
    with pytest.raises(argparse.ArgumentTypeError, match="whole number, 1 or more"):
        whole(text)
