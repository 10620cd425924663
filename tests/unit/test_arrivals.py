"""The schedule is pure: a seed gives the same arrivals, however they are split or taken."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.workload.model import ProfileLevels
from loadgen.workload.schedule.arrival_process import (
    BLOCK,
    Arrival,
    ArrivalKind,
    ArrivalProcess,
    Prepared,
    uniform,
)
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.due_counter import DueCounter
from loadgen.workload.schedule.plan import Mix
from loadgen.workload.schedule.rate_curve import PROFILES, ProfileName, RateCurve
from loadgen.workload.schedule.shards import WHOLE, Shard
from tests.plans import OPERATIONS, unit

KINDS: tuple[ArrivalKind, ...] = ("jitter", "poisson", "even")
kinds = st.sampled_from(KINDS)


def mix(
    orders: float = 36_000, events: float = 72_000, updates: float = 18_000, deletes: float = 720
) -> Mix:
    """Return a mix of rates per hour."""
    return Mix(dict(zip(OPERATIONS, (orders, events, updates, deletes), strict=True)))


def facts(arrivals: list[Arrival]) -> list[tuple[str, int, float]]:
    """Return the facts that two equal schedules must agree on."""
    return sorted((operation, k, due) for due, operation, k, _ in arrivals)


def iter_unit_times(process: ArrivalProcess, count: int) -> Iterator[float]:
    """Yield the first `count` unit times of a process."""
    checkpoint = (0, 0)
    while count > 0:
        times, _, after = process.unit_times(checkpoint)
        yield from times[:count]
        count -= len(times)
        checkpoint = (checkpoint[0] + len(times), after[-1])


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("jitter", "263437232ea7ba21"),
        ("poisson", "6c9c20b61b9ce9b1"),
        ("even", "166198abaf72be74"),
    ],
)
def test_the_first_arrivals_of_a_seed_never_change(kind: ArrivalKind, digest: str) -> None:
    """A seed names the same arrivals on every machine and in every version."""
    arrivals = islice(Schedule(42, kind, mix()).pop_due(1e9), 10_000)
    processes = {name: ArrivalProcess(42, name, kind) for name in OPERATIONS}
    text = "".join(
        f"{name} {k} {due:.9f} {processes[name].draws_from(k)[0]}\n" for due, name, k, _ in arrivals
    )
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


@given(seed=st.integers(0, 2**63), other=st.integers(0, 2**63), kind=kinds)
def test_seeds_differ(seed: int, other: int, kind: ArrivalKind) -> None:
    """Two seeds have different draws; one seed has the same."""
    draws = ArrivalProcess(seed, "insert_order", kind).draws_from(7)
    others = ArrivalProcess(other, "insert_order", kind).draws_from(7)
    assert (draws == others).all() == (seed == other)


@given(
    kind=kinds,
    seed=st.integers(0, 1000),
    of=st.integers(1, 8),
    at=st.floats(0, 20),
    then=st.integers(1, 8),
    own_profile=st.sampled_from((None, ProfileLevels(4.0, (1, 0, 3, 0.5)))),
)
@settings(max_examples=60)
def test_shares_are_a_partition_also_across_a_new_split(
    kind: ArrivalKind,
    seed: int,
    of: int,
    at: float,
    then: int,
    own_profile: ProfileLevels | None,
) -> None:
    """Whatever the number of processes, before and after a split, each arrival falls to one."""
    name: ProfileName = "workload" if own_profile else "steady"

    def schedule_of(shard: Shard) -> Schedule:
        return Schedule(seed, kind, mix(), name, own_profile=own_profile, shard=shard, end=25.0001)

    whole = list(schedule_of(WHOLE).pop_due(25))
    parts: list[Arrival] = []
    for part in range(max(of, then)):
        schedule = schedule_of(Shard(part % of, of))
        if part < then:
            schedule.change_shard(at, Shard(part, then))
        else:
            schedule.end = at
        taken = list(schedule.pop_due(25))
        if part >= of:  # joined at the split: earlier arrivals belonged to another
            taken = [arrival for arrival in taken if arrival[0] >= at]
        parts += taken
    assert facts(parts) == facts(whole)


@given(
    kind=st.sampled_from(("jitter", "even")),
    rate=st.floats(1, 1e6),
    seconds=st.floats(0, 100),
)
@settings(max_examples=100)
def test_the_count_is_exact(kind: ArrivalKind, rate: float, seconds: float) -> None:
    """Jittered and even arrivals are never more than one off the planned number."""
    schedule = Schedule(3, kind, mix(rate, 0, 0, 0), end=seconds)
    offered = sum(1 for _ in islice(schedule.pop_due(seconds), 50_000))
    planned = schedule.planned(seconds)["insert_order"]
    assert offered == 50_000 or abs(offered - planned) <= 1


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
    profile_name=st.sampled_from(("steady", "ramp", "burst", "diurnal", "workload")),
)
@settings(max_examples=60)
def test_rate_changes_keep_order_and_count(
    kind: ArrivalKind, changes: list[tuple[float, float]], profile_name: str
) -> None:
    """After any changes k goes up by one, due times never go back, and the count is as planned."""
    own = ProfileLevels(2.0, (0.0, 3.0, 1.0))
    schedule = Schedule(5, kind, mix(3600, 0, 0, 0), profile_name, own_profile=own)  # type: ignore[arg-type]
    now, arrivals = 0.0, []
    for step, rate in changes:
        now += step
        arrivals += list(schedule.pop_due(now))
        schedule.change_rates(now, mix(rate, 0, 0, 0))
    now += 10
    arrivals += list(schedule.pop_due(now))
    assert [k for _, _, k, _ in arrivals] == list(range(len(arrivals)))
    assert all(a[0] <= b[0] for a, b in pairwise(arrivals))
    planned = schedule.planned(now)["insert_order"]
    if kind == "poisson":
        times = iter_unit_times(ArrivalProcess(5, "insert_order", kind), len(arrivals))
        assert all(time <= planned for time in times)
        assert all(cursor.due > now for cursor in schedule.cursors.values())
    else:
        assert abs(len(arrivals) - planned) <= 1


def test_a_change_in_the_past_is_refused() -> None:
    """Changes come in order: an earlier one would rewrite arrivals that were already offered."""
    rate_curve = RateCurve(1.0, PROFILES["steady"])
    rate_curve.change(10, 2.0)
    with pytest.raises(ValueError, match="lies before"):
        rate_curve.change(9, 1.0)


def test_splits_come_in_order() -> None:
    """A split announced after a later one would have no defined owner."""
    schedule = Schedule(1, "even", mix())
    schedule.change_shard(5, Shard(0, 2))
    schedule.change_shard(6, Shard(0, 3))
    with pytest.raises(ValueError, match="comes after"):
        schedule.change_shard(5.5, Shard(0, 3))


def test_nothing_is_due_at_rate_zero_or_after_the_end() -> None:
    """A zero rate never falls due, and the end is not part of the run."""
    assert Schedule(1, "even", mix(0, 0, 0, 0)).next_due() == float("inf")
    schedule = Schedule(1, "even", mix(3600, 0, 0, 0), end=0.5)
    assert list(schedule.pop_due(100)) == []
    assert schedule.next_due() == float("inf")
    assert schedule.target_rates(0.4)["insert_order"] == 1
    assert schedule.target_rates(0.5)["insert_order"] == 0


def test_a_profile_shapes_the_target() -> None:
    """A ramp begins at zero and reaches the requested rate in ten minutes."""
    schedule = Schedule(1, "jitter", mix(3600, 0, 0, 0), "ramp")
    assert schedule.target_rates(0)["insert_order"] == 0
    assert schedule.target_rates(300)["insert_order"] == pytest.approx(0.5)
    assert schedule.planned(600)["insert_order"] == pytest.approx(300)


def test_the_profile_of_a_workload_begins_when_it_is_chosen() -> None:
    """Its levels are shares of the rate, in their order, and again after the last one."""
    own = ProfileLevels(10.0, (3, 1))
    schedule = Schedule(1, "even", mix(3600, 0, 0, 0), "steady", own_profile=own)
    schedule.change_rates(100.0, mix(3600, 0, 0, 0), "workload")
    counts = [len(list(schedule.pop_due(at))) for at in (100, 110, 120, 130, 140)]
    assert counts == pytest.approx([100, 15, 5, 15, 5], abs=1)
    at_night = Schedule(
        1, "even", mix(3600, 0, 0, 0), "workload", own_profile=ProfileLevels(10.0, (0, 1))
    )
    assert at_night.target_rates(5)["insert_order"] == 0
    assert at_night.next_due() >= 10


@given(draw=st.integers(0, 2**64 - 1))
def test_unit_lies_in_its_interval(draw: int) -> None:
    """A draw becomes a float from 0 to below 1."""
    assert 0 <= unit(draw) < 1


def test_a_process_is_found_again_from_a_checkpoint() -> None:
    """The first arrival from a unit time on is the same however far back the search begins."""
    for kind in KINDS:
        process = ArrivalProcess(9, "insert_event", kind)
        checkpoint, passed = (0, 0), []
        for _ in range(100):
            passed.append(checkpoint)
            checkpoint = (checkpoint[0] + 1, process.unit_times(checkpoint).after[0])
        target = process.unit_times(passed[80]).times[0]
        assert {process.seek(start, target)[0] for start in passed[:80]} == {80}


@pytest.mark.parametrize("kind", KINDS)
def test_unit_times_do_not_depend_on_where_one_begins(kind: ArrivalKind) -> None:
    """A block read from its middle is the rest of the block, draws and ticks alike."""
    process = ArrivalProcess(9, "insert_event", kind)
    first = 3 * BLOCK
    whole, draws = process.unit_times((first, 77)), process.draws_from(first)
    assert (len(whole.times), draws.shape) == (BLOCK, (BLOCK,))
    for i in (1, 64, 100, BLOCK - 1):
        again = process.unit_times((first + i, whole.before[i]))
        assert again == tuple(part[i:] for part in whole)
        assert (process.draws_from(first + i) == draws[i:]).all()


def test_one_draw_or_many_become_the_same_floats() -> None:
    """The floats of a whole block are those of its single draws."""
    draws = ArrivalProcess(7, "insert_event", "jitter").draws_from(0)
    assert uniform(draws).tolist() == [unit(draw) for draw in draws.tolist()]


def request(ks: Sequence[int], dues: Sequence[float]) -> list[Prepared]:
    """Prepare arrivals by their numbers and due times."""
    return [b"%d %r" % (k, due) for k, due in zip(ks, dues, strict=True)]


@given(
    kind=kinds,
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 40)), max_size=30),
    of=st.integers(1, 3),
    batch_size=st.sampled_from((1, 3, 64, BLOCK)),
)
@settings(max_examples=60)
def test_counting_changes_nothing(
    kind: ArrivalKind, steps: list[tuple[float, int]], of: int, batch_size: int
) -> None:
    """Counting in between changes neither the arrivals nor their prepared requests.

    The batch size changes nothing either, and no batch is ever larger.
    """
    sizes: list[int] = []

    def make(ks: Sequence[int], dues: Sequence[float]) -> list[Prepared]:
        sizes.append(len(ks))
        return request(ks, dues)

    makers = dict.fromkeys(OPERATIONS, make)
    counted, plain = (Schedule(5, kind, mix(), shard=Shard(0, of)) for _ in ("counted", "plain"))
    counted.prepare_by(makers, dict.fromkeys(OPERATIONS, batch_size))
    plain.prepare_by(makers, dict.fromkeys(OPERATIONS, BLOCK))
    now, handed = 0.0, []
    for step, n in steps:
        now += step
        handed += list(islice(counted.pop_due(now), n))
        offered, waiting = counted.offered(now), counted.waiting(now)
        counted.checkpoints()
        for name in OPERATIONS:
            taken = sum(operation == name for _, operation, _, _ in handed)
            assert offered[name] == taken + waiting[name]
    handed += counted.pop_due(now)
    assert max(sizes, default=0) <= batch_size
    assert handed == list(plain.pop_due(now))


@given(
    kind=kinds,
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 900), st.booleans()), max_size=12),
    batch_size=st.sampled_from((1, 3, 64, BLOCK)),
    split_at=st.floats(0, 15),
)
@settings(max_examples=40)
def test_batches_are_the_arrivals_that_would_be_taken_one_by_one(
    kind: ArrivalKind, steps: list[tuple[float, int, bool]], batch_size: int, split_at: float
) -> None:
    """The earliest come first, never more than requested, also across a split and single takes."""
    batched, plain = (Schedule(5, kind, mix(), end=25.0) for _ in ("batched", "plain"))
    for made in (batched, plain):
        made.prepare_by(dict.fromkeys(OPERATIONS, request), dict.fromkeys(OPERATIONS, batch_size))
        made.change_shard(split_at, Shard(0, 2))
    until = 0.0
    for step, most, single in steps:
        until += step
        if single:
            assert batched.take(until) == plain.take(until)
        taken = [
            a for batch in batched.take_batches(until, most, exact=single) for a in batch.arrivals()
        ]
        expected = list(islice(plain.pop_due(until), most))
        assert sorted(taken) == sorted(expected)
        batched.offered(until)
    assert facts(list(batched.pop_due(30))) == facts(list(plain.pop_due(30)))


@pytest.mark.parametrize("kind", KINDS)
def test_exact_batches_prepare_only_what_they_hand_out(kind: ArrivalKind) -> None:
    """In an overload the next arrivals will be skipped; their requests would be made in vain."""
    sizes: list[int] = []

    def make(ks: Sequence[int], dues: Sequence[float]) -> list[Prepared]:
        sizes.append(len(ks))
        return request(ks, dues)

    schedule = Schedule(5, kind, mix())
    schedule.prepare_by(dict.fromkeys(OPERATIONS, make), dict.fromkeys(OPERATIONS, BLOCK))
    for until in (1.0, 2.0, 20.0):
        schedule.skip(until - 0.5)
        sizes.clear()
        batches = schedule.take_batches(until, 50, exact=True)
        assert 0 < sum(sizes) == sum(len(batch.dues) for batch in batches) <= 50


@pytest.mark.parametrize("kind", KINDS)
def test_a_backlog_at_a_split_is_prepared_when_it_is_taken(kind: ArrivalKind) -> None:
    """An arrival of the backlog gets the same request as one that is taken in time."""
    late, in_time = (Schedule(5, kind, mix()) for _ in ("late", "in time"))
    for made in (late, in_time):
        made.prepare_by(dict.fromkeys(OPERATIONS, request), dict.fromkeys(OPERATIONS, BLOCK))
    late.change_shard(20, Shard(0, 2))
    late.offered(20.5)
    assert sum(map(len, late.backlog().values())) > 500
    handed = [arrival for arrival in late.pop_due(20.5) if arrival[0] < 20]
    assert handed == [arrival for arrival in in_time.pop_due(20.5) if arrival[0] < 20]


@given(
    kind=kinds,
    changes=st.lists(st.tuples(st.floats(0, 40), st.floats(0, 30)), max_size=3),
    times=st.lists(st.floats(-5, 200), min_size=1, max_size=20),
    ascending=st.booleans(),
)
@settings(max_examples=60)
def test_due_arrivals_are_counted_in_any_order(
    kind: ArrivalKind,
    changes: list[tuple[float, float]],
    times: list[float],
    *,
    ascending: bool,
) -> None:
    """The count is that of the schedule itself, through changes of the rate."""
    curve = RateCurve(20.0, PROFILES["steady"])
    for at, rate in sorted(changes):
        curve.change(at, rate)
    process = ArrivalProcess(3, "insert_order", kind)
    dues: list[float] = []
    place = (0, 0)
    while not dues or (dues[-1] <= 200 and len(dues) < 20_000):
        points, _, after = process.unit_times(place)
        dues += [curve.due_time(point) for point in points]
        place = (place[0] + len(points), after[-1])
    counter = DueCounter(ArrivalProcess(3, "insert_order", kind), curve)
    asked = sorted(times) if ascending else times
    for s, count in zip(asked, counter.counts(asked).tolist(), strict=True):
        # A time and its inverse may differ in the last bit.
        least, most = (bisect_right(dues, s + off) for off in (-1e-9, 1e-9))
        assert least <= count <= most
