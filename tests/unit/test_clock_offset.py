"""How far two clocks are apart, whatever an answer's way takes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from loadgen.source.environment import clock_offset

ZERO = datetime(2026, 11, 24, tzinfo=UTC)
WAY = st.floats(0, 2)


@given(st.floats(-5000, 5000), st.lists(st.tuples(WAY, WAY), min_size=3, max_size=3))
def test_the_true_offset_lies_within_what_is_said(
    ahead: float, ways: list[tuple[float, float]]
) -> None:
    """Of unequal ways there and back too; and no question with a longer way is taken."""
    seconds = 0.0
    left: Iterator[tuple[float, float]] = iter(ways)

    def here() -> datetime:
        return ZERO + timedelta(seconds=seconds)

    def there() -> datetime:
        nonlocal seconds
        out, back = next(left)
        seconds += out
        answer = here() + timedelta(seconds=ahead)
        seconds += back
        return answer

    found = clock_offset(there, here)
    assert abs(found.ahead_seconds - ahead) <= found.within_seconds + 1e-5
    assert abs(found.within_seconds - min(out + back for out, back in ways) / 2) < 1e-5
