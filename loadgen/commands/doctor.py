"""`loadgen doctor`: all that must hold before a run of days; a line a finding, with its fix."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from loadgen.commands.numbers import number, whole
from loadgen.config import thresholds
from loadgen.config.settings import DEFAULT_USERS, YEAR_HOURS, Settings, load_settings
from loadgen.doctor.checks import Facts, Finding, judge
from loadgen.doctor.facts import gather
from loadgen.errors import SettingsError
from loadgen.tools.tools_file import Tool, chosen, load_tools
from loadgen.tools.warehouses import configured
from loadgen.workload.operations import OPERATIONS

_EXAMPLE: Final = "example: loadgen doctor --tool fivetran --hours 48"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "doctor",
        help="everything that must hold before a long run, each finding with its fix",
        description="Checks settings, source, slots, publications, disk, clock, ports and "
        "warehouses; reads only. Exit code 0 if all is well, 1 if there are findings.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--tool", metavar="NAME", help="only this tool of TOOLS_FILE")
    parser.add_argument(
        "--hours",
        type=number("hours", YEAR_HOURS),
        metavar="H",
        help="how long the run will take (default: TEST_DURATION_HOURS)",
    )
    parser.add_argument(
        "-u",
        "--users",
        type=whole,
        default=DEFAULT_USERS,
        metavar="N",
        help=f"how many users, so connections, `locust -u` will have (default: {DEFAULT_USERS})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 0 if there are none."""
    try:
        settings = load_settings()
        tools = load_tools(settings)
        thresholds.load(settings, OPERATIONS)
    except SettingsError as exc:
        # What the other checks would judge by is not known.
        found = [Finding("settings", line) for line in str(exc).splitlines()]
        return _tell(args, found, ["settings"], [])
    facts = _gathered(args, settings, tools)
    found, made = judge(facts)
    return _tell(args, found, made, _unseen(facts))


def _gathered(args: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> Facts:
    hours = args.hours or settings.test_duration_hours
    return gather(settings, tools, chosen(tools, args.tool), hours, users=args.users)


def _unseen(facts: Facts) -> list[str]:
    """Return what could not be looked at, and is not said to be well."""
    unseen = [] if facts.source else ["the source"]
    if facts.source and facts.free_bytes is None:
        unseen.append("the source's disk (not the embedded server's)")
    if any(
        tool.destination == "snowflake" and not configured(tool, facts.settings)
        for tool in facts.chosen
    ):
        unseen.append("Snowflake (SNOWFLAKE_ACCOUNT is not set)")
    return unseen


def _tell(
    args: argparse.Namespace, found: Sequence[Finding], made: Sequence[str], unseen: Sequence[str]
) -> int:
    if args.json:
        said = {
            "ok": not found,
            "findings": [asdict(finding) for finding in found],
            "checks": list(made),
            "not_checked": list(unseen),
        }
        print(json.dumps(said, indent=2))
        return 1 if found else 0
    for finding in found:
        print(f"{finding.check}: {finding.text}")
    rest = f"; not seen: {', '.join(unseen)}" if unseen else ""
    if found:
        print(f"{_counted(len(found), 'finding')} in {_counted(len(made), 'check')}{rest}")
    else:
        print(f"all {len(made)} checks passed{rest}")
    return 1 if found else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
