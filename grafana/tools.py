"""Dashboard for the person who has to choose: a comparison of the tools under test."""

from grafana.dashboard import TOOL, dashboard
from grafana.layout import repeated
from grafana.panels import (
    GREEN,
    RED,
    YELLOW,
    Panel,
    bars,
    heatmap,
    lines,
    stat,
    states,
    steps,
)
from grafana.queries import newest_run, query

_ONE = 'tool=~"$tool"'
# costs.json also prices the run at vendors that did not copy it.
_TESTED = "on (tool) loadgen_destination_up"
_NO_PRICE = "no tool under test is priced; loadgen costs has the vendors' prices"


def _delivered(share: float, window: str) -> str:
    return (
        f"histogram_quantile({share}, sum by (le, tool) "
        f"(rate(loadgen_delivery_seconds_bucket{{{_ONE}}}[{window}])))"
    )


def _delivery(share: float, text: str) -> Panel:
    return lines(
        f"Delivery, p{share * 100:.0f}",
        f"{text} markers of the last hour reached the destination within this time after their "
        "commit, including the wait between two looks.",
        "s",
        query(_delivered(share, "1h"), "{{tool}}"),
        width=8,
        log=True,
    )


_VERDICT = [
    stat(
        "Run",
        "The newest run in the time range that the watch recorded.",
        newest_run('profile=""'),
        "short",
        legend="{{run_id}}",
        width=6,
        named=True,
        nothing="no run",
    ),
    stat(
        "Freshest",
        "Age of the newest marker at the tool that is least behind.",
        f"min(loadgen_freshness_seconds{{{_ONE}}})",
        "s",
        width=5,
    ),
    stat(
        "Oldest",
        "Age of the newest marker at the tool that is furthest behind.",
        f"max(loadgen_freshness_seconds{{{_ONE}}})",
        "s",
        steps((None, GREEN), (300, YELLOW), (900, RED)),
        width=5,
    ),
    stat(
        "Wrong copies",
        "Tools in whose copy the last verification found errors; declared losses do not count.",
        f'sum(sum by (tool) (loadgen_findings{{{_ONE},kind!="lossy"}}) > bool 0)',
        "short",
        steps((None, GREEN), (1, RED)),
        width=4,
        nothing="not verified",
    ),
    stat(
        "Markers",
        "Markers committed since the watch started.",
        "sum(loadgen_markers_total)",
        "short",
        width=4,
    ),
]

_FRESHNESS = [
    lines(
        "Freshness",
        "Age of the newest marker at each destination: how old is the copy that people read? It "
        "rises between two syncs and falls when one arrives.",
        "s",
        query(f"max by (tool) (loadgen_freshness_seconds{{{_ONE}}})", "{{tool}}"),
        width=16,
        log=True,
    ),
    states(
        "Destinations",
        "Does each destination answer the watch?",
        query(f"max by (tool) (loadgen_destination_up{{{_ONE}}})", "{{tool}}"),
        {"1": ("answers", GREEN), "0": ("down", RED)},
        width=8,
        height=8,
    ),
    _delivery(0.5, "50 of 100"),
    _delivery(0.95, "95 of 100"),
    _delivery(0.99, "99 of 100"),
    lines(
        "Markers not delivered",
        "Markers that a tool has not delivered yet.",
        "short",
        query(f"max by (tool) (loadgen_markers_unseen{{{_ONE}}})", "{{tool}}"),
        width=24,
    ),
    repeated(
        heatmap(
            "Delivery, $tool",
            "From a marker's commit until the destination shows it: syncs show as steps.",
            f"sum by (le) (increase(loadgen_delivery_seconds_bucket{{{_ONE}}}[5m]))",
        ),
        "tool",
        2,
    ),
]

_RIGHT = [
    lines(
        "Rows since the last verification",
        "The source's estimated rows now, minus the rows that the last verification counted at the "
        "destination: rows added since, which nothing has compared yet, and rows that were missing "
        "then. It falls with the next `loadgen verify`.",
        "short",
        query(
            "sum by (tool) (max by (table) (loadgen_source_rows) "
            "- on (table) group_right () "
            f"max by (tool, table) (loadgen_destination_rows{{{_ONE}}}))",
            "{{tool}}",
        ),
        nothing="not verified",
    ),
    bars(
        "Findings, by kind",
        "Differences that the last verification found at each destination; `nothing` if the copy "
        "was right. lossy is a difference that the tool's convention declares.",
        "short",
        query(
            f"sum by (tool, kind) (loadgen_findings{{{_ONE}}}) > 0"
            f" or label_replace(sum by (tool) (loadgen_findings{{{_ONE}}}) == 0,"
            ' "kind", "nothing", "", "")',
            "{{tool}}: {{kind}}",
            instant=True,
        ),
        nothing="not verified",
        thresholds=steps((None, GREEN), (1, RED)),
    ),
    lines(
        "Torn reads",
        "Share of the reads of each copy in which the workload's conserved sums did not agree: the "
        "copy had a part of a transaction.",
        "percentunit",
        query(
            f"sum by (tool) (increase(loadgen_torn_reads_total{{{_ONE}}}[5m])) / "
            f"sum by (tool) (increase(loadgen_consistency_reads_total{{{_ONE}}}[5m]))",
            "{{tool}}",
        ),
        width=24,
        nothing="no conserved sums were read",
    ),
]

_COST = [
    lines(
        "Cost so far",
        "Dollars of the run by tool under test, as far as they are priced; provisional until the "
        "warehouse's usage views are complete.",
        "currencyUSD",
        query(f"sum by (tool) (loadgen_cost_dollars{{{_ONE}}}) and {_TESTED}", "{{tool}}"),
        nothing=_NO_PRICE,
    ),
    bars(
        "Cost, by part",
        "Dollars of the run by tool under test and component.",
        "currencyUSD",
        query(
            f"sum by (tool, component) (loadgen_cost_dollars{{{_ONE}}}) and {_TESTED}",
            "{{tool}}: {{component}}",
            instant=True,
        ),
        nothing=_NO_PRICE,
    ),
]

_USE = [
    lines(
        "Processors of local tools",
        "Processors that each local tool's processes use, its copy's server included; 1 is one "
        "processor, always busy.",
        "short",
        query(f"sum by (tool) (rate(loadgen_tool_cpu_seconds_total{{{_ONE}}}[1m]))", "{{tool}}"),
        width=8,
    ),
    lines(
        "Memory of local tools",
        "Memory of each local tool's processes, its copy's server included; shared pages count "
        "once.",
        "bytes",
        query(f"max by (tool) (loadgen_tool_resident_bytes{{{_ONE}}})", "{{tool}}"),
        width=8,
    ),
    lines(
        "Disk of local tools",
        "Bytes a second that each local tool's processes read from the disk and write to it.",
        "Bps",
        query(
            f"sum by (tool) (rate(loadgen_tool_read_bytes_total{{{_ONE}}}[1m]))", "{{tool}} reads"
        ),
        query(
            f"sum by (tool) (rate(loadgen_tool_written_bytes_total{{{_ONE}}}[1m]))",
            "{{tool}} writes",
        ),
        width=8,
    ),
]

TOOLS = dashboard(
    "tools",
    "How fresh, how correct and how expensive is each tool's copy?",
    [TOOL],
    [
        ("", _VERDICT),
        ("How old is the copy?", _FRESHNESS),
        ("Is it right?", _RIGHT),
        ("What does it cost?", _COST),
        ("What does it use here?", _USE),
    ],
)
