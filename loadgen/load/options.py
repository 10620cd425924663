"""The load's part of Locust's command line and form, and how it becomes rates and settings.

Locust has one set of options for the command line, the form and its Edits. They always hold the
rates and the profile that are wanted now.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import get_args

from loadgen.config.settings import (
    DEFAULT_USERS,
    HARD_CASES,
    YEAR_HOURS,
    Settings,
    choose_workload,
    load_settings,
)
from loadgen.errors import SettingsError, suggest
from loadgen.workload.model import Operation
from loadgen.workload.operations import profile_of, rate_of
from loadgen.workload.read_model import read_model
from loadgen.workload.schedule.plan import Mix
from loadgen.workload.schedule.rate_curve import ProfileName, profiles_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the rates, the profile and --resume, with the settings as defaults.

    Raises SettingsError if these are bad.
    """
    # Its operations are options, so that it must be known before the command line is parsed.
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--workload")
    chosen = early.parse_known_args()[0].workload
    if chosen is not None:
        choose_workload(chosen)
    settings = load_settings()
    model = read_model(settings.workload)
    group = parser.add_argument_group("Arrival rates (per hour, for the whole swarm)")
    in_form = [
        group.add_argument(
            f"--{setting.replace('_', '-')}",
            type=_rate(setting),
            default=rate_of(settings, operation),
            metavar="<float>",
            help=f"{name}; setting {setting.upper()}",
        )
        for name, operation in model.operations.items()
        for setting in [operation.option]
    ]
    in_form.append(
        group.add_argument(
            "--load-profile",
            choices=tuple(profiles_of(model.profile)),
            default=profile_of(settings, model),
            help="how the rates rise and fall; setting PROFILE",
        )
    )
    for argument in in_form:
        # Locust marks arguments of the parser itself, but not those of a group.
        argument.include_in_web_ui = True  # type: ignore[attr-defined]
    group.add_argument(
        "--workload",
        default=settings.workload,
        metavar="<name or folder>",
        help="what is written: shop, tpcb, transfers, or a folder of yours, which +transfers may "
        "follow; setting WORKLOAD",
    )
    group.add_argument("--resume", metavar="RUN", help="resume a killed run (id, path, latest)")
    group.add_argument(
        "--hard-cases",
        type=_hard_cases,
        nargs="?",
        const=HARD_CASES,
        default=(),
        metavar="CASE,CASE",
        help="also write changes that tools stumble over, to a separate table: all, or those "
        f"named of {', '.join(HARD_CASES)}; settings …_PER_HOUR",
    )
    parser.set_defaults(
        num_users=DEFAULT_USERS,
        spawn_rate=100.0,
        run_time=max(1, round(settings.test_duration_hours * 3600)),
        web_host="127.0.0.1",
        master_bind_host="127.0.0.1",
    )


def settings_with(options: argparse.Namespace, operations: Mapping[str, Operation]) -> Settings:
    """Return the settings as the command line overrides them. Raises SettingsError."""
    if options.num_users < 1:
        raise SettingsError(f"-u is {options.num_users}: a load has 1 user or more")
    names = [operation.option for operation in operations.values()]
    rates = {name: getattr(options, name) for name in names}
    return load_settings({**rates, "profile": options.load_profile})


def checked_change(rates: Mapping[str, object], profile: object, *, given_by: str) -> Settings:
    """Return the settings with other rates (by setting) and profile. Raises SettingsError."""
    return load_settings({**rates, "profile": profile}, given_by=given_by)


def refuse_impossible(options: argparse.Namespace) -> None:
    """Raise SettingsError for a run time that Locust accepts and a load can't have."""
    if options.run_time is not None and options.run_time < 1:
        raise SettingsError(
            f"--run-time is {options.run_time}: give 1 second or more, or omit it for "
            "TEST_DURATION_HOURS"
        )
    if options.run_time is not None and options.run_time > YEAR_HOURS * 3600:
        raise SettingsError(f"--run-time is {options.run_time}: a year is the longest run")


def ignored_options(options: argparse.Namespace) -> list[str]:
    """Return a line for each of Locust's options that is set and changes nothing here."""
    profile = f"--profile {options.profile} is Locust's label for test runs and changes no rate"
    if options.profile in get_args(ProfileName):
        profile += f": did you mean --load-profile {options.profile}?"
    is_set = {
        profile: options.profile is not None,
        "--host (LOCUST_HOST) changes nothing: DATABASE_URL names the source": options.host,
        "--exit-code-on-error (LOCUST_EXIT_CODE_ON_ERROR) changes nothing: docs/commands.md has "
        "the exit codes, failed_share in thresholds.toml is the limit": (
            options.exit_code_on_error != 1
        ),
        "--equal-weights changes nothing: the rates are the mix": options.equal_weights,
        "--otel (LOCUST_ENABLE_OPENTELEMETRY) sees no writes: metrics are on METRICS_PORT": (
            options.otel
        ),
    }
    return [line for line, applies in is_set.items() if applies]


def wanted_by(
    options: argparse.Namespace, operations: Mapping[str, Operation]
) -> tuple[Mix, ProfileName]:
    """Return the rates and the profile that Locust's options hold now."""
    rates = {
        name: float(getattr(options, operation.option)) for name, operation in operations.items()
    }
    return Mix(rates), options.load_profile


def fill_in(
    options: argparse.Namespace,
    operations: Mapping[str, Operation],
    mix: Mix,
    profile: ProfileName,
) -> None:
    """Set Locust's options, and so its form, to the current rates and profile."""
    for name, rate in mix.rates_per_hour.items():
        setattr(options, operations[name].option, rate)
    options.load_profile = profile


def _rate(name: str) -> Callable[[str], float]:
    """Return the argument type of a rate, which argparse checks as the settings do."""

    def rate(text: str) -> float:
        try:
            return load_settings({name: text}).rate(name, 0.0)
        except SettingsError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from exc

    return rate


def _hard_cases(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in HARD_CASES:
            raise argparse.ArgumentTypeError(
                f"{name!r} is no hard case: {suggest(name, HARD_CASES)}"
            )
    return names
