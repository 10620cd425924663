"""Runner "rivet": rivet-cli reads a slot every so many seconds, and writes Parquet files.

`python -m loadgen.tools.runners.rivet NAME` is the process that runs rivet; each run copies what
was committed since the last one, and ends. The first run copies all rows. rivet refuses an update
that leaves a value in TOAST unchanged, unless the table has REPLICA IDENTITY FULL.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from loadgen.config.settings import Settings, variable
from loadgen.errors import DestinationError, PlaygroundError, SourceError, one_line
from loadgen.source.embedded.server import source_dsn
from loadgen.source.postgres import connect, plain_errors
from loadgen.text import first_few
from loadgen.tools.conventions import SOURCE_SCHEMA
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.runners import background, own_venv, sync_process
from loadgen.tools.runners.replication import drop_slot
from loadgen.tools.runners.sync_process import SyncOnce, run_syncs
from loadgen.tools.runners.syncs import ToolStatus
from loadgen.tools.s3 import S3Prefix
from loadgen.tools.source_tables import SourceTable, published_tables
from loadgen.tools.tools_file import Tool
from loadgen.untrusted import parse_json

MODULE: Final = "loadgen.tools.runners.rivet"
PACKAGES: Final = ("rivet-cli==0.32.2",)

_CONFIG: Final = "rivet.yaml"  # JSON, which is YAML too
_POSITION: Final = "position"  # rivet's file with the LSN that it has read
_SOURCE: Final = "RIVET_SOURCE"  # variable with the source's address
_DECIMAL: Final = re.compile(r"numeric(\(\d+,\d+\))")


def install(tool: Tool) -> str:
    """Install rivet into the tool's environment. Raises PlaygroundError."""
    return f"{', '.join(PACKAGES)}, which is in {own_venv.install(tool, PACKAGES)}"


def start(tool: Tool, settings: Settings) -> None:
    """Start the tool's process, unless it runs. Raises PlaygroundError."""
    own_venv.program(tool, PACKAGES, "rivet")
    _refuse_another_place(tool, config(tool, _tables(tool, source_dsn(settings))))
    background.launch(tool.folder, MODULE, tool.name)


def stop(tool: Tool) -> bool:
    """End the tool's process after its sync, and keep copy and slot; return whether it ran."""
    return background.stop(tool.folder)


def status(tool: Tool) -> ToolStatus:
    """Return the tool's state from its files, without opening the copy."""
    return sync_process.status_of(tool, _position(tool))


def processes(tool: Tool) -> tuple[int, ...]:
    """Return the process that syncs, whose child is rivet; none if it does not run."""
    return sync_process.processes_of(tool)


def remove(tool: Tool, settings: Settings) -> None:
    """Stop the tool, and remove its slot, copy and state; rivet itself stays installed."""
    stop(tool)
    with connect(source_dsn(settings)) as publisher, plain_errors("dropping rivet's slot"):
        drop_slot(publisher, tool.runner_slot, 0)
    if s3 := S3Prefix.of(tool):
        s3.clear()
    shutil.rmtree(tool.parquet_folder, ignore_errors=True)
    for path in tool.folder.glob("*"):
        if path.name in {own_venv.FOLDER, own_venv.LOCK}:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def prepare(_tool: Tool) -> SyncOnce:
    """Return what syncs a tool once."""
    return _sync


def config(tool: Tool, tables: Sequence[SourceTable]) -> Mapping[str, Any]:
    """Return rivet's configuration: one stream of all tables, by one slot."""
    decimals = {
        f"{table.name}.{column.name}": f"decimal{decimal[1]}"
        for table in tables
        for column in table.columns
        if (decimal := _DECIMAL.fullmatch(column.type))
    }
    export = {
        "name": "copy",
        "tables": [table.name for table in tables],
        "mode": "cdc",
        "format": "parquet",
        "cdc": {
            "initial": "snapshot",
            "until_current": True,
            "slot": tool.runner_slot,
            "checkpoint": f"./{_POSITION}",  # without it a lost slot is replaced by a new one
        },
        "destination": _destination(tool),
        "columns": decimals,
    }
    return {"source": {"type": "postgres", "url_env": _SOURCE}, "exports": [export]}


def _refuse_another_place(tool: Tool, now: Mapping[str, Any]) -> None:
    """Raise DestinationError if the copy began elsewhere: what was read is not read again."""
    if _position(tool) is None:
        return
    before = parse_json((tool.folder / _CONFIG).read_bytes())
    if before["exports"][0]["destination"] != now["exports"][0]["destination"]:
        raise DestinationError(
            f"tool {tool.name}: its files are at another place than tools.toml says now; `loadgen "
            f"tools remove {tool.name}`, then start it, to copy everything there"
        )


def _destination(tool: Tool) -> Mapping[str, Any]:
    """Return where rivet writes; it finds the credentials of S3 by itself."""
    s3 = S3Prefix.of(tool)
    if s3 is None:
        return {"type": "local", "path": str(tool.parquet_folder.absolute())}
    place = {"bucket": s3.bucket, "prefix": s3.prefix, "region": s3.region, "endpoint": s3.endpoint}
    profile = variable("AWS_PROFILE")
    return {"type": "s3", **place, **({"aws_profile": profile} if profile else {})}


def _sync(tool: Tool, source: str) -> Mapping[str, int]:
    """Run rivet once. Raises PlaygroundError with its reason."""
    rivet = own_venv.program(tool, PACKAGES, "rivet")
    text = json.dumps(config(tool, _tables(tool, source)))
    (tool.folder / _CONFIG).write_text(text, encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - installed by us
        [rivet, "--no-notify", "run", "-c", _CONFIG, "--json"],
        cwd=tool.folder,
        env={**os.environ, _SOURCE: source},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.splitlines() or ["it printed no reason"]
        reason = next((line for line in lines if line.startswith("Error: ")), lines[-1])
        raise PlaygroundError(f"rivet: {one_line(reason.removeprefix('Error: '))}")
    return {"all tables": int(json.loads(done.stdout)["total_rows"])}


def _tables(tool: Tool, source: str) -> Sequence[SourceTable]:
    """Return the published tables. Raises SourceError for those that one stream can't have."""
    reader = PostgresReader(source, is_source=True)
    try:
        tables = list(published_tables(reader).values())
    finally:
        reader.close()
    elsewhere = [table.label for table in tables if table.schema != SOURCE_SCHEMA]
    keyless = [table.label for table in tables if not table.key]
    if elsewhere or keyless:
        why = "outside the schema public" if elsewhere else "without a key"
        raise SourceError(
            f"tool {tool.name}: rivet's copy can't have tables {why} "
            f"({first_few(elsewhere or keyless)}): take them out of the publication `loadgen`"
        )
    return tables


def _position(tool: Tool) -> str | None:
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        text = (tool.folder / _POSITION).read_text(encoding="utf-8")
        return str(json.loads(text)["lsn"])
    return None


if __name__ == "__main__":
    try:
        sys.exit(run_syncs(sys.argv[1], prepare))
    except PlaygroundError as exc:
        print(exc)  # noqa: T201 - to the log
        sys.exit(exc.exit_code)
