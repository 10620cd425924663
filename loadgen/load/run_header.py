"""The fields of run.json at the beginning of a run: its plan, its source, and its machine."""

import psycopg

from loadgen.config.settings import Settings
from loadgen.load.lookup import server_time
from loadgen.record.run import Run, TableRows
from loadgen.source import environment, schema
from loadgen.source.model_schema import MARKERS
from loadgen.workload.model import WorkloadModel
from loadgen.workload.operations import operation_facts, operations_of
from loadgen.workload.schedule.plan import Plan


def run_header(
    connection: psycopg.Connection,
    settings: Settings,
    model: WorkloadModel,
    plan: Plan,
    users: int,
    rows_before: dict[str, TableRows],
) -> Run:
    """Return run.json before the first arrival; fields of the end are None."""
    embedded, operations = settings.database_url is None, operations_of(settings)
    source = environment.server_settings(connection, embedded=embedded)
    return Run(
        workload=model.name,
        seed=plan.seed,
        profile=plan.profile,
        plan=plan.dump(),
        settings={
            **settings.public(),
            "profile": plan.profile,
            **_actual_baseline(connection, model),
            **{operations[name].option: rate for name, rate in plan.mix.rates_per_hour.items()},
        },
        versions={**environment.versions(), "postgres": str(source["version"])},
        machine=environment.machine(),
        source=source,
        started_at=None,
        source_time=server_time(connection),
        ended_at=None,
        totals={},
        operations=operation_facts(model),
        rows_before=rows_before,
        rows_after=None,
        spent_before=environment.resources_used(connection),
        spent_after=None,
        valid=None,
        invalid_reason=None,
        users=users,
        duration_seconds=plan.duration,
        marker_table=MARKERS,
    )


def _actual_baseline(connection: psycopg.Connection, model: WorkloadModel) -> dict[str, object]:
    """Return the sizes of the source's baseline, which other settings may have made."""
    state = schema.seed_state(connection)
    if state is None:
        return {"baseline_seed": None}
    rows: dict[str, object] = {
        table.rows_setting: state.parameters.rows[name]
        for name, table in model.tables.items()
        if table.rows_setting
    }
    return rows | {"baseline_seed": state.parameters.seed}
