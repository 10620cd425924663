"""Every setting, read in this one place: command line, then environment, then .env, then defaults.

Everything else is handed a frozen `Settings` value and reads no environment of its own. A bad value
is refused in one line: the setting's name, the value, where it came from and what is allowed.
"""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from loadgen.errors import SettingsError

DEFAULT_USERS: Final = 8  # connections of a load
# Each has a rate of its own too, `…_per_hour`, in force with --hard-cases only.
HARD_CASES: Final = (
    "hard_deletes", "late_commits", "key_changes", "key_reuses", "wide_updates", "odd_numbers",
    "odd_times", "odd_documents", "odd_texts", "added_columns",
)  # fmt: skip
MASK: Final = "********"

_DOTENV: Final = ".env"
_SCHEMES: Final = ("postgresql://", "postgres://")
_SHOWN_CHARACTERS: Final = 60
_SECRETS: Final = (
    "loadgen_web_token",
    "snowflake_private_key_passphrase",
    "snowflake_private_key_path",
)
_LOGIN: Final = re.compile(r"(?<=://)\S*@")  # to the last @: a password may hold one

Origin = Literal["command line", "environment", ".env", "default"]
# No load, machine or wait is larger; what is, was mistyped.
_MOST_PER_HOUR: Final = 3_600_000_000  # a million a second
_MOST_ROWS: Final = 100_000_000_000
_MOST_BYTES: Final = 10**18
YEAR_HOURS: Final = 8_784
_DAY_SECONDS: Final = 86_400
_MOST_DOLLARS: Final = 1_000_000_000


def _below_the_cap(rate: float, info: ValidationInfo) -> float:
    cap = info.data.get("max_rate_per_hour", rate)  # missing if it is bad itself
    if rate > cap:
        raise ValueError(f"at most MAX_RATE_PER_HOUR, which is {cap:.15g}")
    return rate


Rate = Annotated[
    float, Field(ge=0, le=_MOST_PER_HOUR, allow_inf_nan=False), AfterValidator(_below_the_cap)
]
Users = Annotated[int, Field(ge=1, le=_MOST_ROWS)]
Cap = Annotated[float, Field(gt=0, le=_MOST_PER_HOUR, allow_inf_nan=False)]
Hours = Annotated[float, Field(gt=0, le=YEAR_HOURS, allow_inf_nan=False)]
Rows = Annotated[int, Field(ge=0, le=_MOST_ROWS)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=_DAY_SECONDS, allow_inf_nan=False)]
CaseRate = Annotated[float, Field(ge=0, le=36_000, allow_inf_nan=False)]


def _case(what: str, per_hour: float = 60) -> Any:
    return Field(per_hour, description=f"hard case: {what}")


