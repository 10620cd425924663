"""Every setting, in this order: command line, environment, .env, defaults.

Other modules receive a frozen `Settings` value and don't read the environment. An invalid value is
refused in one line with the setting's name, the value, its origin and the allowed values.
"""

import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlencode

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from loadgen.errors import SettingsError
from loadgen.untrusted import read_toml

DEFAULT_USERS: Final = 8  # connections of a load
# Each has a rate, `…_per_hour`, which counts only with --hard-cases.
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
_WEB_ADDRESS: Final = re.compile(r"https?://[^\s/]")
_ADDRESS_CHARACTERS: Final = ":/?#@!$&*+,;=%[]~"  # without ), which ends a Markdown link
_DASHBOARD_MARGIN: Final = timedelta(seconds=30)  # on both sides of a run

Origin = Literal["command line", "environment", ".env", "default"]
# Every real load, machine and wait is below these limits; a larger value is a typing error.
_MOST_PER_HOUR: Final = 3_600_000_000  # a million a second
_MOST_ROWS: Final = 100_000_000_000
_MOST_BYTES: Final = 10**18
YEAR_HOURS: Final = 8_784
_DAY_SECONDS: Final = 86_400
_MOST_DOLLARS: Final = 1_000_000_000


def _below_the_cap(rate: float, fields: ValidationInfo) -> float:
    cap = fields.data.get("max_rate_per_hour", rate)  # missing if it is invalid itself
    if rate > cap:
        raise ValueError(f"at most MAX_RATE_PER_HOUR, which is {cap:.15g}")
    return rate


Rate = Annotated[
    float, Field(ge=0, le=_MOST_PER_HOUR, allow_inf_nan=False), AfterValidator(_below_the_cap)
]
_RATE_NAME: Final = re.compile(r"[a-z][a-z0-9_]*_per_hour")
Users = Annotated[int, Field(ge=1, le=_MOST_ROWS)]
Cap = Annotated[float, Field(gt=0, le=_MOST_PER_HOUR, allow_inf_nan=False)]
Hours = Annotated[float, Field(gt=0, le=YEAR_HOURS, allow_inf_nan=False)]
Rows = Annotated[int, Field(ge=0, le=_MOST_ROWS)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=_DAY_SECONDS, allow_inf_nan=False)]
CaseRate = Annotated[float, Field(ge=0, le=36_000, allow_inf_nan=False)]


