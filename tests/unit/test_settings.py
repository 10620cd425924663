"""Settings: the source of each value, and the error for a wrong one."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.config.settings import (
    MASK,
    Settings,
    allowed,
    load_settings,
    misspelt,
    origins,
)
from loadgen.errors import SettingsError
from loadgen.workload.operations import rates_per_hour
from tests.plans import OPERATIONS

NAMES = tuple(Settings.model_fields)
RATE_SETTINGS = [operation.option for operation in OPERATIONS.values()]


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings of the user who runs it."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


def refused(**overrides: object) -> str:
    """Return the error for these settings."""
    with pytest.raises(SettingsError) as raised:
        load_settings(overrides)
    return str(raised.value)


def test_defaults_are_the_contract() -> None:
    """Without anything set, every value is the documented default."""
    settings = load_settings()
    assert rates_per_hour(settings, OPERATIONS) == {
        "insert_order": 50,
        "insert_event": 200,
        "update_order_status": 40,
        "soft_delete_user": 1,
    }
    sizes = (settings.initial_users, settings.initial_orders, settings.initial_events)
    assert sizes == (1000, 5000, 20000)
    assert (settings.seed, settings.test_duration_hours, settings.budget_usd) == (1, 48, 15)
    assert (settings.metrics_host, settings.metrics_port, settings.watch_port) == (
        "127.0.0.1",
        9646,
        9647,
    )
    assert set(origins().values()) == {"default"}


def test_command_line_beats_environment_beats_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is command line, environment, .env, default; origins() has the one in use."""
    Path(".env").write_text("SEED=2\nINITIAL_USERS=2\nPROFILE=ramp\n")
    monkeypatch.setenv("SEED", "3")
    monkeypatch.setenv("INITIAL_USERS", "3")
    overrides = {"seed": "4", "initial_orders": None}

    settings = load_settings(overrides)
    came_from = origins(overrides)

    assert (settings.seed, settings.initial_users, settings.profile) == (4, 3, "ramp")
    assert settings.initial_orders == 5000
    assert came_from["seed"] == "command line"
    assert came_from["initial_users"] == "environment"
    assert came_from["profile"] == ".env"
    assert came_from["initial_orders"] == "default"


def test_an_empty_value_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable hides nothing: the next source in the order is used."""
    Path(".env").write_text("SEED=7\nHOT_USERS=\n")
    monkeypatch.setenv("SEED", "")
    monkeypatch.setenv("DATABASE_URL", "")

    settings = load_settings()

    assert (settings.seed, settings.hot_users, settings.database_url) == (7, None, None)
    assert origins()["seed"] == ".env"
    assert origins()["database_url"] == "default"


def test_an_empty_override_is_a_bad_value() -> None:
    """A form field that was emptied is not silently the default."""
    assert "ORDERS_PER_HOUR is ''" in refused(orders_per_hour="")


@pytest.mark.parametrize("name", RATE_SETTINGS)
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "-inf", "1e999", "abc", "-0.0001"])
def test_a_rate_is_a_finite_number_of_at_least_zero(name: str, value: str) -> None:
    """Anything else is refused with the setting's name, the value and the allowed range."""
    message = refused(**{name: value})
    assert message == (
        f"{name.upper()} is {value!r} (command line): it must be a number from 0 to 3600000000"
    )


@given(st.floats(min_value=0, max_value=36_000_000))
def test_any_rate_up_to_the_cap_is_kept_exactly(rate: float) -> None:
    """A rate is a float for the whole swarm, never rounded; 0 is one."""
    settings = load_settings({"orders_per_hour": repr(rate)})
    assert rates_per_hour(settings, OPERATIONS)["insert_order"] == rate


def test_the_cap_is_a_setting() -> None:
    """A rate above MAX_RATE_PER_HOUR is refused and the cap named; a raised cap lets it pass."""
    assert refused(events_per_hour=36_000_001).endswith(
        "it must be at most MAX_RATE_PER_HOUR, which is 36000000"
    )
    raised = load_settings({"events_per_hour": 36_000_001, "max_rate_per_hour": "4e7"})
    assert raised.events_per_hour == 36_000_001


