"""`loadgen watch`: looks at slots, WAL and tables of the source, and protects it."""

import argparse
import signal
from pathlib import Path

from loadgen.settings import load_settings
from loadgen.source import server
from loadgen.source.locate import source_dsn

_EXAMPLE = "example: loadgen watch --interval 5 &"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "watch",
        help="samples replication slots, WAL and tables; pauses the load to protect the source",
        description="Looks at the source until it is stopped: metrics on WATCH_PORT, slots.csv in "
        "the folder of the run that goes on. Pauses the load when a slot retains more WAL than "
        "MAX_SLOT_RETAINED_BYTES, or the disk has less room than MIN_FREE_DISK_BYTES. With "
        "--markers it also writes a marker row every MARKER_INTERVAL_SECONDS of a run.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "--interval", type=_seconds, default=5.0, metavar="S", help="seconds (default: 5)"
    )
    parser.add_argument(
        "--markers",
        action="store_true",
        help="write marker rows without a destination that they are looked for at",
    )


def run(args: argparse.Namespace) -> int:
    """Watch until SIGTERM, 0, or Ctrl-C, 130."""
    from loadgen.watch import Watch  # noqa: PLC0415 - the metrics' library is slow to import

    settings = load_settings()
    embedded = server.status(Path.cwd()) if settings.database_url is None else None
    data_dir = embedded.data_dir if embedded else None
    dsn = source_dsn(settings, start=False)
    watch = Watch(settings, dsn, args.interval, data_dir, () if args.markers else None)
    signal.signal(signal.SIGTERM, lambda *_: watch.stopped.set())
    watch.run()
    return 0


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} must be seconds, above 0 and at most 3600")
    return seconds
