"""`loadgen doctor`: checks everything that must hold before a run of days."""

import argparse
import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from loadgen.commands.numbers import number, whole
from loadgen.config import thresholds
from loadgen.config.settings import DEFAULT_USERS, YEAR_HOURS, load_settings
from loadgen.doctor.checks import DoctorFacts, DoctorFinding, run_checks
from loadgen.doctor.facts import collect_facts
from loadgen.errors import SettingsError
from loadgen.text import plural
from loadgen.tools.tools_file import load_tools, select_tools
from loadgen.tools.warehouses import snowflake_is_configured
from loadgen.workload.operations import operations_of

_WIDTH: Final = 80
_EXAMPLE: Final = "example: loadgen doctor --tool fivetran --hours 48"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "doctor",
        help="check what must hold before a long run; each finding names its fix",
        description="Checks settings, source, slots, publications, disk, clock, ports and "
        "warehouses, and changes nothing. Exit code 0 if all checks pass, 1 if there are findings.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--tool", metavar="NAME", help="only this tool of TOOLS_FILE")
    parser.add_argument(
        "--hours",
        type=number("hours", YEAR_HOURS),
        metavar="H",
        help="planned duration of the run (default: TEST_DURATION_HOURS)",
    )
    parser.add_argument(
        "-u",
        "--users",
        type=whole,
        default=DEFAULT_USERS,
        metavar="N",
        help=f"connections that the load will open, as `locust -u` (default: {DEFAULT_USERS})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 0 if there are none."""
    try:
        settings = load_settings()
        tools = load_tools(settings)
        thresholds.load(settings, operations_of(settings))
    except SettingsError as exc:
        # The other checks depend on the settings.
        findings = [DoctorFinding("settings", line) for line in str(exc).splitlines()]
        return _report(args, findings, ["settings"], [])
    hours = args.hours or settings.test_duration_hours
    selected = select_tools(tools, args.tool)
    facts = collect_facts(settings, tools, selected, hours, users=args.users)
    findings, checks = run_checks(facts)
    return _report(args, findings, checks, _not_checked(facts), _not_used(facts))


def _not_checked(facts: DoctorFacts) -> list[str]:
    """Return what no check could see, so that it does not pass for checked."""
    not_checked = [] if facts.source else ["the source"]
    if facts.source and facts.free_bytes is None:
        not_checked.append("the source's disk (not the embedded server's)")
    if any(
        tool.destination == "snowflake" and not snowflake_is_configured(tool, facts.settings)
        for tool in facts.chosen
    ):
        not_checked.append("Snowflake (SNOWFLAKE_ACCOUNT is not set)")
    return not_checked


def _not_used(facts: DoctorFacts) -> list[str]:
    """Return the checks of services that neither tools.toml nor a setting names."""
    names = []
    if not facts.settings.snowflake_account and not any(
        tool.destination == "snowflake" for tool in facts.tools
    ):
        names += ["snowflake", "warehouses"]
    return names if facts.settings.aws_region else [*names, "aws"]


def _report(
    args: argparse.Namespace,
    findings: Sequence[DoctorFinding],
    checks: Sequence[str],
    not_checked: Sequence[str],
    not_used: Sequence[str] = (),
) -> int:
    if args.json:
        report = {
            "ok": not findings,
            "findings": [asdict(finding) for finding in findings],
            "checks": list(checks),
            "not_checked": list(not_checked),
        }
        print(json.dumps(report, indent=2))
        return 1 if findings else 0
    checks = [name for name in checks if name not in not_used]
    for finding in findings:  # no table: the fixes have commands to copy, which cells would fold
        print(f"{finding.check}: {finding.text}")
    if findings:
        print(f"{plural(len(findings), 'finding')} in {plural(len(checks), 'check')}")
    else:
        print(f"all {len(checks)} checks passed")
    failed = dict.fromkeys(finding.check for finding in findings)
    for label, names in (
        ("passed", [name for name in checks if name not in failed]),
        ("failed", failed),
        ("not checked", not_checked),
        ("not used", not_used),
    ):
        if names:
            print(textwrap.fill(f"{label}: {', '.join(names)}", _WIDTH, subsequent_indent="  "))
    return 1 if findings else 0
