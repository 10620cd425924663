"""`loadgen report`: writes a run's report as HTML and as Markdown, and prints its path."""

import argparse
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.commands import selection
from loadgen.config import decision, thresholds
from loadgen.config.settings import Settings, load_settings
from loadgen.record.costs import Costs
from loadgen.record.folder import find_run
from loadgen.record.run import Run
from loadgen.record.verdict import verdict_text
from loadgen.tools.tools_file import load_tools
from loadgen.workload.operations import operations_of

if TYPE_CHECKING:
    from loadgen.report.analysis.answer import RunAnswer
    from loadgen.report.folder import Written

_EXAMPLE = "example: loadgen report            (the latest run; or name one: loadgen report RUN)"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "report",
        help="write a run's report: report.html, report.md, charts and RESULTS.md",
        description="Writes report.html (one file, no network needed), report.md and charts/ into "
        "the run's folder and prints the path. Also writes RESULTS.md, the decision matrix, and "
        "keeps the cells that people filled in. If the run's tools have no costs yet, it collects "
        "them first (loadgen costs). A run that was killed is reported from its samples.",
        epilog=_EXAMPLE,
    )
    selection.add_run(parser)
    selection.add_tool(parser, "print the answer on this tool only; the files have all")
    parser.add_argument(
        "--check",
        action="store_true",
        help="judge THRESHOLDS_FILE and end with the run's exit code: 130 (interrupted), "
        "1 (invalid), 4 (the generator was the bottleneck), 5 (paused by the watch to the end), "
        "3 (a threshold was missed) or 0",
    )
    parser.add_argument(
        "--control",
        metavar="RUN",
        help="a run of the same load without tools: what they add to the source is shown",
    )
    parser.add_argument("--json", action="store_true", help="print the verdict and paths as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the report and print its path; with --check, return the run's exit code."""
    settings = load_settings()
    limits = thresholds.load(settings, operations_of(settings))
    folder = find_run(settings.reports_dir, selection.run_name(args))
    control = find_run(settings.reports_dir, args.control) if args.control else None
    rules = decision.load(settings)
    from loadgen.report.folder import ReportOptions, write_report  # noqa: PLC0415 - jinja2 and the charts

    tools = load_tools(settings)
    _collect_costs(folder, settings)
    options = ReportOptions(
        limits=limits,
        rules=rules,
        control=control,
        kinds={tool.name: tool.kind for tool in tools},
        slots={tool.name: tool.slot_read for tool in tools},
        destinations={tool.name: tool.destination for tool in tools},
        runners={tool.name: tool.runner for tool in tools if tool.runner},
    )
    written = write_report(folder, datetime.now(UTC), options)
    answer = written.report.answer
    if args.tool is not None:
        selection.require_tool(args.tool, [tool.name for tool in answer.tools], folder.name)
        shown = tuple(tool for tool in answer.tools if tool.name == args.tool)
        answer = replace(answer, tools=shown, score="")
    if args.json:
        print(json.dumps(as_json(written, answer), indent=2))
    else:
        verdict = written.report.verdict
        for line in answer.lines():
            print(line)
        if args.check:
            for limit in verdict.judgement.thresholds:
                print(f"{limit.verdict:<10}  {limit}")
            print(f"verdict: {verdict_text(exit_code(written))}")
        if written.matrix:
            print(f"matrix: {written.matrix}")
        print(f"report: {written.html}")
    return exit_code(written) if args.check else 0


def _collect_costs(folder: Path, settings: Settings) -> None:
    """Collect the costs of a run that has ended, as `loadgen costs` does, unless they are there."""
    if (folder / Costs.FILE).exists() or not load_tools(settings):
        return
    if Run.of(folder).ended_at is None:
        return
    from loadgen.costs.collect import costs_of  # noqa: PLC0415 - pydantic's models take a while

    costs_of(folder, settings, datetime.now(UTC)).write(folder)


def exit_code(written: "Written") -> int:
    """Return the run's exit code; a run without an end is not valid."""
    run = written.report.verdict.run
    return 1 if run is None else run.exit_code


def as_json(written: "Written", answer: "RunAnswer") -> dict[str, object]:
    """Return the report for programs: the verdict, the answer, the totals, the files."""
    verdict, facts = written.report.verdict, written.facts
    return {
        "run_id": facts.run.run_id,
        "ended": facts.ended,
        "kept_up": verdict.kept_up,
        "sound": verdict.sound,
        "headline": verdict.headline,
        "sentence": verdict.sentence,
        "answer": {
            "headline": answer.headline,
            "sentence": answer.sentence,
            "trusted": answer.trusted,
            "tools": {
                tool.name: {"answer": tool.answer, "reasons": list(tool.reasons)}
                for tool in answer.tools
            },
        },
        "checks": [
            {"name": check.name, "level": check.level, "finding": check.finding}
            for check in verdict.checks
        ],
        "thresholds": [limit.plain() for limit in verdict.judgement.thresholds],
        "exit_code": exit_code(written),
        "operations": {
            operation.name: {
                "asked": operation.planned,
                **operation.totals.plain(),
                "gained": operation.gained,
            }
            for operation in facts.operations
        },
        "html": str(written.html),
        "markdown": str(written.markdown),
        "charts": [str(path) for path in written.charts],
        "results": str(written.matrix) if written.matrix else None,
    }
