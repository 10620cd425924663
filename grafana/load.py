"""Dashboard for the person who runs a load: target, offered rate, latency, errors."""

from grafana.dashboard import OPERATION, RUN, dashboard
from grafana.layout import repeated
from grafana.panels import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Panel,
    heatmap,
    lines,
    stat,
    states,
    steps,
)
from grafana.queries import newest_run, of_run, query

_WINDOW = "$__rate_interval"


def _quantiles(metric: str) -> list[Panel]:
    return [
        query(
            of_run(
                f"histogram_quantile({share}, sum by (le) "
                f'(rate(loadgen_{metric}_seconds_bucket{{operation=~"$operation"}}[{_WINDOW}])))'
            ),
            f"p{share * 100:.0f}",
        )
        for share in (0.5, 0.95, 0.99)
    ]


def _in_time(expression: str) -> str:
    """Return an expression that has a value if the chosen run was in the time range.

    A run's link ends after the run, when its name is no longer exported.
    """
    info = 'loadgen_run_info{profile!="",run_id=~"$run"}'
    return f"({expression}) and on() last_over_time({info}[$__range])"


def _share(outcome: str) -> str:
    return _in_time(
        f'sum(increase(loadgen_operations_total{{outcome="{outcome}"}}[$__range]))'
        " / (sum(increase(loadgen_offered_total[$__range])) > 0)"
    )


_SHARES = steps((None, GREEN), (1e-9, YELLOW), (0.01, RED))

_VERDICT = [
    stat(
        "Run",
        "Id and profile of the newest run in the time range.",
        newest_run('profile!="",run_id=~"$run"'),
        "short",
        steps((None, BLUE)),
        legend="{{run_id}} ({{profile}})",
        width=6,
        named=True,
        nothing="no load",
    ),
    stat(
        "Target rate",
        "Target in writes per second at the end of the time range, for all operations together; "
        "0 while the load is paused.",
        of_run("sum(loadgen_target_rate)"),
        "wps",
        steps((None, BLUE)),
        nothing="no load",
        mappings={"0": ("paused or 0", YELLOW)},
    ),
    stat(
        "Offered, of target",
        "Arrivals that fell due in the time range, as a share of the target. It is 100 % unless "
        "the load stood still; with few arrivals it varies a little.",
        # The rates' integral, not their mean: a load may be younger than the time range.
        _in_time(
            "sum(increase(loadgen_offered_total[$__range]))"
            " / (5 * sum_over_time(sum(loadgen_target_rate)[$__range:5s]) > 0)"
        ),
        "percentunit",
        steps((None, RED), (0.9, YELLOW), (0.95, GREEN), (1.1, YELLOW)),
        nothing="no load",
    ),
    stat(
        "Skipped",
        "Share of the arrivals in the time range that no connection could take in time: the "
        "source, or the load itself, was too slow.",
        _share("skipped"),
        "percentunit",
        _SHARES,
        nothing="no load",
    ),
    stat(
        "Failed",
        "Share of the arrivals in the time range whose write the source refused.",
        _share("failed"),
        "percentunit",
        _SHARES,
        nothing="no load",
    ),
    stat(
        "Intended p95",
        "In the time range, 95 of 100 writes were committed within this time after they were due. "
        "Waiting is included, so a stall shows.",
        _in_time(
            "histogram_quantile(0.95, sum by (le) "
            "(increase(loadgen_intended_seconds_bucket[$__range]))) >= 0"
        ),
        "s",
        steps((None, GREEN), (0.1, YELLOW), (1, RED)),
        nothing="no load",
    ),
    stat(
        "Oldest destination",
        "Age of the newest marker at the tool that is furthest behind. Unknown if no tool is "
        "watched, or if the run is over and all markers were delivered.",
        "max(loadgen_freshness_seconds)",
        "s",
        steps((None, GREEN), (300, YELLOW), (900, RED)),
    ),
]

_EACH = repeated(
    lines(
        "$operation",
        "Arrivals due and writes committed, per second; the dashed line is the target. A gap "
        "between due and committed is skipped, failed or waiting.",
        "wps",
        query(of_run('sum(loadgen_target_rate{operation=~"$operation"})'), "target"),
        query(
            of_run(f'sum(rate(loadgen_offered_total{{operation=~"$operation"}}[{_WINDOW}]))'), "due"
        ),
        query(
            of_run(
                'sum(rate(loadgen_operations_total{outcome="committed",operation=~"$operation"}'
                f"[{_WINDOW}]))"
            ),
            "committed",
        ),
        width=6,
        dashed="target",
    ),
    "operation",
    4,
)

