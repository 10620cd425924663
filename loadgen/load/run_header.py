"""What run.json holds at the beginning of a run: what was asked, of what, and where."""

import psycopg

from loadgen.config.settings import Settings
from loadgen.load.lookup import server_time
from loadgen.record.run import Run, TableRows
from loadgen.source import environment, schema
from loadgen.workload.operations import RATE_SETTINGS
from loadgen.workload.schedule.plan import Mix, Plan


def opening(
    connection: psycopg.Connection,
    settings: Settings,
    plan: Plan,
    users: int,
    rows_before: dict[str, TableRows],
) -> Run:
    """Return run.json as it is before the first arrival; what comes later is None."""
    embedded = settings.database_url is None
    source = environment.server_settings(connection, embedded=embedded)
    return Run(
        seed=plan.seed,
        profile=plan.profile,
        plan=plan.dump(),
        settings={
            **settings.public(),
            **_baseline_in_force(connection),
            **_rates_in_force(plan.mix),
        },
        versions={**environment.versions(), "postgres": str(source["version"])},
        machine=environment.machine(),
        source=source,
        started_at=None,
        source_time=server_time(connection),
        ended_at=None,
        totals={},
        rows_before=rows_before,
        rows_after=None,
        spent_before=environment.resources_used(connection),
        spent_after=None,
        valid=None,
        invalid_reason=None,
        users=users,
        duration_seconds=plan.duration,
    )


def _baseline_in_force(connection: psycopg.Connection) -> dict[str, object]:
    """Return the baseline that is there, whatever the settings would have made."""
    state = schema.seed_state(connection)
    sizes = state.parameters if state is not None else {}
    return {
        f"initial_{name}": sizes[name] for name in ("users", "orders", "events") if name in sizes
    } | {"baseline_seed": sizes.get("seed")}


def _rates_in_force(mix: Mix) -> dict[str, float]:
    return {RATE_SETTINGS[name]: rate for name, rate in mix.rates_per_hour.items()}
