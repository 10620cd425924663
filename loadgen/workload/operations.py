"""The operations, rates and profile of the workload that the settings name; those of a record."""

from collections.abc import Mapping

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError
from loadgen.record.run import OperationFacts, RowCounter, Run
from loadgen.workload.model import Operation, ProfileLevels, WorkloadModel
from loadgen.workload.read_model import read_model
from loadgen.workload.schedule.rate_curve import PROFILES, ProfileName


def operations_of(settings: Settings) -> Mapping[str, Operation]:
    """Return the operations of the workload that the settings name. Raises SettingsError."""
    return read_model(settings.workload).operations


def rate_of(settings: Settings, operation: Operation) -> float:
    """Return the rate of an operation per hour: of the settings, else of the model."""
    return settings.rate(operation.option, operation.per_hour)


def rates_per_hour(settings: Settings, operations: Mapping[str, Operation]) -> dict[str, float]:
    """Return the rate of each operation per hour."""
    return {name: rate_of(settings, operation) for name, operation in operations.items()}


def profile_of(settings: Settings, model: WorkloadModel) -> ProfileName:
    """Return the profile of the settings, else the model's own, else `steady`.

    Raises SettingsError if it is the model's own, and the model has none.
    """
    if settings.profile is None:
        return "workload" if model.profile else "steady"
    require_profile(settings.profile, model.profile)
    return settings.profile


def require_profile(profile: ProfileName, own: ProfileLevels | None) -> None:
    """Refuse `workload` if the model has no profile of its own. Raises SettingsError."""
    if profile == "workload" and own is None:
        *names, last = PROFILES
        raise SettingsError(
            f"PROFILE is 'workload', but the workload has none: write `profile` into its "
            f"workload.toml, or choose {', '.join(names)} or {last}"
        )


def operation_facts(model: WorkloadModel) -> dict[str, OperationFacts]:
    """Return what a run's record has of each operation: it is read without the model."""
    return {
        name: OperationFacts(
            label=operation.label,
            table=operation.table,
            change=operation.change,
            counter=_counter(model, operation),
            proof=operation.proof.kind,
            option=operation.option,
            light=operation.light,
            dark=operation.dark,
        )
        for name, operation in model.operations.items()
    }


def facts_of_run(run: Run) -> Mapping[str, OperationFacts]:
    """Return the operations in a run's record; an older one without them is of the shop."""
    return run.operations or operation_facts(read_model("shop"))


def _counter(model: WorkloadModel, operation: Operation) -> RowCounter | None:
    """Return the figure of its table that rises by one with each commit, if there is one."""
    if len(operation.statements) > 1:
        return None
    if operation.change == "insert":
        return "rows"
    table = model.tables.get(operation.table)
    has_version = operation.change == "update" and bool(table and table.version_column)
    return "version_sum" if has_version else None