def test_every_bad_value_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All bad values are listed at once, one per line, each with its source."""
    Path(".env").write_text("PROFILE=wavy\n")
    monkeypatch.setenv("INITIAL_USERS", "0")
    cap = "it must be at most MAX_RATE_PER_HOUR, which is 900"
    lines = refused(metrics_port=70000, orders_per_hour=999, max_rate_per_hour=900).splitlines()
    assert lines == [
        "INITIAL_USERS is '0' (environment): it must be a whole number from 1 to 100000000000",
        f"ORDERS_PER_HOUR is 999 (command line): {cap}",
        "PROFILE is 'wavy' (.env): it must be one of steady, diurnal, burst, ramp or workload",
        "METRICS_PORT is 70000 (command line): it must be a whole number from 1 to 65535",
    ]


def test_a_bad_cap_does_not_hide_behind_the_rates() -> None:
    """If the cap itself is bad, only the cap is named."""
    assert refused(max_rate_per_hour=0).startswith("MAX_RATE_PER_HOUR is 0 ")


def test_what_gave_the_overrides_can_be_named() -> None:
    """A value from the page's form is not reported as coming from the command line."""
    with pytest.raises(SettingsError, match=r"SEED is 'x' \(form\)"):
        load_settings({"seed": "x"}, given_by="form")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:hunter2@db/app",
        "http://u:hunter2@host",
        "hunter2",
        "root:hunter2@db/app",
        "://hunter2",
        "mysql://u@host/app?password=hunter2",
    ],
)
def test_a_wrong_scheme_is_refused_without_its_password(url: str) -> None:
    """DATABASE_URL has to be a Postgres address; nothing behind its scheme is ever shown."""
    message = refused(database_url=url)
    assert message.startswith("DATABASE_URL is ")
    assert "postgresql://user:password@host:port/database" in message
    assert "hunter2" not in message


def test_the_refusal_of_a_secret_has_no_chain() -> None:
    """A traceback must not bring pydantic's text along, which holds the value."""
    with pytest.raises(SettingsError) as raised:
        load_settings({"database_url": "mysql://u:hunter2@h"})
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5432/db",
        "postgres://h/db",
        "PostgreSQL://h/db",
        "host=/tmp dbname=app password='a b'",
        "host=h options=-csearch_path=x",
    ],
)
def test_libpq_addresses_are_accepted(url: str) -> None:
    """Both schemes and keyword strings are libpq's own and pass."""
    settings = load_settings({"database_url": url})
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == url


def test_secrets_are_masked_in_public_and_repr() -> None:
    """Values in run.json or a log never hold the address with its password."""
    settings = load_settings({"database_url": "postgresql://u:hunter2@h/db"})
    assert settings.public()["database_url"] == MASK
    assert "hunter2" not in repr(settings)


def test_public_is_plain_values() -> None:
    """public() can be written as JSON: paths are text, numbers are numbers."""
    public = load_settings().public()
    assert tuple(public) == NAMES
    assert public["reports_dir"] == "reports"
    assert public["orders_per_hour"] == 50.0
    assert {type(value) for value in public.values()} == {str, int, float, type(None)}


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """.env is read by no shell, so ~ is expanded here."""
    monkeypatch.setenv("HOME", "/home/someone")
    assert load_settings({"reports_dir": "~/runs"}).reports_dir == Path("/home/someone/runs")


def test_a_long_value_is_shown_cut() -> None:
    """A refused value never fills the screen, and stays on its line."""
    message = refused(seed="9\n" * 5000)
    assert len(message) < 200
    assert "\n" not in message


def test_a_dotenv_that_is_no_text_is_named() -> None:
    """A .env in another encoding is refused by the file's name."""
    Path(".env").write_bytes("SEED=1 # größe".encode("latin-1"))
    assert refused().startswith(".env can't be read (")


def test_misspelt_names_in_dotenv_are_found_with_the_nearest_name() -> None:
    """A typo differs from another program's variable by its closeness to a setting."""
    Path(".env").write_text(
        "INTIAL_USERS=5\nORDER_PER_HOUR=5\nHOME_PAGE=x\nPGPASSWORD=x\nAWS_SECRET_ACCESS_KEY=x\n"
        "SEED=1\nseed=1\n"
    )
    assert misspelt() == {"INTIAL_USERS": "INITIAL_USERS", "ORDER_PER_HOUR": "ORDERS_PER_HOUR"}


def test_an_unknown_override_is_a_mistake_of_the_code() -> None:
    """A misspelt override raises an error at once."""
    with pytest.raises(KeyError, match="orders_per_hours"):
        load_settings({"orders_per_hours": 1})


def test_settings_are_frozen() -> None:
    """A setting can't be changed after loading."""
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 2  # type: ignore[misc]  # the test assigns on purpose


def test_each_operation_has_its_rate() -> None:
    """Every operation's rate is a setting, and each has a setting by itself."""
    assert set(RATE_SETTINGS) < set(NAMES)
    assert len(set(RATE_SETTINGS)) == len(OPERATIONS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("event_bytes", "a whole number from 64 to 1000000"),
        ("seed", "a whole number from 0 to 9223372036854775807"),
        ("lateness_limit_seconds", "a number above 0, at most 86400"),
        ("budget_usd", "a number from 0 to 1000000000"),
        ("snowflake_protocol", "one of http or https"),
        ("hot_users", "a whole number from 1 to 100000000000"),
        ("pg_bin", "a path"),
        ("metrics_host", "text"),
    ],
)
def test_what_is_allowed_is_said_in_words(name: str, words: str) -> None:
    """The words come from the field's own limits."""
    assert allowed(name) == words


