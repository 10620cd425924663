"""The archive of tests/workloads: the traces of its writes in the tables, and faults of a copy."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Final

from psycopg import sql

from loadgen.source.embedded import server
from loadgen.source.postgres import Connection, connect
from tests.polling import wait_for

WORKLOAD: Final = Path(__file__).parent / "workloads" / "archive"
# The count that each operation's committed writes raise by one, in SQL of the tests.
GAINED: Final = {
    "register_person": 'SELECT count(*) FROM archive."Person"',
    "open_account": "SELECT count(*) FROM archive.accounts",
    "move_item": "SELECT count(*) FROM archive.movements",
    "post": "SELECT count(*) FROM archive.postings",
    "visit": 'SELECT count(*) FROM "Access Log"',
    "confirm": "SELECT count(*) FROM archive.movements WHERE confirmed_at >= %(begin)s",
    "rename": 'SELECT sum(version) FROM archive."Person"',
    "cancel": 'SELECT -count(*) FROM archive."order"',
}
UNPROVED: Final = {"visit", "rename"}
KEYS: Final = {
    "archive.Person": ("PersonId",),
    "archive.shelves": ("code",),
    "archive.items": ("item_id",),
    "archive.item_tags": ("item", "tag"),
    "archive.movements": ("region", "movement_no"),
    "archive.order": ("select",),
    "archive.accounts": ("account_no",),
    "archive.postings": ("account_no", "posting"),
    "archive.Climate": ("id",),
    "Access Log": (),
}
# The rows that no operation changes, so that a fault in them stays; all rows of other tables.
_UNTOUCHED: Final = {
    "archive.Person": "joined_at < %(begin)s",
    "archive.items": "state = 'fragile'",
    "archive.movements": "moved_at < %(begin)s",
    "archive.order": '"select" IN (SELECT "for" FROM archive.movements)',
    "Access Log": "at < %(begin)s",
}
_TOOLS: Final = """
[tools.cdc]
kind = "postgres"
destination = "postgres"
runner = "replication"

[tools.cursor]
kind = "dlt"
destination = "duckdb"
schema = "playground"
runner = "dlt"
interval_seconds = 3600
"""
# What dlt loses: a copy's decimals have nine digits, empty bytes land as NULL, and it sees no
# deletes in a table that it reads by a cursor.
LOST_BY_DLT: Final = {
    ("archive.items", "area", "differs"),
    ("archive.shelves", "seal", "differs"),
    ("archive.order", None, "extra"),
}
Place = tuple[str, str, str | None, str]  # table, key, column and kind of a finding


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one of the copy's rows, among those of which `where` holds.

    A `differs` sets `column` to `change`; an `extra` inserts the columns that `change` selects.
    """

    table: str
    kind: str
    column: str | None = None
    change: str = ""
    where: str = "true"


def _differs(table: str, column: str, change: str, where: str = "true") -> Fault:
    return Fault(f"archive.{table}", "differs", column, change, where)


FAULTS: Final = (
    _differs("Person", "Full Name", "\"Full Name\" || ' '"),
    _differs("Person", "mail", "NULL", "mail IS NOT NULL"),
    _differs("Person", "born", "born + 1"),
    _differs("Person", "mentor", "NULL", "mentor IS NOT NULL"),
    _differs("Person", "home_shelf", "'SHELF 0000'"),
    _differs("Person", "joined_at", "joined_at + interval '1 microsecond'"),
    _differs("Person", "version", "-1"),
    Fault("archive.Person", "missing"),
    _differs("shelves", "capacity", "capacity + 1e-19"),
    _differs("shelves", "labels", "array_replace(labels, 'NULL', NULL)", "'NULL' = ANY (labels)"),
    _differs("shelves", "labels", "array_append(labels, '')"),
    _differs("shelves", "keeper", "'00000000-0000-0000-0000-000000000000'"),
    _differs("shelves", "seal", "seal || '\\x00'", "seal IS NOT NULL"),
    Fault("archive.shelves", "missing"),
    _differs("items", "state", "'worn'"),
    _differs("items", "pages", "NULL", "pages = '{}'"),
    _differs("items", "pages", "pages[2:] || pages[1]", "pages[1] <> pages[2]"),
    _differs("items", "details", "details - 'maker'"),
    _differs("items", "details", "jsonb_set(details, '{tags}', '[\"y\", \"x\"]')"),
    _differs("items", "title", "upper(title)", "title <> upper(title)"),
    _differs("item_tags", "weight", "0", "weight IS NULL"),
    _differs("item_tags", "states", "states || 'lost''n found'::archive.condition"),
    Fault("archive.item_tags", "extra", change="item, tag || ',', 1"),
    _differs("movements", "took", "'1 mon 1 day 24 hours'", "took = '1 mon 2 days'"),
    _differs("movements", "distance", "distance + 1e-9"),
    _differs("movements", "confirmed_at", "now()", "confirmed_at IS NULL"),
    Fault("archive.movements", "missing"),
    Fault("archive.movements", "extra", change="'us', -movement_no, item, NULL, 1, NULL, moved_at"),
    _differs("order", "table", "''", '"table" IS NULL'),
    _differs("order", "limit", '"limit" + 1'),
    _differs("order", "Until", "\"Until\" + interval '1 microsecond'"),
    Fault("archive.order", "missing"),
    Fault("archive.accounts", "extra", change="account_no || 'x', owner, 0, true"),
    _differs("Climate", "humidity", "humidity + 0.0001"),
    _differs("Climate", "sensor", "'10.0.0.7/8'", "sensor = '10.0.0.7'"),
    _differs("Climate", "span", "'[1,6)'", "span = '[1,5)'"),
    _differs("Climate", "taken_at", "'24:00'", "taken_at = '00:00'"),
    Fault("archive.Climate", "missing"),
    Fault("Access Log", "missing"),
    Fault("Access Log", "extra", change="item, what || '{\"seconds\": 0}', at"),
)


