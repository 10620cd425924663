"""schema.sql of an import: the tables with all that they need, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from loadgen.errors import SourceError
from loadgen.source.importing.catalogue_ddl import catalogue_ddl
from loadgen.source.importing.dependencies import left_out, needed_objects, without_ddl
from loadgen.source.importing.pg_dump import dumped_ddl
from loadgen.source.importing.selection import Selection
from loadgen.source.postgres import Connection

# pg_dump locks every table at once; a server has places for 6,400 locks unless it was set up.
_MOST_LOCKED: Final = 1000


def read_schema(
    conn: Connection,
    url: str,
    selection: Selection,
    pg_bin: Path | None,
    report: Callable[[str], None],
) -> tuple[str, tuple[str, ...]]:
    """Return the DDL of the selected tables, and a line for each object that it leaves out.

    It is pg_dump's if that may read every table, else made from the catalogues.
    """
    needed = needed_objects(conn, selection)
    lines = (*selection.left_out, *left_out(conn, selection, needed))
    try:
        _require_dumpable(selection)
        ddl = dumped_ddl(url, conn.info.server_version, needed, pg_bin)
    except SourceError as exc:
        report(f"schema from the catalogues, since {exc}")
        ddl = catalogue_ddl(conn, selection, needed)
        lines += tuple(without_ddl(conn, needed))
    return "".join(f"{statement};\n\n" for statement in ddl), lines


def _require_dumpable(selection: Selection) -> None:
    parts = [part for parts in selection.parts.values() for part in parts]
    if not selection.is_all:
        raise SourceError("not every table is imported")
    if unreadable := [part for part in parts if not part.is_readable]:
        raise SourceError(f"pg_dump needs SELECT on every table, such as {unreadable[0].name}")
    if len(parts) > _MOST_LOCKED:
        raise SourceError(f"pg_dump would lock {len(parts):,} tables at once")