class Settings(BaseSettings):
    """All settings; each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_file=_DOTENV,
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
    initial_users: Annotated[int, Field(ge=1, le=_MOST_ROWS)] = Field(
        1000, description="users of the baseline"
    )
    initial_orders: Rows = Field(5000, description="orders of the baseline")
    initial_events: Rows = Field(20000, description="events of the baseline")
    # Before the rates, which are checked against it.
    max_rate_per_hour: Annotated[float, Field(gt=0, le=_MOST_PER_HOUR, allow_inf_nan=False)] = (
        Field(36_000_000, description="safety cap: no rate may be above it")
    )
    orders_per_hour: Rate = Field(50, description="arrival rate of new orders")
    events_per_hour: Rate = Field(200, description="arrival rate of new events")
    status_updates_per_hour: Rate = Field(40, description="arrival rate of order status updates")
    soft_deletes_per_hour: Rate = Field(1, description="arrival rate of users' soft deletes")
    test_duration_hours: Hours = Field(48, description="run time where no `--run-time` is given")
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(
        1, description="seed of baseline and schedule: same seed, same data"
    )
    arrivals: Literal["jitter", "poisson", "even"] = Field(
        "jitter",
        description="arrivals at random in their slots, as a Poisson process, or evenly",
    )
    profile: Literal["steady", "diurnal", "burst", "ramp"] = Field(
        "steady", description="how the rates rise and fall over the run"
    )
    lateness_limit_seconds: Seconds = Field(
        1, description="seconds after which an arrival that nobody took is skipped"
    )
    marker_interval_seconds: Seconds = Field(
        60, description="seconds between two freshness markers"
    )
    event_bytes: Annotated[int, Field(ge=64, le=1_000_000)] = Field(
        300, description="about how many bytes an event's properties are"
    )
    hot_users: Users | None = Field(
        None, description="how many users the load is about; where not set, all of them"
    )
    pipeline_depth: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="writes under way at once on one connection, each its own commit"
    )
    hard_deletes_per_hour: CaseRate = _case("rows deleted without a trace")
    late_commits_per_hour: CaseRate = _case("rows committed long after their updated_at")
    key_changes_per_hour: CaseRate = _case("rows that get another primary key")
    key_reuses_per_hour: CaseRate = _case("rows deleted, and inserted anew under the same key")
    wide_updates_per_hour: CaseRate = _case("updates that leave a wide (TOASTed) value as it is")
    odd_numbers_per_hour: CaseRate = _case("numbers at full precision")
    odd_times_per_hour: CaseRate = _case("times at six digits and far from the epoch")
    odd_documents_per_hour: CaseRate = _case("JSON with odd keys, big numbers and unicode")
    odd_texts_per_hour: CaseRate = _case("texts such as '', 'NULL', quotes, control characters")
    added_columns_per_hour: CaseRate = _case("ADD COLUMN, once a database", 0)
    hard_case_seconds: Seconds = Field(
        15, description="how long a late commit is held, and a row lives before its hard case"
    )
    metrics_host: str = Field("127.0.0.1", description="address of the metrics ports")
    loadgen_web_token: SecretStr | None = Field(
        None,
        description="password of Locust's page and of the control API; needed if other machines "
        "can reach them",
    )
    loadgen_worker_token: SecretStr | None = Field(
        None,
        description="what workers on other hosts prove to their master; the same text for all",
    )
    loadgen_allowed_hosts: str | None = Field(
        None,
        description="names, separated by commas, that this machine's ports are reached by, beside "
        "localhost and its IP addresses",
    )
    metrics_port: Port = Field(9646, description="port of the load's metrics and control door")
    load_url: str | None = Field(
        None,
        description="address of a load elsewhere, such as http://host:9646; where not set, "
        "METRICS_PORT here",
    )
    watch_port: Port = Field(9647, description="port of the watch's metrics")
    grafana_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$")] | None = Field(
        None, description="address of a Grafana with our dashboards, to link a run's time to"
    )
    max_slot_retained_bytes: Annotated[int, Field(ge=1, le=_MOST_BYTES)] = Field(
        10 * 2**30, description="WAL kept for one slot above which the watch pauses the load"
    )
    min_free_disk_bytes: Annotated[int, Field(ge=0, le=_MOST_BYTES)] = Field(
        2**30, description="room on the embedded server's disk below which it does so too"
    )
    reports_dir: Path = Field(Path("reports"), description="where each run writes its folder")
    tools_file: Path = Field(Path("tools.toml"), description="the tools under test")
    thresholds_file: Path = Field(Path("thresholds.toml"), description="what passes and what fails")
    decision_file: Path = Field(
        Path("decision.toml"), description="weights and limits that the tools are judged by"
    )
    rate_cards_dir: Path | None = Field(
        None, description="folder of rate cards of your own, before those that come along"
    )
    budget_usd: Annotated[float, Field(ge=0, le=_MOST_DOLLARS, allow_inf_nan=False)] = Field(
        15, description="dollars above which a run is warned about"
    )
    snowflake_account: str | None = Field(None, description="Snowflake account identifier")
    snowflake_user: str | None = Field(None, description="Snowflake service user")
    snowflake_private_key_path: Path | None = Field(
        None, description="file of that user's private key"
    )
    snowflake_private_key_passphrase: SecretStr | None = Field(
        None, description="passphrase of that file, if it has one"
    )
    snowflake_role: str | None = Field(None, description="Snowflake role")
    snowflake_warehouse: str | None = Field(
        None, description="Snowflake warehouse of our own queries"
    )
    snowflake_database: str | None = Field(None, description="Snowflake database")
    snowflake_edition: Literal["standard", "enterprise", "business_critical", "vps"] | None = Field(
        None, description="edition of the account: list price of a credit where no contract's is"
    )
    snowflake_region: str | None = Field(
        None, description="region of the account, as `aws_us_east_1`: for list prices"
    )
    snowflake_host: str | None = Field(None, description="host of a Snowflake emulator")
    snowflake_port: Port | None = Field(None, description="port of a Snowflake emulator")
    snowflake_protocol: Literal["http", "https"] | None = Field(
        None, description="protocol of a Snowflake emulator"
    )
    aws_region: str | None = Field(None, description="AWS region of what is set up")
    aws_profile: str | None = Field(None, description="AWS profile of the shared credentials")
    aws_endpoint_url: str | None = Field(None, description="address of an AWS emulator")

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, url: SecretStr | None) -> SecretStr | None:
        text = url.get_secret_value().strip() if url else ""
        keywords = "=" in text and "://" not in text.partition("=")[0]
        if text and not keywords and not text.lower().startswith(_SCHEMES):
            raise ValueError("a Postgres address, postgresql://user:password@host:port/database")
        return url

    @field_validator(
        "pg_bin", "reports_dir", "tools_file", "thresholds_file", "decision_file", "rate_cards_dir"
    )
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        try:
            return path.expanduser() if path else path
        except RuntimeError as exc:
            raise ValueError("a path; nobody's home folder is known by that name") from exc

    @field_validator("snowflake_private_key_path")
    @classmethod
    def _no_key(cls, path: Path | None) -> Path | None:
        return no_key(path)

    def allowed_hosts(self) -> frozenset[str]:
        """Return the names in LOADGEN_ALLOWED_HOSTS, in lower case."""
        names = (self.loadgen_allowed_hosts or "").lower().split(",")
        return frozenset(name.strip() for name in names if name.strip())

    def public(self) -> dict[str, object]:
        """Return every setting by name as a plain value, secrets masked."""
        return {name: _plain(value) for name, value in self}


def load_settings(
    overrides: Mapping[str, object] | None = None, *, given_by: str = "command line"
) -> Settings:
    """Read the settings; `overrides` (lower-case names, None for not given) come before all else.

    `given_by` is what a message calls the overrides' origin. Raises SettingsError with one line for
    each bad value.
    """
    given = _given(overrides)
    try:
        _check_dotenv()
        return Settings(**given)
    except ValidationError as exc:
        bad = exc.errors()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(
            f"{_DOTENV} can't be read ({exc}): it has to be a UTF-8 text file"
        ) from exc
    names = {**origins(given), **dict.fromkeys(given, given_by)}
    # Not raised from pydantic's error, whose text holds the values, secrets among them.
    raise SettingsError("\n".join(_line(error, names[_name(error)]) for error in bad))


def origins(overrides: Mapping[str, object] | None = None) -> dict[str, Origin]:
    """Return where each setting's value comes from."""
    sources: tuple[tuple[Origin, set[str]], ...] = (
        ("command line", set(_given(overrides))),
        ("environment", {name.lower() for name, value in os.environ.items() if value}),
        (".env", {name.lower() for name, value in dotenv_values(_DOTENV).items() if value}),
    )
    return {
        name: next((origin for origin, names in sources if name in names), "default")
        for name in Settings.model_fields
    }