_LATENCY = [
    heatmap(
        "Service time",
        "From sending a write to the answer of its commit, for committed writes.",
        of_run(
            "sum by (le) "
            f'(increase(loadgen_service_seconds_bucket{{operation=~"$operation"}}[{_WINDOW}]))'
        ),
    ),
    heatmap(
        "Intended time",
        "From the time a write was due to the answer of its commit. Writes delayed by a stall show "
        "here.",
        of_run(
            "sum by (le) "
            f'(increase(loadgen_intended_seconds_bucket{{operation=~"$operation"}}[{_WINDOW}]))'
        ),
    ),
    lines(
        "Service time, quantiles",
        "50, 95 and 99 of 100 writes were committed within this time after they were sent.",
        "s",
        *_quantiles("service"),
        log=True,
    ),
    lines(
        "Intended time, quantiles",
        "50, 95 and 99 of 100 writes were committed within this time after they were due.",
        "s",
        *_quantiles("intended"),
        log=True,
    ),
]

_FAILURES = [
    lines(
        "Refused, by class of SQLSTATE",
        "Writes that the source refused, per second. 08: the connection broke; 23: a constraint; "
        "40: a deadlock or a serialization failure; 53: no room, or too many connections; 57: "
        "shut down or cancelled; 02: there was no row left to change.",
        "wps",
        query(
            of_run(
                "sum by (class) (label_replace(sum by (sqlstate) "
                f'(rate(loadgen_failures_total{{operation=~"$operation"}}[{_WINDOW}])), '
                '"class", "$1", "sqlstate", "(..).*"))'
            ),
            "{{class}}",
        ),
        width=8,
        stacked=True,
        nothing="no write was refused",
    ),
    lines(
        "Skipped",
        "Arrivals that no connection could take in time, per second.",
        "wps",
        query(
            of_run(
                "sum by (operation) (rate(loadgen_operations_total"
                f'{{outcome="skipped",operation=~"$operation"}}[{_WINDOW}]))'
            ),
            "{{operation}}",
        ),
        width=8,
        stacked=True,
    ),
    lines(
        "Reconnects and journal, so far",
        "Since the load started: broken connections that were opened again, and entries of the "
        "run's journal, such as rate changes, pauses, faults, and workers that came and went.",
        "short",
        query(of_run("sum(loadgen_reconnects_total)"), "reconnects"),
        query(of_run("sum by (kind) (loadgen_journal_events_total)"), "{{kind}}"),
        width=8,
    ),
]

_GENERATOR = [
    states(
        "Bottleneck, by process",
        "Were arrivals late because of this process, and not of the source? Then latencies are not "
        "the source's. Other high figures of this row are no fault.",
        query(of_run("max by (worker) (loadgen_generator_bottleneck)"), "process {{worker}}"),
        {"1": ("bottleneck", RED), "0": ("fine", GREEN)},
        width=4,
        height=8,
    ),
    lines(
        "How late the load's timer is",
        "Highest delay of a short timer in the load, each second. In gevent, arrivals are as late; "
        "beside the compiled loop they are not.",
        "s",
        query(of_run("max(loadgen_loop_lag_seconds)"), "loop lag"),
        width=5,
    ),
    lines(
        "Processor, by process",
        "CPU use of each process that performs arrivals. 1 is one core, the most that a process "
        "can use in gevent; with the compiled loop it can use two.",
        "percentunit",
        query(of_run("sum by (worker) (loadgen_process_cpu_ratio)"), "process {{worker}}"),
        width=5,
    ),
    lines(
        "Users and processes",
        "Users, each one connection, and the processes that perform arrivals.",
        "short",
        query(of_run("sum(loadgen_users)"), "users"),
        query(of_run("sum(loadgen_workers)"), "processes"),
        width=5,
    ),
    lines(
        "In flight and unknown",
        "Arrivals due and unfinished, including waiting ones, and writes whose answer was lost.",
        "short",
        query(of_run('sum(loadgen_in_flight{operation=~"$operation"})'), "in flight"),
        query(of_run('sum(loadgen_unknown{operation=~"$operation"})'), "unknown"),
        width=5,
    ),
]

LOAD = dashboard(
    "load",
    "Does the load reach its target, and how fast are its writes?",
    [RUN, OPERATION],
    [
        ("", _VERDICT),
        ("Due and committed", [_EACH]),
        ("Latency", _LATENCY),
        ("What went wrong", _FAILURES),
        ("The generator itself", _GENERATOR),
    ],
)
