"""Every setting, read in this one place: command line, then environment, then .env, then defaults.

Everything else is handed a frozen `Settings` value and reads no environment of its own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from loadgen.errors import SettingsError

OPERATIONS: Final = ("insert_order", "insert_event", "update_order_status", "soft_delete_user")
RATE_SETTINGS: Final = {
    "insert_order": "orders_per_hour",
    "insert_event": "events_per_hour",
    "update_order_status": "status_updates_per_hour",
    "soft_delete_user": "soft_deletes_per_hour",
}

_SCHEMES = ("postgresql://", "postgres://")

Origin = Literal["command line", "environment", ".env", "default"]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """All settings; each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    database_url: SecretStr | None = Field(
        None, description="the source; without it an embedded Postgres is used"
    )
    pg_bin: Path | None = Field(
        None, description="folder of initdb and postgres (14 to 18) for the embedded server"
    )
    initial_users: Annotated[int, Field(ge=1)] = Field(1000, description="users of the baseline")
    initial_orders: Count = Field(5000, description="orders of the baseline")
    initial_events: Count = Field(20000, description="events of the baseline")
    orders_per_hour: Rate = Field(50, description="arrival rate of insert_order")
    events_per_hour: Rate = Field(200, description="arrival rate of insert_event")
    status_updates_per_hour: Rate = Field(40, description="arrival rate of update_order_status")
    soft_deletes_per_hour: Rate = Field(1, description="arrival rate of soft_delete_user")
    test_duration_hours: Positive = Field(48, description="run time where none is given")
    seed: int = Field(1, description="of the baseline and of the schedule: same seed, same data")
    arrivals: Literal["jitter", "poisson", "even"] = Field(
        "jitter", description="where arrival k falls: at random in slot k, Poisson, or mid-slot"
    )
    profile: Literal["steady", "diurnal", "burst", "ramp"] = Field(
        "steady", description="how the rates go up and down over the run"
    )
    lateness_limit_seconds: Positive = Field(
        1, description="an arrival that no user could take in this time is skipped"
    )
    marker_interval_seconds: Positive = Field(60, description="between two freshness markers")
    event_bytes: Annotated[int, Field(ge=64, le=1_000_000)] = Field(
        300, description="about how long an event's properties are"
    )
    hot_users: Annotated[int, Field(ge=1)] | None = Field(
        None, description="how many users are active; all that stay where not set"
    )
    max_rate_per_hour: Positive = Field(36_000_000, description="no rate may be above this")
    metrics_host: str = Field("127.0.0.1", description="address of the metrics ports")
    metrics_port: Port = Field(9646, description="of the load's metrics and control door")
    watch_port: Port = Field(9647, description="of watch's metrics")
    reports_dir: Path = Field(Path("reports"), description="where each run writes its folder")
    tools_file: Path = Field(Path("tools.toml"), description="the tools under test")
    thresholds_file: Path = Field(Path("thresholds.toml"), description="what passes and what fails")
    budget_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        15, description="a warning is printed where more is expected to be spent"
    )
    snowflake_account: str | None = Field(None, description="account identifier")
    snowflake_user: str | None = Field(None, description="service user")
    snowflake_private_key_path: Path | None = Field(None, description="its private key")
    snowflake_role: str | None = Field(None, description="role")
    snowflake_warehouse: str | None = Field(None, description="warehouse of our own queries")
    snowflake_database: str | None = Field(None, description="database")
    snowflake_host: str | None = Field(None, description="only for an emulator")
    snowflake_port: Port | None = Field(None, description="only for an emulator")
    snowflake_protocol: Literal["http", "https"] | None = Field(
        None, description="only for an emulator"
    )
    aws_region: str | None = Field(None, description="region of the bucket and instances")
    aws_profile: str | None = Field(None, description="profile of the shared credentials")
    aws_endpoint_url: str | None = Field(None, description="only for an emulator")

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, url: SecretStr | None) -> SecretStr | None:
        text = url.get_secret_value() if url else None
        if text and "://" in text and not text.startswith(_SCHEMES):
            scheme = text.partition("://")[0]
            raise ValueError(f"scheme {scheme}://: use postgresql://user:password@host:port/database")
        if text and "://" not in text and "=" not in text:
            raise ValueError("not a Postgres address: use postgresql://user:password@host:port/db")
        return url

    @model_validator(mode="after")
    def _below_the_cap(self) -> "Settings":
        for name in RATE_SETTINGS.values():
            rate = getattr(self, name)
            if rate > self.max_rate_per_hour:
                raise ValueError(
                    f"{name.upper()} is {rate:g}: at most MAX_RATE_PER_HOUR ({self.max_rate_per_hour:g})"
                )
        return self

    def rates_per_hour(self) -> dict[str, float]:
        """Return the arrival rate of each operation, per hour."""
        return {name: getattr(self, setting) for name, setting in RATE_SETTINGS.items()}

    def public(self) -> dict[str, object]:
        """Return every setting by name as plain values, secrets masked."""
        return {
            name: "********" if isinstance(value, SecretStr) else str(value) if isinstance(value, Path) else value
            for name, value in self
        }


def load_settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """Read the settings; `overrides` (lower-case names) are the command line's.

    Raises SettingsError with a line for each bad value: its name, the value, what is allowed.
    """
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # names and types are checked in there
    except ValidationError as exc:
        raise SettingsError("\n".join(_line(error) for error in exc.errors())) from None


def origins(overrides: Mapping[str, object] | None = None) -> dict[str, Origin]:
    """Return where each setting's value came from."""
    import os

    given = {name for name, value in (overrides or {}).items() if value is not None}
    environment = {name.lower() for name, value in os.environ.items() if value}
    dotenv = {name.lower() for name, value in dotenv_values(".env").items() if value}

    def origin(name: str) -> Origin:
        if name in given:
            return "command line"
        if name in environment:
            return "environment"
        return ".env" if name in dotenv else "default"

    return {name: origin(name) for name in Settings.model_fields}


def _line(error: ErrorDetails) -> str:
    if not error["loc"]:
        return str(error["ctx"]["error"])
    name = str(error["loc"][0])
    said = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if name.lower() == "database_url":
        return f"DATABASE_URL: {said}"
    return f"{name.upper()} is {error['input']!r}: must be {said}"


