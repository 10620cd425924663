"""How the report says numbers, and in which colours."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen import text as words
from loadgen.report.charts import palette
from loadgen.report.tables.load import sqlstate_words
from loadgen.workload.operations import operation_facts
from tests.plans import OPERATIONS, SHOP

# Severe colour blindness in linear RGB: Machado, Oliveira, Fernandes 2009.
BLINDNESS = {
    "red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
            (-0.003882, -0.048116, 1.051998)),
    "green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
              (-0.011820, 0.042940, 0.968881)),
    "blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
             (0.004733, 0.691367, 0.303900)),
    "none": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
}  # fmt: skip
APART = 18.0  # CIE76; 2.3 is just noticeable


def linear(color: str) -> tuple[float, ...]:
    """Return a colour's light, channel by channel."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return tuple(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)


def luminance(color: str) -> float:
    """Return a colour's relative luminance, as WCAG defines it."""
    red, green, blue = linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(color: str, paper: str) -> float:
    """Return the contrast ratio of two colours."""
    low, high = sorted((luminance(color), luminance(paper)))
    return (high + 0.05) / (low + 0.05)


def lab(color: str, blindness: str) -> tuple[float, float, float]:
    """Return a colour as an eye with this blindness sees it, in CIE Lab."""
    light = linear(color)
    seen = [
        max(0.0, sum(m * c for m, c in zip(row, light, strict=True)))
        for row in BLINDNESS[blindness]
    ]
    red, green, blue = seen
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("colors", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_all_text_can_be_read(colors: dict[str, str]) -> None:
    """Each colour that letters are written in has a contrast of 4.5 on its paper."""
    texts = set(colors) - {"paper", "panel", "rule"}
    poor = {name for name in texts if contrast(colors[name], colors["paper"]) < 4.5}
    assert not poor


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("paper", ["light", "dark"])
def test_operations_stay_apart_for_every_eye(paper: str, blindness: str) -> None:
    """No two operations have colours that a colour-blind reader takes for one."""
    seen = [lab(getattr(operation, paper), blindness) for operation in OPERATIONS.values()]
    for i, one in enumerate(seen):
        for other in seen[i + 1 :]:
            assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > APART


def test_colors_have_the_same_names_in_light_and_dark() -> None:
    """Every colour has both forms, and each light one stands for one thing."""
    assert set(palette.LIGHT) == set(palette.DARK)
    assert len(set(palette.LIGHT.values())) == len(palette.LIGHT)


def test_an_operation_has_the_color_of_the_record_an_unknown_one_that_of_others() -> None:
    """A record may have samples of an operation that its run.json does not describe."""
    facts = {
        "paper_cut": operation_facts(SHOP)["insert_event"].model_copy(
            update={"light": "#123456", "dark": "#abcdef"}
        )
    }
    colors = palette.of_operations(facts)
    assert (colors.of("paper_cut"), colors.dark["operation-paper-cut"]) == ("#123456", "#abcdef")
    assert colors.of("insert_order") == palette.LIGHT["other-operation"]


@given(part=st.integers(0, 10**9), rest=st.integers(0, 10**9))
def test_a_share_never_rounds_to_nothing_or_to_all(part: int, rest: int) -> None:
    """0% means none at all, and 100% means all."""
    text = words.share(part, part + rest)
    if part + rest == 0:
        assert text == words.NOTHING
    else:
        assert (text == "0%") == (part == 0)
        assert (text == "100%") == (rest == 0)


@pytest.mark.parametrize(
    ("part", "of", "text"),
    [
        (1, 2, "50.00%"),
        (1, 10**6, "<0.01%"),
        (999_999, 10**6, ">99.99%"),
        (3, 2, "150.00%"),
        (1_000_001, 10**6, ">100%"),
    ],
)
def test_shares(part: int, of: int, text: str) -> None:
    """Two decimals, and the nearest bound where these would lie."""
    assert words.share(part, of) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (14.04, "14 s"),
        (90, "90 s"),
        (120, "2 min"),
        (150, "2 min 30 s"),
        (1810, "30 min 10 s"),
        (5400, "1 h 30 min"),
        (48 * 3600, "48 h"),
        (None, words.NOTHING),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """A duration has its two largest units, and none that is zero."""
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00046, "0.46 ms"),
        (0.0123, "12.3 ms"),
        (1.0107, "1.01 s"),
        (12.0, "12 s"),
        (None, words.NOTHING),
    ],
)
def test_latencies(seconds: float | None, text: str) -> None:
    """A latency has three digits and the unit that keeps it short."""
    assert words.latency(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.0139, "0.0139"),
        (50.0, "50"),
        (1234.5, "1,234"),
        (0.5, "0.5"),
        (None, words.NOTHING),
    ],
)
def test_quantities(number: float | None, text: str) -> None:
    """Three digits, but never fewer than the ones; no zeros at the end."""
    assert words.quantity(number) == text


def test_a_column_of_latencies_lines_up() -> None:
    """In a table zeros at the end stay."""
    assert [words.milliseconds(s) for s in (0.0003, 0.0012, 0.25, 0.0, None)] == [
        "0.300",
        "1.20",
        "250",
        "0",
        words.NOTHING,
    ]


@pytest.mark.parametrize(
    ("sqlstate", "text"),
    [
        ("23505", "unique violation"),
        ("57P01", "admin shutdown"),
        ("02000", "no row was left that it could change"),
        ("ZZZZZ", "a code that Postgres does not list"),
    ],
)
def test_a_sqlstate_is_named(sqlstate: str, text: str) -> None:
    """An SQLSTATE that few know by heart is shown with its meaning."""
    assert sqlstate_words(sqlstate) == text


def test_values_read_as_settings_do() -> None:
    """Unset, true and numbers are written as a person would write them."""
    shown = [words.value(v) for v in (None, True, False, 36000.0, 0.5, "poisson")]
    assert shown == ["not set", "true", "false", "36,000", "0.5", "poisson"]


def test_small_words() -> None:
    """Nouns agree with their number, lists end in `and`, sizes and moments have units."""
    assert words.plural(1, "write") == "1 write"
    assert words.plural(2000, "write") == "2,000 writes"
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.first_capital("the end of PG") == "The end of PG"
    assert words.first_capital("") == ""
    assert words.size(8 * 2**30) == "8 GiB"
    assert words.size("much") == words.NOTHING
    assert words.whole(85_555.56) == "85,556"
    assert words.whole(3.5) == "3.5"
    assert words.count(None) == words.NOTHING
    east = datetime(2026, 11, 23, 10, 0, tzinfo=timezone(timedelta(hours=2)))
    assert words.moment(east) == words.moment(datetime(2026, 11, 23, 8, 0, tzinfo=UTC))
    assert words.moment(east) == "2026-11-23 08:00:00 UTC"
    assert words.moment(None) == words.NOTHING
