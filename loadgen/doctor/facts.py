"""Collects the facts that `loadgen doctor` checks. It only reads."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from loadgen.config.settings import DEFAULT_USERS, Settings, misspelt
from loadgen.costs.aws.client import call_aws, clients
from loadgen.costs.collect import expected, over_budget
from loadgen.costs.lines import Unavailable
from loadgen.doctor.checks import DoctorFacts
from loadgen.errors import DestinationError, SourceError
from loadgen.network import listen_error
from loadgen.source.embedded import server
from loadgen.source.embedded.server import source_dsn
from loadgen.source.examine import examine
from loadgen.source.postgres import connect
from loadgen.source.schema import seed_state, source_problems, workload_problems
from loadgen.tools.tools_file import Tool
from loadgen.tools.warehouses import ToolWarehouse, read_warehouse, snowflake_is_configured
from loadgen.workload.model import WorkloadModel
from loadgen.workload.read_model import read_model


def collect_facts(
    settings: Settings,
    tools: tuple[Tool, ...],
    chosen: tuple[Tool, ...],
    hours: float,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    users: int = DEFAULT_USERS,
) -> DoctorFacts:
    """Read all facts. A source that can't be read raises no error: it becomes a finding."""
    problems: list[str] = []
    source = None
    model = read_model(settings.workload)
    try:
        with connect(source_dsn(settings)) as conn:
            problems += source_problems(conn)
            problems += workload_problems(conn, model)
            state = seed_state(conn)
            if state is None or not state.complete:
                problems.append("the baseline is missing or incomplete: run `loadgen seed`")
            source = examine(conn, clock)
    except SourceError as exc:
        problems.append(str(exc))
    warehouses, unread = _warehouses(settings, chosen)
    return DoctorFacts(
        settings=settings,
        hours=hours,
        users=users,
        tools=tools,
        chosen=chosen,
        changed_tables=changed_tables(model),
        misspelt=misspelt(operation.option for operation in model.operations.values()),
        problems=tuple(problems),
        source=source,
        free_bytes=_free_bytes(settings),
        taken_ports=_taken_ports(settings),
        warehouses=warehouses,
        unread_copies=unread,
        unread_aws=_unread_aws(settings),
        overspent=_overspent(settings, chosen, hours, clock()),
    )


def changed_tables(model: WorkloadModel) -> frozenset[str]:
    """Return the tables whose rows the workload's operations may update or delete."""
    return frozenset(
        statement.table
        for operation in model.operations.values()
        for statement in operation.statements
        if statement.change != "insert"
    )


def _warehouses(
    settings: Settings, tools: tuple[Tool, ...]
) -> tuple[tuple[ToolWarehouse, ...], tuple[str, ...]]:
    """Return the tools' warehouses, and a line for each tool whose Snowflake can't be read."""
    warehouses, unread = [], []
    for tool in tools:
        if not snowflake_is_configured(tool, settings):
            continue
        try:
            warehouse = read_warehouse(tool, settings)
        except DestinationError as exc:
            unread.append(f"tool {tool.name}: {exc}")
            continue
        if warehouse is not None:
            warehouses.append(warehouse)
    return tuple(warehouses), tuple(unread)


def _unread_aws(settings: Settings) -> str | None:
    """Return why AWS can't be read; None if it can, or is not set up."""
    if settings.aws_region is None:
        return None
    client = clients(settings)
    answer = call_aws(
        "tag:GetResources",
        lambda: client("resourcegroupstaggingapi").get_resources(ResourcesPerPage=1),
    )
    return answer.reason if isinstance(answer, Unavailable) else None


def _overspent(
    settings: Settings, tools: tuple[Tool, ...], hours: float, now: datetime
) -> str | None:
    """Return a line if so many hours may cost more than BUDGET_USD, else None."""
    planned = settings.model_copy(update={"test_duration_hours": hours})
    lines = [line for line in expected(planned, tools, now) if line.amount is not None]
    return over_budget(lines, Decimal(str(settings.budget_usd)))


def _free_bytes(settings: Settings) -> int | None:
    """Return the free bytes on the embedded server's disk; None for any other server."""
    running = None if settings.database_url else server.status(Path.cwd())
    return shutil.disk_usage(running.data_dir).free if running else None


def _taken_ports(settings: Settings) -> tuple[str, ...]:
    named = {"METRICS_PORT": settings.metrics_port, "WATCH_PORT": settings.watch_port}
    return tuple(n for n, port in named.items() if listen_error(settings.metrics_host, port))
