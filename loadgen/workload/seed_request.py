"""The baseline that the settings ask for: its rows by table, its seed and its values' settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from loadgen.config.settings import Settings
from loadgen.workload.model import WorkloadModel, generator_settings


@dataclass(frozen=True, slots=True)
class SeedRequest:
    """Parameters of a baseline; `end` defaults to the stored one, or to the start of today."""

    rows: Mapping[str, int]
    seed: int
    settings: Mapping[str, int | None]
    end: datetime | None = None


def seed_request(
    settings: Settings, model: WorkloadModel, end: datetime | None = None
) -> SeedRequest:
    """Return the baseline of the model that the settings describe."""
    return SeedRequest(
        rows={
            name: settings.chosen({table.rows_setting: table.rows})[table.rows_setting]
            if table.rows_setting
            else max(round(table.rows * settings.workload_scale), min(table.rows, 1))
            for name, table in model.tables.items()
        },
        seed=settings.seed,
        settings=settings.chosen(generator_settings(model)),
        end=end,
    )
