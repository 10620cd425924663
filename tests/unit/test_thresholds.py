"""Limits on a run: the syntax of the file, and how a run is judged."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from loadgen.config import thresholds
from loadgen.config.settings import Settings, load_settings
from loadgen.config.thresholds import BOTTLENECK, Threshold
from loadgen.errors import SettingsError
from loadgen.record.run import Totals
from loadgen.record.verdict import JudgedThreshold, Measured, Quantiles, judge, with_built_in
from tests.plans import OPERATIONS

ROOT = Path(__file__).parents[2]


def latency(p95: float, p99: float) -> Quantiles:
    """Return the same quantiles as service and twice as long as intended time."""
    return {
        "service": {"p95": p95, "p99": p99},
        "intended": {"p95": 2 * p95, "p99": 2 * p99},
    }


MEASURED = Measured(
    seconds=1000.0,
    bottleneck_seconds=10,
    total=Totals(offered=1000, committed=960, failed=10, skipped=30),
    totals={
        "insert_order": Totals(offered=500, committed=480, failed=10, skipped=10),
        "soft_delete_user": Totals(offered=10, committed=9, failed=1, skipped=0),
    },
    latency_all=latency(0.01, 0.02),
    latency={"insert_order": latency(0.03, 0.04), "soft_delete_user": latency(9.0, 9.0)},
)


def judged(name: str, limit: float, operation: str | None = None) -> JudgedThreshold:
    """Return the judgement of one limit on the run above."""
    (found,) = judge((Threshold(name, limit, operation),), MEASURED).thresholds
    return found


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a thresholds file in a temporary project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THRESHOLDS_FILE", raising=False)
    return tmp_path / "thresholds.toml"


@pytest.mark.parametrize(
    ("name", "limit", "operation", "verdict", "measured"),
    [
        ("skipped_share", 0.03, None, "pass", 0.03),
        ("skipped_share", 0.029, None, "missed", 0.03),
        ("failed_share", 0.01, None, "pass", 0.01),
        ("failed_share", 0.019, "insert_order", "missed", 0.02),
        ("service_p95_seconds", 0.01, None, "pass", 0.01),
        ("service_p95_seconds", 0.01, "insert_order", "missed", 0.03),
        ("service_p99_seconds", 0.02, None, "pass", 0.02),
        ("intended_p95_seconds", 0.019, None, "missed", 0.02),
        ("intended_p99_seconds", 0.08, "insert_order", "pass", 0.08),
        (BOTTLENECK, 0.01, None, "pass", 0.01),
        (BOTTLENECK, 0.009, None, "missed", 0.01),
    ],
)
def test_the_limit_itself_passes_and_what_is_above_it_misses(
    name: str, limit: float, operation: str | None, verdict: str, measured: float
) -> None:
    """Each limit is compared with its own figure, of all operations together or of one."""
    found = judged(name, limit, operation)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(measured)


def test_one_arrival_never_decides() -> None:
    """One failed write of ten is beyond any small share, and misses none; two do."""
    assert judged("failed_share", 0.0, "soft_delete_user").verdict == "pass"
    two = replace(
        MEASURED, totals={"soft_delete_user": Totals(offered=10, committed=8, failed=2, skipped=0)}
    )
    limit = Threshold("failed_share", 0.0, "soft_delete_user")
    assert judge((limit,), two).thresholds[0].verdict == "missed"


def test_a_quantile_of_few_writes_is_not_judged() -> None:
    """If one write would decide the result, it is not judged, and the reason is given."""
    found = judged("service_p95_seconds", 1.0, "soft_delete_user")
    assert found.verdict == "not judged"
    assert str(found) == (
        "service_p95_seconds of soft_delete_user: limit 1, not judged: "
        "9 writes are too few for a p95, which takes 20"
    )


@pytest.mark.parametrize("name", ["freshness_p95_seconds", "cost_dollars"])
def test_what_nothing_measures_is_not_judged(name: str) -> None:
    """A limit that belongs to a later part is known, and never passes in silence."""
    found = judged(name, 0)
    assert (found.verdict, found.why) == ("not judged", "nothing measured")


def test_a_run_without_an_end_is_judged_by_what_there_is() -> None:
    """Counts can be judged, latencies of the whole run and the generator can't."""
    nothing: Quantiles = {"service": {"p95": None}, "intended": {}}
    killed = replace(MEASURED, seconds=None, bottleneck_seconds=None, latency_all=nothing)
    names = ("skipped_share", "service_p95_seconds", "intended_p99_seconds", BOTTLENECK)
    results = judge(tuple(Threshold(name, 0.001) for name in names), killed).thresholds
    assert [found.verdict for found in results] == ["missed", *["not judged"] * 3]


def test_nothing_offered_is_not_a_pass() -> None:
    """Shares of nothing are not judged."""
    empty = replace(MEASURED, total=Totals())
    found = judge((Threshold("skipped_share", 0.1),), empty).thresholds[0]
    assert (found.verdict, found.why) == ("not judged", "no arrival fell due")


@pytest.mark.parametrize(
    ("seconds", "marked", "limits", "invalid"),
    [
        (1000.0, 50, {}, False),
        (1000.0, 51, {}, True),
        (10.0, 3, {}, False),
        (10.0, 4, {}, True),
        (10.0, 11, {}, True),
        (10.0, 1, {BOTTLENECK: 0.09}, True),
        (10.0, 10, {BOTTLENECK: 1.0}, False),
        (10.0, None, {BOTTLENECK: 0.0}, False),
        (0.0, 1, {}, False),
    ],
)
def test_the_generators_own_share_makes_a_run_invalid(
    seconds: float, marked: int | None, limits: Mapping[str, float], invalid: bool
) -> None:
    """A twentieth of the run, three seconds of a short one, or what the file says, exactly."""
    given = tuple(Threshold(name, limit) for name, limit in limits.items())
    run = replace(MEASURED, seconds=seconds, bottleneck_seconds=marked)
    judgement = judge(given, run)
    assert (judgement.bottleneck is not None) is invalid
    assert judgement.missed == []