def _case(description: str, per_hour: float = 60) -> Any:
    return Field(per_hour, description=f"hard case: {description}")


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
        None, description="the source database; without it an embedded Postgres is used"
    )
    pg_bin: Path | None = Field(
        None, description="folder with initdb and postgres (14 to 18) for the embedded server"
    )
    workload: Annotated[str, Field(min_length=1)] = Field(
        "shop", description="the workload: the name of a built-in one, or a folder with its files"
    )
    workload_scale: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] = Field(
        1,
        description="multiplies the baseline rows of tables without a setting",
    )
    initial_users: Annotated[int, Field(ge=1, le=_MOST_ROWS)] = Field(
        1000, description="number of users in the baseline"
    )
    initial_orders: Rows = Field(5000, description="number of orders in the baseline")
    initial_events: Rows = Field(20000, description="number of events in the baseline")
    # Must precede the rates, which are compared with it.
    max_rate_per_hour: Cap = Field(
        36_000_000, description="safety cap: the highest rate that is allowed"
    )
    orders_per_hour: Rate = Field(50, description="rate of new orders")
    events_per_hour: Rate = Field(200, description="rate of new events")
    status_updates_per_hour: Rate = Field(40, description="rate of order status updates")
    soft_deletes_per_hour: Rate = Field(1, description="rate of users' soft deletes")
    test_duration_hours: Hours = Field(48, description="run time if `--run-time` is not given")
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(
        1, description="seed of the baseline and the schedule: the same seed makes the same data"
    )
    arrivals: Literal["jitter", "poisson", "even"] = Field(
        "jitter",
        description="arrivals at random in equal slots, as a Poisson process, or evenly",
    )
    profile: Literal["steady", "diurnal", "burst", "ramp", "workload"] | None = Field(
        None,
        description="how the rates rise and fall over the run (default: as the workload says, "
        "else steady)",
    )
    lateness_limit_seconds: Seconds = Field(
        1, description="seconds after which an arrival that is still waiting is skipped"
    )
    marker_interval_seconds: Seconds = Field(
        60, description="seconds between two freshness markers"
    )
    event_bytes: Annotated[int, Field(ge=64, le=1_000_000)] = Field(
        300, description="approximate size of an event's properties in bytes"
    )
    hot_users: Users | None = Field(
        None, description="how many users of the shop get all the writes (default: all)"
    )
    pipeline_depth: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="writes in flight on one connection, each with its own commit"
    )
    load_loop: Literal["auto", "compiled", "gevent"] = Field(
        "auto", description="what sends the writes; auto: compiled if the extra fast is there"
    )
    hard_deletes_per_hour: CaseRate = _case("deleted rows")
    late_commits_per_hour: CaseRate = _case("rows committed long after their updated_at")
    key_changes_per_hour: CaseRate = _case("rows that get another primary key")
    key_reuses_per_hour: CaseRate = _case("rows deleted and inserted again under the same key")
    wide_updates_per_hour: CaseRate = _case("updates that do not change a wide (TOASTed) value")
    odd_numbers_per_hour: CaseRate = _case("numbers at full precision")
    odd_times_per_hour: CaseRate = _case("times with microseconds and far from the epoch")
    odd_documents_per_hour: CaseRate = _case("JSON with odd keys, big numbers and Unicode")
    odd_texts_per_hour: CaseRate = _case("texts such as '', 'NULL', quotes, control characters")
    added_columns_per_hour: CaseRate = _case("ADD COLUMN, once per database", 0)
    hard_case_seconds: Seconds = Field(
        15, description="how long a late commit waits, and a row exists before its hard case"
    )
    metrics_host: str = Field("127.0.0.1", description="address of the metrics ports")
    loadgen_web_token: SecretStr | None = Field(
        None,
        description="password of Locust's page and of the control API; required if other machines "
        "can reach them",
    )
    loadgen_worker_token: SecretStr | None = Field(
        None,
        description="secret that workers on other hosts share with their master",
    )
    loadgen_allowed_hosts: str | None = Field(
        None,
        description="names, separated by commas, under which other machines reach these ports, in "
        "addition to localhost and IP addresses",
    )
    metrics_port: Port = Field(9646, description="port of the load's metrics and control API")
    load_url: str | None = Field(
        None,
        description="address of a load on another machine, such as http://host:9646 (default: "
        "METRICS_PORT here)",
    )
    watch_port: Port = Field(9647, description="port of the watch's metrics")
    grafana_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$")] | None = Field(
        None, description="address of a Grafana with our dashboards, for links to a run"
    )
    max_slot_retained_bytes: Annotated[int, Field(ge=1, le=_MOST_BYTES)] = Field(
        10 * 2**30, description="WAL retained by one slot above which the watch pauses the load"
    )
    min_free_disk_bytes: Annotated[int, Field(ge=0, le=_MOST_BYTES)] = Field(
        2**30,
        description="free space on the embedded server's disk below which the load is paused",
    )
    reports_dir: Path = Field(Path("reports"), description="folder for the folders of runs")
    tools_file: Path = Field(Path("tools.toml"), description="file of the tools under test")
    thresholds_file: Path = Field(
        Path("thresholds.toml"), description="file of the thresholds that a run must meet"
    )
    decision_file: Path = Field(
        Path("decision.toml"), description="file of the weights and limits that tools are judged by"
    )
    rate_cards_dir: Path | None = Field(
        None, description="folder of your own rate cards, used before the built-in ones"
    )
    budget_usd: Annotated[float, Field(ge=0, le=_MOST_DOLLARS, allow_inf_nan=False)] = Field(
        15, description="expected cost of a run in dollars above which it is warned about"
    )
    snowflake_account: str | None = Field(None, description="Snowflake account identifier")
    snowflake_user: str | None = Field(None, description="Snowflake service user")
    snowflake_private_key_path: Path | None = Field(
        None, description="file with that user's private key"
    )
    snowflake_private_key_passphrase: SecretStr | None = Field(
        None, description="passphrase of that file, if any"
    )
    snowflake_role: str | None = Field(None, description="Snowflake role")
    snowflake_warehouse: str | None = Field(
        None, description="Snowflake warehouse for our own queries"
    )
    snowflake_database: str | None = Field(None, description="Snowflake database")
    snowflake_edition: Literal["standard", "enterprise", "business_critical", "vps"] | None = Field(
        None,
        description="edition of the account, for the list price of a credit without a contract",
    )
    snowflake_region: str | None = Field(
        None, description="region of the account, such as `aws_us_east_1`, for list prices"
    )
    snowflake_host: str | None = Field(None, description="host of a Snowflake emulator")
    snowflake_port: Port | None = Field(None, description="port of a Snowflake emulator")
    snowflake_protocol: Literal["http", "https"] | None = Field(
        None, description="protocol of a Snowflake emulator"
    )
    aws_region: str | None = Field(None, description="AWS region of the test set-up")
    aws_profile: str | None = Field(None, description="AWS profile in the shared credentials")
    aws_endpoint_url: str | None = Field(None, description="address of an AWS emulator")

    _rates: Mapping[str, float] = PrivateAttr(default_factory=dict)

    @property
    def rates(self) -> Mapping[str, float]:
        """Rates per hour that are no field, by name, such as transfer_per_hour: of a workload."""
        return self._rates

    def rate(self, option: str, default: float) -> float:
        """Return the rate per hour of the name `option`; `default` if it is not set."""
        if option in self.model_fields_set:
            return float(getattr(self, option))
        return self.rates.get(option, default)

    def chosen(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """Return these settings, with the value given here of each that is not set.

        The fields' own defaults are the shop's; another workload has its own.
        """
        return {
            name: getattr(self, name) if name in self.model_fields_set else default
            for name, default in defaults.items()
        }

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
            raise ValueError("a path; there is no such user's home folder") from exc

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
        return {name: _plain(setting) for name, setting in self} | dict(self.rates)


def load_settings(
    overrides: Mapping[str, object] | None = None, *, given_by: str = "command line"
) -> Settings:
    """Read the settings; `overrides` (lower-case names, None for unset) take precedence.

    Messages name `given_by` as the origin of the overrides. Raises SettingsError with one line for
    each invalid value.
    """
    overrides = _set_overrides(overrides)
    try:
        _check_dotenv()
        settings = Settings(**{n: o for n, o in overrides.items() if n in Settings.model_fields})
        settings._rates = _workload_rates(overrides, settings.max_rate_per_hour)  # noqa: SLF001
    except ValidationError as exc:
        errors = exc.errors()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(
            f"{_DOTENV} can't be read ({exc}): it has to be a UTF-8 text file"
        ) from exc
    else:
        return settings
    origin = {**origins(overrides), **dict.fromkeys(overrides, given_by)}
    # Not raised from pydantic's error, whose text holds the values, secrets among them.
    raise SettingsError("\n".join(_line(error, origin[_name(error)]) for error in errors))


def _workload_rates(overrides: Mapping[str, Any], cap: float) -> dict[str, float]:
    """Return the rates that are no field. Raises ValidationError as the fields' own check does."""
    sources: tuple[Mapping[str, Any], ...] = (dotenv_values(_DOTENV), os.environ, overrides)
    texts = {
        name: text
        for source in sources
        for name, text in ((name.lower(), text) for name, text in source.items())
        if text != "" and _RATE_NAME.fullmatch(name) and name not in Settings.model_fields
    }
    # The cap comes first, since each rate is compared with it.
    fields: dict[str, Any] = {"max_rate_per_hour": (float, ...)}
    fields |= dict.fromkeys(texts, (Rate, ...))
    model = create_model("Rates", **fields)
    rates = model.model_validate({"max_rate_per_hour": cap, **texts})
    return {name: getattr(rates, name) for name in texts}


def origins(overrides: Mapping[str, object] | None = None) -> dict[str, Origin]:
    """Return the origin of each setting's value."""
    sources: tuple[tuple[Origin, set[str]], ...] = (
        ("command line", set(_set_overrides(overrides))),
        ("environment", {name.lower() for name, text in os.environ.items() if text}),
        (".env", {name.lower() for name, text in dotenv_values(_DOTENV).items() if text}),
    )
    present = set().union(*(names for _, names in sources))
    rates = sorted(filter(_RATE_NAME.fullmatch, present - Settings.model_fields.keys()))
    return {
        name: next((origin for origin, names in sources if name in names), "default")
        for name in (*Settings.model_fields, *rates)
    }


def variable(name: str) -> str | None:
    """Return a variable of the environment, else of .env; tools.toml and arguments name it."""
    return os.environ.get(name) or dotenv_values(_DOTENV).get(name) or None


def misspelt(rates: Iterable[str] = ()) -> dict[str, str]:
    """Return names in .env that resemble a setting but are none, with that setting's name.

    `rates` are settings too: those of the workload's operations.
    """
    known = [name.upper() for name in (*Settings.model_fields, *rates)]
    unknown = [name for name in dotenv_values(_DOTENV) if name.upper() not in known]
    near = {name: get_close_matches(name.upper(), known, n=1, cutoff=0.8) for name in unknown}
    return {name: matches[0] for name, matches in near.items() if matches}


def allowed(name: str) -> str:
    """Describe the values that the setting `name` (lower case) may have."""
    properties = Settings.model_json_schema()["properties"]
    # Rates of a workload's operations have the limits of the shop's.
    schema = properties.get(name, properties["orders_per_hour"])
    options: list[dict[str, Any]] = schema.get("anyOf", [schema])
    schema = next(option for option in options if option.get("type") != "null")
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'][:-1])} or {schema['enum'][-1]}"
    types = {"integer": "a whole number", "number": "a number"}
    noun = types.get(schema["type"], "a path" if schema.get("format") == "path" else "text")
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        return f"{noun} above {schema['exclusiveMinimum']:g}, at most {high:.15g}"
    # round, since as floats large limits would lose digits.
    return noun if low is None or high is None else f"{noun} from {round(low)} to {round(high)}"


def _check_dotenv() -> None:
    """Refuse a line that python-dotenv would ignore: it may be an important setting."""
    path = Path(_DOTENV)
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        statements = [binding.original for binding in parse_stream(file) if binding.error]
    if statements:
        # A statement begins with the empty lines before it.
        lines = [str(s.line + len(s.string) - len(s.string.lstrip("\n"))) for s in statements]
        raise SettingsError(f"{_DOTENV}, line {', '.join(lines)}: can't be read; write NAME=value")


def _set_overrides(overrides: Mapping[str, object] | None) -> dict[str, Any]:
    present = {name: text for name, text in (overrides or {}).items() if text is not None}
    unknown = {name for name in present if not _RATE_NAME.fullmatch(name)}
    if unknown := unknown - Settings.model_fields.keys():
        raise KeyError(f"no setting is called {sorted(unknown)}")
    return present


def _name(error: ErrorDetails) -> str:
    return str(error["loc"][0]).lower()


def _line(error: ErrorDetails, origin: str) -> str:
    name = _name(error)
    message = error["msg"].removeprefix("Value error, ")
    must_be = message if error["type"] == "value_error" else allowed(name)
    return f"{name.upper()} is {_shown(name, error['input'])} ({origin}): it must be {must_be}"


def _shown(name: str, invalid: object) -> str:
    """Return an invalid value for a message: secrets masked, long texts shortened."""
    if name == "database_url":
        scheme, separator, _ = str(invalid).partition("://")
        return f"'{scheme}://{MASK}'" if separator and scheme.isalnum() else MASK
    if name in _SECRETS:
        return MASK
    text = without_login(repr(invalid))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _plain(setting: object) -> object:
    if isinstance(setting, SecretStr):
        return MASK
    return without_login(str(setting)) if isinstance(setting, Path | str) else setting


def without_login(text: str) -> str:
    """Mask user and password of the address in a text."""
    return _LOGIN.sub(f"{MASK}@", text)


def no_key(path: Path | None) -> Path | None:
    """Return the path of a private key's file. Raises ValueError if it is the key itself."""
    if path is not None and ("-----" in str(path) or "\n" in str(path)):
        raise ValueError("the path of the file that holds the key, not the key itself")
    return path


def exempt_from_proxies(host: str) -> None:
    """Exempt `host` for clients that read only the environment, such as Snowflake's connector."""
    hosts = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if host not in hosts.split(","):
        os.environ["no_proxy"] = f"{hosts},{host}".lstrip(",")


def choose_workload(workload: str) -> None:
    """Set WORKLOAD for this process and those that it starts: it decides which options exist."""
    os.environ["WORKLOAD"] = workload


def read_toml_setting(
    settings: Settings, name: Literal["tools_file", "thresholds_file", "decision_file"]
) -> dict[str, Any] | None:
    """Return the content of the TOML file that a setting names; None if the default has no file.

    Raises SettingsError if a file that was named explicitly does not exist, or is not TOML.
    """
    path, default = getattr(settings, name), Settings.model_fields[name].default
    try:
        return read_toml(path)
    except FileNotFoundError as exc:
        if path == default:
            return None
        raise SettingsError(
            f"{name.upper()} is {path}, which does not exist: copy {default.stem}.example.toml to "
            f"it, or unset {name.upper()}"
        ) from exc


def dashboard_link(grafana_url: str, run_id: str, began: datetime, ended: datetime | None) -> str:
    """Return the address of the dashboard Load at `grafana_url` for a run's time.

    A run that has not ended is shown until now. A login in the address is left out. Returns "" if
    `grafana_url`, which may come from a record, is not a web address.
    """
    if not _WEB_ADDRESS.match(grafana_url):
        return ""
    scheme, _, rest = grafana_url.partition("://")
    host, slash, path = rest.partition("/")
    address = quote(f"{scheme}://{host.rpartition('@')[2]}{slash}{path}", safe=_ADDRESS_CHARACTERS)
    query = {
        "from": round((began - _DASHBOARD_MARGIN).timestamp() * 1000),
        "to": round((ended + _DASHBOARD_MARGIN).timestamp() * 1000) if ended else "now",
        "var-run": run_id,
    }
    return f"{address.rstrip('/')}/d/loadgen-load?{urlencode(query, quote_via=quote)}"
