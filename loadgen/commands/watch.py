"""`loadgen watch`: samples slots, WAL and tables of the source, times markers, and protects it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from loadgen.commands.numbers import number
from loadgen.config.settings import Settings, load_settings
from loadgen.errors import SourceError
from loadgen.source.embedded import server
from loadgen.source.embedded.server import source_dsn
from loadgen.source.postgres import connect
from loadgen.source.schema import require_playground
from loadgen.tools.readers.marker_probe import MarkerProbe
from loadgen.tools.tools_file import Tool, load_tools

_EXAMPLE = "example: loadgen watch --interval 5 &"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "watch",
        help="sample replication slots, WAL and tables; pause the load to protect the source",
        description="Observes the source until it is stopped: metrics on WATCH_PORT, slots.csv in "
        "the current run's folder. Pauses the load if a slot retains more WAL than "
        "MAX_SLOT_RETAINED_BYTES, or the disk has less free space than MIN_FREE_DISK_BYTES. If "
        "TOOLS_FILE names tools, it also writes a marker row every MARKER_INTERVAL_SECONDS of a "
        "run, and records when it appears at each tool's destination in freshness.csv. What the "
        "processes of local tools use goes to tools.csv. If the workload has conserved sums, they "
        "are read at each copy; consistency.csv tells which reads were torn.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "--interval",
        type=number("seconds", 3600),
        default=5.0,
        metavar="S",
        help="seconds between two observations (default: 5)",
    )
    parser.add_argument(
        "--markers",
        action="store_true",
        help="write marker rows even without a tool",
    )


def run(args: argparse.Namespace) -> int:
    """Watch until Ctrl-C, SIGTERM or SIGHUP."""
    from loadgen.watch.watch import Watch  # noqa: PLC0415 - the metrics' library is slow to import

    settings = load_settings()
    embedded = server.status(Path.cwd()) if settings.database_url is None else None
    data_dir = embedded.data_dir if embedded else None
    dsn = source_dsn(settings)
    tools = load_tools(settings)
    probes = _probes(tools, settings)
    if probes or args.markers:
        _check_playground(dsn, demanded=args.markers)
    destinations = probes if probes or args.markers else None
    watch = Watch(settings, dsn, args.interval, data_dir, destinations, tools)
    watch.run()
    return 0


def _check_playground(dsn: str, *, demanded: bool) -> None:
    """Warn that markers can't be written to a database without the playground's tables.

    Raises SourceError if markers are `demanded`.
    """
    with connect(dsn) as conn:
        try:
            require_playground(conn)
        except SourceError as exc:
            if demanded:
                raise
            warning = f"loadgen: warning: {exc}; no marker is written until then"
            print(warning, file=sys.stderr)


def _probes(tools: Sequence[Tool], settings: Settings) -> list[MarkerProbe]:
    """Return a probe for each tool, and print its interval: queries of a warehouse cost money."""
    probes = [MarkerProbe(tool, settings) for tool in tools]
    for probe in probes:
        print(f"looking for markers at {probe.name} every {probe.poll_seconds:g} s")
    return probes
