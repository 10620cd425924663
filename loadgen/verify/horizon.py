"""When a difference counts while the source moves: by the markers that a copy shows, or by a lag.

A marker stores the lowest id of the transactions that were open when it was written. All lower ones
had ended, so a copy that shows the marker must hold their changes: that id is its horizon.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError
from loadgen.source.markers import Marker, find_markers
from loadgen.source.observe import current_run
from loadgen.source.postgres import connect, plain_errors
from loadgen.tools.readers.marker_probe import MarkerProbe
from loadgen.tools.tools_file import Tool
from loadgen.verify.outcome import ToolOutcome
from loadgen.verify.reconcile import VerifyOptions

LAG_SECONDS: Final = 30.0  # default for a tool without an interval
DRAIN_SECONDS: Final = 300.0  # default, at least
_SECOND_LOOK_SECONDS: Final = 2.0  # for a tool to finish a table, if markers tell what is due


@dataclass(frozen=True, slots=True)
class Horizon:
    """The copy must hold all changes of transactions below `xid`; 0 means none.

    `lacking_seconds` is the age of the oldest marker that the copy lacks, None if it shows all.
    `newest_seconds` is the age of the source's newest marker.
    """

    xid: int
    lacking_seconds: float | None
    newest_seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """The time limits of one tool, in seconds.

    A copy that lacks a marker older than `limit_seconds` is overdue. Without markers a difference
    counts after `lag_seconds`. Two sentinels may take `drain_seconds`. A tool that applies
    transactions `in_order` has all tables as of one moment.
    """

    limit_seconds: float
    lag_seconds: float
    drain_seconds: float
    in_order: bool


def pace_of(tool: Tool, interval: float | None, lag: float | None, drain: float | None) -> Pace:
    """Return a tool's time limits: `lag` and `drain` if they are set, else by its interval."""
    pace = Pace(
        LAG_SECONDS,
        LAG_SECONDS,
        DRAIN_SECONDS,
        # Postgres' own replication applies transactions in order, and has no interval.
        in_order=tool.kind == "postgres" and interval is None,
    )
    if interval is not None:  # one until the next sync, half of one for that to finish
        pace = replace(
            pace,
            limit_seconds=1.5 * interval,
            lag_seconds=2 * interval + 5,
            drain_seconds=max(DRAIN_SECONDS, 3 * interval),
        )
    if lag is not None:
        pace = replace(pace, limit_seconds=lag, lag_seconds=lag)
    return pace if drain is None else replace(pace, drain_seconds=drain)


def horizon_of(
    markers: Sequence[Marker], shown: int, *, round_seconds: float, in_order: bool
) -> Horizon | None:
    """Return the horizon of a copy that shows the markers up to sequence `shown`.

    None if no marker has one. If the tool applies transactions `in_order`, the newest marker proves
    all tables. If it copies table by table, that proves only the markers' table; the others are
    proven by an earlier marker, at least a whole round of the tool older.
    """
    usable = [marker for marker in markers if marker.horizon is not None]
    if not usable:
        return None
    lacking = [marker.age_seconds for marker in usable if marker.sequence > shown]
    proving = [marker for marker in usable if marker.sequence <= shown]
    if proving and not in_order:
        *earlier, newest = proving
        old_enough = newest.age_seconds + round_seconds
        proving = [marker for marker in earlier if marker.age_seconds >= old_enough]
    return Horizon(
        xid=max((marker.horizon or 0 for marker in proving), default=0),
        lacking_seconds=max(lacking, default=None),
        newest_seconds=min(marker.age_seconds for marker in usable),
    )


@dataclass(frozen=True, slots=True)
class MovingSource:
    """A source that is being written to, or has rested for `rested_seconds`."""

    dsn: str
    settings: Settings
    rested_seconds: float | None  # None while a load runs

    def adapt(self, options: VerifyOptions, tool: Tool, pace: Pace) -> VerifyOptions:
        """Return the options with the tool's horizon if it has markers, else with its lag."""
        lag = max(0.0, pace.lag_seconds - (self.rested_seconds or 0.0))
        is_at_rest = self.rested_seconds is not None and lag == 0
        horizon = self._horizon(tool, pace)
        if horizon is None or (is_at_rest and horizon.lacking_seconds is None):
            return replace(options, lag=lag, settled=is_at_rest)
        # A row that arrives before the second look is in flight, not late.
        second_look = lag if lag <= LAG_SECONDS else _SECOND_LOOK_SECONDS
        return replace(options, lag=second_look, horizon=horizon.xid, settled=False)

    def check_overdue(self, outcome: ToolOutcome, tool: Tool, pace: Pace) -> ToolOutcome:
        """Return the outcome, as overdue if the copy still lacks a marker that is too old."""
        horizon = self._horizon(tool, pace)
        lacking = horizon.lacking_seconds if horizon else None
        if lacking is None or lacking <= pace.limit_seconds:
            return outcome
        return outcome.overdue(lacking)

    def _horizon(self, tool: Tool, pace: Pace) -> Horizon | None:
        """Return the copy's horizon; None without markers, or if none was written lately."""
        try:
            with closing(MarkerProbe(tool, self.settings)) as probe, connect(self.dsn) as conn:
                run_id = current_run(conn)
                if run_id is None:
                    return None
                shown = probe.newest_marker(run_id) or 0
                with plain_errors("looking for markers"):
                    markers = list(find_markers(conn, run_id, 0))
        except DestinationError:  # the comparison reports it
            return None
        horizon = horizon_of(
            markers, shown, round_seconds=pace.limit_seconds, in_order=pace.in_order
        )
        if horizon is None or self.rested_seconds is not None:
            return horizon
        longest = pace.limit_seconds + self.settings.marker_interval_seconds
        is_stale = horizon.lacking_seconds is None and horizon.newest_seconds > longest
        return None if is_stale else horizon