def test_the_reason_says_how_much_and_what_to_do() -> None:
    """One line, with the figures; its seconds never exceed those of the run."""
    reason = judge((), replace(MEASURED, seconds=8.0, bottleneck_seconds=9)).bottleneck
    assert reason == (
        "the generator itself was the bottleneck in 8 of 8 s (100.0%, limit 37.5%): lower the "
        "rates, share the load among --processes, or free the machine"
    )


@pytest.mark.parametrize(
    ("limits", "in_force"),
    [
        ((), ["skipped_share 0.05"]),
        ((Threshold("skipped_share", 0.2),), ["skipped_share 0.2"]),
        (
            (Threshold("skipped_share", 0.2, "insert_order"),),
            ["skipped_share 0.05", "skipped_share of insert_order 0.2"],
        ),
    ],
)
def test_a_twentieth_skipped_is_the_limit_unless_the_file_has_its_own(
    limits: tuple[Threshold, ...], in_force: list[str]
) -> None:
    """The limit of the whole run is built in; one of an operation does not replace it."""
    found = with_built_in(limits)
    assert [f"{limit} {limit.limit:g}" for limit in found] == in_force


def test_the_generators_limit_is_no_missed_threshold() -> None:
    """It makes the run invalid, which is more than a missed threshold."""
    limits = (Threshold(BOTTLENECK, 0.0), Threshold("skipped_share", 0.0))
    judgement = judge(limits, MEASURED)
    assert [str(found) for found in judgement.missed] == ["skipped_share: limit 0, measured 0.03"]
    assert judgement.bottleneck


def test_the_file_holds_limits_on_the_run_and_on_operations(written: Path) -> None:
    """Whole numbers and fractions, above the tables and in them."""
    written.write_text("skipped_share = 0.1\n[operations.insert_order]\nservice_p99_seconds = 1\n")
    assert thresholds.load(load_settings(), OPERATIONS) == (
        Threshold("skipped_share", 0.1),
        Threshold("service_p99_seconds", 1.0, "insert_order"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("skiped_share = 0.1", "skiped_share is no threshold: did you mean skipped_share?"),
        ("zzz = 0.1", "zzz is no threshold: there are skipped_share, failed_share, service_p95"),
        ("skipped_share = 1.5", "skipped_share is 1.5: it must be a number from 0 to 1"),
        ("skipped_share = true", "skipped_share is True: it must be a number from 0 to 1"),
        ("service_p95_seconds = '1'", "service_p95_seconds is '1': it must be a number, 0 or more"),
        ("service_p95_seconds = nan", "service_p95_seconds is nan: it must be a number, 0 or more"),
        ("cost_dollars = -1", "cost_dollars is -1: it must be a number, 0 or more"),
        ("operations = 1", "operations must be tables, [operations.insert_order] for example"),
        (
            "[operations.insert_orders]",
            "[operations.insert_orders] is not an operation: did you mean insert_order?",
        ),
        (
            "[operations]\ninsert_order = 1",
            "operations.insert_order must be a table, [operations.insert_order]",
        ),
        (
            "[operations.insert_order]\ncost_dollars = 1",
            "cost_dollars of [operations.insert_order] is a limit on the whole run: put it above",
        ),
        ("skipped_share 0.1", "can't be read as TOML"),
    ],
)
def test_what_is_no_limit_is_refused_by_name(text: str, said: str, written: Path) -> None:
    """The error has the file, the name, the value, and the allowed or likely values."""
    written.write_text(text)
    with pytest.raises(SettingsError, match=r"^thresholds\.toml") as refused:
        thresholds.load(load_settings(), OPERATIONS)
    assert said in str(refused.value)
    assert refused.value.exit_code == 2


def test_each_thing_wrong_is_a_line(written: Path) -> None:
    """All errors are reported at once."""
    written.write_text("a = 1\nskipped_share = 2\n")
    with pytest.raises(SettingsError) as refused:
        thresholds.load(load_settings(), OPERATIONS)
    assert len(str(refused.value).splitlines()) == 2


def test_only_a_file_that_was_named_has_to_be_there(written: Path) -> None:
    """The file is optional, but a file that THRESHOLDS_FILE names must exist."""
    assert thresholds.load(load_settings(), OPERATIONS) == ()
    with pytest.raises(SettingsError, match=r"^THRESHOLDS_FILE is other\.toml"):
        thresholds.load(load_settings({"thresholds_file": "other.toml"}), OPERATIONS)
    with pytest.raises(SettingsError, match="can't be read"):
        thresholds.load(load_settings({"thresholds_file": "."}), OPERATIONS)


def test_the_example_names_every_limit() -> None:
    """thresholds.example.toml can be copied as it is, and leaves nothing out."""
    path = ROOT / "thresholds.example.toml"
    limits = thresholds.load(Settings(thresholds_file=path), OPERATIONS)
    text = path.read_text(encoding="utf-8")
    known = [*thresholds._OF_A_RUN]
    assert {limit.name for limit in limits} <= set(known)
    assert all(f"{name} = " in text for name in known)