def variable(name: str) -> str | None:
    """Return what the environment, else .env, has under a name that another file chose."""
    return os.environ.get(name) or dotenv_values(_DOTENV).get(name) or None


def misspelt() -> dict[str, str]:
    """Return names in .env that are no setting but nearly one, with that setting's name."""
    known = [name.upper() for name in Settings.model_fields]
    unknown = [name for name in dotenv_values(_DOTENV) if name.upper() not in known]
    near = {name: get_close_matches(name.upper(), known, n=1, cutoff=0.8) for name in unknown}
    return {name: found[0] for name, found in near.items() if found}


def allowed(name: str) -> str:
    """Return in words which values the setting called `name` (lower case) may have."""
    schema = Settings.model_json_schema()["properties"][name]
    kind: dict[str, Any] = next(
        (one for one in schema.get("anyOf", []) if one.get("type") != "null"), schema
    )
    if "enum" in kind:
        return f"one of {', '.join(kind['enum'][:-1])} or {kind['enum'][-1]}"
    words = {"integer": "a whole number", "number": "a number"}
    word = words.get(kind["type"], "a path" if kind.get("format") == "path" else "text")
    low, high = kind.get("minimum"), kind.get("maximum")
    if "exclusiveMinimum" in kind:
        return f"{word} above {kind['exclusiveMinimum']:g}, at most {high:.15g}"
    # Not as floats, which round them.
    return word if low is None or high is None else f"{word} from {round(low)} to {round(high)}"


def _check_dotenv() -> None:
    """Refuse a line that python-dotenv would pass over: it may be the setting that matters."""
    path = Path(_DOTENV)
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        bad = [found.original for found in parse_stream(file) if found.error]
    if bad:
        # Empty lines before a statement are counted as its own.
        lines = [str(o.line + len(o.string) - len(o.string.lstrip("\n"))) for o in bad]
        raise SettingsError(f"{_DOTENV}, line {', '.join(lines)}: can't be read; write NAME=value")


def _given(overrides: Mapping[str, object] | None) -> dict[str, Any]:
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    if unknown := given.keys() - Settings.model_fields.keys():
        raise KeyError(f"no setting is called {sorted(unknown)}")
    return given


def _name(error: ErrorDetails) -> str:
    return str(error["loc"][0]).lower()


def _line(error: ErrorDetails, origin: str) -> str:
    name = _name(error)
    said = error["msg"].removeprefix("Value error, ")
    must_be = said if error["type"] == "value_error" else allowed(name)
    return f"{name.upper()} is {_shown(name, error['input'])} ({origin}): it must be {must_be}"


def _shown(name: str, value: object) -> str:
    """Return a refused value as it may be said: a secret's scheme at most, nothing endless."""
    if name == "database_url":
        scheme, found, _ = str(value).partition("://")
        return f"'{scheme}://{MASK}'" if found and scheme.isalnum() else MASK
    if name in _SECRETS:
        return MASK
    text = without_login(repr(value))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return MASK
    return without_login(str(value)) if isinstance(value, Path | str) else value


def without_login(text: str) -> str:
    """Return the text with the user and password of an address in it masked."""
    return _LOGIN.sub(f"{MASK}@", text)


def no_key(path: Path | None) -> Path | None:
    """Return the path of a private key's file. Raises ValueError where it is the key itself."""
    if path is not None and ("-----" in str(path) or "\n" in str(path)):
        raise ValueError("the path of the file that holds the key, not the key itself")
    return path


def exempt_from_proxies(host: str) -> None:
    """Exempt `host` for clients that go by the environment alone, as Snowflake's connector."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if host not in given.split(","):
        os.environ["no_proxy"] = f"{given},{host}".lstrip(",")