_NUMBERS = [
    name
    for name in Settings.model_fields
    if " number" in allowed(name)  # a number, a whole number
]


@pytest.mark.parametrize("value", ["1e300", "9" * 400, "1" + "0" * 5000, "inf", "nan", "-1e300"])
@pytest.mark.parametrize("name", _NUMBERS)
def test_no_number_is_beyond_what_can_be(name: str, value: str) -> None:
    """Each number has limits, and a value beyond them is refused in one short line."""
    message = refused(**{name: value})
    assert message.startswith(f"{name.upper()} is ")
    assert "\n" not in message
    assert len(message) < 200


@pytest.mark.parametrize("name", ["load_url", "grafana_url", "aws_endpoint_url"])
def test_a_login_in_an_address_is_not_recorded(name: str) -> None:
    """Neither user nor password, which may hold an @ itself; the address is as it was without."""
    address = "https://me:hun@ter2@host:9646/sub"
    settings = load_settings({name: address})
    assert settings.public()[name] == f"https://{MASK}@host:9646/sub"
    assert load_settings({name: "https://host"}).public()[name] == "https://host"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grafana_url", "htp://me:hunter2@host"),
        ("load_url", ["http://me:hunter2@host"]),
        ("loadgen_web_token", ["hunter2"]),
        ("snowflake_private_key_path", "-----BEGIN PRIVATE KEY----- hunter2"),
    ],
)
def test_a_refused_value_shows_no_secret(name: str, value: object) -> None:
    """A password in an address, a token or a key that was put where its path belongs."""
    assert "hunter2" not in refused(**{name: value})


def test_the_home_folder_of_an_unknown_user_is_refused() -> None:
    """In one line, as every other value."""
    assert "no such user's home folder" in refused(reports_dir="~nosuchuser/reports")


def test_a_rate_of_a_workload_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any …_PER_HOUR that is no field: from .env, the environment, the command line, in order."""
    Path(".env").write_text("TRANSFER_PER_HOUR=1\nREFUND_PER_HOUR=2.5\nCLOSE_PER_HOUR=\n")
    monkeypatch.setenv("TRANSFER_PER_HOUR", "3")
    settings = load_settings({"audit_per_hour": "7", "transfer_per_hour": None})
    assert settings.rates == {"refund_per_hour": 2.5, "transfer_per_hour": 3, "audit_per_hour": 7}
    assert load_settings({"transfer_per_hour": 0}).rates["transfer_per_hour"] == 0
    origin = origins({"audit_per_hour": "7"})
    assert origin["refund_per_hour"] == ".env"
    assert origin["transfer_per_hour"] == "environment"
    assert origin["audit_per_hour"] == "command line"
    assert settings.public()["refund_per_hour"] == 2.5


@pytest.mark.parametrize(
    ("text", "must_be"),
    [
        ("many", "a number from 0 to 3600000000"),
        ("-1", "a number from 0 to 3600000000"),
        ("36000001", "at most MAX_RATE_PER_HOUR, which is 36000000"),
    ],
)
def test_a_rate_of_a_workload_has_limits(text: str, must_be: str) -> None:
    """As those of the shop: the message names variable, value, origin and limit."""
    message = refused(transfer_per_hour=text)
    assert message == f"TRANSFER_PER_HOUR is {text!r} (command line): it must be {must_be}"


def test_a_misspelt_rate_of_a_workload_is_named() -> None:
    """A rate that the workload does not have is reported with the similar one that it has."""
    Path(".env").write_text("TRANSFERS_PER_HOUR=1\nTRANSFER_PER_HOUR=2\n")
    assert misspelt(["transfer_per_hour"]) == {"TRANSFERS_PER_HOUR": "TRANSFER_PER_HOUR"}


def test_the_workload_has_a_name_and_a_scale() -> None:
    """The shop as it is, unless another one is named."""
    assert (load_settings().workload, load_settings().workload_scale) == ("shop", 1)
    assert refused(workload_scale="0").startswith("WORKLOAD_SCALE is '0' (command line)")


def test_defaults_are_the_shops_alone() -> None:
    """An operation of another workload has its own rate, if its option is the shop's too."""
    order = OPERATIONS["insert_order"]
    own = {"receipts": replace(order, name="receipts", per_hour=7000.0)}
    assert rates_per_hour(load_settings(), own) == {"receipts": 7000.0}
    assert rates_per_hour(load_settings({"orders_per_hour": 5}), own) == {"receipts": 5.0}
    sizes = {"initial_users": 50, "event_bytes": 900}
    assert load_settings({"event_bytes": 100}).chosen(sizes) == sizes | {"event_bytes": 100}