def gained(dsn: str, begin: datetime) -> dict[str, int]:
    """Return by how much each operation has raised its count since the load began."""
    with connect(dsn) as conn:
        rows = {
            name: conn.execute(query.encode(), {"begin": begin}).fetchone()
            for name, query in GAINED.items()
        }
    return {name: int(row[0]) for name, row in rows.items() if row is not None}


def places(findings: Iterable[Mapping[str, Any]]) -> list[Place]:
    """Return the places of the findings of verify.json, in order."""
    return sorted(
        ((f["table"], f["key"] if KEYS.get(f["table"], f) else "", f["column"], f["kind"])
         for f in findings),
        key=str,
    )  # fmt: skip


def plant(dsn: str, faults: Iterable[Fault], begin: datetime) -> list[Place]:
    """Spoil a row of a copy by each fault, and return the places of the findings, in order.

    No row gets two faults. `begin` is the start of a load that may run meanwhile. A table without a
    key has "" as key.
    """
    planted: list[Place] = []
    used: dict[str, list[str]] = {}
    with connect(dsn) as conn:
        conn.execute("SET session_replication_role = replica")  # no foreign keys, as in a copy
        for fault in faults:
            rows = used.setdefault(fault.table, [])
            key, was = _spoil(conn, fault, begin, rows)
            rows += [was, key]  # the other one is an extra row
            planted.append((fault.table, key, fault.column, fault.kind))
    return sorted(planted, key=str)


def _spoil(conn: Connection, fault: Fault, begin: datetime, used: list[str]) -> tuple[str, str]:
    """Spoil a row that is not among the `used` ones; return the finding's key, and the row's."""
    table = sql.Identifier(*(["public", *fault.table.split(".")])[-2:])
    keys = KEYS[fault.table]
    key = (
        sql.SQL(" || ', ' || ").join(sql.SQL("{}::text").format(sql.Identifier(k)) for k in keys)
        if keys
        else sql.SQL("ctid::text")
    )
    found = conn.execute(
        sql.SQL(
            "SELECT {key} FROM {table} WHERE {untouched} AND {where} AND {key} <> ALL (%(used)s)"
            " ORDER BY 1 LIMIT 1"
        ).format(
            key=key,
            table=table,
            untouched=sql.SQL(_UNTOUCHED.get(fault.table, "true")),
            where=sql.SQL(fault.where),
        ),
        {"begin": begin, "used": used},
    ).fetchone()
    if found is None:
        raise AssertionError(f"no row for {fault}")
    statement = {
        "differs": "UPDATE {table} SET {column} = {change} WHERE {key} = %s RETURNING {key}",
        "missing": "DELETE FROM {table} WHERE {key} = %s RETURNING {key}",
        "extra": "INSERT INTO {table} SELECT {change} FROM {table} WHERE {key} = %s"
        " RETURNING {key}",
    }[fault.kind]
    spoilt = conn.execute(
        sql.SQL(statement).format(
            table=table,
            key=key,
            column=sql.Identifier(fault.column or ""),
            change=sql.SQL(fault.change),
        ),
        found,
    ).fetchall()
    ((name,),) = spoilt
    return (name if keys else ""), found[0]


class Tools:
    """Two local tools of a project, which copy the archive: `cdc` and `cursor`."""

    def __init__(
        self,
        project: Path,
        run_loadgen: Callable[..., CompletedProcess[str]],
        environment: dict[str, str],
    ) -> None:
        self._project = project
        self._run_loadgen = run_loadgen
        self._environment = environment
        (project / "tools.toml").write_text(_TOOLS)

    def run(self, *arguments: str) -> None:
        """Run a command of `loadgen tools`."""
        done = self._run_loadgen("tools", *arguments, env=self._environment)
        assert done.returncode == 0, done.stdout + done.stderr

    def last_received(self, name: str) -> str | None:
        """Return when a tool received the last changes; None before its first copy is complete."""
        done = self._run_loadgen("tools", "status", "--json", env=self._environment)
        status: dict[str, Any] = json.loads(done.stdout)[name]
        assert not status["problem"], status["problem"]
        return status["last_received"] if status["copied"] else None

    def sync_again(self, name: str) -> None:
        """Have a tool with a cursor sync once more, which it does when it starts."""
        before = self.last_received(name)
        self.run("stop", name)
        self.run("start", name)
        wait_for(lambda: self.last_received(name) != before, f"a sync of {name}", 120)

    def copy(self) -> str:
        """Return the DSN of replication's copy."""
        running = server.status(self._project / ".loadgen" / "tools" / "cdc")
        assert running is not None
        return running.dsn

    def verified(self, name: str, *arguments: str) -> dict[str, Any]:
        """Return what verification says of a tool's copy, which has to be compared as a whole."""
        done = self._run_loadgen(
            "verify", "--json", "--tool", name, *arguments, env=self._environment
        )
        assert done.stdout, done.stderr
        outcome: dict[str, Any] = json.loads(done.stdout)["tools"][name]
        assert not outcome.get("problems"), outcome["problems"]
        return outcome
