"""The schedule is pure: same seed, same arrivals, whoever takes them and whatever changes."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.mix import Mix
from loadgen.workload.schedule.profiles import profile
from loadgen.workload.schedule.rates import RateCurve
from loadgen.workload.schedule.shards import Shard
from loadgen.workload.schedule.streams import (
    BLOCK,
    Arrival,
    ArrivalKind,
    ArrivalProcess,
    Drawn,
    Made,
    units,
)
from tests.plans import unit

KINDS: tuple[ArrivalKind, ...] = ("jitter", "poisson", "even")
kinds = st.sampled_from(KINDS)


def mix(
    orders: float = 36_000, events: float = 72_000, updates: float = 18_000, deletes: float = 720
) -> Mix:
    """Return a mix of rates per hour."""
    return Mix(dict(zip(OPERATIONS, (orders, events, updates, deletes), strict=True)))


def facts(arrivals: list[Arrival]) -> list[tuple[str, int, float]]:
    """Return what two equal schedules must agree on."""
    return sorted((operation, k, due) for due, operation, k, _ in arrivals)


def iter_points(process: ArrivalProcess, count: int) -> Iterator[float]:
    """Yield the first `count` points of a stream."""
    place = (0, 0)
    while count > 0:
        points, _, after = process.points(place)
        yield from points[:count]
        count -= len(points)
        place = (place[0] + len(points), after[-1])


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("jitter", "74cc7cada3af8a67"),
        ("poisson", "8ef4b7c630f54323"),
        ("even", "4af4749fa211eecc"),
    ],
)
def test_the_first_arrivals_of_a_seed_never_change(kind: ArrivalKind, digest: str) -> None:
    """A seed names the same arrivals on every machine and in every version."""
    arrivals = islice(Schedule(42, kind, mix()).pop_due(1e9), 10_000)
    streams = {name: ArrivalProcess(42, name, kind) for name in OPERATIONS}
    text = "".join(
        f"{name} {k} {due:.9f} {streams[name].draws(k)}\n" for due, name, k, _ in arrivals
    )
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


@given(seed=st.integers(0, 2**63), other=st.integers(0, 2**63), kind=kinds)
def test_seeds_differ(seed: int, other: int, kind: ArrivalKind) -> None:
    """Two seeds have different draws; one seed has the same."""
    draws = ArrivalProcess(seed, "insert_order", kind).draws(7)
    assert (draws == ArrivalProcess(other, "insert_order", kind).draws(7)) == (seed == other)


@given(
    kind=kinds,
    seed=st.integers(0, 1000),
    of=st.integers(1, 8),
    at=st.floats(0, 20),
    then=st.integers(1, 8),
)
@settings(max_examples=60, deadline=None)
def test_shares_are_a_partition_also_across_a_new_split(
    kind: ArrivalKind, seed: int, of: int, at: float, then: int
) -> None:
    """Whatever the number of processes, before and after a split, each arrival falls to one."""
    whole = list(Schedule(seed, kind, mix()).pop_due(25))
    parts: list[Arrival] = []
    for part in range(max(of, then)):
        schedule = Schedule(seed, kind, mix(), shard=Shard(part % of, of), end=25.0001)
        if part < then:
            schedule.change_share(at, Shard(part, then))
        else:
            schedule.end = at
        taken = list(schedule.pop_due(25))
        if part >= of:  # joined at the split: what was due before was another's
            taken = [arrival for arrival in taken if arrival[0] >= at]
        parts += taken
    assert facts(parts) == facts(whole)


@given(
    kind=st.sampled_from(("jitter", "even")),
    rate=st.floats(1, 1e6),
    seconds=st.floats(0, 100),
)
@settings(max_examples=100, deadline=None)
def test_the_count_is_exact(kind: ArrivalKind, rate: float, seconds: float) -> None:
    """Jittered and even arrivals are never more than one off what the rate asks for."""
    schedule = Schedule(3, kind, mix(rate, 0, 0, 0), end=seconds)
    offered = sum(1 for _ in islice(schedule.pop_due(seconds), 50_000))
    asked = schedule.asked(seconds)["insert_order"]
    assert offered == 50_000 or abs(offered - asked) <= 1


def test_poisson_counts_scatter_as_poisson_does() -> None:
    """Over 400 seeds the mean is the rate and the variance is about the mean."""
    counts = [
        sum(1 for _ in Schedule(seed, "poisson", mix(3600, 0, 0, 0)).pop_due(50))
        for seed in range(400)
    ]
    mean = sum(counts) / len(counts)
    variance = sum((n - mean) ** 2 for n in counts) / len(counts)
    assert abs(mean - 50) < 3 * (50 / 400) ** 0.5
    assert 0.7 < variance / 50 < 1.4


def test_fifty_an_hour_for_three_minutes_is_two_or_three() -> None:
    """Small rates are neither rounded to zero nor sent at once."""
    for kind in ("even", "jitter"):
        due = [due for due, *_ in Schedule(1, kind, mix(50, 0, 0, 0), end=180).pop_due(180)]
        assert len(due) in {2, 3}
        assert min(b - a for a, b in pairwise(due)) > 1


@given(
    kind=kinds,
    changes=st.lists(st.tuples(st.floats(0.1, 5), st.floats(0, 7200)), max_size=5),
    profile_name=st.sampled_from(("steady", "ramp", "burst", "diurnal")),
)
@settings(max_examples=60, deadline=None)
def test_rate_changes_keep_order_and_count(
    kind: ArrivalKind, changes: list[tuple[float, float]], profile_name: str
) -> None:
    """After any changes k goes up by one, due times never go back, and the count is as asked."""
    schedule = Schedule(5, kind, mix(3600, 0, 0, 0), profile_name)  # type: ignore[arg-type]
    now, arrivals = 0.0, []
    for step, rate in changes:
        now += step
        arrivals += list(schedule.pop_due(now))
        schedule.change_rates(now, mix(rate, 0, 0, 0))
    now += 10
    arrivals += list(schedule.pop_due(now))
    assert [k for _, _, k, _ in arrivals] == list(range(len(arrivals)))
    assert all(a[0] <= b[0] for a, b in pairwise(arrivals))
    asked = schedule.asked(now)["insert_order"]
    if kind == "poisson":
        points = iter_points(ArrivalProcess(5, "insert_order", kind), len(arrivals))
        assert all(point <= asked for point in points)
        assert all(cursor.due > now for cursor in schedule.cursors)
    else:
        assert abs(len(arrivals) - asked) <= 1


def test_a_change_in_the_past_is_refused() -> None:
    """Changes come in order: an earlier one would rewrite what was already offered."""
    rate_curve = RateCurve(1.0, profile("steady"))
    rate_curve.change(10, 2.0)
    with pytest.raises(ValueError, match="lies before"):
        rate_curve.change(9, 1.0)


def test_splits_come_in_order() -> None:
    """A split announced after a later one would have no defined owner."""
    schedule = Schedule(1, "even", mix())
    schedule.change_share(5, Shard(0, 2))
    schedule.change_share(6, Shard(0, 3))
    with pytest.raises(ValueError, match="comes after"):
        schedule.change_share(5.5, Shard(0, 3))


def test_nothing_is_due_at_rate_zero_or_after_the_end() -> None:
    """A zero rate never falls due, and the end is not part of the run."""
    assert Schedule(1, "even", mix(0, 0, 0, 0)).next_due() == float("inf")
    schedule = Schedule(1, "even", mix(3600, 0, 0, 0), end=0.5)
    assert list(schedule.pop_due(100)) == []
    assert schedule.next_due() == float("inf")
    assert schedule.target_rates(0.4)["insert_order"] == 1
    assert schedule.target_rates(0.5)["insert_order"] == 0


def test_a_profile_shapes_the_target() -> None:
    """A ramp begins at nothing and reaches the asked rate in ten minutes."""
    schedule = Schedule(1, "jitter", mix(3600, 0, 0, 0), "ramp")
    assert schedule.target_rates(0)["insert_order"] == 0
    assert schedule.target_rates(300)["insert_order"] == pytest.approx(0.5)
    assert schedule.asked(600)["insert_order"] == pytest.approx(300)


@given(draw=st.integers(0, 2**64 - 1))
def test_unit_lies_in_its_interval(draw: int) -> None:
    """A draw becomes a float from 0 to below 1."""
    assert 0 <= unit(draw) < 1


def test_a_stream_is_found_again_from_a_checkpoint() -> None:
    """The first arrival at or after a point is the same however far back the search begins."""
    for kind in KINDS:
        process = ArrivalProcess(9, "insert_event", kind)
        place, passed = (0, 0), []
        for _ in range(100):
            passed.append(place)
            place = (place[0] + 1, process.points(place).after[0])
        target = process.points(passed[80]).points[0]
        assert {process.first_from(start, target)[0] for start in passed[:80]} == {80}


@pytest.mark.parametrize("kind", KINDS)
def test_points_do_not_depend_on_where_one_begins(kind: ArrivalKind) -> None:
    """A block read from its middle is the rest of the block, draws and ticks alike."""
    process = ArrivalProcess(9, "insert_event", kind)
    first = 3 * BLOCK
    whole, drawn = process.points((first, 77)), process.drawn_from(first)
    assert (len(whole.points), drawn.shape) == (BLOCK, (4, BLOCK))
    for i in (1, 64, 100, BLOCK - 1):
        again = process.points((first + i, whole.before[i]))
        assert again == tuple(part[i:] for part in whole)
        assert (process.drawn_from(first + i) == drawn[:, i:]).all()
        assert process.draws(first + i) == tuple(drawn[:, i].tolist())


def test_one_draw_or_many_become_the_same_floats() -> None:
    """What is made of a block at once is what each draw on its own would give."""
    drawn = ArrivalProcess(7, "insert_event", "jitter").drawn_from(0)[0]
    assert units(drawn).tolist() == [unit(draw) for draw in drawn.tolist()]


@given(
    kind=kinds,
    looks=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 40)), max_size=30),
    of=st.integers(1, 3),
    together=st.sampled_from((1, 3, 64, BLOCK)),
)
@settings(max_examples=60, deadline=None)
def test_to_be_looked_at_changes_nothing(
    kind: ArrivalKind, looks: list[tuple[float, int]], of: int, together: int
) -> None:
    """What is handed out, and made of it, is the same however often somebody counts in between.

    So it is however many are made at once, and no more of an operation are ever made than that.
    """
    asked: list[int] = []

    def make(ks: Sequence[int], drawn: Drawn) -> list[Made]:
        asked.append(len(ks))
        return [b"%d %d" % (k, a) for k, a in zip(ks, drawn[3].tolist(), strict=True)]

    ahead = dict.fromkeys(OPERATIONS, make)
    counted, plain = (
        Schedule(
            5, kind, mix(), shard=Shard(0, of), ahead=ahead, together=dict.fromkeys(OPERATIONS, n)
        )
        for n in (together, BLOCK)
    )
    now, handed = 0.0, []
    for step, n in looks:
        now += step
        handed += list(islice(counted.pop_due(now), n))
        offered, waiting = counted.offered(now), counted.waiting(now)
        counted.places()
        for name in OPERATIONS:
            taken = sum(operation == name for _, operation, _, _ in handed)
            assert offered[name] == taken + waiting[name]
    handed += counted.pop_due(now)
    assert max(asked, default=0) <= together
    assert handed == list(plain.pop_due(now))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_at_a_split_is_made_when_it_is_taken(kind: ArrivalKind) -> None:
    """Who has a backlog when its share changes makes of each what it would have been in time."""

    def make(ks: Sequence[int], drawn: Drawn) -> list[Made]:
        return [b"%d %d" % (k, a) for k, a in zip(ks, drawn[3].tolist(), strict=True)]

    ahead = dict.fromkeys(OPERATIONS, make)
    late, in_time = (Schedule(5, kind, mix(), ahead=ahead) for _ in ("late", "in time"))
    late.change_share(20, Shard(0, 2))
    late.offered(20.5)
    assert len(late.left()) > 500
    handed = [arrival for arrival in late.pop_due(20.5) if arrival[0] < 20]
    assert handed == [arrival for arrival in in_time.pop_due(20.5) if arrival[0] < 20]
