"""Numbers as they are typed."""

import argparse

import pytest

from loadgen.commands.numbers import number, whole


@pytest.mark.parametrize(("text", "found"), [("0.5", 0.5), ("60", 60.0), ("1e2", 100.0)])
def test_what_is_allowed_is_taken(text: str, found: float) -> None:
    """The maximum is allowed, and 0 with `or_zero`."""
    assert number("seconds", 100)(text) == found
    assert number("seconds", 100, or_zero=True)("0") == 0


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "100.1", "ten", ""])
def test_what_is_not_is_refused_with_what_would_be(text: str) -> None:
    """The error names the unit and the bounds."""
    with pytest.raises(
        argparse.ArgumentTypeError, match="must be seconds, above 0 and at most 100"
    ):
        number("seconds", 100)(text)


@pytest.mark.parametrize("text", ["-0.1", "nan", "inf", "1e300"])
def test_zero_may_be_allowed_and_nothing_else(text: str) -> None:
    """Neither below 0 nor above the most."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be hours, 0 or more and at most 9"):
        number("hours", 9, or_zero=True)(text)


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "²", "", "1000000001", "9" * 400, "9" * 5000])
def test_a_whole_number_is_one(text: str) -> None:
    """Of 1 or more, in plain digits."""
    assert whole("12") == 12
    with pytest.raises(
        argparse.ArgumentTypeError, match=r"must be a whole number from 1 to 1000000000$"
    ):
        whole(text)
